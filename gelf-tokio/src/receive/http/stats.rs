//! Counters of a receiver over HTTP.

use super::rejection::Rejection;
use crate::receive::counter::Counter;
use crate::receive::server::ConnectionCounts;

/// Counters of an [`HttpReceiver`](crate::HttpReceiver).
///
/// The account of connections adds up at any time:
///
/// * `connections` = `open_connections` + `ended_connections` + `broken_connections` + `closed_connections` +
///   `over_limit_connections` + `failed_handshakes` + `failed_proxy_headers` + `slow_heads` +
///   `idle_connections`
///
/// While no request is in progress, the accounts of requests and of their values add up too:
///
/// * `requests` = `accepted` + `preflights` + `rejected.total()` + `broken_requests`
/// * `values` = `payloads` + `dropped.total()`
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct HttpReceiverStats {
    /// Failures of the system to accept a connection, for example because all file descriptors are in use.
    pub accept_errors: u64,
    /// Requests that were answered with 202.
    pub accepted: u64,
    /// Connections that ended with an error, such as a reset, or in the middle of the head of a request. A
    /// client that closes its socket with unread answers resets the connection, and may lose requests that it
    /// sent last.
    pub broken_connections: u64,
    /// Requests whose connection ended before the request was received completely or answered.
    pub broken_requests: u64,
    /// Connections closed by [`close`](crate::HttpReceiver::close).
    pub closed_connections: u64,
    /// Accepted connections.
    pub connections: u64,
    /// Values that were not received, by reason.
    pub dropped: HttpDropCounts,
    /// Accepted requests without any value.
    pub empty_requests: u64,
    /// Connections that their clients ended, and connections that the receiver ended after the last answer.
    pub ended_connections: u64,
    /// Connections closed because the TLS handshake failed or took too long.
    pub failed_handshakes: u64,
    /// Connections of [proxies](crate::options::HttpReceiverOptions::proxy_protocol_from) that were reset
    /// because they did not begin with a valid header of the PROXY protocol, or because the header took too
    /// long.
    pub failed_proxy_headers: u64,
    /// Connections closed because no further request came in time, or because the client did not take the
    /// answers.
    pub idle_connections: u64,
    /// Connections that are open now, including connections in the TLS handshake.
    pub open_connections: usize,
    /// Connections reset because their peer already had the permitted number of connections.
    pub over_limit_connections: u64,
    /// Payloads that `recv` has returned or will return.
    pub payloads: u64,
    /// `OPTIONS` requests, answered with 200.
    pub preflights: u64,
    /// Requests that were rejected, by the status of the answer and the reason.
    pub rejected: HttpRejectionCounts,
    /// Requests whose head was received, and input that was rejected because it is not an HTTP request or because the
    /// head is too long.
    pub requests: u64,
    /// Connections closed because the head of a request did not come in time.
    pub slow_heads: u64,
    /// Values found in the bodies of requests.
    pub values: u64,
}

/// Rejected requests, by the status of the answer and the reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct HttpRejectionCounts {
    /// 400: the input is not HTTP/1, or the body is damaged. HTTP/2 is counted here, and closed without an
    /// answer.
    pub bad_request: u64,
    /// 400: a value is not GELF, with
    /// [`HttpReceiverOptions::reject_invalid`](crate::options::HttpReceiverOptions::reject_invalid).
    pub invalid_message: u64,
    /// 401: the required header is missing, or has another value.
    pub unauthorized: u64,
    /// 404: the request has another path.
    pub not_found: u64,
    /// 405: the request has another method than `POST`.
    pub method_not_allowed: u64,
    /// 408: the body did not come in time.
    pub too_slow: u64,
    /// 413: the body is too long, or has too many values.
    pub body_too_large: u64,
    /// 415: the `Content-Encoding` is not known, or names the same compression twice.
    pub unknown_encoding: u64,
    /// 431: the head is too long, or has too many headers.
    pub head_too_large: u64,
    /// 503: the queue had no room in time.
    pub queue_full: u64,
}

impl HttpRejectionCounts {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self {
            bad_request,
            invalid_message,
            unauthorized,
            not_found,
            method_not_allowed,
            too_slow,
            body_too_large,
            unknown_encoding,
            head_too_large,
            queue_full,
        } = self;
        bad_request
            + invalid_message
            + unauthorized
            + not_found
            + method_not_allowed
            + too_slow
            + body_too_large
            + unknown_encoding
            + head_too_large
            + queue_full
    }
}

