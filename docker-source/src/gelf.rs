//! Conversion of records to GELF messages.
//!
//! A [`GelfFormat`] has the options of the messages. A [`GelfFormatter`] converts records. The formatter
//! encodes only once the fields that all messages of a container share.
//!
//! By default the fields have the names of Docker's own `gelf` log driver, so programs that read the driver's
//! messages can also read these messages. [`Compat`] has further shapes.
//!
//! | member | value |
//! |---|---|
//! | `host` | the Engine's host name, or [another](GelfFormat::with_host) |
//! | `timestamp` | Docker's stamp of the line, to the nanosecond |
//! | `level` | 6 for stdout, 3 for stderr |
//! | `short_message` | the line; bytes that are not UTF-8 become U+FFFD |
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
//! | `_ecs_cluster`, `_ecs_task_arn`, `_ecs_task_id`, `_ecs_task_definition` (`family:revision`), `_ecs_task_family`, `_ecs_task_revision` (a number), `_ecs_container_name` | of a container in a task of Amazon ECS, from the labels that its agent sets; a missing or invalid label leaves its field out |
//! | `_x` | a [constant field](GelfFormat::with_field) `x` |
//! | `_x` | the value of the container's label `gelf_x`, as Logspout's GELF modules send it |
//! | `_truncated` | the length of the line in bytes, if it was cut |
//! | `_partial` | `true`, if the container ended within the line |
//! | `_seq`, `_seq_epoch` | the [number](GelfFormat::with_sequence) of the message among those of its container, if asked for |
//!
//! A label cannot replace one of the other fields, or a member of Logstash's event. Logstash strips the
//! underscore of a field, so the label `gelf_type` becomes the field `_label_type` and not `_type`.
//! Characters that GELF does not allow become `_`. If two labels give the same name, the second in
//! alphabetical order gets the suffix `_2`.

mod compat;
mod ecs;
mod labels;
mod names;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use gelf_core::{FieldName, FieldSet, InvalidFieldName, Message, Value};

use crate::container::Container;
use crate::log::LogStream;
use crate::position::Position;
use crate::record::Record;

pub use compat::{Compat, InvalidCompat};

/// Options of messages: their shape, host and constant fields.
///
/// ```
/// use docker_source::gelf::{Compat, GelfFormat};
///
/// let format = GelfFormat::default()
///     .with_compat(Compat::Vincit2017)
///     .with_host("web-1")?
///     .with_field("environment", "production")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GelfFormat {
    compat: Compat,
    host: Option<String>,
    fields: Vec<(FieldName<'static>, Value<'static>)>,
    /// The epoch of the numbers of messages, if there are numbers.
    epoch: Option<u64>,
}

impl GelfFormat {
    /// Sets the shape. The default is [`Compat::Docker`].
    #[must_use]
    pub fn with_compat(mut self, compat: Compat) -> Self {
        self.compat = compat;
        self
    }

    /// Sets `host`. The default is the host name of the Engine.
    ///
    /// # Errors
    /// Returns [`InvalidHost`] if the name is empty or only white space: Graylog refuses messages with such a
    /// host.
    pub fn with_host(mut self, host: impl Into<String>) -> Result<Self, InvalidHost> {
        let host = host.into();
        if host.trim().is_empty() {
            return Err(InvalidHost);
        }
        self.host = Some(host);
        Ok(self)
    }

    /// Returns the host that was set.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Adds a field to every message. The name may be written with or without its underscore.
    ///
    /// # Errors
    /// Returns [`InvalidField`] if GELF forbids the name, if this crate or Logstash gives it to another
    /// field, or if it was added before.
    pub fn with_field(mut self, name: &str, value: impl Into<Value<'static>>) -> Result<Self, InvalidField> {
        let name = FieldName::new(name).map_err(InvalidField::Name)?.into_owned();
        if names::is_reserved(name.as_str()) {
            return Err(InvalidField::Reserved);
        }
        if self.has_field(name.as_str()) {
            return Err(InvalidField::Repeated);
        }
        self.fields.push((name, value.into()));
        Ok(self)
    }

