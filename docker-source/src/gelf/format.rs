//! Defines the options for the format of messages.

use std::sync::{Arc, OnceLock};

use gelf_core::{FieldName, FieldSet, Value};

use super::compat::Compat;
use super::invalid::InvalidFormat;
use super::labels::{self, Allowed, KeyPattern};
use super::tag::TagTemplate;
use super::{ecs, names, orchestrators};
use crate::container::Container;
use crate::log::LogStream;
use crate::redact::Redaction;

/// Options of messages, such as their shape, host and constant fields.
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
    pub(super) compat: Compat,
    host: Option<String>,
    pub(super) fields: Vec<(FieldName<'static>, Value<'static>)>,
    allowed: Allowed,
    tag: Option<TagTemplate>,
    redaction: Option<Redaction>,
    pub(super) instance: Option<Arc<OnceLock<String>>>,
    /// The epoch that is sent with the message numbers, or `None` if messages are not numbered.
    pub(super) epoch: Option<u64>,
}

impl GelfFormat {
    /// Sets the shape. The default is [`Compat::Docker`].
    #[must_use]
    pub fn with_compat(mut self, compat: Compat) -> Self {
        self.compat = compat;
        self
    }

    /// Sets the `host` of messages. The default is the host name of the Engine.
    ///
    /// # Errors
    /// Returns [`InvalidFormat::Blank`] if the name is empty or only white space: Graylog refuses messages with
    /// such a host.
    pub fn with_host(mut self, host: impl Into<String>) -> Result<Self, InvalidFormat> {
        let host = host.into();
        if host.trim().is_empty() {
            return Err(InvalidFormat::Blank);
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
    /// Returns [`InvalidFormat`] if GELF forbids the name, if this crate or Logstash uses the name for
    /// another field, or if a field with this name was added before.
    pub fn with_field(mut self, name: &str, value: impl Into<Value<'static>>) -> Result<Self, InvalidFormat> {
        let name = FieldName::new(name).map_err(InvalidFormat::Name)?.into_owned();
        if names::is_reserved(name.as_str()) {
            return Err(InvalidFormat::Reserved);
        }
        if self.has_field(name.as_str()) {
            return Err(InvalidFormat::Repeated);
        }
        self.fields.push((name, value.into()));
        Ok(self)
    }

    /// Sends labels as fields if their names match one of these patterns. `patterns` is a comma-separated
    /// list, as in the option `labels` of Docker's log drivers. Each pattern has the syntax of
    /// [`NamePattern`](crate::NamePattern), but `*` also stands for `/`. Further calls add patterns.
    ///
    /// # Errors
    /// Returns [`InvalidFormat`] if a pattern is empty or invalid.
    pub fn with_labels(mut self, patterns: &str) -> Result<Self, InvalidFormat> {
        for pattern in patterns.split(',') {
            self.allowed.labels.push(KeyPattern::glob(pattern)?);
        }
        Ok(self)
    }

    /// Sends labels as fields if their names contain a match of a regular expression, as in the option
    /// `labels-regex` of Docker's log drivers. Further calls add expressions.
    ///
    /// # Errors
    /// Returns [`InvalidFormat`] if the expression is empty, is invalid, or needs more than 1 MiB of memory.
    pub fn with_labels_regex(mut self, pattern: &str) -> Result<Self, InvalidFormat> {
        self.allowed.labels.push(KeyPattern::regex(pattern)?);
        Ok(self)
    }

    /// Sends variables of the environment as fields if their names match one of these patterns. `patterns`
    /// has the same format as in [`with_labels`](Self::with_labels). By default, no variable is sent, since
    /// environments contain secrets.
    ///
    /// # Errors
    /// Returns [`InvalidFormat`] if a pattern is empty or invalid.
    pub fn with_env(mut self, patterns: &str) -> Result<Self, InvalidFormat> {
        for pattern in patterns.split(',') {
            self.allowed.env.push(KeyPattern::glob(pattern)?);
        }
        Ok(self)
    }

    /// Sends variables of the environment as fields if their names contain a match of a regular expression,
    /// as [`with_labels_regex`](Self::with_labels_regex) does with labels.
    ///
    /// # Errors
    /// Returns the errors of [`with_labels_regex`](Self::with_labels_regex).
    pub fn with_env_regex(mut self, pattern: &str) -> Result<Self, InvalidFormat> {
        self.allowed.env.push(KeyPattern::regex(pattern)?);
        Ok(self)
    }

    /// Replaces dots by `_` in the names of fields that come from labels and variables. Elasticsearch treats
    /// a field `a.b` as a member of the object `a`, and refuses messages in which both `a` and `a.b` are
    /// fields.
    #[must_use]
    pub fn with_dots_replaced(mut self) -> Self {
        self.allowed.replaces_dots = true;
        self
    }

    /// Sets the template of `_tag`, as in the option `tag` of Docker's log drivers: text with `{{.ID}}`,
    /// `{{.FullID}}`, `{{.Name}}`, `{{.ImageName}}`, `{{.ImageID}}`, `{{.ImageFullID}}` and
    /// `{{.DaemonName}}`. An empty template is the default: `{{.ID}}` with [`Compat::Docker`], and no tag
    /// with other shapes.
    ///
    /// # Errors
    /// Returns [`InvalidFormat::Tag`] if the template has other text in double braces, or double braces that
    /// are not closed.
    pub fn with_tag(mut self, template: &str) -> Result<Self, InvalidFormat> {
        let parsed = TagTemplate::parse(template)?;
        self.tag = (!template.is_empty()).then_some(parsed);
        Ok(self)
    }

    /// Redacts the text of lines, and the fields of commands, labels and variables. The fields that every shape makes
    /// from the labels of orchestrators, such as `_ecs_cluster` and `_compose_project`, are not redacted. By default,
    /// nothing is redacted.
    #[must_use]
    pub fn with_redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = Some(redaction);
        self
    }

    /// Returns the redaction. A program that adds fields to the messages can use it for the values.
    pub fn redaction(&self) -> Option<&Redaction> {
        self.redaction.as_ref()
    }

    /// Sends the id of the Amazon EC2 instance as `_ec2_instance_id`. Records that are converted before
    /// `id` is set become messages without this field.
    #[must_use]
    pub fn with_ec2_instance_id(mut self, id: Arc<OnceLock<String>>) -> Self {
        self.instance = Some(id);
        self
    }

    /// Numbers the messages of each container: the field `_seq` is 1, 2, 3 and so on, and the field
    /// `_seq_epoch` is the epoch. A receiver recognizes a missing message by a number that is missing for its
    /// container and epoch.
    ///
    /// Each formatter needs its own epoch. No other formatter and no earlier run of the program may have the
    /// same epoch. The time of the program's start in milliseconds is a suitable epoch. If a record is converted
    /// twice in a row, both messages have the same number.
    #[must_use]
    pub fn with_sequence(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    pub(super) fn instance_id(&self) -> Option<&str> {
        self.instance.as_ref()?.get().map(String::as_str)
    }

    fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.as_str() == name)
    }

