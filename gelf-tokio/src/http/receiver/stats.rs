//! What a receiver counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;

use super::connection::End;

/// What an [`HttpReceiver`](crate::HttpReceiver) has done so far.
///
/// The account of connections adds up at any time:
///
/// * `connections` = `open_connections` + `ended_connections` + `broken_connections` + `refused_connections` +
///   `failed_handshakes` + `slow_heads` + `idle_connections`
///
/// As long as no request is under way, so do those of requests, and of the values that were found in them:
///
/// * `requests` = `accepted` + `preflights` + `refused.total()` + `broken_requests`
/// * `values` = `payloads` + `dropped.total()`
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpReceiverStats {
    /// Times that the system could not give a connection, as when all file descriptors are in use.
    pub accept_errors: u64,
    /// Requests that were answered with 202.
    pub accepted: u64,
    /// Connections that ended in the middle of the head of a request, or with an error when one was to be answered.
    pub broken_connections: u64,
    /// Requests whose connection ended before they had come whole.
    pub broken_requests: u64,
    /// Connections that the system gave.
    pub connections: u64,
    /// Values that were not handed out, by the reason.
    pub dropped: HttpDroppedValues,
    /// Requests accepted that carried no value at all.
    pub empty_requests: u64,
    /// Connections that their clients ended, be it with a reset between two requests, or that the last answer ended.
    pub ended_connections: u64,
    /// Connections closed because the TLS handshake failed or took too long.
    pub failed_handshakes: u64,
    /// Connections closed because no request came in time, or the answers were not taken.
    pub idle_connections: u64,
    /// Connections that are open now, those that shake hands included.
    pub open_connections: usize,
    /// Payloads handed out, or waiting to be.
    pub payloads: u64,
    /// `OPTIONS` requests, answered with 200.
    pub preflights: u64,
    /// Requests that were refused, by the status of the answer.
    pub refused: HttpRefusals,
    /// Connections closed at once, for their peer had as many as it may have.
    pub refused_connections: u64,
    /// Requests of which the head has come, or what was there instead of one.
    pub requests: u64,
    /// Connections closed because the head of a request did not come in time.
    pub slow_heads: u64,
    /// Values found in the bodies of requests.
    pub values: u64,
}

impl HttpReceiverStats {
    /// Counts a connection that is over.
    pub(super) fn count(&mut self, end: End) {
        *match end {
            End::Ended => &mut self.ended_connections,
            End::Broken => &mut self.broken_connections,
            #[cfg(feature = "tls")]
            End::FailedHandshake => &mut self.failed_handshakes,
            End::SlowHead => &mut self.slow_heads,
            End::Idle | End::Unread => &mut self.idle_connections,
        } += 1;
    }
}

/// How many requests were refused with each status.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpRefusals {
    /// 400: it is not HTTP/1, or the body is not what it says it is. HTTP/2 is counted here, and closed without an
    /// answer.
    pub bad_request: u64,
    /// 401: the header that is asked for is missing, or has another value.
    pub unauthorized: u64,
    /// 404: another path.
    pub not_found: u64,
    /// 405: another method than `POST`.
    pub method_not_allowed: u64,
    /// 408: it did not come in time.
    pub too_slow: u64,
    /// 413: the body, inflated, is too long.
    pub body_too_large: u64,
    /// 415: the body is in an encoding that is not known.
    pub unknown_encoding: u64,
    /// 431: the head is too long.
    pub head_too_large: u64,
    /// 503: there was no room in the queue all the time.
    pub queue_full: u64,
}

impl HttpRefusals {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self {
            bad_request,
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

/// How many values were found and not handed out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HttpDroppedValues {
    /// Behind the first one of a body, where only that is taken.
    pub after_first: u64,
    /// Cut short, for the rest of the body did not come or was refused.
    pub cut: u64,
    /// There was no room in the queue in time. The request is answered with 503, and may come again.
    pub no_room: u64,
    /// Too long. Each is a [`ReceiveError::ValueTooLong`](crate::ReceiveError::ValueTooLong) too.
    pub too_long: u64,
}

impl HttpDroppedValues {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { after_first, cut, no_room, too_long } = self;
        after_first + cut + no_room + too_long
    }
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What becomes of requests and values, as connections count it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: Count,
    pub(super) broken_requests: Count,
    pub(super) dropped_after_first: Count,
    pub(super) dropped_cut: Count,
    pub(super) dropped_no_room: Count,
    pub(super) dropped_too_long: Count,
    pub(super) empty_requests: Count,
    pub(super) payloads: Count,
    pub(super) preflights: Count,
    pub(super) requests: Count,
    pub(super) values: Count,
    bad_request: Count,
    unauthorized: Count,
    not_found: Count,
    method_not_allowed: Count,
    too_slow: Count,
    body_too_large: Count,
    unknown_encoding: Count,
    head_too_large: Count,
    queue_full: Count,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    BadRequest,
    BodyTooLarge,
    HeadTooLarge,
    MethodNotAllowed,
    NotFound,
    QueueFull,
    TooSlow,
    Unauthorized,
    UnknownEncoding,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

impl Counters {
    pub(super) fn refuse(&self, refusal: Refusal) {
        let count = match refusal {
            Refusal::BadRequest => &self.bad_request,
            Refusal::BodyTooLarge => &self.body_too_large,
            Refusal::HeadTooLarge => &self.head_too_large,
            Refusal::MethodNotAllowed => &self.method_not_allowed,
            Refusal::NotFound => &self.not_found,
            Refusal::QueueFull => &self.queue_full,
            Refusal::TooSlow => &self.too_slow,
            Refusal::Unauthorized => &self.unauthorized,
            Refusal::UnknownEncoding => &self.unknown_encoding,
        };
        count.add(1);
    }

    /// The same, with what is known of connections.
    pub(super) fn stats(&self, of_connections: HttpReceiverStats) -> HttpReceiverStats {
        HttpReceiverStats {
            accepted: self.accepted.get(),
            broken_requests: self.broken_requests.get(),
            dropped: HttpDroppedValues {
                after_first: self.dropped_after_first.get(),
                cut: self.dropped_cut.get(),
                no_room: self.dropped_no_room.get(),
                too_long: self.dropped_too_long.get(),
            },
            empty_requests: self.empty_requests.get(),
            payloads: self.payloads.get(),
            preflights: self.preflights.get(),
            refused: HttpRefusals {
                bad_request: self.bad_request.get(),
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
            values: self.values.get(),
            ..of_connections
        }
    }
}
