//! Decodes the Engine's event stream, which has one JSON object per line.

use std::collections::BTreeMap;

use gelf_core::Timestamp;
use serde::Deserialize;

use super::keep::Keep;
use super::members::{Excerpt, MemberFilter};
use super::types::{ContainerId, LABELS};

/// The members of an event that are kept, and their limits. The labels of an event can have any length.
const EVENT: Keep = Keep::Members(&[
    ("Type", Keep::Value(64)),
    ("Action", Keep::Value(64)),
    ("timeNano", Keep::Value(32)),
    ("Actor", Keep::Members(&[("ID", Keep::Value(128)), ("Attributes", LABELS)])),
]);

/// The maximum number of bytes that are kept of an event.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) const EVENT_MAX: usize = EVENT.max_len();

/// The kind of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Destroy,
    Die,
    /// The Engine sent a signal to the container.
    Kill,
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
    /// The attributes: the labels of the container, `name`, `image`, and attributes that depend on the
    /// action.
    pub(crate) attributes: BTreeMap<String, String>,
    /// True if an attribute is missing because the attributes were too long.
    pub(crate) is_cut: bool,
}

/// Decodes the event stream, no matter how it is split into reads.
#[derive(Debug)]
pub(crate) struct EventReader {
    line: MemberFilter,
    /// True if the line has more than white space.
    has_text: bool,
    /// True if further text follows the JSON value on the line.
    has_more: bool,
    bad: u64,
}

impl Default for EventReader {
    fn default() -> Self {
        Self { line: MemberFilter::new(&EVENT), has_text: false, has_more: false, bad: 0 }
    }
}

impl EventReader {
    /// Returns the next container event with one of the [actions](Action), or `None` if the end of the event
    /// has not arrived yet. Removes the read bytes from the front of `bytes`.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Event> {
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.has_text |= !line.trim_ascii().is_empty();
            let taken = self.line.push(line);
            self.has_more |= line.get(taken..).is_some_and(|more| !more.trim_ascii().is_empty());
            *bytes = rest;
            // The rest begins with the line feed, or is empty if the line feed has not arrived yet.
            (_, *bytes) = rest.split_first()?;
            let excerpt = self.line.take();
            let (has_text, has_more) = (self.has_text, self.has_more);
            (self.has_text, self.has_more) = (false, false);
            match parse(&excerpt) {
                Ok(Some(event)) if !has_more => return Some(event),
                Ok(None) if !has_more => {}
                _ => self.bad += u64::from(has_text),
            }
        }
        None
    }

    /// Returns the number of bytes that are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn kept(&self) -> usize {
        self.line.kept()
    }

    /// Returns the number of unreadable events since the last call.
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

fn parse(excerpt: &Excerpt) -> Result<Option<Event>, InvalidEvent> {
    let event: EventJson = serde_json::from_slice(&excerpt.text).map_err(|_| InvalidEvent)?;
    if event.kind.is_some_and(|kind| kind != "container") {
        return Ok(None);
    }
    // Only whole names match: `exec_start: /bin/sh` is a different action from `start`.
    let action = match &*event.action {
        "destroy" => Action::Destroy,
        "die" => Action::Die,
        "kill" => Action::Kill,
        "rename" => Action::Rename,
        "start" => Action::Start,
        _ => return Ok(None),
    };
    let id = ContainerId::parse(&event.actor.id).ok_or(InvalidEvent)?;
    let time = event.time_nano.and_then(|nanos| {
        let within = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        Timestamp::from_unix(nanos.div_euclid(1_000_000_000), within)
    });
    let attributes = event.actor.attributes.unwrap_or_default();
    Ok(Some(Event { action, id, time, attributes, is_cut: excerpt.is_cut }))
}

#[cfg(test)]
mod tests {
    use super::super::types::tests::assert_keeps;
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn json(action: &str) -> String {
        format!(
            r#"{{"status":"{action}","id":"{ID}","from":"busybox","Type":"container","Action":"{action}","Actor":{{"ID":"{ID}","Attributes":{{"image":"busybox","name":"job"}}}},"scope":"local","time":1795387458,"timeNano":1795387458123456789}}"#
        ) + "\n"
    }

    fn events(reader: &mut EventReader, bytes: impl AsRef<[u8]>) -> Vec<Event> {
        let mut rest = bytes.as_ref();
        let events = std::iter::from_fn(|| reader.next(&mut rest)).collect();
        assert!(rest.is_empty() && reader.kept() <= EVENT_MAX, "{} bytes are kept", reader.kept());
        events
    }

