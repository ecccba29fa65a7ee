//! The options of endpoints.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use gelf_core::{Compression, CompressionLevel, DatagramSize, Delimiter, Overflow};

use crate::endpoint::table::MASK;

/// The transport of messages, with its options.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP/1.1, with TLS if [`HttpOptions::tls`] is set: requests that are answered.
    Http(HttpOptions),
    /// TCP, with TLS if [`TcpOptions::tls`] is set: frames that end with a null byte, in order on each
    /// connection.
    Tcp(TcpOptions),
    /// UDP: datagrams, which may be lost or overtake each other.
    Udp(UdpOptions),
}

/// Options of UDP.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// The compression of payloads; gzip at level 2 by default.
    pub compression: Compression,
    /// The bytes of the largest datagram, beyond which a payload is cut into chunks; 1,420 by default.
    pub datagram_size: DatagramSize,
    /// The behaviour for a message that does not fit into 128 datagrams: it is dropped by default. With
    /// [`Overflow::Truncate`] its texts are cut until it fits, and a field `_truncated` says how long they
    /// were.
    pub overflow: Overflow,
    /// The limit of datagrams per second, which keeps a burst from overrunning the receiver's buffer; none by
    /// default.
    pub rate: Option<NonZeroU32>,
}

/// Options of TCP.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// The time limit for connecting to one address, and again for the TLS handshake: 10 s by default, whole
    /// seconds up to 3,600.
    pub connect_timeout: Duration,
    /// The delimiter at the end of each frame; a null byte by default, as GELF specifies. A line feed is for
    /// inputs of lines. A payload that has the delimiter is refused; encoded messages never have one.
    pub delimiter: Delimiter,
    /// Further hosts and ports that take over when the endpoint's own host fails; none by default, at most
    /// 7. A host is a name or an address, an IPv6 address without brackets.
    ///
    /// A host fails if its lookup, the connections to its addresses or its TLS handshake fail, and if its
    /// connection breaks or ends before it has proven itself (see
    /// [`Outcome::Acknowledged`](crate::Outcome::Acknowledged)). The next host is then tried at once, the
    /// first after the last; a pause follows only after all have failed in a row. The endpoint's own host is
    /// preferred: it is tried first after such a pause, after a connection that ended in order, and after
    /// [`reconnect`](Self::reconnect), which brings a client back to it. Until then, a connection to another
    /// host stays open. A certificate must name the host that is connected, unless
    /// [`TlsOptions::server_name`] is set.
    pub failover: Vec<(String, u16)>,
    /// The time after which a [`Client`](crate::Client) replaces its connection by a new one, so that a load
    /// balancer may choose again: never by default, whole seconds up to 3,600. The old connection ends once
    /// all that was written to it is acknowledged.
    pub reconnect: Option<Duration>,
    /// TLS below the frames; none by default.
    pub tls: Option<TlsOptions>,
    /// The time that written bytes may stay unacknowledged before the connection is closed: 30 s by default,
    /// whole seconds up to 3,600. It sets Linux's `TCP_USER_TIMEOUT`, without effect elsewhere, and applies
    /// to the keepalive of an idle connection too. A slow receiver that takes nothing for this time is also
    /// disconnected; the unacknowledged messages are then sent again on the next connection.
    pub user_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            delimiter: Delimiter::Nul,
            failover: Vec::new(),
            reconnect: None,
            tls: None,
            user_timeout: Duration::from_secs(30),
        }
    }
}

/// Options of TLS: the authorities that a sender trusts, and its own certificate. Files are PEM, and are read
/// again when they change.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The certificates of the authorities that may vouch for the receiver; by default the system's, or
    /// Mozilla's if the system has none. The receiver's own certificate may stand here too, such as the
    /// self-signed one of `openssl req -x509 -addext subjectAltName=DNS:HOST`: it is trusted if the receiver
    /// shows it byte for byte, its name is right, and it is valid at the time.
    pub ca: Option<PathBuf>,
    /// The sender's own certificate chain, for receivers that ask for one. Needs `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name or address that the receiver's certificate must have; the host of the endpoint by default.
    pub server_name: Option<String>,
}

