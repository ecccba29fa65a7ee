//! Answers one request.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use gelf_core::Decoder;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::body_values::BodyValues;
use super::forwarded_for;
use super::protocol::HttpProtocol;
use super::rejection::Rejection;
use super::rules::{Judgement, origin};
use super::stats::Counters;
use super::timer::{Timer, after};
use super::unpack::{Declared, UnpackError, Unpacker, max_packed_len};
use super::values::{TooLong, first_value};
use crate::receive::server::Peer;
use crate::receive::{ReceiveError, Received};

/// Answers the requests of one connection, one after another.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    protocol: Arc<HttpProtocol>,
    peer: Peer,
    timer: Arc<Timer>,
}

impl Requests {
    pub(super) fn new(protocol: Arc<HttpProtocol>, peer: Peer, timer: Arc<Timer>) -> Self {
        Self { protocol, peer, timer }
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.timer.begin_request();
        let Self { protocol, peer, timer } = self.clone();
        Box::pin(async move {
            let response = answer(&protocol, peer, request).await;
            timer.end_request();
            Ok(response)
        })
    }
}

/// The reason why a request is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Failure {
    Rejected(Rejection),
    /// The connection ended in the middle of the request.
    Broken,
}

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        Self::Rejected(match error {
            UnpackError::Corrupt => Rejection::BadRequest,
            UnpackError::TooLarge => Rejection::BodyTooLarge,
        })
    }
}

async fn answer(
    protocol: &HttpProtocol,
    mut peer: Peer,
    request: Request<Incoming>,
) -> Response<Empty<Bytes>> {
    let counters = &protocol.counters;
    counters.requests.add(1);
    let broken = counters.broken_requests.unless_disarmed();
    let (head, incoming) = request.into_parts();
    let origin = origin(&head.headers);
    peer.address = forwarded_for::client(peer.address, &head.headers, &protocol.x_forwarded_for_from);
    let mut body = Body { incoming, deadline: after(Instant::now(), protocol.request_timeout) };

    let (answer, reusable) = match protocol.rules.judge(&head) {
        Judgement::Read(declared) => {
            let received = receive(protocol, &peer, declared, &mut body).await;
            // In these cases, the body has been read to its end.
            let reusable = matches!(received, Ok(()) | Err(Failure::Rejected(Rejection::InvalidMessage)));
            (received.map(|()| StatusCode::ACCEPTED), reusable)
        }
        Judgement::Preflight => {
            (Ok(StatusCode::OK), body.discard(&head.headers, protocol.max_body_len).await)
        }
        Judgement::Reject(rejection) => {
            let discarded = body.discard(&head.headers, protocol.max_body_len).await;
            (Err(Failure::Rejected(rejection)), discarded)
        }
    };
    let status = match answer {
        Ok(status) => {
            let counter = if status == StatusCode::OK { &counters.preflights } else { &counters.accepted };
            counter.add(1);
            status
        }
        Err(Failure::Rejected(rejection)) => {
            counters.reject(rejection);
            rejection.status()
        }
        // A client that has closed only its sending side can still read the answer.
        Err(Failure::Broken) => {
            counters.broken_requests.add(1);
            StatusCode::BAD_REQUEST
        }
    };
    broken.disarm();

    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    protocol.rules.describe(status, origin, response.headers_mut());
    if !reusable {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body and delivers its values.
async fn receive(
    protocol: &HttpProtocol,
    peer: &Peer,
    declared: Declared,
    body: &mut Body,
) -> Result<(), Failure> {
    // A client that waits for `100 Continue` gets the rejection before it has sent any part of the body.
    if body.least_len() > max_packed_len(protocol.max_body_len) {
        return Err(Failure::Rejected(Rejection::BodyTooLarge));
    }
    let unpacker = Unpacker::new(declared, protocol.max_body_len);
    let decoder = protocol.reject_invalid.then(Decoder::lenient);
    let mut delivery =
        Delivery { protocol, peer, deadline: body.deadline, decoder, values: 0, invalid: false };
    if protocol.bulk {
        receive_all(&mut delivery, unpacker, body).await?;
    } else {
        receive_first(&mut delivery, unpacker, body).await?;
    }
    if delivery.values == 0 {
        protocol.counters.empty_requests.add(1);
    }
    if delivery.invalid {
        return Err(Failure::Rejected(Rejection::InvalidMessage));
    }
    Ok(())
}

/// Reads all of a body, and delivers its first value.
async fn receive_first(
    delivery: &mut Delivery<'_>,
    mut unpacker: Unpacker,
    body: &mut Body,
) -> Result<(), Failure> {
    let mut text = Vec::new();
    while let Some(part) = body.next().await? {
        let mut part = &part[..];
        loop {
            let piece = unpacker.unpack(&mut part)?;
            if piece.is_empty() {
                break;
            }
            text.extend_from_slice(piece);
        }
    }
    text.extend_from_slice(unpacker.finish()?);
    let Some(first) = first_value(&text) else { return Ok(()) };
    delivery.skip(first.surplus);
    delivery.deliver(Ok(first.value)).await
}

/// Reads a body and delivers its values as they come.
async fn receive_all(
    delivery: &mut Delivery<'_>,
    unpacker: Unpacker,
    body: &mut Body,
) -> Result<(), Failure> {
    let protocol = delivery.protocol;
    let values = BodyValues::new(unpacker, protocol.max_payload_len);
    let mut reader = CountedReader { values, counters: &protocol.counters };
    while let Some(part) = body.next().await? {
        let mut part = &part[..];
        while let Some(value) = reader.values.next_value(&mut part)? {
            delivery.deliver_one_of_many(value).await?;
        }
    }
    while let Some(value) = reader.values.finish()? {
        delivery.deliver_one_of_many(value).await?;
    }
    Ok(())
}

/// Reads the values of a body. The drop counts a value that has begun and is lost, because the rest of the body
/// is not read.
struct CountedReader<'a> {
    values: BodyValues,
    counters: &'a Counters,
}

impl Drop for CountedReader<'_> {
    fn drop(&mut self) {
        if self.values.has_begun_value() {
            self.counters.values.add(1);
            self.counters.dropped_cut.add(1);
        }
    }
}

