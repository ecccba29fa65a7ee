//! Decoder of the Engine's event stream: one JSON object a line.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use gelf_core::Timestamp;
use serde::Deserialize;

use super::types::ContainerId;

/// The maximum length of an event in bytes, most of which are labels. The limit stops an event without an end
/// from filling the memory.
const EVENT_MAX: usize = 1024 * 1024;

/// The kind of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Destroy,
    Die,
    Rename,
    Start,
}

/// An event of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) action: Action,
    pub(crate) id: ContainerId,
    /// The Engine's time of the event, if it is valid.
    pub(crate) time: Option<Timestamp>,
    /// The labels, `name`, `image`, and others that depend on the action.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Decodes the event stream, however it was cut into reads.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    buffer: BytesMut,
    /// The number of bytes at the front of the buffer that are known to contain no newline.
    searched: usize,
    /// Whether the buffer starts within an event that is too long and is skipped.
    skipping: bool,
    bad: u64,
}

impl EventReader {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the number of bytes that are buffered.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Returns the next event of the four kinds; `None` asks for more bytes.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let (_, unseen) = self.buffer.split_at(self.searched);
            let Some(found) = memchr::memchr(b'\n', unseen) else {
                self.searched = self.buffer.len();
                if self.buffer.len() > EVENT_MAX {
                    self.buffer.clear();
                    self.searched = 0;
                    self.bad += u64::from(!self.skipping);
                    self.skipping = true;
                }
                return None;
            };
            let line = self.buffer.split_to(self.searched + found);
            self.buffer.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > EVENT_MAX {
                self.bad += 1;
                continue;
            }
            match parse(&line) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(InvalidEvent) => self.bad += 1,
            }
        }
    }

    /// Returns the number of invalid events since the last call.
    pub(crate) fn take_bad(&mut self) -> u64 {
        std::mem::take(&mut self.bad)
    }
}

struct InvalidEvent;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventJson {
    #[serde(rename = "Type")]
    kind: Option<String>,
    action: String,
    actor: ActorJson,
    /// Nanoseconds since the Unix epoch.
    #[serde(default, rename = "timeNano")]
    time_nano: Option<i64>,
}

#[derive(Deserialize)]
struct ActorJson {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<BTreeMap<String, String>>,
}

fn parse(line: &[u8]) -> Result<Option<Event>, InvalidEvent> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let event: EventJson = serde_json::from_slice(line).map_err(|_| InvalidEvent)?;
    if event.kind.is_some_and(|kind| kind != "container") {
        return Ok(None);
    }
    // Whole names only: `exec_start: /bin/sh` is another action than `start`.
    let action = match &*event.action {
        "destroy" => Action::Destroy,
        "die" => Action::Die,
        "rename" => Action::Rename,
        "start" => Action::Start,
        _ => return Ok(None),
    };
    let id = ContainerId::parse(&event.actor.id).ok_or(InvalidEvent)?;
    let time = event.time_nano.and_then(|nanos| {
        let within = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        Timestamp::from_unix(nanos.div_euclid(1_000_000_000), within)
    });
    Ok(Some(Event { action, id, time, attributes: event.actor.attributes.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn json(action: &str) -> String {
        format!(
            r#"{{"status":"{action}","id":"{ID}","from":"busybox","Type":"container","Action":"{action}","Actor":{{"ID":"{ID}","Attributes":{{"image":"busybox","name":"job"}}}},"scope":"local","time":1795387458,"timeNano":1795387458123456789}}"#
        ) + "\n"
    }

    fn actions(reader: &mut EventReader) -> Vec<Action> {
        std::iter::from_fn(|| reader.next()).map(|event| event.action).collect()
    }

    #[test]
    fn the_four_actions_are_decoded() {
        let mut reader = EventReader::default();
        for action in ["start", "die", "rename", "destroy"] {
            reader.push(json(action).as_bytes());
        }
        let first = reader.next().unwrap();
        assert_eq!((first.action, first.id.as_str()), (Action::Start, ID));
        assert_eq!(first.time.unwrap().as_unix(), (1_795_387_458, 123_456_789));
        assert_eq!(first.attributes.get("name").map(String::as_str), Some("job"));
        assert_eq!(actions(&mut reader), [Action::Die, Action::Rename, Action::Destroy]);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn other_actions_and_objects_are_skipped_and_not_invalid() {
        let mut reader = EventReader::default();
        for action in ["exec_start: start", "starting", "attach", "health_status: healthy", "START"] {
            reader.push(json(action).as_bytes());
        }
        reader.push(json("destroy").replace(r#""Type":"container""#, r#""Type":"network""#).as_bytes());
        reader.push(b"\r\n\n");
        assert_eq!(actions(&mut reader), []);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn an_event_without_the_legacy_members_is_decoded() {
        let mut reader = EventReader::default();
        reader.push(format!(r#"{{"Action":"die","Actor":{{"ID":"{ID}"}}}}"#).as_bytes());
        assert_eq!(reader.next(), None);
        reader.push(b"\n");
        let event = reader.next().unwrap();
        assert_eq!((event.attributes.len(), event.time), (0, None));
    }

    #[test]
    fn an_invalid_object_is_counted_and_skipped() {
        let mut reader = EventReader::default();
        reader.push(b"{]\n\xff\xfe\n[]\n{\"Action\":7}\n");
        reader.push(json("start").replace(ID, "../../images/json?x=").as_bytes());
        reader.push(json("start").as_bytes());
        assert_eq!(actions(&mut reader), [Action::Start]);
        assert_eq!((reader.take_bad(), reader.take_bad()), (5, 0));
    }

    #[test]
    fn an_endless_object_is_counted_once_and_holds_no_memory() {
        let mut reader = EventReader::default();
        for _ in 0..100 {
            reader.push(&[b'x'; 64 * 1024]);
            assert_eq!(reader.next(), None);
            assert!(reader.buffered() <= EVENT_MAX);
        }
        reader.push(b"\n");
        reader.push(json("die").as_bytes());
        assert_eq!(actions(&mut reader), [Action::Die]);
        assert_eq!(reader.take_bad(), 1);
    }

    proptest! {
        #[test]
        fn events_split_at_any_bytes_decode_the_same(cuts in prop::collection::vec(1usize..200, 1..40)) {
            let text: String = ["start", "pause", "die", "{", "destroy"].map(json).concat();
            let mut reader = EventReader::default();
            let mut found = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                reader.push(head);
                found.extend(actions(&mut reader));
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, [Action::Start, Action::Die, Action::Destroy]);
            prop_assert_eq!(reader.take_bad(), 0);
        }

        #[test]
        fn garbage_is_never_fatal(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut reader = EventReader::default();
            reader.push(&bytes);
            while reader.next().is_some() {}
        }
    }
}
