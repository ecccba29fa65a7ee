//! A record as a GELF message.
//!
//! The fields are those of Docker's own gelf log driver, by the same names, so that what reads one reads the other:
//!
//! | member | value |
//! |---|---|
//! | `host` | the Engine's host name |
//! | `timestamp` | Docker's stamp of the line, to the nanosecond |
//! | `level` | 6 for stdout, 3 for stderr |
//! | `short_message` | the line; what is not UTF-8 in it becomes U+FFFD |
//! | `_container_id` | all 64 digits |
//! | `_container_name` | without a leading slash |
//! | `_image_id`, `_image_name` | the image's id, and the name by which the container asked for it |
//! | `_command` | entry point and arguments |
//! | `_created` | when the container was created, RFC 3339 |
//! | `_tag` | the first 12 digits of the id, the driver's default |
//!
//! and those that the driver does not have:
//!
//! | field | value |
//! |---|---|
//! | `_source_stream` | `stdout` or `stderr` |
//! | `_x` | the value of the container's label `gelf_x`, as Logspout's GELF modules send it |
//! | `_truncated` | how many bytes the line had, where it was longer than a line may be |
//! | `_partial` | `true`, where the container ended in the middle of the line |
//!
//! A label cannot stand in for anything of ours, nor for what Logstash makes of a message once it has taken off the
//! underscores: `gelf_type` becomes `_label_type`. Other characters than GELF allows become `_`, and of two labels
//! that become one name the later, in the order of the alphabet, gets `_2` at its end.

use std::sync::OnceLock;

use gelf_core::{FieldName, FieldSet, Level, Message};

use crate::container::Container;
use crate::record::Record;
use crate::stream::LogStream;

/// How many labels become fields: 64. A container with 10,000 labels would make each of its lines a megabyte.
const MAX_LABELS: usize = 64;

/// How many bytes all of them may have, names and values: 32 KiB.
const MAX_LABEL_BYTES: usize = 32 * 1024;

/// How many bytes of a command are sent: 8 KiB. A whole script may stand on a command line.
const MAX_COMMAND_BYTES: usize = 8 * 1024;

/// Names that a label does not get: ours, and those that Logstash's input would take for members of the event.
const RESERVED: [&str; 21] = [
    "@timestamp",
    "command",
    "container_id",
    "container_name",
    "created",
    "full_message",
    "host",
    "image_id",
    "image_name",
    "level",
    "message",
    "partial",
    "short_message",
    "source_host",
    "source_stream",
    "tag",
    "tags",
    "timestamp",
    "truncated",
    "type",
    "version",
];

impl Record {
    /// The record as a GELF message; see the [module](crate::gelf) for its fields.
    pub fn to_message(&self) -> Message<'_> {
        let level = match self.stream() {
            LogStream::Stdout => Level::Informational,
            LogStream::Stderr => Level::Error,
        };
        let mut message = self
            .container()
            .gelf_fields(self.stream())
            .message(String::from_utf8_lossy(self.bytes()))
            .with_timestamp(self.time())
            .with_level(level);
        if self.length() > self.bytes().len() {
            let length = u64::try_from(self.length()).unwrap_or(u64::MAX);
            message = message.with_field(FieldName::from_static("truncated"), length);
        } else if !self.is_whole() {
            message = message.with_field(FieldName::from_static("partial"), true);
        }
        message
    }
}

impl Container {
    /// What all messages of one of its streams have in common, encoded once.
    pub fn gelf_fields(&self, stream: LogStream) -> &FieldSet {
        let [stdout, stderr] = self.gelf.0.get_or_init(|| {
            let of = |stream| field_set(self, stream);
            [of(LogStream::Stdout), of(LogStream::Stderr)]
        });
        match stream {
            LogStream::Stdout => stdout,
            LogStream::Stderr => stderr,
        }
    }
}

/// The field sets of a container, made when they are first asked for.
///
/// They follow from the rest of the container: so a copy, which may be changed, has none yet, and no two are unequal.
#[derive(Debug, Default)]
pub(crate) struct GelfFields(OnceLock<[FieldSet; 2]>);

