//! Converts a vector to the bytes that are sent to a running receiver.

use std::time::Duration;

use super::{LiveHttp, LiveOptions};
use crate::inspect::GRAYLOG_BODY_BYTES;
use crate::reader::split;
use crate::subject::Request;
use crate::vector::{HttpExchange, Input, Step};

/// Bytes to send.
#[derive(Debug)]
pub(super) enum Plan<'v> {
    /// Datagrams.
    Datagrams(Vec<Datagram>),
    /// Pieces of a TCP stream. The connection ends after the last piece.
    Stream(Vec<Vec<u8>>),
    /// A payload in an HTTP request.
    Post(Vec<u8>),
    /// HTTP requests.
    Requests(&'v HttpExchange),
}

/// A datagram, or a point in time at which nothing is sent.
#[derive(Debug)]
pub(super) struct Datagram {
    /// Time since the start of the vector.
    pub(super) at: Duration,
    /// Name of the sender.
    pub(super) from: String,
    /// The bytes, or `None` if only time passes.
    pub(super) bytes: Option<Vec<u8>>,
}

/// Maximum size of a UDP datagram over IPv4, in bytes.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Preferred chunk size in bytes, for a payload that does not fit in a datagram. Every known receiver accepts
/// this size.
const CHUNK_BYTES: usize = 1420;

/// Time after which a receiver gives up an incomplete message (R18), in seconds.
const CHUNK_TIMEOUT: f64 = 5.0;

/// Minimum difference between [`CHUNK_TIMEOUT`] and the time from one datagram to another, in seconds. With a
/// smaller difference, a delay of this program or of the receiver could change the result.
const CLOCK_SLACK: f64 = 0.1;

/// Converts a request to a plan, or returns the reason why the request cannot be sent. `key` makes the chunk
/// ids of the plan unique.
///
/// # Errors
/// Returns the mistake of a malformed vector.
pub(super) fn plan<'v>(
    request: &Request<'v>,
    options: &LiveOptions,
    key: [u8; 4],
) -> Result<Result<Plan<'v>, String>, String> {
    let refuse = |why: &str| Ok(Err(why.to_owned()));
    if request.limits != Default::default() {
        return refuse("the limits of a running receiver cannot be set");
    }
    match request.input {
        Input::Payload(payload) => {
            let payload = payload.to_vec();
            if options.udp.is_some() {
                let datagrams =
                    if payload.len() > MAX_DATAGRAM_BYTES { cut(&payload) } else { Some(vec![payload]) };
                let Some(datagrams) = datagrams else {
                    return refuse("the payload needs more than 128 chunks");
                };
                let mut all: Vec<_> = datagrams
                    .into_iter()
                    .map(|bytes| Datagram { at: Duration::ZERO, from: "A".to_owned(), bytes: Some(bytes) })
                    .collect();
                renew_ids(&mut all, key);
                Ok(Ok(Plan::Datagrams(all)))
            } else if let (None, Some(http)) = (&options.tcp, &options.http) {
                post(payload, http)
            } else if payload.contains(&0) {
                refuse("the null byte in the payload would end the frame")
            } else {
                Ok(Ok(Plan::Stream(vec![payload, vec![0]])))
            }
        }
        Input::Datagrams(_) if options.udp.is_none() => refuse("the receiver accepts no datagrams"),
        Input::Datagrams(steps) => {
            let takes_time = steps.iter().any(|step| step.at > 0.0);
            if takes_time && !options.slow {
                return refuse("the vector needs passing time");
            }
            if takes_time && is_exact(steps) {
                return refuse("the times of the vector are too close to a limit for a real clock");
            }
            let mut all = Vec::new();
            for Step { at, from, datagram } in steps {
                let bytes = datagram.as_ref().map(|datagram| datagram.to_vec());
                if bytes.as_ref().is_some_and(|bytes| bytes.len() > MAX_DATAGRAM_BYTES) {
                    return refuse("a datagram is longer than 65,507 bytes");
                }
                let at = Duration::try_from_secs_f64(*at).map_err(|error| error.to_string())?;
                all.push(Datagram { at, from: from.clone(), bytes });
            }
            renew_ids(&mut all, key);
            Ok(Ok(Plan::Datagrams(all)))
        }
        Input::Stream(_) if options.tcp.is_none() => refuse("the receiver accepts no TCP streams"),
        Input::Stream(pieces) => Ok(Ok(Plan::Stream(pieces.iter().map(|piece| piece.to_vec()).collect()))),
        Input::Http(exchange) => match &options.http {
            None => refuse("the receiver accepts no HTTP requests"),
            Some(http) => Ok(http.refuses(exchange).map_or(Ok(Plan::Requests(exchange)), Err)),
        },
        Input::Send(_) | Input::Chunk(_) => refuse("the receiver does not send"),
    }
}

