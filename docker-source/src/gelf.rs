//! Converts records to GELF messages.
//!
//! A [`GelfFormat`] has the options of the messages. A [`GelfFormatter`] converts records. The fields that all
//! messages of a container share are encoded in advance, not for each message.
//!
//! By default, the fields have the names of Docker's own `gelf` log driver, so programs that read the
//! driver's messages can also read these messages. [`Compat`] has further shapes of messages, which have
//! other fields. The table shows the default:
//!
//! | member | value |
//! |---|---|
//! | `host` | the Engine's host name, or [another name](GelfFormat::with_host) |
//! | `timestamp` | Docker's stamp of the line, to the nanosecond |
//! | `level` | 6 for stdout, 3 for stderr |
//! | `short_message` | the line, [redacted](GelfFormat::with_redaction) if asked for; bytes that are not UTF-8 become U+FFFD |
//! | `_container_id` | all 64 digits |
//! | `_container_name` | without a leading slash |
//! | `_image_id`, `_image_name` | the image's id, and the image name that the container was created with |
//! | `_command` | entry point and arguments |
//! | `_created` | the container's time of creation, RFC 3339 |
//! | `_tag` | the first 12 digits of the id, the driver's default |
//! | `_source_stream` | `stdout` or `stderr`; Docker's driver has no such field |
//!
//! Every shape also has these fields:
//!
//! | field | value |
//! |---|---|
//! | `_ecs_cluster`, `_ecs_task_arn`, `_ecs_task_id`, `_ecs_task_definition` (`family:revision`), `_ecs_task_family`, `_ecs_task_revision` (a number), `_ecs_container_name` | values from the labels that the ECS agent sets, if the container belongs to a task of Amazon ECS; a missing or invalid label leaves its field out |
//! | `_compose_project`, `_compose_service`; `_swarm_service`, `_swarm_task`, `_swarm_node` (the node's id); `_kubernetes_namespace`, `_kubernetes_pod`, `_kubernetes_container` | from the labels of Compose, Swarm and Kubernetes, if the container has them |
//! | `_ec2_instance_id` | the [instance](GelfFormat::with_ec2_instance_id) of Amazon EC2, once it is known |
//! | `_x` | a [constant field](GelfFormat::with_field) `x` |
//! | `_x` | the value of the container's label `gelf_x`, as Logspout's GELF modules send it |
//! | `_x` | the value of a label or variable `x` that is allowed by [`with_labels`](GelfFormat::with_labels), [`with_env`](GelfFormat::with_env) or their regular expressions |
//! | `_truncated` | the length of the line in bytes, if it was cut |
//! | `_partial` | `true`, if the container ended within the line |
//! | `_gap_from`, `_gap_to`, `_gap_reason` | in a message that announces a [gap](Record::gap): the stamps of the lines before and behind the gap in RFC 3339 format, and the reason `rotated`, `damaged` or `removed`; the `level` of such a message is 4 |
//! | `_seq`, `_seq_epoch` | the [number](GelfFormat::with_sequence) of the message among the messages of its container, and the epoch of the numbers, if asked for |
//!
//! The field of a label or variable cannot replace another field of these tables, or a member of Logstash's
//! event. Logstash strips the underscore of a field, so the label `gelf_type` becomes the field `_label_type`
//! and not `_type`, and the variable `level` becomes `_env_level`. In names, characters that GELF does not
//! allow become `_`. If several labels or variables give fields of the same name, the later fields get the
//! suffixes `_2`, `_3` and so on. The order of the fields is: labels `gelf_x`, other labels, variables. Each of
//! these three groups is in alphabetical order. At most 64 labels and variables, with 32 KiB in total, become
//! fields. A warning names the first label or variable beyond these limits. The value of a variable is sent
//! only if its name is allowed.

mod compat;
mod ecs;
mod format;
mod invalid;
mod labels;
pub(crate) mod names;
mod orchestrators;
mod tag;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use gelf_core::{FieldName, FieldSet, Level, Message};

use crate::container::Container;
use crate::log::LogStream;
use crate::position::{Place, Position};
use crate::record::{Record, time_text};

pub use compat::{Compat, InvalidCompat};
pub use format::GelfFormat;
pub use invalid::InvalidFormat;

/// Converts records to messages, with one [`GelfFormat`].
///
/// The formatter keeps the encoded [`FieldSet`]s of containers that have records, a few kilobytes each. After
/// the source and all records have dropped a container, the formatter frees the field sets of this container as
/// soon as enough other containers have had records. Until then, the [numbers](GelfFormat::with_sequence) of
/// the container's messages go on.
///
/// # Examples
///
/// ```no_run
/// use docker_source::Source;
/// use docker_source::gelf::{GelfFormat, GelfFormatter};
/// use docker_source::gelf_core::Encoder;
///
/// # async fn example(mut source: Source) -> Result<(), docker_source::SourceError> {
/// let mut formatter = GelfFormatter::new(GelfFormat::default());
/// let mut payload = bytes::BytesMut::new();
/// while let Some(record) = source.next().await? {
///     payload.clear();
///     Encoder::new().encode(&formatter.message(&record), &mut payload);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GelfFormatter {
    format: GelfFormat,
    /// The field sets by the address of the [`Container`] in memory, which is unique as long as the `Weak`
    /// exists. A renamed container has another address.
    containers: BTreeMap<usize, Formatted>,
    /// The last number of each container, by the id of the container.
    numbers: BTreeMap<Box<str>, Numbered>,
    /// The last warning about the labels of each container, by the id of the container. The field sets are
    /// created anew whenever the metadata change, but the same warning is not logged again.
    warnings: HashMap<Box<str>, Warned>,
    /// The length of `containers` at which the field sets of dropped containers are removed.
    prune_at: usize,
    /// True if the field sets have the id of the EC2 instance, or if the format does not ask for this id.
    has_instance: bool,
}