    fn actions(reader: &mut EventReader, bytes: impl AsRef<[u8]>) -> Vec<Action> {
        events(reader, bytes).into_iter().map(|event| event.action).collect()
    }

    #[test]
    fn all_members_that_are_parsed_are_kept() {
        assert_keeps::<EventJson>(&EVENT, &[]);
        assert_keeps::<ActorJson>(&EVENT, &["Actor"]);
    }

    #[test]
    fn the_five_actions_are_decoded() {
        let mut reader = EventReader::default();
        let found = events(&mut reader, ["start", "kill", "die", "rename", "destroy"].map(json).concat());
        let first = &found[0];
        assert_eq!((first.action, first.id.as_str(), first.is_cut), (Action::Start, ID, false));
        assert_eq!(first.time.unwrap().as_unix(), (1_795_387_458, 123_456_789));
        assert_eq!(first.attributes.get("name").map(String::as_str), Some("job"));
        let actions: Vec<_> = found.iter().map(|event| event.action).collect();
        let expected = [Action::Start, Action::Kill, Action::Die, Action::Rename, Action::Destroy];
        assert_eq!(actions, expected);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn other_actions_and_objects_are_skipped_and_do_not_count_as_invalid() {
        let mut reader = EventReader::default();
        for action in ["exec_start: start", "starting", "attach", "health_status: healthy", "START"] {
            assert_eq!(actions(&mut reader, json(action)), []);
        }
        let network = json("destroy").replace(r#""Type":"container""#, r#""Type":"network""#);
        assert_eq!(actions(&mut reader, network + "\r\n\n"), []);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn an_event_without_the_legacy_members_is_decoded() {
        let mut reader = EventReader::default();
        let short = format!(r#"{{"Action":"die","Actor":{{"ID":"{ID}"}}}}"#);
        assert_eq!(events(&mut reader, short), []);
        assert_eq!(events(&mut reader, "\n")[0].attributes.len(), 0);
    }

    #[test]
    fn an_invalid_object_is_counted_and_skipped() {
        let mut reader = EventReader::default();
        let bad = b"{]\n\xff\xfe\n[]\n{\"Action\":7}\n{\"Action\":\n";
        assert_eq!(actions(&mut reader, bad), []);
        let path = json("start").replace(ID, "../../images/json?x=");
        let two = json("start").replace('\n', "") + &json("start");
        let long = json("start").replace(ID, &ID.repeat(3));
        assert_eq!(actions(&mut reader, path + &two + &long + &json("start")), [Action::Start]);
        assert_eq!((reader.take_bad(), reader.take_bad()), (8, 0));
    }

    #[test]
    fn an_event_with_labels_of_any_length_is_decoded_without_the_labels_that_do_not_fit() {
        let mut reader = EventReader::default();
        let labels: String =
            (0..200).map(|at| format!(r#""a{at}":"{}","gelf_{at}":"v","#, "x".repeat(90_000))).collect();
        let long = json("start").replace(r#""image":"#, &(labels + r#""image":"#));
        let mut found = Vec::new();
        for part in long.as_bytes().chunks(4096) {
            found.extend(events(&mut reader, part));
        }
        let [event] = &found[..] else { panic!("{found:?}") };
        assert_eq!((event.action, event.id.as_str(), event.is_cut), (Action::Start, ID, true));
        assert_eq!(event.attributes.get("name").map(String::as_str), Some("job"));
        assert_eq!(event.attributes.get("gelf_199").map(String::as_str), Some("v"));
        assert_eq!(event.attributes.get("a0"), None);
        assert_eq!(actions(&mut reader, json("die")), [Action::Die]);
        assert_eq!(reader.take_bad(), 0);
    }

    #[test]
    fn an_endless_object_is_counted_once_and_needs_bounded_memory() {
        for endless in ["x", "[", "{\"Action\":", "{\"Actor\":{\"Attributes\":{", "\"a\":\"b\",", "\\"] {
            let mut reader = EventReader::default();
            assert_eq!(actions(&mut reader, r#"{"Actor":{"Attributes":{"#), []);
            for _ in 0..10 {
                assert_eq!(actions(&mut reader, endless.repeat(64 * 1024 / endless.len())), []);
            }
            assert_eq!(actions(&mut reader, format!("\n{}", json("die"))), [Action::Die], "{endless}");
            assert_eq!(reader.take_bad(), 1);
        }
    }
}
