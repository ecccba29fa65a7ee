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
    /// HTTP/1.1, with TLS if [`HttpOptions::tls`] is set. The receiver answers each request.
    Http(HttpOptions),
    /// TCP, with TLS if [`TcpOptions::tls`] is set. Frames end with a null byte by default, and stay in order
    /// on each connection.
    Tcp(TcpOptions),
    /// UDP: datagrams, which may be lost or overtake each other.
    Udp(UdpOptions),
}

/// Options of UDP.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct UdpOptions {
    /// The compression of payloads; gzip at [`CompressionLevel::DEFAULT`] by default.
    pub compression: Compression,
    /// The maximum length of a datagram, in bytes; 1,420 by default. A longer payload is cut into chunks.
    pub datagram_size: DatagramSize,
    /// The behaviour for a message that does not fit into 128 datagrams. By default, the message is dropped.
    /// With [`Overflow::Truncate`], the texts of the message are cut until it fits, and a field `_truncated`
    /// says how long the texts were. If the message does not fit even then, it is dropped.
    pub overflow: Overflow,
    /// The maximum number of datagrams per second; no limit by default. A limit keeps a burst from
    /// overrunning the receiver's buffer.
    pub rate: Option<NonZeroU32>,
}

/// Options of TCP.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// The time limit for connecting to one address: 10 s by default, in whole seconds up to 3,600. The TLS
    /// handshake that follows has a separate limit of the same length.
    pub connect_timeout: Duration,
    /// The delimiter at the end of each frame; a null byte by default, as GELF specifies. Inputs that read
    /// lines need a line feed. A payload that contains the delimiter is refused; encoded messages never
    /// contain it.
    pub delimiter: Delimiter,
    /// Further hosts and ports that take over when the endpoint's own host fails; none by default, at most 7.
    /// A host is a name or an IP address; an IPv6 address is written without brackets.
    ///
    /// A host fails if its lookup, the connections to its addresses or its TLS handshake fail. A host also
    /// fails if its connection breaks, or if its connection ends before the connection has proven itself (see
    /// [`Outcome::Acknowledged`](crate::Outcome::Acknowledged)). The next host is then tried without a pause;
    /// the first host follows the last. A pause follows only after all hosts have failed in a row.
    ///
    /// The endpoint's own host is preferred: it is tried first after such a pause, after a proven connection that
    /// the receiver closed without an error, and when [`reconnect`](Self::reconnect) replaces a connection.
    /// Until then, a connection to another host stays open. The receiver's certificate must name the host
    /// that the client connects to, unless [`TlsOptions::server_name`] is set.
    pub failover: Vec<(String, u16)>,
    /// The time after which a [`Client`](crate::Client) replaces its connection by a new connection, so that
    /// a load balancer can choose a receiver again. By default, connections are not replaced. The time is in
    /// whole seconds up to 3,600. The old connection ends once all messages written to it have their outcome.
    pub reconnect: Option<Duration>,
    /// TLS below the frames; none by default.
    pub tls: Option<TlsOptions>,
    /// The time for which written bytes may stay unacknowledged before the connection is closed: 30 s by
    /// default, in whole seconds up to 3,600. The option sets Linux's `TCP_USER_TIMEOUT`, and has no effect
    /// on other systems. The option also applies to the keepalive of an idle connection. A slow receiver that
    /// takes nothing for this time is disconnected too; the unacknowledged messages are then sent again on
    /// the next connection.
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

/// Options of TLS: the certificate authorities that a sender trusts, and the sender's own certificate. Files
/// are PEM, and are read again when they change.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The file with the certificates of the authorities that may vouch for the receiver. By default, the
    /// system's authorities are trusted, or Mozilla's if the system has none. The file may also contain the
    /// receiver's own certificate, such as a self-signed certificate made by `openssl req -x509 -addext
    /// subjectAltName=DNS:HOST`. Such a certificate is trusted if the receiver presents exactly this
    /// certificate, if its name is right, and if it is valid at the time of the handshake.
    pub ca: Option<PathBuf>,
    /// The file with the sender's own certificate chain, for receivers that ask for a certificate. This
    /// option requires `key`.
    pub cert: Option<PathBuf>,
    /// The file with the private key of `cert`.
    pub key: Option<PathBuf>,
    /// The name or address that the receiver's certificate must have; by default, the host that the sender
    /// connects to.
    pub server_name: Option<String>,
}

/// Options of HTTP. `Debug` does not show the values of [`headers`](Self::headers).
#[derive(Clone, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// `true` if a request may carry several messages, each on a separate line; `false` by default. The
    /// receiver must be set up for such requests: otherwise Graylog takes only the first message of each
    /// request.
    pub bulk: bool,
    /// The time limit for connecting to one address, including the TLS handshake, in whole seconds up to
    /// 3,600. An address never gets more time than its equal share of [`timeout`](Self::timeout). By default,
    /// this share is the only limit.
    pub connect_timeout: Option<Duration>,
    /// Further hosts and ports that take over when the endpoint's own host fails, as with
    /// [`TcpOptions::failover`]. A host fails if the sender cannot connect to it, if the connection ends
    /// before the answer, if the answer is not valid, or if no answer comes in time. A valid answer with any
    /// status shows that the host works. After a connection has ended with an answer or between two requests,
    /// the endpoint's own host is tried first. The header `Host` names the host that the sender connects to.
    pub failover: Vec<(String, u16)>,
    /// The gzip level of request bodies; `None` by default, for bodies without compression.
    pub gzip: Option<CompressionLevel>,
    /// Headers that identify the sender to the receiver, as names and values; none by default. A name is an
    /// HTTP token, and is given once. The headers that the sender sets itself, such as `Host` and
    /// `Content-Length`, are not allowed. A value consists of visible ASCII characters, which may have spaces
    /// between them, and is treated as a secret. `USER:PASSWORD@` in a URI is the header `Authorization` with
    /// the scheme Basic (RFC 7617).
    pub headers: Vec<(String, String)>,
    /// The path, as it is sent; by default `/gelf`, the only path that Graylog has. An empty path and `/`
    /// stand for `/gelf`, too.
    pub path: String,
    /// The time limit of a request, from the lookup of the host to the answer: 10 s by default, in whole
    /// seconds up to 3,600.
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

/// The limits of a client's queue and of its messages, and the behaviour when the queue is full.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// The maximum number of messages without an outcome, in flight or waiting: 65,536 by default, from 1 to
    /// 16,777,216.
    pub max_messages: usize,
    /// The maximum number of bytes of the messages without an outcome, as JSON: 64 MiB by default, from 1 KiB
    /// to 16 GiB.
    pub max_bytes: usize,
    /// The maximum length of the value of an additional field of a message, in bytes: no limit by default,
    /// otherwise from 3 to 16,777,216. A longer string is cut off as
    /// [`with_max_value_bytes`](gelf_core::Encoder::with_max_value_bytes) says. The values in a payload that
    /// the caller has encoded are not cut off. Elasticsearch and OpenSearch refuse to index a value of more
    /// than 32,766 bytes.
    pub max_value_bytes: Option<usize>,
    /// The behaviour when the queue has no room; senders wait by default.
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
