//! Names that only this crate gives to fields.

use super::ecs;

/// Names of fields that [`Compat`](super::Compat) has, and of what is said about a line.
const OWN: [&str; 10] = [
    "command",
    "container_id",
    "container_name",
    "created",
    "image_id",
    "image_name",
    "partial",
    "source_stream",
    "tag",
    "truncated",
];

/// Names that Logstash's input, which strips the underscore, would take for members of the event itself: a field `_type`
/// would hide the `type` that the input is configured to set.
const LOGSTASH: [&str; 11] = [
    "@timestamp",
    "full_message",
    "host",
    "level",
    "message",
    "short_message",
    "source_host",
    "tags",
    "timestamp",
    "type",
    "version",
];

/// Whether a label or a constant field cannot have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    OWN.contains(&name) || LOGSTASH.contains(&name) || ecs::NAMES.contains(&name)
}
