//! A GELF message, for both directions.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::distinct::first_free;
use crate::field::{FieldName, InvalidFieldName, Value};
use crate::field_set::FieldSet;
use crate::level::Level;
use crate::timestamp::Timestamp;

/// A GELF message: what [`encode`](crate::encode) writes and what a [`Decoder`](crate::Decoder) yields.
///
/// It borrows what it can. A message to be kept past the buffer it came from is made [`into_owned`](Self::into_owned).
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
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) short_message: Cow<'a, str>,
    pub(crate) full_message: Option<Cow<'a, str>>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) level: Option<Level>,
    pub(crate) fields: Vec<(FieldName<'a>, Value<'a>)>,
}

/// Where the host, and perhaps more, comes from.
#[derive(Clone, Debug)]
pub(crate) enum Head<'a> {
    Host(Option<Cow<'a, str>>),
    Set(Cow<'a, FieldSet>),
}

impl<'a> Message<'a> {
    /// A message with the members that GELF demands. `version` is always "1.1".
    ///
    /// Readers refuse a blank `host` or `short_message`, Graylog the whole message with it; either goes out as `-`.
    pub fn new(host: impl Into<Cow<'a, str>>, short_message: impl Into<Cow<'a, str>>) -> Self {
        Self::from_head(Head::Host(Some(host.into())), short_message.into())
    }

    /// A message with the host and the fields of `set`; the same as [`FieldSet::message`].
    pub fn with_field_set(set: &'a FieldSet, short_message: impl Into<Cow<'a, str>>) -> Self {
        Self::from_head(Head::Set(Cow::Borrowed(set)), short_message.into())
    }

    pub(crate) fn from_head(head: Head<'a>, short_message: Cow<'a, str>) -> Self {
        Self { head, short_message, full_message: None, timestamp: None, level: None, fields: Vec::new() }
    }

    /// Sets `full_message`: "a long message that can for example contain a backtrace".
    #[must_use]
    pub fn with_full_message(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.full_message = Some(text.into());
        self
    }

    /// Sets `timestamp`. Without one, a receiver uses the time at which the message came.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.timestamp = Some(timestamp.into());
        self
    }

    /// Sets `timestamp` to the present.
    #[must_use]
    pub fn with_timestamp_now(self) -> Self {
        self.with_timestamp(SystemTime::now())
    }

    /// Sets `level`.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Adds an additional field, or replaces the value of one with this name; one in the message's [`FieldSet`] is
    /// left out of this message.
    #[must_use]
    pub fn with_field(mut self, name: FieldName<'a>, value: impl Into<Value<'a>>) -> Self {
        let value = value.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Adds an additional field under a name that is [made of any text](FieldName::sanitize), and replaces none: where
    /// the message has a field of this name, `_2` is put at its end, or the first further number that makes it another.
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
        let name = first_free(FieldName::sanitize(name), |name| self.field(name).is_some());
        self.fields.push((name, value.into()));
        self
    }

    /// As [`with_field`](Self::with_field), with a name still to be checked.
    ///
    /// # Errors
    /// Where [`FieldName::new`] refuses the name.
    pub fn try_field(
        self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> Result<Self, InvalidFieldName> {
        Ok(self.with_field(FieldName::new(name)?, value))
    }

    /// `host`; `None` only in a decoded message that had none, or a blank one.
    pub fn host(&self) -> Option<&str> {
        match &self.head {
            Head::Host(host) => host.as_deref(),
            Head::Set(set) => Some(set.host()),
        }
    }

    /// `short_message`.
    pub fn short_message(&self) -> &str {
        &self.short_message
    }

    /// `full_message`.
    pub fn full_message(&self) -> Option<&str> {
        self.full_message.as_deref()
    }

    /// `timestamp`.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// `level`.
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// The value of an additional field, by its name without the underscore.
    pub fn field(&self, name: &str) -> Option<&Value<'a>> {
        let own = self.fields.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value);
        own.or_else(|| self.field_set().and_then(|set| set.field(name)))
    }

    /// The additional fields as they stand on the wire: those of the [`FieldSet`] that the message does not replace,
    /// then its own.
    pub fn fields(&self) -> impl Iterator<Item = (&FieldName<'a>, &Value<'a>)> {
        let set = self.field_set().into_iter().flat_map(FieldSet::fields);
        let constant = set.map(|(name, value)| -> (&FieldName<'a>, &Value<'a>) { (name, value) });
        let own = self.fields.iter().map(|(name, value)| (name, value));
        constant.filter(|(name, _)| !self.has_own(name)).chain(own)
    }

    pub(crate) fn field_set(&self) -> Option<&FieldSet> {
        match &self.head {
            Head::Host(_) => None,
            Head::Set(set) => Some(set),
        }
    }

    pub(crate) fn has_own(&self, name: &FieldName<'_>) -> bool {
        self.fields.iter().any(|(own, _)| own.as_str() == name.as_str())
    }

    /// The same message, borrowing nothing.
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

/// Two messages are equal when they say the same, whether a part of it stands in a [`FieldSet`] or not.
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