/// Converts a payload to the body of a request. Refuses a payload that the receiver would not read as one
/// message, or that may exceed the receiver's limit.
fn post(mut payload: Vec<u8>, http: &LiveHttp) -> Result<Result<Plan<'static>, String>, String> {
    let refuse = |why: &str| Ok(Err(why.to_owned()));
    if payload.len() >= http.max_body.unwrap_or(GRAYLOG_BODY_BYTES) {
        return refuse("the payload may be longer than the body limit");
    }
    if payload.trim_ascii_start().starts_with(b"[") {
        return refuse("the receiver may read the payload as an array of messages");
    }
    if http.bulk {
        if payload.contains(&b'\n') {
            return refuse("the receiver would read each line of the payload as a message");
        }
        payload.push(b'\n');
    }
    Ok(Ok(Plan::Post(payload)))
}

/// Splits a payload into chunks. Returns `None` if there would be more than 128 chunks of the largest size.
fn cut(payload: &[u8]) -> Option<Vec<Vec<u8>>> {
    [CHUNK_BYTES, 8192, MAX_DATAGRAM_BYTES].into_iter().find_map(|size| split(payload, size))
}

/// Makes the chunk ids unique. The vectors reuse ids, but a running receiver still holds incomplete messages
/// of earlier vectors. Only the last four bytes of an id change, because vector C39 depends on the first
/// four.
fn renew_ids(datagrams: &mut [Datagram], key: [u8; 4]) {
    for datagram in datagrams {
        let Some(bytes) = &mut datagram.bytes else { continue };
        if bytes.starts_with(&[0x1e, 0x0f]) {
            if let Some(end) = bytes.get_mut(6..10) {
                end.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            }
        }
    }
}

/// Returns whether a short delay can change the result: the time between two datagrams is close to
/// [`CHUNK_TIMEOUT`].
fn is_exact(steps: &[Step]) -> bool {
    let is_close = |from: &Step, to: &Step| (to.at - from.at - CHUNK_TIMEOUT).abs() < CLOCK_SLACK;
    let sent = || steps.iter().filter(|step| step.datagram.is_some());
    sent().any(|from| sent().any(|to| is_close(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{Mode, Vector, embedded};

    fn vector(id: &str) -> Vector {
        let topics = embedded().unwrap();
        topics.into_iter().flat_map(|topic| topic.vectors).find(|vector| vector.id == id).unwrap()
    }

    fn planned(id: &str, options: &LiveOptions) -> Result<Plan<'static>, String> {
        let vector: &'static Vector = Box::leak(Box::new(vector(id)));
        plan(&Request::of(vector, Mode::Lenient).unwrap(), options, [1, 2, 3, 4]).unwrap()
    }

    fn address() -> Option<std::net::SocketAddr> {
        "127.0.0.1:1".parse().ok()
    }

    #[test]
    fn only_the_last_four_bytes_of_chunk_ids_are_renewed() {
        let Ok(Plan::Datagrams(datagrams)) =
            planned("C39", &LiveOptions { udp: address(), ..Default::default() })
        else {
            panic!("C39 has no datagrams")
        };
        let id = |at: usize| datagrams[at].bytes.as_ref().unwrap()[2..10].to_vec();
        assert_eq!(id(0), [0x01, 0x17, 0, 0, 1, 2, 3, 4]);
        assert_eq!(id(1), [0x0c, 0x03, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn vectors_that_need_exact_times_are_not_sent() {
        let quick = LiveOptions { udp: address(), ..Default::default() };
        assert_eq!(planned("C43", &quick).unwrap_err(), "the vector needs passing time");
        let slow = LiveOptions { slow: true, ..quick };
        for id in ["C40", "C41", "C42"] {
            assert!(planned(id, &slow).unwrap_err().contains("too close to a limit"), "{id}");
        }
        for id in ["C43", "C44", "C66", "C67"] {
            assert!(planned(id, &slow).is_ok(), "{id}");
        }
    }

    #[test]
    fn unsupported_inputs_are_not_sent() {
        let udp = LiveOptions { udp: address(), ..Default::default() };
        let tcp = LiveOptions { tcp: address(), ..Default::default() };
        assert_eq!(planned("P01", &udp).unwrap_err(), "the receiver accepts no TCP streams");
        assert_eq!(planned("C20", &tcp).unwrap_err(), "the receiver accepts no datagrams");
        assert_eq!(planned("J26", &tcp).unwrap_err(), "the null byte in the payload would end the frame");
        assert_eq!(planned("C48", &udp).unwrap_err(), "the limits of a running receiver cannot be set");
        assert!(planned("E01", &udp).is_err());
        let mut http = LiveHttp::new("127.0.0.1:1".parse().unwrap());
        let posts = |http: &LiveHttp| LiveOptions { http: Some(http.clone()), ..Default::default() };
        assert!(matches!(planned("A01", &posts(&http)), Ok(Plan::Post(_))));
        assert_eq!(
            planned("J23", &posts(&http)).unwrap_err(),
            "the receiver may read the payload as an array of messages"
        );
        assert_eq!(
            planned("J28-bomb", &posts(&http)).unwrap_err(),
            "the payload may be longer than the body limit"
        );
        http.bulk = true;
        assert_eq!(
            planned("J09", &posts(&http)).unwrap_err(),
            "the receiver would read each line of the payload as a message"
        );
        let Ok(Plan::Datagrams(datagrams)) = planned("J28-bomb", &udp) else {
            panic!("the payload is not sent over UDP")
        };
        assert_eq!(datagrams.len(), 100_000_usize.div_ceil(1408));
    }
}