/// Values of request bodies that were not received, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct HttpDropCounts {
    /// Values after the first value of a body, if only the first value is received.
    pub after_first: u64,
    /// Values cut short, because the rest of the body did not come or was rejected.
    pub cut: u64,
    /// Values that are not GELF, with
    /// [`HttpReceiverOptions::reject_invalid`](crate::options::HttpReceiverOptions::reject_invalid).
    pub invalid: u64,
    /// Values for which there was no room in the queue in time. The request is answered with 503 unless its
    /// connection ends first, and the client can send it again.
    pub no_room: u64,
    /// Values that ended a bulk request, because the request already had the permitted number of values. The
    /// values after them are not read.
    pub over_limit: u64,
    /// Values that were too long. `recv` has returned or will return a
    /// [`ReceiveError::ValueTooLong`](crate::ReceiveError::ValueTooLong) for each of them.
    pub too_long: u64,
}

impl HttpDropCounts {
    /// Returns the sum.
    pub fn total(&self) -> u64 {
        let Self { after_first, cut, invalid, no_room, over_limit, too_long } = self;
        after_first + cut + invalid + no_room + over_limit + too_long
    }
}

/// Counters of requests and values, which all connections share.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Counter,
    pub(super) broken_requests: Counter,
    pub(super) dropped_after_first: Counter,
    pub(super) dropped_cut: Counter,
    pub(super) dropped_invalid: Counter,
    pub(super) dropped_no_room: Counter,
    pub(super) dropped_over_limit: Counter,
    pub(super) dropped_too_long: Counter,
    pub(super) empty_requests: Counter,
    pub(super) payloads: Counter,
    pub(super) preflights: Counter,
    pub(super) requests: Counter,
    pub(super) values: Counter,
    bad_request: Counter,
    invalid_message: Counter,
    unauthorized: Counter,
    not_found: Counter,
    method_not_allowed: Counter,
    too_slow: Counter,
    body_too_large: Counter,
    unknown_encoding: Counter,
    head_too_large: Counter,
    queue_full: Counter,
}

impl Counters {
    pub(super) fn reject(&self, rejection: Rejection) {
        let count = match rejection {
            Rejection::BadRequest => &self.bad_request,
            Rejection::BodyTooLarge => &self.body_too_large,
            Rejection::HeadTooLarge => &self.head_too_large,
            Rejection::InvalidMessage => &self.invalid_message,
            Rejection::MethodNotAllowed => &self.method_not_allowed,
            Rejection::NotFound => &self.not_found,
            Rejection::QueueFull => &self.queue_full,
            Rejection::TooSlow => &self.too_slow,
            Rejection::Unauthorized => &self.unauthorized,
            Rejection::UnknownEncoding => &self.unknown_encoding,
        };
        count.add(1);
    }

    /// Returns the counters, including the given counts of connections.
    pub(super) fn stats(&self, connections: ConnectionCounts) -> HttpReceiverStats {
        HttpReceiverStats {
            accept_errors: connections.accept_errors,
            accepted: self.accepted.get(),
            broken_connections: connections.broken,
            broken_requests: self.broken_requests.get(),
            closed_connections: connections.closed,
            connections: connections.accepted,
            dropped: HttpDropCounts {
                after_first: self.dropped_after_first.get(),
                cut: self.dropped_cut.get(),
                invalid: self.dropped_invalid.get(),
                no_room: self.dropped_no_room.get(),
                over_limit: self.dropped_over_limit.get(),
                too_long: self.dropped_too_long.get(),
            },
            empty_requests: self.empty_requests.get(),
            ended_connections: connections.ended,
            failed_handshakes: connections.failed_handshakes,
            failed_proxy_headers: connections.failed_proxy_headers,
            idle_connections: connections.idle,
            open_connections: connections.open,
            over_limit_connections: connections.over_peer_limit,
            payloads: self.payloads.get(),
            preflights: self.preflights.get(),
            rejected: HttpRejectionCounts {
                bad_request: self.bad_request.get(),
                invalid_message: self.invalid_message.get(),
                unauthorized: self.unauthorized.get(),
                not_found: self.not_found.get(),
                method_not_allowed: self.method_not_allowed.get(),
                too_slow: self.too_slow.get(),
                body_too_large: self.body_too_large.get(),
                unknown_encoding: self.unknown_encoding.get(),
                head_too_large: self.head_too_large.get(),
                queue_full: self.queue_full.get(),
            },
            requests: self.requests.get(),
            slow_heads: connections.slow,
            values: self.values.get(),
        }
    }
}
