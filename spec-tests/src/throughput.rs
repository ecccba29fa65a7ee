//! Measures how fast a subject decodes and encodes over the subject protocol.
//!
//! Requests and answers are JSON with bytes in hexadecimal. This encoding costs more than GELF itself, so the
//! figures describe the subject together with its adapter. The figures of [`Workload::Empty`] and of a
//! minimal subject show how much of the time the protocol takes.

use std::time::{Duration, Instant};

use crate::corpus;
use crate::observed::{Observed, Sent};
use crate::protocol::ONLY_MODE;
use crate::reader::{deflated, split};
use crate::recipe::Content;
use crate::subject::{Reply, Request, Subject};
use crate::text::shortened;
use crate::vector::{Input, Limits, MessageText, SendRequest, Step};

/// Kind of request that is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workload {
    /// A request without content: the round trip.
    Empty,
    /// Uncompressed datagrams.
    Plain,
    /// Datagrams compressed with gzip.
    Gzip,
    /// Messages in uncompressed chunks of up to 512 bytes.
    Chunked,
    /// Frames of a TCP stream.
    Stream,
    /// One message in each request, to send over UDP without compression.
    Send,
}

impl Workload {
    /// All kinds, in the order in which they are measured.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::Plain, Self::Gzip, Self::Chunked, Self::Stream, Self::Send];

    /// Returns a name for display.
    pub fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty request",
            Self::Plain => "receive, plain",
            Self::Gzip => "receive, gzip",
            Self::Chunked => "receive, chunked",
            Self::Stream => "receive, stream",
            Self::Send => "send",
        }
    }
}

/// Result of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Number of requests.
    pub requests: u64,
    /// Number of messages in the requests.
    pub messages: u64,
    /// Total size of the uncompressed payloads, in bytes.
    pub payload_bytes: u64,
    /// Elapsed time.
    pub time: Duration,
}

