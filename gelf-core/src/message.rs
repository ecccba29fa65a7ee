//! Messages and the types that they consist of.
//!
//! The files build on one another in this order: `level`, `number`, `timestamp`, `value`, `field`,
//! `field_set`, this file. No file imports a later file.

pub(crate) mod field;
pub(crate) mod field_set;
pub(crate) mod level;
pub(crate) mod number;
pub(crate) mod timestamp;
pub(crate) mod value;

use std::borrow::Cow;

use field::set_field;

pub use field::{FieldName, InvalidFieldName};
pub use field_set::{FieldSet, FieldSetBuilder};
pub use level::{InvalidLevel, Level};
pub use number::Number;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use value::Value;

/// A GELF message, which an [`Encoder`](crate::Encoder) writes and a [`Decoder`](crate::Decoder) reads.
///
/// A message borrows its texts if it can; [`into_owned`](Self::into_owned) copies them. Fields and optional
/// members can be set in a chain of calls (`with_level`) and in place (`set_level`). [`Display`](std::fmt::Display)
/// writes the message as JSON.
///
/// ```
/// use gelf_core::{Level, Message, Timestamp};
///
/// let message = Message::new("web-1", "payment refused")
///     .with_level(Level::Warning)
///     .with_timestamp(Timestamp::from_unix_nanos(1_700_000_000_250_000_000))
///     .try_field("order", 4711)?;
/// assert_eq!(message.field("order").and_then(|value| value.as_i64()), Some(4711));
/// # Ok::<(), gelf_core::InvalidFieldName>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) short_message: Cow<'a, str>,
    pub(crate) full_message: Option<Cow<'a, str>>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) level: Option<Level>,
    /// None of the values is null.
    pub(crate) fields: Vec<(FieldName<'a>, Value<'a>)>,
}

/// The host, alone or with the fields that the message shares with other messages.
#[derive(Clone, Debug)]
pub(crate) enum Head<'a> {
    Host(Option<Cow<'a, str>>),
    Set(Cow<'a, FieldSet>),
}

impl Default for Head<'_> {
    fn default() -> Self {
        Self::Host(None)
    }
}

impl FieldSet {
    /// Creates a message with the host and the fields of this set, and with a `short_message`.
    pub fn message<'a>(&'a self, short_message: impl Into<Cow<'a, str>>) -> Message<'a> {
        Message {
            head: Head::Set(Cow::Borrowed(self)),
            short_message: short_message.into(),
            ..Message::default()
        }
    }
}

impl<'a> Message<'a> {
    /// Creates a message with the members that GELF requires. `version` is always "1.1".
    ///
    /// Graylog refuses messages with a blank `host` or `short_message`. Therefore a blank text is sent as `-`
    /// in either place.
    pub fn new(host: impl Into<Cow<'a, str>>, short_message: impl Into<Cow<'a, str>>) -> Self {
        Self { head: Head::Host(Some(host.into())), short_message: short_message.into(), ..Self::default() }
    }

    /// Sets `full_message`: "a long message that can for example contain a backtrace".
    #[must_use]
    pub fn with_full_message(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.set_full_message(text);
        self
    }

