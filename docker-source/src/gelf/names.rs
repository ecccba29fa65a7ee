//! Reserved names of fields.

use super::{ecs, orchestrators};

/// Names of the fields of [`Compat`](super::Compat), and of the fields that describe a line.
const OWN: [&str; 16] = [
    "command",
    "container_id",
    "container_name",
    "created",
    "ec2_instance_id",
    "gap_from",
    "gap_reason",
    "gap_to",
    "image_id",
    "image_name",
    "partial",
    "seq",
    "seq_epoch",
    "source_stream",
    "tag",
    "truncated",
];

/// Names of members of Logstash's event. Logstash's input strips the underscore, so that a field `_type`
/// would replace the `type` that the input is configured to set.
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

/// Returns whether the name is reserved, so that a label or a constant field cannot have it.
pub(crate) fn is_reserved(name: &str) -> bool {
    OWN.contains(&name) || LOGSTASH.contains(&name) || ecs::NAMES.contains(&name) || orchestrators::has(name)
}
