//! Records as GELF messages.
//!
//! A [`GelfFormat`] says how messages look; a [`GelfFormatter`] makes them, and encodes once what all messages of a
//! container have in common.
//!
//! By default the fields are those of Docker's own gelf log driver, by the same names, so that what reads one reads the
//! other; [`Compat`] has further shapes.
//!
//! | member | value |
//! |---|---|
//! | `host` | the Engine's host name, or [another](GelfFormat::with_host) |
//! | `timestamp` | Docker's stamp of the line, to the nanosecond |
//! | `level` | 6 for stdout, 3 for stderr |
//! | `short_message` | the line; what is not UTF-8 in it becomes U+FFFD |
//! | `_container_id` | all 64 digits |
//! | `_container_name` | without a leading slash |
//! | `_image_id`, `_image_name` | the image's id, and the name by which the container asked for it |
//! | `_command` | entry point and arguments |
//! | `_created` | when the container was created, RFC 3339 |
//! | `_tag` | the first 12 digits of the id, the driver's default |
//! | `_source_stream` | `stdout` or `stderr`; the driver does not have it |
//!
//! In every shape there are, besides,
//!
//! | field | value |
//! |---|---|
//! | `_ecs_cluster`, `_ecs_task_arn`, `_ecs_task_id`, `_ecs_task_definition` (`family:revision`), `_ecs_task_family`, `_ecs_task_revision` (a number), `_ecs_container_name` | of a container in a task of Amazon ECS, from the labels that its agent sets; a label that is missing or odd leaves its field out |
//! | `_x` | a [constant field](GelfFormat::with_field) `x` |
//! | `_x` | the value of the container's label `gelf_x`, as Logspout's GELF modules send it |
//! | `_truncated` | how many bytes the line had, where it was longer than a line may be |
//! | `_partial` | `true`, where the container ended in the middle of the line |
//!
//! A label cannot stand in for any other of these fields, nor for what Logstash makes of a message once it has taken off
//! the underscores: `gelf_type` becomes `_label_type`. Other characters than GELF allows become `_`, and of two labels
//! that become one name the later, in the order of the alphabet, gets `_2` at its end.

mod compat;
mod ecs;
mod labels;
mod names;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use gelf_core::{FieldName, FieldSet, InvalidFieldName, Message, Value};

use crate::container::Container;
use crate::record::Record;
use crate::stream::LogStream;

pub use compat::{Compat, UnknownCompat};

/// How the messages of a route look: their shape, host and constant fields.
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
    /// [`BlankHost`] for a name of nothing or of white space, with which Graylog refuses a message.
    pub fn with_host(mut self, host: impl Into<String>) -> Result<Self, BlankHost> {
        let host = host.into();
        if host.trim().is_empty() {
            return Err(BlankHost);
        }
        self.host = Some(host);
        Ok(self)
    }

    /// Returns the host that was set.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Adds a field that every message has. The name may be written with or without its underscore.
    ///
    /// # Errors
    /// [`InvalidField`] for a name that GELF forbids, that this crate or Logstash gives to something else, or that
    /// there is already.
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

    fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.as_str() == name)
    }

    /// Returns what all messages of a container's stream have in common.
    pub fn field_set(&self, container: &Container, stream: LogStream) -> FieldSet {
        let mut set = FieldSet::builder(self.host().unwrap_or_else(|| container.engine_host()));
        for (name, value) in self.compat.fields(container, stream) {
            // Of a container that was gone too soon, not everything is known.
            if !value.is_empty() {
                set = set.field(name, value);
            }
        }
        for (name, value) in ecs::fields(container.labels()).into_iter().chain(self.fields.iter().cloned()) {
            set = set.field(name, value);
        }
        for (name, value) in labels::fields(container, |name| self.has_field(name)) {
            set = set.field(name, value.to_owned());
        }
        set.build()
    }
}

/// A host name of nothing or of white space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BlankHost;

impl fmt::Display for BlankHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host is blank")
    }
}

impl std::error::Error for BlankHost {}

/// Why a name is not that of a constant field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidField {
    /// GELF forbids the name.
    Name(InvalidFieldName),
    /// There is a constant field of this name already.
    Repeated,
    /// This crate sends a field of this name itself, or Logstash takes it for a member of its event.
    Reserved,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Repeated => f.write_str("the field is given twice"),
            Self::Reserved => f.write_str("the name is reserved for what the message says itself"),
        }
    }
}

impl std::error::Error for InvalidField {}

/// Makes messages of one [`GelfFormat`].
///
/// Keeps the encoded [`FieldSet`]s of the containers that have records: a few kilobytes each, dropped some time after the
/// last record and the source have dropped the container.
///
/// ```no_run
/// use docker_source::Source;
/// use docker_source::gelf::{GelfFormat, GelfFormatter};
/// use gelf_core::encode;
///
/// # async fn example(mut source: Source) {
/// let mut formatter = GelfFormatter::new(GelfFormat::default());
/// let mut payload = bytes::BytesMut::new();
/// while let Some(record) = source.next().await {
///     payload.clear();
///     encode(&formatter.message(&record), &mut payload);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct GelfFormatter {
    format: GelfFormat,
    /// By the address of the container, which no other has as long as there is the `Weak`. A renamed container is another.
    containers: HashMap<usize, Formatted>,
    /// At how many containers those that are gone are looked for.
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
    /// The fewest containers at which those that are gone are looked for.
    const PRUNE_AT: usize = 64;

    /// Creates a formatter that knows no container yet.
    pub fn new(format: GelfFormat) -> Self {
        Self { format, containers: HashMap::new(), prune_at: Self::PRUNE_AT }
    }

    /// Returns the record as a message.
    pub fn message<'a>(&'a mut self, record: &'a Record) -> Message<'a> {
        let (compat, stream, time) = (self.format.compat, record.stream(), record.time());
        let mut message = self
            .field_set(record.container(), stream)
            .message(String::from_utf8_lossy(record.bytes()))
            .with_timestamp(compat.timestamp(time))
            .with_level(compat.level(stream));
        if let Some(text) = compat.timestamp_text(time) {
            message = message.with_field(FieldName::from_static("timestamp"), text);
        }
        if record.length() > record.bytes().len() {
            let length = u64::try_from(record.length()).unwrap_or(u64::MAX);
            message = message.with_field(FieldName::from_static("truncated"), length);
        } else if !record.is_whole() {
            message = message.with_field(FieldName::from_static("partial"), true);
        }
        message
    }

    fn field_set(&mut self, container: &Arc<Container>, stream: LogStream) -> &FieldSet {
        let Self { format, containers, prune_at } = self;
        if containers.len() >= *prune_at {
            containers.retain(|_, formatted| formatted.container.strong_count() > 0);
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
