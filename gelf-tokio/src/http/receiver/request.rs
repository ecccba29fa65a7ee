//! One request, from its head to its answer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::clock::{Clock, after};
use super::rules::{Verdict, origin};
use super::stats::{Count, Counters, Refusal};
use super::unpack::{Declared, UnpackError, Unpacker, max_packed_len};
use crate::http::bulk::{TooLong, Values, first_value};
use crate::receive::{ReceiveError, Received};

/// Answers the requests of one connection, one after another.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    shared: Arc<Shared>,
    from: SocketAddr,
    clock: Arc<Clock>,
}

impl Requests {
    pub(super) fn new(shared: Arc<Shared>, from: SocketAddr, clock: Arc<Clock>) -> Self {
        Self { shared, from, clock }
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.clock.begin_request();
        let Self { shared, from, clock } = self.clone();
        Box::pin(async move {
            let response = answer(&shared, from, request).await;
            clock.end_request();
            Ok(response)
        })
    }
}

/// Why a request does not get what it wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Failure {
    Refused(Refusal),
    /// The connection ended in the middle of it.
    Broken,
}

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        Self::Refused(match error {
            UnpackError::Corrupt => Refusal::BadRequest,
            UnpackError::TooLarge => Refusal::BodyTooLarge,
        })
    }
}

async fn answer(shared: &Shared, from: SocketAddr, request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let counters = &shared.counters;
    counters.requests.add(1);
    let broken = CountedUnless::done(&counters.broken_requests);
    let (head, incoming) = request.into_parts();
    let origin = origin(&head.headers);
    let mut body = Body { incoming, deadline: after(Instant::now(), shared.request_timeout) };

    let (answer, reusable) = match shared.rules.judge(&head) {
        Verdict::Read(declared) => {
            let received = receive(shared, from, declared, &mut body).await;
            (received.map(|()| StatusCode::ACCEPTED), received.is_ok())
        }
        Verdict::Preflight => (Ok(StatusCode::OK), body.discard(&head.headers, shared.max_body_len).await),
        Verdict::Refuse(refusal) => {
            let discarded = body.discard(&head.headers, shared.max_body_len).await;
            (Err(Failure::Refused(refusal)), discarded)
        }
    };
    let status = match answer {
        Ok(status) => {
            let count = if status == StatusCode::OK { &counters.preflights } else { &counters.accepted };
            count.add(1);
            status
        }
        Err(Failure::Refused(refusal)) => {
            counters.refuse(refusal);
            refusal.status()
        }
        // Whoever has closed its own side only can read it.
        Err(Failure::Broken) => {
            counters.broken_requests.add(1);
            StatusCode::BAD_REQUEST
        }
    };
    broken.disarm();

    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    shared.rules.describe(status, origin, response.headers_mut());
    if !reusable {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body and hands over what it carries.
async fn receive(
    shared: &Shared,
    from: SocketAddr,
    declared: Declared,
    body: &mut Body,
) -> Result<(), Failure> {
    // Whoever asks whether to go on is told no before it has sent anything.
    if body.least_len() > max_packed_len(shared.max_body_len) {
        return Err(Failure::Refused(Refusal::BodyTooLarge));
    }
    let unpacker = Unpacker::new(declared, shared.max_body_len);
    let values = if shared.bulk {
        receive_all(shared, from, unpacker, body).await?
    } else {
        receive_first(shared, from, unpacker, body).await?
    };
    if values == 0 {
        shared.counters.empty_requests.add(1);
    }
    Ok(())
}

/// Reads all of a body, and hands over its first value. Gives how many there were.
async fn receive_first(
    shared: &Shared,
    from: SocketAddr,
    mut unpacker: Unpacker,
    body: &mut Body,
) -> Result<u64, Failure> {
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
    let Some(first) = first_value(&text) else { return Ok(0) };
    shared.counters.values.add(first.surplus);
    shared.counters.dropped_after_first.add(first.surplus);
    hand_over(shared, from, Ok(text.get(first.range).unwrap_or_default()), body.deadline).await?;
    Ok(1 + first.surplus)
}

/// Reads a body and hands over its values as they come. Gives how many there were.
async fn receive_all(
    shared: &Shared,
    from: SocketAddr,
    mut unpacker: Unpacker,
    body: &mut Body,
) -> Result<u64, Failure> {
    let mut cutter =
        Cutter { values: Values::new(shared.max_payload_len), counters: &shared.counters, count: 0 };
    while let Some(part) = body.next().await? {
        let mut part = &part[..];
        loop {
            let piece = unpacker.unpack(&mut part)?;
            if piece.is_empty() {
                break;
            }
            cutter.values.push(piece);
            cutter.hand_over(shared, from, body.deadline).await?;
        }
    }
    cutter.values.push(unpacker.finish()?);
    cutter.hand_over(shared, from, body.deadline).await?;
    if let Some(value) = cutter.values.finish() {
        cutter.count += 1;
        hand_over(shared, from, Ok(&value), body.deadline).await?;
    }
    Ok(cutter.count)
}

/// Cuts a body into values, and counts the one that is lost if it does not come to its end.
struct Cutter<'a> {
    values: Values,
    counters: &'a Counters,
    count: u64,
}

impl Cutter<'_> {
    async fn hand_over(
        &mut self,
        shared: &Shared,
        from: SocketAddr,
        deadline: Instant,
    ) -> Result<(), Failure> {
        while let Some(value) = self.values.next_value() {
            self.count += 1;
            hand_over(shared, from, value.as_deref().map_err(|error| *error), deadline).await?;
        }
        Ok(())
    }
}

