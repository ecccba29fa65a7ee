//! The rules and limits of a receiver over HTTP.

use std::fmt;
use std::time::Duration;

use crate::receive::IpNetwork;

/// Rules and limits of an [`HttpReceiver`](crate::HttpReceiver). The text of each field states the default.
/// If a limit stops an abuse, its text names the abuse.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpReceiverOptions {
    /// Accepts several messages in the body of a request, one in each line or in each element of a JSON
    /// array. The default is `false`, as for Graylog's `enable_bulk_receiving`. If `false`, the receiver
    /// takes the first value of a body, and [counts](crate::stats::HttpDropCounts::after_first) the other
    /// values.
    pub bulk: bool,
    /// Sends CORS headers, which let web pages of any origin send messages with credentials and read the
    /// status of the answer. The default is `false`, while Graylog's `enable_cors` is `true` by default.
    pub cors: bool,
    /// The time limit of a TLS handshake, and of the header of a [proxy](Self::proxy_protocol_from). The
    /// default is 10 s. The limit stops connections that are never used.
    pub handshake_timeout: Duration,
    /// The time limit of the head of a request. The default is 10 s. The limit stops clients that send a byte
    /// now and then. The connection is reset, without an answer.
    ///
    /// The time starts with the first byte of the head. For the first request of a connection, it starts with
    /// the connection, or after the header of a proxy and the TLS handshake. If a head begins in the same
    /// packet as the end of the previous request, the time starts with the next packet of the head, and
    /// [`idle_timeout`](Self::idle_timeout) limits the wait for that packet.
    pub head_timeout: Duration,
    /// The time limit of a client that sends no further request, or does not read its answers. The default is
    /// 60 s, as for Graylog's `idle_writer_timeout`. An idle connection is closed. A connection with unread
    /// answers is reset, since after a close the kernel would keep the answers in memory.
    pub idle_timeout: Duration,
    /// The limit in bytes of the inflated body of a request with [`bulk`](Self::bulk). The default is 8 MiB.
    /// Without `bulk`, the limit is [`max_payload_len`](Self::max_payload_len).
    pub max_bulk_len: usize,
    /// The limit of the values in the body of a request with [`bulk`](Self::bulk). The default is 65,536. A
    /// request with more values is answered with 413, and the connection is closed; the values up to the
    /// limit are received. The limit stops small bodies that make many payloads: 8 KB of compressed data can
    /// hold four million lines of one byte each.
    pub max_bulk_values: usize,
    /// The limit of open connections, at least 1. The default is 1,024. Further connections are not accepted
    /// until an open connection ends. Each connection takes up to 32 KiB of memory plus twice the length of its
    /// longest payload, and 64 KiB more while it inflates a body. With TLS, a connection takes up to 80 KiB during
    /// the handshake. After the handshake, it takes up to 32 KiB more than without TLS.
    pub max_connections: usize,
    /// The limit of open connections of one peer, at least 1. The default is 64. Further connections of the
    /// peer are reset immediately. A peer is an IPv4 address or an IPv6 network of 64 bits. Hosts behind an
    /// address translation are one peer, and so are hosts behind a proxy without the [PROXY
    /// protocol](Self::proxy_protocol_from). The limit stops a single host from taking all connections.
    pub max_connections_per_peer: usize,
    /// The limit in bytes of an inflated payload. The default is 65,536, as for Graylog's `max_chunk_size`.
    /// The limit stops bodies without an end, and decompression bombs.
    pub max_payload_len: usize,
    /// The limit of the total size in bytes of the payloads that wait to be received. The default is 16 MiB.
    /// A payload that is larger than the limit waits alone.
    pub max_queued_bytes: usize,
    /// The limit of the payloads that wait to be received, at least 1. The default is 1,024. While there is
    /// no room, a request with a payload waits for its answer, which is 503 after
    /// [`request_timeout`](Self::request_timeout).
    pub max_queued_payloads: usize,
    /// The path, compared literally. The default is `/gelf`, as with Graylog. A request with another path, or
    /// with a query after the path, is answered with 404.
    pub path: String,
    /// The proxies whose connections begin with a header of the [PROXY protocol], version 1 or 2. By default,
    /// there are none. The receiver takes the address of the client from the header, applies
    /// [`max_connections_per_peer`](Self::max_connections_per_peer) to it, and returns it as the
    /// [sender](crate::Received::from). If the header names no address (`LOCAL`, `UNKNOWN`), the proxy is the
    /// sender. A connection of these proxies without a valid header of at most 4 KiB is
    /// [reset](crate::stats::HttpReceiverStats::failed_proxy_headers). List no network whose hosts can
    /// connect without the proxy, since each of these hosts could claim any address.
    ///
    /// [PROXY protocol]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
    pub proxy_protocol_from: Vec<IpNetwork>,
    /// Answers 400 to a request with a value that is not GELF by the rules of [`Decoder::lenient`], so that
    /// the client notices. The default is `false`, as with Graylog. If `true`, such values are
    /// [counted](crate::stats::HttpDropCounts::invalid) and not received. The other values of a bulk request
    /// are received, and a client that repeats the request sends them twice.
    ///
    /// [`Decoder::lenient`]: gelf_core::Decoder::lenient
    pub reject_invalid: bool,
    /// The time limit of a request from the end of its head until its payloads are in the queue. The default
    /// is 30 s. The limit stops clients that send a byte now and then.
    pub request_timeout: Duration,
    /// A header that each request must have, and its value. By default, there is none. Graylog's settings for
    /// such a header are `authorization_header_name` and `authorization_header_value`. `Debug` does not print
    /// the value.
    pub required_header: Option<(String, String)>,
    /// The HTTP proxies whose header `X-Forwarded-For` names the client. By default, there are none. The
    /// receiver reads the header from the right. The first address that is not of these proxies is the
    /// [sender](crate::Received::from), with port 0 if the entry names no port. If an entry is not an IP
    /// address, the proxy that wrote the entry is the sender. The header is ignored if it comes from any
    /// other host. List no network whose hosts can connect without the proxy.
    ///
    /// A proxy's connections carry requests of many clients, so
    /// [`max_connections_per_peer`](Self::max_connections_per_peer) applies to the proxy.
    pub x_forwarded_for_from: Vec<IpNetwork>,
}