impl Measured {
    /// Converts a count into a rate per second.
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

/// Number of different messages in a measurement.
const MESSAGES: usize = 512;

/// Number of messages in a `receive` request.
const MESSAGES_IN_REQUEST: usize = 16;

/// Maximum size of a chunk in bytes, as in a sender with small datagrams.
const CHUNK_BYTES: usize = 512;

/// Duration of the requests before the measurement, unless the measurement itself is shorter. Programs with a
/// just-in-time compiler need this warm-up.
const WARM_UP: Duration = Duration::from_millis(500);

enum Prepared {
    Datagrams(Vec<Step>),
    Stream(Vec<Content>),
    Send(SendRequest),
}

/// Makes requests of one kind for some time. Returns the figures, or the reason why the subject does not
/// support such requests.
///
/// # Errors
/// Returns an error if the subject violates the protocol, crashes, does not answer, or delivers or sends a
/// wrong number of messages.
pub fn measure(
    subject: &mut dyn Subject,
    workload: Workload,
    time: Duration,
) -> Result<Result<Measured, String>, String> {
    let requests = prepare(workload, subject.description().can("datagrams"))?;
    match ask_repeatedly(subject, workload, &requests, WARM_UP.min(time))? {
        Ok(_) => ask_repeatedly(subject, workload, &requests, time),
        Err(why) => Ok(Err(why)),
    }
}

/// Makes the requests in rotation until this time has passed.
fn ask_repeatedly(
    subject: &mut dyn Subject,
    workload: Workload,
    requests: &[(Prepared, u64, u64)],
    time: Duration,
) -> Result<Result<Measured, String>, String> {
    let mut measured = Measured { requests: 0, messages: 0, payload_bytes: 0, time: Duration::ZERO };
    let started = Instant::now();
    for (request, messages, payload_bytes) in requests.iter().cycle() {
        let input = match request {
            Prepared::Datagrams(steps) => Input::Datagrams(steps),
            Prepared::Stream(pieces) => Input::Stream(pieces),
            Prepared::Send(send) => Input::Send(send),
        };
        let reply =
            subject.ask(Request { id: "bench", input, limits: Limits::default(), mode: ONLY_MODE })?;
        let is_send = workload == Workload::Send;
        let done = match &reply {
            Reply::Unsupported(why) => return Ok(Err(why.clone())),
            Reply::Named(answer) if is_send => u64::from(!answer.sent.is_empty()),
            Reply::Named(answer) => answer.messages.len() as u64,
            Reply::Observed(Observed { sent: Some(Sent::Datagrams(datagrams)), .. }) if is_send => {
                u64::from(!datagrams.is_empty())
            }
            Reply::Observed(observed) => observed.messages.len() as u64,
            Reply::Crashed(words) => {
                return Err(format!("{}: the subject crashed: {words}", workload.words()));
            }
            Reply::NoAnswer(time) => return Err(format!("{}: no answer within {time:?}", workload.words())),
        };
        if done != *messages {
            let what = if is_send { "sent" } else { "delivered" };
            let error = error_of(&reply).map(|error| format!(": {}", shortened(error))).unwrap_or_default();
            return Err(format!("{}: {done} of {messages} messages were {what}{error}", workload.words()));
        }
        measured.requests += 1;
        measured.messages += messages;
        measured.payload_bytes += payload_bytes;
        measured.time = started.elapsed();
        if measured.time >= time {
            break;
        }
    }
    Ok(Ok(measured))
}

/// Returns the first error in a reply.
fn error_of(reply: &Reply) -> Option<&String> {
    match reply {
        Reply::Named(answer) => answer.errors.first(),
        Reply::Observed(Observed { sent: Some(Sent::Refused(error)), .. }) => Some(error),
        Reply::Observed(observed) => observed.errors.first(),
        _ => None,
    }
}

/// Returns the requests, each with its number of messages and its number of payload bytes.
fn prepare(workload: Workload, takes_datagrams: bool) -> Result<Vec<(Prepared, u64, u64)>, String> {
    let texts = corpus::messages(MESSAGES);
    let payloads: Vec<Vec<u8>> = texts.iter().map(corpus::payload).collect::<Result<_, _>>()?;
    let step = |bytes: &[u8]| Step { at: 0.0, from: "A".to_owned(), datagram: Some(bytes.to_vec().into()) };
    let in_batches = |prepared: &dyn Fn(&[Vec<u8>]) -> Prepared| {
        let of = |batch: &[Vec<u8>]| {
            let bytes = batch.iter().map(|payload| payload.len() as u64).sum();
            (prepared(batch), batch.len() as u64, bytes)
        };
        payloads.chunks(MESSAGES_IN_REQUEST).map(of).collect()
    };
    let in_datagrams = |datagrams: &dyn Fn(&Vec<u8>) -> Vec<Vec<u8>>| {
        in_batches(&|batch| {
            Prepared::Datagrams(batch.iter().flat_map(datagrams).map(|datagram| step(&datagram)).collect())
        })
    };
    Ok(match workload {
        Workload::Empty if takes_datagrams => {
            vec![(Prepared::Datagrams(vec![Step { datagram: None, ..step(&[]) }]), 0, 0)]
        }
        Workload::Empty => vec![(Prepared::Stream(Vec::new()), 0, 0)],
        Workload::Plain => in_datagrams(&|payload| vec![payload.clone()]),
        Workload::Gzip => in_datagrams(&|payload| vec![deflated(payload, true)]),
        Workload::Chunked => in_datagrams(&|payload| split(payload, CHUNK_BYTES).unwrap_or_default()),
        Workload::Stream => in_batches(&|batch| {
            Prepared::Stream(batch.iter().map(|payload| [payload, &b"\0"[..]].concat().into()).collect())
        }),
        Workload::Send => {
            let of = |(message, payload): (MessageText, &Vec<u8>)| {
                let (transport, compression) = ("udp".to_owned(), Some("none".to_owned()));
                let send = SendRequest { transport, compression, datagram_size: 1420, message };
                (Prepared::Send(send), 1, payload.len() as u64)
            };
            texts.into_iter().zip(&payloads).map(of).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builtin, Description};

    /// A subject that gives the same reply to every request.
    struct Same(Description, Reply);

    impl Subject for Same {
        fn description(&self) -> &Description {
            &self.0
        }

        fn ask(&mut self, _: Request<'_>) -> Result<Reply, String> {
            Ok(self.1.clone())
        }
    }

    #[test]
    fn the_reason_of_a_subject_that_handles_no_message_is_returned() {
        let measured = |reply, workload| {
            let mut subject = Same(Description::default(), reply);
            measure(&mut subject, workload, Duration::ZERO).map(|measured| measured.map(|_| ()))
        };
        let observed = |sent, errors| Reply::Observed(Observed { sent, errors, ..Default::default() });
        let unsupported = Reply::Unsupported("no sockets".to_owned());
        assert_eq!(measured(unsupported, Workload::Plain), Ok(Err("no sockets".to_owned())));
        let lost = measured(observed(None, vec!["no level".to_owned()]), Workload::Plain);
        assert_eq!(lost.unwrap_err(), "receive, plain: 0 of 16 messages were delivered: no level");
        let refused =
            measured(observed(Some(Sent::Refused("no host".to_owned())), Vec::new()), Workload::Send);
        assert_eq!(refused.unwrap_err(), "send: 0 of 1 messages were sent: no host");
    }

    #[test]
    fn gelf_core_handles_all_messages_of_each_kind_of_request() {
        for workload in Workload::ALL {
            let measured =
                measure(&mut Builtin::default(), workload, Duration::from_millis(50)).unwrap().unwrap();
            assert!(measured.requests > 0, "{workload:?}");
            let in_request = match workload {
                Workload::Empty => 0,
                Workload::Send => 1,
                _ => MESSAGES_IN_REQUEST as u64,
            };
            assert_eq!(measured.messages, measured.requests * in_request, "{workload:?}");
            assert_eq!(measured.payload_bytes > 0, workload != Workload::Empty);
        }
    }
}
