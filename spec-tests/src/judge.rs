//! What a subject made of a vector, beside what was expected.

use std::fmt;
use std::time::Instant;

use gelf_core::{DatagramReader, Framer};

use crate::subject::Answer;
use crate::vector::Expected;

/// Where an answer is not what was expected.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Of what.
    pub what: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// All differences, for a subject that tells everything by the names of the vectors.
pub fn judge(expected: &Expected, answer: &Answer) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |what, expected: &dyn fmt::Debug, found: &dyn fmt::Debug| {
        let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
        if expected != found {
            differences.push(Difference { what, expected, found });
        }
    };
    compare("messages", &expected.messages, &answer.messages);
    compare("errors", &expected.errors, &answer.errors);
    compare("deviations", &expected.deviations, &answer.deviations);
    compare("events", &expected.events, &answer.events);
    compare("pending", &expected.pending, &answer.pending);
    if let Some(sizes) = &expected.sizes {
        compare("sizes", sizes, &answer.sent.iter().map(Vec::len).collect::<Vec<_>>());
    }
    if let Some(begins) = &expected.begins {
        let found: String =
            answer.sent.iter().flatten().take(begins.len() / 2).map(|byte| format!("{byte:02x}")).collect();
        compare("begins", begins, &found);
    }
    if let Some(payload) = &expected.payload {
        match payload.bytes() {
            Ok(payload) => compare("payload", &readable(&payload), &put_together(&answer.sent)),
            Err(error) => compare("recipe", &"bytes", &error),
        }
    }
    differences
}

/// The payload that datagrams carry, or a stream.
fn put_together(sent: &[Vec<u8>]) -> String {
    if let [stream @ [b'{', .., 0]] = &sent.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
        let mut buffer = (*stream).into();
        let frame = Framer::default().next_frame(&mut buffer);
        return match frame {
            Some(Ok(frame)) if buffer.is_empty() => readable(&frame),
            other => format!("{other:?}, and {} bytes behind it", buffer.len()),
        };
    }
    let mut reader = DatagramReader::<()>::default();
    let now = Instant::now();
    let mut payload = None;
    for (at, datagram) in sent.iter().enumerate() {
        match reader.read(now, (), datagram) {
            Ok(Some(complete)) => payload = Some((at, readable(complete))),
            Ok(None) => {}
            Err(error) => return error.to_string(),
        }
    }
    match payload {
        Some((at, payload)) if at + 1 == sent.len() => payload,
        _ => "no payload with the last datagram".to_owned(),
    }
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
