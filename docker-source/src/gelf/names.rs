//! Reserved names of fields.

use super::{ecs, orchestrators};

/// Returns whether the name is reserved, so that a label or a constant field cannot have it.
pub(crate) fn is_reserved(name: &str) -> bool {
    // This crate itself sends fields with these names.
    let is_own = matches!(
        name,
        "command"
            | "container_id"
            | "container_name"
            | "created"
            | "ec2_instance_id"
            | "gap_from"
            | "gap_reason"
            | "gap_to"
            | "image_id"
            | "image_name"
            | "partial"
            | "seq"
            | "seq_epoch"
            | "source_stream"
            | "tag"
            | "truncated"
    );
    // Logstash's event has these members. Logstash's input strips the underscore from the names of fields:
    // a field `_type` would replace the `type` that the input is configured to set.
    let is_of_logstash = matches!(
        name,
        "@timestamp"
            | "full_message"
            | "host"
            | "level"
            | "message"
            | "short_message"
            | "source_host"
            | "tags"
            | "timestamp"
            | "type"
            | "version"
    );
    is_own || is_of_logstash || ecs::NAMES.contains(&name) || orchestrators::has(name)
}