/// Options of HTTP. `Debug` does not show the values of [`headers`](Self::headers).
#[derive(Clone, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// `true` if a request may carry several messages, a line for each. Default: `false`. The receiver must
    /// be set up for it: otherwise Graylog takes only the first.
    pub bulk: bool,
    /// The time limit for connecting to one address, with the TLS handshake, in whole seconds up to 3,600.
    /// The default, and the maximum, is an equal share of [`timeout`](Self::timeout) for each address.
    pub connect_timeout: Option<Duration>,
    /// Further hosts and ports that take over when the endpoint's own host fails, as
    /// [`TcpOptions::failover`]. A host fails if it cannot be connected, if its connection ends before an
    /// answer, and if no answer comes in time; an answer of any status shows that it works. After an idle
    /// connection has ended, the endpoint's own host is tried first. The header `Host` names the host that is
    /// connected.
    pub failover: Vec<(String, u16)>,
    /// The gzip level of request bodies; `None`, without compression, by default.
    pub gzip: Option<CompressionLevel>,
    /// Headers that identify the sender to the receiver, as names and values; none by default. A name is an
    /// HTTP token other than the headers that the sender sets, such as `Host` and `Content-Length`, and is
    /// given once. A value is visible ASCII, and is treated as a secret. `USER:PASSWORD@` in a URI is the
    /// header `Authorization` with the scheme Basic (RFC 7617).
    pub headers: Vec<(String, String)>,
    /// The path, as it is sent; by default `/gelf`, the only path that Graylog has. An empty path and `/`
    /// mean the same.
    pub path: String,
    /// The time limit of a request, from the connection to the answer: 10 s by default, whole seconds up to
    /// 3,600.
    pub timeout: Duration,
    /// TLS below HTTP; none by default.
    pub tls: Option<TlsOptions>,
}

/// Shows all fields but the values of the headers, which are secrets.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bulk, connect_timeout, failover, gzip, headers, path, timeout, tls } = self;
        let headers: Vec<_> = headers.iter().map(|(name, _)| (name, MASK)).collect();
        f.debug_struct("HttpOptions")
            .field("bulk", bulk)
            .field("connect_timeout", connect_timeout)
            .field("failover", failover)
            .field("gzip", gzip)
            .field("headers", &headers)
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
            failover: Vec::new(),
            gzip: None,
            headers: Vec::new(),
            path: "/gelf".to_owned(),
            timeout: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// The limits of a client's queue and of the messages in it, and its behaviour when it is full.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// The limit of messages without an outcome, in flight or waiting: 65,536 by default, from 1 to
    /// 16,777,216.
    pub max_messages: usize,
    /// The limit of bytes of these messages, as JSON: 64 MiB by default, from 1 KiB to 16 GiB.
    pub max_bytes: usize,
    /// The limit of the value of an additional field of a message, in bytes: none by default, from 3 to
    /// 16,777,216. A longer string is cut off as
    /// [`with_max_value_bytes`](gelf_core::Encoder::with_max_value_bytes) says; a payload that the caller has
    /// encoded is not. Elasticsearch and OpenSearch refuse to index a value of more than 32,766 bytes.
    pub max_value_bytes: Option<usize>,
    /// The behaviour when there is no room; senders wait by default.
    pub when_full: WhenFull,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            max_messages: 65_536,
            max_bytes: 64 * 1024 * 1024,
            max_value_bytes: None,
            when_full: WhenFull::Wait,
        }
    }
}

/// The behaviour of a full queue.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The oldest waiting messages are dropped to make room.
    DropOldest,
    /// The new message is refused.
    DropNewest,
    /// The sender waits until there is room.
    #[default]
    Wait,
}