    /// Sets `timestamp`. If a message has no timestamp, the receiver uses the time at which the message
    /// arrives.
    ///
    /// ```
    /// use gelf_core::Message;
    /// use std::time::SystemTime;
    ///
    /// let message = Message::new("web-1", "started").with_timestamp(SystemTime::now());
    /// assert!(message.timestamp().is_some());
    /// ```
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.set_timestamp(timestamp);
        self
    }

    /// Sets `level`.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.set_level(level);
        self
    }

    /// Adds an additional field, or replaces the value of the field with this name. The field also replaces
    /// the field of the message's [`FieldSet`] with this name. A null value removes both fields.
    #[must_use]
    pub fn with_field(mut self, name: FieldName<'a>, value: impl Into<Value<'a>>) -> Self {
        self.set_field(name, value);
        self
    }

    /// Adds an additional field under a [sanitized](FieldName::sanitize) name, and never replaces another
    /// field. If the message already has a field with this name, the name gets the suffix `_2`, or the first
    /// higher number that is free. A null value adds no field.
    ///
    /// ```
    /// use gelf_core::Message;
    ///
    /// let message = Message::new("h", "m").with_sanitized_field("a/b", 1).with_sanitized_field("a b", 2);
    /// assert_eq!(message.field("a_b_2").and_then(|value| value.as_i64()), Some(2));
    /// ```
    #[must_use]
    pub fn with_sanitized_field(
        mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> Self {
        self.set_sanitized_field(name, value);
        self
    }

    /// Checks the name and adds an additional field, as [`with_field`](Self::with_field) does.
    ///
    /// # Errors
    /// Returns an error if [`FieldName::new`] refuses the name.
    pub fn try_field(
        mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> Result<Self, InvalidFieldName> {
        self.try_set_field(name, value)?;
        Ok(self)
    }

    /// Sets `host`. The message keeps the fields of its [`FieldSet`] as its own.
    pub fn set_host(&mut self, host: impl Into<Cow<'a, str>>) {
        self.detach();
        self.head = Head::Host(Some(host.into()));
    }

    /// Sets `short_message`.
    pub fn set_short_message(&mut self, text: impl Into<Cow<'a, str>>) {
        self.short_message = text.into();
    }

    /// Sets `full_message`.
    pub fn set_full_message(&mut self, text: impl Into<Cow<'a, str>>) {
        self.full_message = Some(text.into());
    }

    /// Sets `timestamp`.
    pub fn set_timestamp(&mut self, timestamp: impl Into<Timestamp>) {
        self.timestamp = Some(timestamp.into());
    }

    /// Sets `level`.
    pub fn set_level(&mut self, level: Level) {
        self.level = Some(level);
    }

    /// Adds or replaces an additional field in place; see [`with_field`](Self::with_field).
    pub fn set_field(&mut self, name: FieldName<'a>, value: impl Into<Value<'a>>) {
        let value = value.into();
        if value.is_null() {
            self.remove_field(name.as_str());
        } else {
            set_field(&mut self.fields, name, value);
        }
    }

    /// Checks the name and adds or replaces an additional field in place.
    ///
    /// # Errors
    /// Returns an error if [`FieldName::new`] refuses the name. In this case, the message is not changed.
    pub fn try_set_field(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> Result<(), InvalidFieldName> {
        self.set_field(FieldName::new(name)?, value);
        Ok(())
    }

    /// Adds an additional field in place; see [`with_sanitized_field`](Self::with_sanitized_field).
    pub fn set_sanitized_field(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        let value = value.into();
        if !value.is_null() {
            let set = self.field_set().into_iter().flat_map(FieldSet::names);
            let own = self.fields.iter().map(|(name, _)| name.as_str());
            let name = FieldName::sanitize(name).first_free(own.chain(set));
            self.fields.push((name, value));
        }
    }

    /// Removes an additional field, by its name without the underscore, and returns its value.
    pub fn remove_field(&mut self, name: &str) -> Option<Value<'a>> {
        if self.field_set().is_some_and(|set| set.field(name).is_some()) {
            self.detach();
        }
        let at = self.fields.iter().position(|(known, _)| known.as_str() == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Returns `host`. Returns `None` if the message was decoded and its host was missing or blank, or if the
    /// host was never set, as in a message that was collected from fields.
    pub fn host(&self) -> Option<&str> {
        match &self.head {
            Head::Host(host) => host.as_deref(),
            Head::Set(set) => Some(set.host()),
        }
    }

    /// Returns `short_message`.
    pub fn short_message(&self) -> &str {
        &self.short_message
    }

    /// Returns `full_message`.
    pub fn full_message(&self) -> Option<&str> {
        self.full_message.as_deref()
    }

    /// Returns `timestamp`.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// Returns `level`.
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// Returns the value of an additional field, by its name without the underscore.
    pub fn field(&self, name: &str) -> Option<&Value<'a>> {
        let own = self.fields.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value);
        own.or_else(|| self.field_set().and_then(|set| set.field(name)))
    }

    /// Returns the additional fields in wire order: the fields of the [`FieldSet`] that the message does not
    /// replace, then its own.
    pub fn fields(&self) -> impl Iterator<Item = (&FieldName<'a>, &Value<'a>)> {
        let set = self.field_set().into_iter().flat_map(FieldSet::fields);
        let constant = set.map(|(name, value)| -> (&FieldName<'a>, &Value<'a>) { (name, value) });
        let own = self.fields.iter().map(|(name, value)| (name, value));
        constant.filter(|(name, _)| !self.has_own(name)).chain(own)
    }

    /// Converts the message into its additional fields, in wire order.
    pub fn into_fields(mut self) -> impl ExactSizeIterator<Item = (FieldName<'a>, Value<'a>)> {
        self.detach();
        self.fields.into_iter()
    }

    pub(crate) fn field_set(&self) -> Option<&FieldSet> {
        match &self.head {
            Head::Host(_) => None,
            Head::Set(set) => Some(set),
        }
    }

    /// Returns whether the message has a field with this name outside of its field set.
    pub(crate) fn has_own(&self, name: &FieldName<'_>) -> bool {
        self.fields.iter().any(|(own, _)| own.as_str() == name.as_str())
    }

    /// Copies the host and the fields of the field set into the message.
    fn detach(&mut self) {
        let Head::Set(set) = &self.head else { return };
        let constant = set.fields().filter(|(name, _)| !self.has_own(name));
        let mut fields: Vec<_> = constant.map(|(name, value)| (name.clone(), value.clone())).collect();
        let host = set.host().to_owned();
        fields.append(&mut self.fields);
        self.fields = fields;
        self.head = Head::Host(Some(Cow::Owned(host)));
    }

    /// Copies borrowed texts, so that the message borrows nothing.
    pub fn into_owned(self) -> Message<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Message {
            head: match self.head {
                Head::Host(host) => Head::Host(host.map(own)),
                Head::Set(set) => Head::Set(Cow::Owned(set.into_owned())),
            },
            short_message: own(self.short_message),
            full_message: self.full_message.map(own),
            timestamp: self.timestamp,
            level: self.level,
            fields: self
                .fields
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        }
    }
}