impl Clone for GelfFields {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for GelfFields {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for GelfFields {}

fn field_set(container: &Container, stream: LogStream) -> FieldSet {
    const COMMAND: FieldName<'static> = FieldName::from_static("command");
    const CONTAINER_ID: FieldName<'static> = FieldName::from_static("container_id");
    const CONTAINER_NAME: FieldName<'static> = FieldName::from_static("container_name");
    const CREATED: FieldName<'static> = FieldName::from_static("created");
    const IMAGE_ID: FieldName<'static> = FieldName::from_static("image_id");
    const IMAGE_NAME: FieldName<'static> = FieldName::from_static("image_name");
    const SOURCE_STREAM: FieldName<'static> = FieldName::from_static("source_stream");
    const TAG: FieldName<'static> = FieldName::from_static("tag");

    let fields = [
        (CONTAINER_ID, container.id()),
        (CONTAINER_NAME, container.name()),
        (IMAGE_ID, container.image_id()),
        (IMAGE_NAME, container.image()),
        (COMMAND, at_most(container.command(), MAX_COMMAND_BYTES)),
        (CREATED, container.created()),
        (TAG, container.short_id()),
        (SOURCE_STREAM, stream.as_str()),
    ];
    let mut set = FieldSet::builder(container.engine_host());
    for (name, value) in fields {
        // What is not known of a container that was gone too soon.
        if !value.is_empty() {
            set = set.field(name, value.to_owned());
        }
    }
    for (name, value) in label_fields(container) {
        set = set.field(name, value.to_owned());
    }
    set.build()
}

/// The fields that the labels `gelf_x` ask for.
fn label_fields(container: &Container) -> Vec<(FieldName<'static>, &str)> {
    let mut fields: Vec<(FieldName<'static>, &str)> = Vec::new();
    let mut bytes = 0;
    for (label, value) in container.labels() {
        let Some(name) = asked_name(label) else { continue };
        bytes += name.len() + value.len();
        if fields.len() == MAX_LABELS || bytes > MAX_LABEL_BYTES {
            tracing::warn!(
                container = container.name(),
                label,
                "this and further gelf_ labels are not sent: more than {MAX_LABELS}, or {MAX_LABEL_BYTES} bytes"
            );
            break;
        }
        let name = if RESERVED.contains(&name) { format!("label_{name}") } else { name.to_owned() };
        let name = FieldName::sanitize(name).into_owned();
        let taken = |name: &FieldName<'_>| fields.iter().any(|(other, _)| other == name);
        let mut free = name.clone();
        for number in 2..=MAX_LABELS + 1 {
            if !taken(&free) && !RESERVED.contains(&free.as_str()) {
                break;
            }
            free = FieldName::sanitize(format!("{name}_{number}")).into_owned();
        }
        fields.push((free, value));
    }
    fields
}

/// The name behind `gelf_`, which may be written in any case.
fn asked_name(label: &str) -> Option<&str> {
    let (prefix, name) = label.split_at_checked("gelf_".len())?;
    (prefix.eq_ignore_ascii_case("gelf_") && !name.is_empty()).then_some(name)
}

/// The beginning of the text, cut between two characters.
fn at_most(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ContainerId;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn container(inspect: &serde_json::Value) -> Container {
        let inspect = serde_json::from_value(inspect.clone()).unwrap();
        Container::from_inspect(&ContainerId::parse(ID).unwrap(), inspect, "engine-1".into())
    }

    fn labelled(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).into())).collect();
        let container = container(&serde_json::json!({"Config": {"Labels": labels}}));
        label_fields(&container)
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_owned()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_fields_are_those_of_dockers_gelf_driver_and_the_stream() {
        let container = container(&serde_json::json!({
            "Name": "/shop", "Created": "2026-11-22T22:44:18.123456789Z", "Path": "/serve", "Args": ["--port", "80"],
            "Image": "sha256:abcd", "Config": {"Image": "nginx:1.27", "Labels": {"gelf_team": "blue", "other": "x"}},
        }));
        let set = container.gelf_fields(LogStream::Stderr);
        assert_eq!(set.host(), "engine-1");
        let fields: Vec<_> =
            set.fields().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        assert_eq!(
            fields,
            [
                ("container_id", ID),
                ("container_name", "shop"),
                ("image_id", "sha256:abcd"),
                ("image_name", "nginx:1.27"),
                ("command", "/serve --port 80"),
                ("created", "2026-11-22T22:44:18.123456789Z"),
                ("tag", "0123456789ab"),
                ("source_stream", "stderr"),
                ("team", "blue"),
            ]
        );
    }

    #[test]
    fn what_is_unknown_of_a_container_is_left_out() {
        let container = container(&serde_json::json!({}));
        let set = container.gelf_fields(LogStream::Stdout);
        let names: Vec<_> = set.fields().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["container_id", "tag", "source_stream"]);
    }

    #[test]
    fn a_renamed_container_has_new_fields() {
        let before = container(&serde_json::json!({"Name": "/a"}));
        let name = |container: &Container| {
            container.gelf_fields(LogStream::Stdout).field("container_name").unwrap().to_string()
        };
        assert_eq!(name(&before), "a");
        assert_eq!(name(&before.renamed("/b")), "b");
    }

    #[test]
    fn gelf_labels_become_fields_in_any_case_and_others_do_not() {
        assert_eq!(
            labelled(&[
                ("gelf_service", "pay"),
                ("GELF_Team", "blue"),
                ("gelf_", "x"),
                ("gelfx", "x"),
                ("a", "x")
            ]),
            pairs(&[("Team", "blue"), ("service", "pay")])
        );
    }

    #[test]
    fn a_label_cannot_stand_in_for_what_is_ours_or_logstashs() {
        assert_eq!(
            labelled(&[("gelf_type", "ecs"), ("gelf_container_id", "forged"), ("gelf_@timestamp", "0")]),
            pairs(&[("label__timestamp", "0"), ("label_container_id", "forged"), ("label_type", "ecs")])
        );
        assert_eq!(labelled(&[("gelf_id", "7")]), pairs(&[("id_", "7")]));
        assert_eq!(labelled(&[("gelf__type", "x")]), pairs(&[("type_2", "x")]));
    }

    #[test]
    fn labels_that_become_one_name_are_told_apart() {
        assert_eq!(
            labelled(&[("gelf_a/b", "1"), ("gelf_a b", "2"), ("gelf_a_b", "3")]),
            pairs(&[("a_b", "2"), ("a_b_2", "1"), ("a_b_3", "3")])
        );
    }

    #[test]
    fn labels_and_commands_are_bounded() {
        let many: Vec<(String, String)> =
            (0..100).map(|at| (format!("gelf_l{at:03}"), "v".to_owned())).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        assert_eq!(labelled(&many).len(), MAX_LABELS);
        let long = "x".repeat(20_000);
        assert_eq!(labelled(&[("gelf_a", &long), ("gelf_b", &long)]).len(), 1);
        assert_eq!(at_most("aéb", 2), "a");
        assert_eq!(at_most("aéb", 3), "aé");
        assert_eq!(at_most("a", 100), "a");
    }
}
