//! Where the parts of a message go.

use std::borrow::Cow;

use super::Deviation;
use crate::message::{FieldName, Head, Level, Message, Timestamp, Value};

/// Takes the parts of a message as a [`Decoder`](super::Decoder) finds them, so that who wants two of them does not
/// pay for all.
///
/// Fields come in the order of the text. GELF's own members come after them, each at most once: only at the end is it
/// known what stands in for what. All methods do nothing unless they are written.
///
/// ```
/// use std::borrow::Cow;
/// use gelf_core::{Decoder, FieldName, Value, Visitor};
///
/// /// Counts fields and keeps the short message.
/// #[derive(Default)]
/// struct Glance<'a>(usize, Cow<'a, str>);
///
/// impl<'a> Visitor<'a> for Glance<'a> {
///     fn short_message(&mut self, text: Cow<'a, str>) {
///         self.1 = text;
///     }
///
///     fn field(&mut self, _: FieldName<'a>, _: Value<'a>) {
///         self.0 += 1;
///     }
/// }
///
/// let mut glance = Glance::default();
/// let payload = br#"{"version":"1.1","host":"h","short_message":"m","_a":1,"_b":2}"#;
/// Decoder::lenient().decode_with(payload, &mut glance)?;
/// assert_eq!((glance.0, &*glance.1), (2, "m"));
/// # Ok::<(), gelf_core::DecodeError>(())
/// ```
#[allow(unused_variables, reason = "what a visitor does not look at has no use for its parameters")]
pub trait Visitor<'a> {
    /// An additional field.
    fn field(&mut self, name: FieldName<'a>, value: Value<'a>) {}

    /// An additional field with a name that has come before; the later value counts. Unless it is written, this is
    /// [`field`](Self::field).
    fn repeated_field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        self.field(name, value);
    }

    /// `host`, unless there is none, or a blank one.
    fn host(&mut self, host: Cow<'a, str>) {}

    /// `short_message`, or what stands in for it. Each message that is read has one.
    fn short_message(&mut self, text: Cow<'a, str>) {}

    /// `full_message`, if there is one.
    fn full_message(&mut self, text: Cow<'a, str>) {}

    /// `timestamp`, if there is one.
    fn timestamp(&mut self, timestamp: Timestamp) {}

    /// `level`, if there is one.
    fn level(&mut self, level: Level) {}

    /// A deviation from GELF 1.1. Only a lenient decoder reports them: a strict one makes the first its error.
    fn deviation(&mut self, deviation: Deviation) {}
}

/// Makes a message of the parts.
#[derive(Default)]
pub(super) struct Collector<'a> {
    pub(super) message: Message<'a>,
    pub(super) deviations: Vec<Deviation>,
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        if self.message.fields.is_empty() {
            // As many as most messages have, at once.
            self.message.fields.reserve(16);
        }
        self.message.fields.push((name, value));
    }

    fn repeated_field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        match self.message.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.field(name, value),
        }
    }

    fn host(&mut self, host: Cow<'a, str>) {
        self.message.head = Head::Host(Some(host));
    }

    fn short_message(&mut self, text: Cow<'a, str>) {
        self.message.short_message = text;
    }

    fn full_message(&mut self, text: Cow<'a, str>) {
        self.message.full_message = Some(text);
    }

    fn timestamp(&mut self, timestamp: Timestamp) {
        self.message.timestamp = Some(timestamp);
    }

    fn level(&mut self, level: Level) {
        self.message.level = Some(level);
    }

    fn deviation(&mut self, deviation: Deviation) {
        self.deviations.push(deviation);
    }
}

/// Makes the parts of a text that does not last borrow nothing.
pub(super) struct Owning<'v, V>(pub(super) &'v mut V);

impl<'a, 't, V: Visitor<'a>> Visitor<'t> for Owning<'_, V> {
    fn field(&mut self, name: FieldName<'t>, value: Value<'t>) {
        self.0.field(name.into_owned(), value.into_owned());
    }

    fn repeated_field(&mut self, name: FieldName<'t>, value: Value<'t>) {
        self.0.repeated_field(name.into_owned(), value.into_owned());
    }

    fn host(&mut self, host: Cow<'t, str>) {
        self.0.host(Cow::Owned(host.into_owned()));
    }

    fn short_message(&mut self, text: Cow<'t, str>) {
        self.0.short_message(Cow::Owned(text.into_owned()));
    }

    fn full_message(&mut self, text: Cow<'t, str>) {
        self.0.full_message(Cow::Owned(text.into_owned()));
    }

    fn timestamp(&mut self, timestamp: Timestamp) {
        self.0.timestamp(timestamp);
    }

    fn level(&mut self, level: Level) {
        self.0.level(level);
    }

    fn deviation(&mut self, deviation: Deviation) {
        self.0.deviation(deviation);
    }
}