/// Compares the content of two messages, including the order of their fields. Host and fields may be in a
/// [`FieldSet`] or in the message itself.
impl<'b> PartialEq<Message<'b>> for Message<'_> {
    fn eq(&self, other: &Message<'b>) -> bool {
        self.host() == other.host()
            && self.short_message == other.short_message
            && self.full_message == other.full_message
            && self.timestamp == other.timestamp
            && self.level == other.level
            && self
                .fields()
                .map(|(name, value)| (name.as_str(), value))
                .eq(other.fields().map(|(name, value)| (name.as_str(), value)))
    }
}

impl Eq for Message<'_> {}

/// Sets each field, as [`set_field`](Message::set_field) does.
impl<'a, V: Into<Value<'a>>> Extend<(FieldName<'a>, V)> for Message<'a> {
    fn extend<I: IntoIterator<Item = (FieldName<'a>, V)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.set_field(name, value);
        }
    }
}

/// Collects fields into a message that has no host and no short message yet. A host or short message that is
/// never set is sent as `-`.
impl<'a, V: Into<Value<'a>>> FromIterator<(FieldName<'a>, V)> for Message<'a> {
    fn from_iter<I: IntoIterator<Item = (FieldName<'a>, V)>>(fields: I) -> Self {
        let mut message = Self::default();
        message.extend(fields);
        message
    }
}
