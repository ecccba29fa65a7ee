//! The Engine's events: one JSON object a line, cut anywhere by the network.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use serde::Deserialize;

use crate::engine::ContainerId;

/// The longest event, in bytes. Labels are the bulk of one; an event without an end must not fill the memory.
const EVENT_MAX: usize = 1024 * 1024;

/// What happened to a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Destroy,
    Die,
    Rename,
    Start,
}

/// Something that happened to a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) action: Action,
    pub(crate) id: ContainerId,
    /// Labels, `name`, `image`, and others that depend on the action.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Cuts the stream of events into events.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    searched: usize,
    /// The rest of an event that is too long is passed over.
    skipping: bool,
    bad: u64,
}

impl EventReader {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event that matters; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', rest) else {
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
                Err(BadEvent) => self.bad += 1,
            }
        }
    }

    /// How many events could not be read since this was last asked.
    pub(crate) fn take_bad(&mut self) -> u64 {
        std::mem::take(&mut self.bad)
    }
}

struct BadEvent;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    #[serde(rename = "Type")]
    kind: Option<String>,
    action: String,
    actor: WireActor,
}

#[derive(Deserialize)]
struct WireActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<BTreeMap<String, String>>,
}

fn parse(line: &[u8]) -> Result<Option<Event>, BadEvent> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let wire: Wire = serde_json::from_slice(line).map_err(|_| BadEvent)?;
    if wire.kind.is_some_and(|kind| kind != "container") {
        return Ok(None);
    }
    // Whole names only: `exec_start: /bin/sh` is another action than `start`.
    let action = match &*wire.action {
        "destroy" => Action::Destroy,
        "die" => Action::Die,
        "rename" => Action::Rename,
        "start" => Action::Start,
        _ => return Ok(None),
    };
    let id = ContainerId::parse(&wire.actor.id).ok_or(BadEvent)?;
    Ok(Some(Event { action, id, attributes: wire.actor.attributes.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn wire(action: &str) -> String {
        format!(
            r#"{{"status":"{action}","id":"{ID}","from":"busybox","Type":"container","Action":"{action}","Actor":{{"ID":"{ID}","Attributes":{{"image":"busybox","name":"job"}}}},"scope":"local","time":1795387458,"timeNano":1795387458123456789}}"#
        ) + "\n"
    }

    fn actions(reader: &mut EventReader) -> Vec<Action> {
        std::iter::from_fn(|| reader.next()).map(|event| event.action).collect()
    }

    #[test]
    fn the_four_actions_are_read() {
        let mut reader = EventReader::default();
        for action in ["start", "die", "rename", "destroy"] {
            reader.push(wire(action).as_bytes());
        }
        let first = reader.next().unwrap();
        assert_eq!((first.action, first.id.as_str()), (Action::Start, ID));
        assert_eq!(first.attributes.get("name").map(String::as_str), Some("job"));
        assert_eq!(actions(&mut reader), [Action::Die, Action::Rename, Action::Destroy]);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn other_actions_and_other_objects_are_passed_over_without_being_bad() {
        let mut reader = EventReader::default();
        for action in ["exec_start: start", "starting", "attach", "health_status: healthy", "START"] {
            reader.push(wire(action).as_bytes());
        }
        reader.push(wire("destroy").replace(r#""Type":"container""#, r#""Type":"network""#).as_bytes());
        reader.push(b"\r\n\n");
        assert_eq!(actions(&mut reader), []);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn an_event_without_the_members_of_old_is_read() {
        let mut reader = EventReader::default();
        reader.push(format!(r#"{{"Action":"die","Actor":{{"ID":"{ID}"}}}}"#).as_bytes());
        assert_eq!(reader.next(), None);
        reader.push(b"\n");
        assert_eq!(reader.next().unwrap().attributes.len(), 0);
    }

    #[test]
    fn a_bad_object_is_counted_and_skipped() {
        let mut reader = EventReader::default();
        reader.push(b"{]\n\xff\xfe\n[]\n{\"Action\":7}\n");
        reader.push(wire("start").replace(ID, "../../images/json?x=").as_bytes());
        reader.push(wire("start").as_bytes());
        assert_eq!(actions(&mut reader), [Action::Start]);
        assert_eq!((reader.take_bad(), reader.take_bad()), (5, 0));
    }

    #[test]
    fn an_endless_object_is_counted_once_and_holds_no_memory() {
        let mut reader = EventReader::default();
        for _ in 0..100 {
            reader.push(&[b'x'; 64 * 1024]);
            assert_eq!(reader.next(), None);
            assert!(reader.buffer.len() <= EVENT_MAX);
        }
        reader.push(b"\n");
        reader.push(wire("die").as_bytes());
        assert_eq!(actions(&mut reader), [Action::Die]);
        assert_eq!(reader.take_bad(), 1);
    }

    proptest! {
        #[test]
        fn events_split_at_any_bytes_read_the_same(cuts in prop::collection::vec(1usize..200, 1..40)) {
            let text: String = ["start", "pause", "die", "{", "destroy"].map(wire).concat();
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