/// The field sets of a container.
#[derive(Debug)]
struct Formatted {
    container: Weak<Container>,
    stdout: FieldSet,
    stderr: FieldSet,
}

/// The last number of a container.
#[derive(Debug)]
struct Numbered {
    /// The id of the container, which the source keeps as long as the container exists. Each change of the
    /// metadata replaces the [`Container`], but not the id.
    id: Weak<str>,
    /// The stream and the place of the record with this number, and whether the record announces a gap.
    place: (LogStream, Place, bool),
    number: u64,
}

/// The last warning about the labels of a container.
#[derive(Debug)]
struct Warned {
    /// The id of the container, as in [`Numbered`].
    id: Weak<str>,
    warning: String,
}

impl GelfFormatter {
    /// The smallest value of `prune_at`.
    const PRUNE_AT: usize = 64;

    /// Creates a formatter.
    pub fn new(format: GelfFormat) -> Self {
        Self {
            has_instance: format.instance.is_none(),
            format,
            containers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            warnings: HashMap::new(),
            prune_at: Self::PRUNE_AT,
        }
    }

    /// Converts a record to a message.
    pub fn message<'a>(&'a mut self, record: &'a Record) -> Message<'a> {
        let (compat, stream, time) = (self.format.compat, record.stream(), record.time());
        let text = self.text(record.bytes());
        let number = self.format.epoch.map(|_| self.number(record.position()));
        let mut message = self
            .field_set(record.container(), stream)
            .message(text)
            .with_timestamp(compat.timestamp(time))
            .with_level(compat.level(stream));
        if let Some(text) = compat.timestamp_text(time) {
            message = message.with_field(FieldName::from_static("timestamp"), text);
        }
        if let Some(number) = number {
            message = message.with_field(FieldName::from_static("seq"), number);
        }
        if let Some(gap) = record.gap() {
            message = message.with_level(Level::Warning);
            for (name, time) in [("gap_from", gap.after), ("gap_to", gap.before)] {
                if let Some(time) = time {
                    message = message.with_field(FieldName::from_static(name), time_text(time));
                }
            }
            message = message.with_field(FieldName::from_static("gap_reason"), gap.reason.as_str());
        } else if record.length() > record.bytes().len() {
            message = message.with_field(FieldName::from_static("truncated"), record.length() as u64);
        } else if !record.is_whole() {
            message = message.with_field(FieldName::from_static("partial"), true);
        }
        message
    }

    /// Returns the text as it is sent in messages: redacted, and with U+FFFD for bytes that are not UTF-8.
    pub fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        // `from_utf8` checks ASCII text several times faster than `from_utf8_lossy`.
        let text = std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        let Some(redaction) = self.format.redaction() else { return text };
        match redaction.text(&text) {
            Cow::Owned(redacted) => Cow::Owned(redacted),
            Cow::Borrowed(_) => text,
        }
    }

    /// Returns the number of the message for the record at a position. If the position is the same as in the
    /// last call for the container, the number is the same, too. Otherwise, it is the next number.
    fn number(&mut self, position: Position) -> u64 {
        let Position { container, stream, place, is_gap } = position;
        let (id, place) = (Arc::downgrade(&container), (stream, place, is_gap));
        match self.numbers.get_mut(&*container) {
            None => {
                self.numbers.insert((*container).into(), Numbered { id, place, number: 1 });
                1
            }
            Some(last) => {
                let number = last.number + u64::from(last.place != place);
                *last = Numbered { id, place, number };
                number
            }
        }
    }

    fn field_set(&mut self, container: &Arc<Container>, stream: LogStream) -> &FieldSet {
        let Self { format, containers, numbers, warnings, prune_at, has_instance } = self;
        if !*has_instance && format.instance_id().is_some() {
            *has_instance = true;
            containers.clear();
        }
        if containers.len() >= *prune_at {
            containers.retain(|_, formatted| formatted.container.strong_count() > 0);
            numbers.retain(|_, numbered| numbered.id.strong_count() > 0);
            warnings.retain(|_, warned| warned.id.strong_count() > 0);
            *prune_at = (2 * containers.len()).max(Self::PRUNE_AT);
        }
        let formatted = containers.entry(Arc::as_ptr(container).addr()).or_insert_with(|| {
            let ([stdout, stderr], warning) = format.field_sets(container);
            let last = warnings.get(container.id()).map(|warned| &warned.warning);
            if let Some(warning) = warning.filter(|warning| last != Some(warning)) {
                tracing::warn!(container = container.name(), "{warning}");
                let id = Arc::downgrade(&container.shared_id());
                warnings.insert(container.id().into(), Warned { id, warning });
            }
            Formatted { container: Arc::downgrade(container), stdout, stderr }
        });
        match stream {
            LogStream::Stdout => &formatted.stdout,
            LogStream::Stderr => &formatted.stderr,
        }
    }
}

#[cfg(test)]
mod tests;
