//! What an endpoint says besides host and port.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use gelf_core::{Compression, CompressionLevel, DatagramSize, Overflow};

use crate::endpoint::table::MASK;

/// How messages travel.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// Over HTTP/1.1, with TLS when [`HttpOptions::tls`] says so: requests that are answered.
    Http(HttpOptions),
    /// Over TCP, with TLS when [`TcpOptions::tls`] says so: frames that end with a null byte, in order on each
    /// connection.
    Tcp(TcpOptions),
    /// Over UDP: datagrams, that may be lost or overtake each other.
    Udp(UdpOptions),
}

/// How messages become datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// How payloads are compressed; gzip at level 2.
    pub compression: Compression,
    /// How many bytes a datagram may have before a payload is cut into chunks; 1,420.
    pub datagram_size: DatagramSize,
    /// What happens to a message that does not fit into 128 datagrams: it is dropped by default. With
    /// [`Overflow::Truncate`] its texts are cut until it fits, and a field `_truncated` says how long they were.
    pub overflow: Overflow,
    /// How many datagrams may leave in a second; without a limit. It keeps a burst from overrunning the receiver's
    /// buffer.
    pub rate: Option<NonZeroU32>,
}

/// How connections are held.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// The time for one address to accept a connection, and again for the TLS handshake: 10 s, whole seconds up to
    /// 3,600.
    pub connect_timeout: Duration,
    /// TLS below the frames; none.
    pub tls: Option<TlsOptions>,
    /// How long what was written may stay unacknowledged before the connection is given up: 30 s, whole seconds
    /// up to 3,600. Linux's `TCP_USER_TIMEOUT`, without effect elsewhere, which counts for an idle connection's keepalive too. A receiver that
    /// takes nothing for so long is given up as well, though it may only be slow; then what it has not acknowledged is
    /// sent again to the next connection.
    pub user_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), tls: None, user_timeout: Duration::from_secs(30) }
    }
}

/// Whom a sender trusts, and who it says it is. Files are PEM, and are read again when they change.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The certificates of the authorities that may vouch for the receiver; those of the system, or else Mozilla's.
    pub ca: Option<PathBuf>,
    /// The sender's own certificate chain, for a receiver that asks for one. Needs `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name or address that the receiver's certificate must have; the host of the endpoint.
    pub server_name: Option<String>,
}

/// How messages become requests. The value of [`header`](Self::header) does not show in its `Debug`.
#[derive(Clone, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Whether a request may carry several messages, a line for each. The receiver must be set up for it: Graylog
    /// takes only the first else. No.
    pub bulk: bool,
    /// The time for a connection to one address, the TLS handshake included, in whole seconds up to 3,600. Without it, and
    /// at most, each address has an equal share of [`timeout`](Self::timeout).
    pub connect_timeout: Option<Duration>,
    /// The gzip level of request bodies; not compressed.
    pub gzip: Option<CompressionLevel>,
    /// A header for the receiver to know the sender by, as name and value; none. The name is a token of HTTP and none
    /// that requests have anyway, as `Host` and `Content-Length`; the value is visible ASCII, and a secret.
    pub header: Option<(String, String)>,
    /// The path, as it stands in a request; `/gelf`, the only one that Graylog has. An empty one and `/` stand for it.
    pub path: String,
    /// How long an answer may take: 10 s, whole seconds up to 3,600.
    pub timeout: Duration,
    /// TLS below HTTP; none.
    pub tls: Option<TlsOptions>,
}

/// Shows all fields but the value of the header, which is a secret.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bulk, connect_timeout, gzip, header, path, timeout, tls } = self;
        f.debug_struct("HttpOptions")
            .field("bulk", bulk)
            .field("connect_timeout", connect_timeout)
            .field("gzip", gzip)
            .field("header", &header.as_ref().map(|(name, _)| (name, MASK)))
            .field("path", path)
            .field("timeout", timeout)
            .field("tls", tls)
            .finish()
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            bulk: false,
            connect_timeout: None,
            gzip: None,
            header: None,
            path: "/gelf".to_owned(),
            timeout: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// How much may wait for a destination, and what becomes of messages for which there is no room.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// How many messages may be accepted and without an outcome: 65,536, from 1 to 16,777,216.
    pub max_messages: usize,
    /// How many bytes they may have together, as JSON: 64 MiB, from 1 KiB to 16 GiB.
    pub max_bytes: usize,
    /// What happens when there is no room; the sender waits.
    pub when_full: WhenFull,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { max_messages: 65_536, max_bytes: 64 * 1024 * 1024, when_full: WhenFull::Wait }
    }
}

/// What becomes of a message for which there is no room in the queue.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The oldest messages that wait are dropped in its favour.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It waits until there is room.
    #[default]
    Wait,
}