impl Default for HttpReceiverOptions {
    fn default() -> Self {
        Self {
            bulk: false,
            cors: false,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            max_bulk_len: 8 * 1024 * 1024,
            max_bulk_values: 65_536,
            max_connections: 1024,
            max_connections_per_peer: 64,
            max_payload_len: 64 * 1024,
            max_queued_bytes: 16 * 1024 * 1024,
            max_queued_payloads: 1024,
            path: "/gelf".to_owned(),
            proxy_protocol_from: Vec::new(),
            reject_invalid: false,
            request_timeout: Duration::from_secs(30),
            required_header: None,
            x_forwarded_for_from: Vec::new(),
        }
    }
}

impl fmt::Debug for HttpReceiverOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReceiverOptions")
            .field("bulk", &self.bulk)
            .field("cors", &self.cors)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("head_timeout", &self.head_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_bulk_len", &self.max_bulk_len)
            .field("max_bulk_values", &self.max_bulk_values)
            .field("max_connections", &self.max_connections)
            .field("max_connections_per_peer", &self.max_connections_per_peer)
            .field("max_payload_len", &self.max_payload_len)
            .field("max_queued_bytes", &self.max_queued_bytes)
            .field("max_queued_payloads", &self.max_queued_payloads)
            .field("path", &self.path)
            .field("proxy_protocol_from", &self.proxy_protocol_from)
            .field("reject_invalid", &self.reject_invalid)
            .field("request_timeout", &self.request_timeout)
            .field("required_header", &self.required_header.as_ref().map(|(name, _)| name))
            .field("x_forwarded_for_from", &self.x_forwarded_for_from)
            .finish()
    }
}
