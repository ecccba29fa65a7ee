//! Checks the decoding of the events of a Docker Engine.

use docker_source::fuzzing::{EVENT_BUFFER_MAX, decode_events};

use crate::parts::parts;

/// Checks that an event stream has the same events however it is split into reads, and that it has no more
/// events than lines.
///
/// The first four bytes determine the lengths of the reads, in rotation.
pub fn event_stream(data: &[u8]) {
    let Some((lengths, stream)) = data.split_first_chunk::<4>() else { return };
    let (events, invalid, buffered) = decode_events([stream]);
    let (split_events, split_invalid, split_buffered) = decode_events(parts(*lengths, 1, stream));
    assert_eq!((&split_events, split_invalid), (&events, invalid));
    assert!(buffered.max(split_buffered) <= EVENT_BUFFER_MAX.min(stream.len()));

    let lines = stream.iter().filter(|byte| **byte == b'\n').count();
    let found = events.len() + usize::try_from(invalid).expect("there are no more invalid events than lines");
    assert!(found <= lines, "{found} events in {lines} lines");
    for event in &events {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!((12..=64).contains(&event.id.len()) && event.id.bytes().all(is_digit), "{event:?}");
    }
}