/// Delivers the values of one request to the queue.
struct Delivery<'a> {
    protocol: &'a HttpProtocol,
    peer: &'a Peer,
    deadline: Instant,
    /// The decoder that checks the values, if invalid values are rejected.
    decoder: Option<Decoder>,
    /// The number of values found so far.
    values: u64,
    /// `true` if an invalid value was found.
    invalid: bool,
}

impl Delivery<'_> {
    /// Counts values that are not received, because they follow the first value.
    fn skip(&mut self, values: u64) {
        self.values += values;
        self.protocol.counters.values.add(values);
        self.protocol.counters.dropped_after_first.add(values);
    }

    /// Delivers a value of a bulk request. Fails if the request has already had the maximum number of values.
    async fn deliver_one_of_many(&mut self, value: Result<Bytes, TooLong>) -> Result<(), Failure> {
        if self.values >= self.protocol.max_bulk_values {
            let counters = &self.protocol.counters;
            counters.values.add(1);
            counters.dropped_over_limit.add(1);
            return Err(Failure::Rejected(Rejection::BodyTooLarge));
        }
        self.deliver(value.as_deref().map_err(|error| *error)).await
    }

    /// Waits for room in the queue, and puts a value there. If invalid values are rejected, an invalid value
    /// is counted and not queued.
    async fn deliver(&mut self, value: Result<&[u8], TooLong>) -> Result<(), Failure> {
        let counters = &self.protocol.counters;
        self.values += 1;
        counters.values.add(1);
        let is_invalid = match (&mut self.decoder, value) {
            (Some(decoder), Ok(payload)) => decoder.decode(payload).is_err(),
            _ => false,
        };
        if is_invalid {
            counters.dropped_invalid.add(1);
            self.invalid = true;
            return Ok(());
        }
        let lost = counters.dropped_no_room.unless_disarmed();
        let len = value.map_or(0, <[u8]>::len);
        let Ok(Some(slot)) = timeout_at(self.deadline, self.peer.queue.reserve(len)).await else {
            return Err(Failure::Rejected(Rejection::QueueFull));
        };
        lost.disarm();
        match value {
            Ok(_) => counters.payloads.add(1),
            Err(_) => counters.dropped_too_long.add(1),
        }
        let from = self.peer.address;
        slot.put(match value {
            // Copies the payload, since the value shares the memory of the body.
            Ok(payload) => Ok(Received { payload: Bytes::copy_from_slice(payload), from }),
            Err(TooLong) => Err(ReceiveError::ValueTooLong { from, max: self.protocol.max_payload_len }),
        });
        Ok(())
    }
}

/// The body of a request, and the deadline by which the body must have arrived.
struct Body {
    incoming: Incoming,
    deadline: Instant,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            // `timeout_at` does not end a body whose next frame is always ready.
            if Instant::now() >= self.deadline {
                return Err(Failure::Rejected(Rejection::TooSlow));
            }
            match timeout_at(self.deadline, self.incoming.frame()).await {
                Ok(None) => return Ok(None),
                // Trailers have no meaning here.
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
                Ok(Some(Err(error))) if is_malformed(&error) => {
                    return Err(Failure::Rejected(Rejection::BadRequest));
                }
                Ok(Some(Err(_))) => return Err(Failure::Broken),
                Err(_) => return Err(Failure::Rejected(Rejection::TooSlow)),
            }
        }
    }

    /// Returns the minimum length in bytes of the rest of the body, in the form in which it is sent.
    fn least_len(&self) -> usize {
        usize::try_from(self.incoming.size_hint().lower()).unwrap_or(usize::MAX)
    }

    /// Reads and discards a body, so that the next request can follow. Returns `false` if no request can
    /// follow.
    async fn discard(&mut self, head: &HeaderMap, max_len: usize) -> bool {
        if self.incoming.is_end_stream() {
            return true;
        }
        // With `Expect`, reading would tell the client to send the body.
        if head.contains_key(EXPECT) || self.least_len() > max_packed_len(max_len) {
            return false;
        }
        let mut left = max_packed_len(max_len);
        loop {
            match self.next().await {
                Ok(None) => return true,
                Ok(Some(part)) => match left.checked_sub(part.len()) {
                    Some(less) => left = less,
                    None => return false,
                },
                Err(_) => return false,
            }
        }
    }
}

/// Returns whether the error means a malformed body, and not only a body that ended too early.
fn is_malformed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}