    /// Numbers the messages of each container: 1, 2, 3 and so on in the field `_seq`, with the epoch in the
    /// field `_seq_epoch`. A receiver that knows the numbers of an epoch knows which messages are missing.
    ///
    /// The epoch has to differ from the epochs of earlier and other formatters. The time of the program's
    /// start in milliseconds is a suitable epoch. A record that is converted twice in a row keeps its number.
    #[must_use]
    pub fn with_sequence(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.as_str() == name)
    }

    /// Returns the fields that all messages of a container's stream share.
    fn field_set(&self, container: &Container, stream: LogStream) -> FieldSet {
        let mut set = FieldSet::builder(self.host().unwrap_or_else(|| container.engine_host()));
        for (name, value) in self.compat.fields(container, stream) {
            // The metadata of a container that was removed before its inspection are incomplete.
            if !value.is_empty() {
                set = set.field(name, value);
            }
        }
        for (name, value) in ecs::fields(container.labels()).into_iter().chain(self.fields.iter().cloned()) {
            set = set.field(name, value);
        }
        if let Some(epoch) = self.epoch {
            set = set.field(FieldName::from_static("seq_epoch"), epoch);
        }
        for (name, value) in labels::fields(container, |name| self.has_field(name)) {
            set = set.field(name, value.to_owned());
        }
        set.build()
    }
}

/// The error for a host name that is empty or only white space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidHost;

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host is blank")
    }
}

impl std::error::Error for InvalidHost {}

/// The error for a name that a constant field cannot have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidField {
    /// GELF forbids the name.
    Name(InvalidFieldName),
    /// A constant field of this name was added before.
    Repeated,
    /// This crate sends a field of this name itself, or Logstash gives the name to a member of its event.
    Reserved,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Repeated => f.write_str("the field is given twice"),
            Self::Reserved => f.write_str("the name is reserved for a field of the message itself"),
        }
    }
}

impl std::error::Error for InvalidField {}

/// Converts records to messages, with one [`GelfFormat`].
///
/// The formatter keeps the encoded [`FieldSet`]s of containers that have records, a few kilobytes each. It
/// frees them some time after the source and all records have dropped their container.
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
    containers: HashMap<usize, Formatted>,
    /// The position and the number of the last record of each container, by the id of the container.
    numbers: HashMap<Arc<str>, (Position, u64)>,
    /// The length of `containers` at which the field sets of dropped containers are removed.
    prune_at: usize,
}

/// The field sets of a container.
#[derive(Debug)]
struct Formatted {
    container: Weak<Container>,
    stdout: FieldSet,
    stderr: FieldSet,
}

impl GelfFormatter {
    /// The smallest value of `prune_at`.
    const PRUNE_AT: usize = 64;

    /// Creates a formatter.
    pub fn new(format: GelfFormat) -> Self {
        Self { format, containers: HashMap::new(), numbers: HashMap::new(), prune_at: Self::PRUNE_AT }
    }

    /// Converts a record to a message.
    pub fn message<'a>(&'a mut self, record: &'a Record) -> Message<'a> {
        let (compat, stream, time) = (self.format.compat, record.stream(), record.time());
        let number = self.format.epoch.map(|_| self.number(record.position()));
        let mut message = self
            .field_set(record.container(), stream)
            .message(String::from_utf8_lossy(record.bytes()))
            .with_timestamp(compat.timestamp(time))
            .with_level(compat.level(stream));
        if let Some(text) = compat.timestamp_text(time) {
            message = message.with_field(FieldName::from_static("timestamp"), text);
        }
        if let Some(number) = number {
            message = message.with_field(FieldName::from_static("seq"), number);
        }
        if record.length() > record.bytes().len() {
            message = message.with_field(FieldName::from_static("truncated"), record.length() as u64);
        } else if !record.is_whole() {
            message = message.with_field(FieldName::from_static("partial"), true);
        }
        message
    }

    /// Returns the number of the record at a position. The record at the last position keeps its number, and
    /// any other record gets the next number.
    fn number(&mut self, position: Position) -> u64 {
        match self.numbers.entry(position.container.clone()) {
            Entry::Vacant(first) => first.insert((position, 1)).1,
            Entry::Occupied(mut last) => {
                let (last, number) = last.get_mut();
                if *last != position {
                    *number += 1;
                    *last = position;
                }
                *number
            }
        }
    }

    fn field_set(&mut self, container: &Arc<Container>, stream: LogStream) -> &FieldSet {
        let Self { format, containers, numbers, prune_at } = self;
        if containers.len() >= *prune_at {
            containers.retain(|_, formatted| formatted.container.strong_count() > 0);
            let known: HashSet<_> = containers
                .values()
                .filter_map(|formatted| Some(formatted.container.upgrade()?.shared_id()))
                .collect();
            numbers.retain(|id, _| known.contains(id));
            *prune_at = (2 * containers.len()).max(Self::PRUNE_AT);
        }
        let formatted = containers.entry(Arc::as_ptr(container).addr()).or_insert_with(|| Formatted {
            container: Arc::downgrade(container),
            stdout: format.field_set(container, LogStream::Stdout),
            stderr: format.field_set(container, LogStream::Stderr),
        });
        match stream {
            LogStream::Stdout => &formatted.stdout,
            LogStream::Stderr => &formatted.stderr,
        }
    }
}

#[cfg(test)]
mod tests;