impl Drop for Cutter<'_> {
    fn drop(&mut self) {
        if self.values.has_begun_value() {
            self.counters.values.add(1);
            self.counters.dropped_cut.add(1);
        }
    }
}

/// Waits for room in the queue, and puts a value there.
async fn hand_over(
    shared: &Shared,
    from: SocketAddr,
    value: Result<&[u8], TooLong>,
    deadline: Instant,
) -> Result<(), Failure> {
    let counters = &shared.counters;
    counters.values.add(1);
    let lost = match value {
        Ok(_) => Some(CountedUnless::done(&counters.dropped_no_room)),
        Err(_) => {
            counters.dropped_too_long.add(1);
            None
        }
    };
    let len = value.map_or(0, <[u8]>::len);
    let Ok(Some(room)) = timeout_at(deadline, shared.intake.reserve(len)).await else {
        return Err(Failure::Refused(Refusal::QueueFull));
    };
    if let Some(lost) = lost {
        lost.disarm();
        counters.payloads.add(1);
    }
    room.put(match value {
        // A copy, for the value shares the memory of what was read with it.
        Ok(payload) => Ok(Received { payload: Bytes::copy_from_slice(payload), from }),
        Err(TooLong) => Err(ReceiveError::ValueTooLong { from, max: shared.max_payload_len }),
    });
    Ok(())
}

/// The body of a request, which must have come by its deadline.
struct Body {
    incoming: Incoming,
    deadline: Instant,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            // Data that is always there would be taken after the deadline too.
            if Instant::now() >= self.deadline {
                return Err(Failure::Refused(Refusal::TooSlow));
            }
            match timeout_at(self.deadline, self.incoming.frame()).await {
                Ok(None) => return Ok(None),
                // Trailers say nothing here.
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
                Ok(Some(Err(error))) if is_malformed(&error) => {
                    return Err(Failure::Refused(Refusal::BadRequest));
                }
                Ok(Some(Err(_))) => return Err(Failure::Broken),
                Err(_) => return Err(Failure::Refused(Refusal::TooSlow)),
            }
        }
    }

    /// How long it is at least, as it comes.
    fn least_len(&self) -> usize {
        usize::try_from(self.incoming.size_hint().lower()).unwrap_or(usize::MAX)
    }

    /// Reads a body that nobody wants, so that the next request can follow; whether it can.
    async fn discard(&mut self, head: &HeaderMap, max_len: usize) -> bool {
        if self.incoming.is_end_stream() {
            return true;
        }
        // Reading would tell the client to send it.
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

/// Whether a body is not what HTTP calls one, and has not just ended too early.
fn is_malformed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}

/// Counts something when it is dropped, unless it was done: a future may be dropped wherever it waits.
struct CountedUnless<'a>(Option<&'a Count>);

impl<'a> CountedUnless<'a> {
    fn done(count: &'a Count) -> Self {
        Self(Some(count))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CountedUnless<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.add(1);
        }
    }
}