    /// Returns the fields that all messages of a container share, for stdout and stderr, and a warning if
    /// labels or variables are left out.
    pub(super) fn field_sets(&self, container: &Container) -> ([FieldSet; 2], Option<String>) {
        let labels = labels::fields(container, &self.allowed, |name| self.has_field(name));
        let streams = [LogStream::Stdout, LogStream::Stderr];
        (streams.map(|stream| self.field_set(container, stream, &labels.fields)), labels.warning)
    }

    fn field_set(
        &self,
        container: &Container,
        stream: LogStream,
        labels: &[(FieldName<'static>, &str)],
    ) -> FieldSet {
        let mut set = FieldSet::builder(self.host().unwrap_or_else(|| container.engine_host()));
        for (name, value) in self.compat.fields(container, stream) {
            // A value is empty if it is unknown, for example because the container was removed before its
            // inspection.
            if !value.is_empty() {
                let value = if name == "command" { self.redacted(&name, value) } else { value };
                set = set.field(name, value);
            }
        }
        let tag = self.tag.as_ref().map(|template| template.tag(container));
        if let Some(tag) = tag.filter(|tag| !tag.is_empty()) {
            set = set.field(FieldName::from_static("tag"), tag);
        }
        for (name, value) in ecs::fields(container.labels()) {
            set = set.field(name, value);
        }
        for (name, value) in orchestrators::fields(container.labels()) {
            set = set.field(name, value);
        }
        if let Some(id) = self.instance_id() {
            set = set.field(FieldName::from_static("ec2_instance_id"), id.to_owned());
        }
        for (name, value) in self.fields.iter().cloned() {
            set = set.field(name, value);
        }
        if let Some(epoch) = self.epoch {
            set = set.field(FieldName::from_static("seq_epoch"), epoch);
        }
        for (name, value) in labels {
            set = set.field(name.clone(), self.redacted(name, (*value).to_owned()));
        }
        set.build()
    }

    fn redacted(&self, name: &FieldName<'_>, value: String) -> String {
        match &self.redaction {
            Some(redaction) => redaction.value(name.as_str(), &value).into_owned(),
            None => value,
        }
    }
}
