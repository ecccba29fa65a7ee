//! Defines visitors, which receive the parts of a message.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Decoded, Deviation};
use crate::message::{FieldName, Head, Level, Message, Timestamp, Value};

/// Receives the parts of a message as a [`Decoder`](super::Decoder) finds them, for programs that need only
/// some of the parts.
///
/// Fields are passed in the order of the text. Only a field that is made from `message`, or from a `level` or
/// `timestamp` that cannot be read, follows after the other fields. `facility`, `file` and `line` are passed as
/// fields. The other members that GELF defines follow after all fields, since one of these members can replace
/// another one that is missing. Each of these members is passed at most once; `version` is not passed. The
/// default methods do nothing, except for [`repeated_field`](Self::repeated_field).
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
#[allow(unused_variables, reason = "the default methods ignore their parameters")]
pub trait Visitor<'a> {
    /// Receives an additional field.
    fn field(&mut self, name: FieldName<'a>, value: Value<'a>) {}

    /// Receives an additional field whose name occurred before; the later value counts. If the decoder leaves
    /// out the later value, for example null, `value` is [`Value::Null`], and the message has no such field.
    /// The default method calls [`field`](Self::field).
    fn repeated_field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        self.field(name, value);
    }

    /// Receives `host`, unless it is missing or blank.
    fn host(&mut self, host: Cow<'a, str>) {}

    /// Receives `short_message`, or its replacement. Each decoded message has a short message.
    fn short_message(&mut self, text: Cow<'a, str>) {}

    /// Receives `full_message`.
    fn full_message(&mut self, text: Cow<'a, str>) {}

    /// Receives `timestamp`.
    fn timestamp(&mut self, timestamp: Timestamp) {}

    /// Receives `level`.
    fn level(&mut self, level: Level) {}

    /// Receives a deviation from GELF 1.1, at most
    /// [`Decoder::MAX_DEVIATIONS`](super::Decoder::MAX_DEVIATIONS) times. A strict decoder returns the first
    /// deviation as its error instead.
    fn deviation(&mut self, deviation: Deviation) {}

    /// Receives the number of deviations that were not passed to [`deviation`](Self::deviation). The decoder
    /// calls this method at the end, if the number is not 0.
    fn further_deviations(&mut self, count: usize) {}
}

/// Collects the parts as a message.
#[derive(Default)]
pub(super) struct Collector<'a> {
    message: Message<'a>,
    deviations: Vec<Deviation>,
    further_deviations: usize,
    /// The places of the first `indexed` fields, once a name has occurred twice. A search among all fields would
    /// be slow: a message may repeat hundreds of names that differ only in their last bytes.
    places: Option<HashMap<FieldName<'a>, usize>>,
    indexed: usize,
}

impl<'a> Collector<'a> {
    /// Returns the places of all fields so far. A field that was left out has no place.
    fn places(&mut self) -> &mut HashMap<FieldName<'a>, usize> {
        let places = self.places.get_or_insert_default();
        let fields = self.message.fields.iter().enumerate().skip(self.indexed);
        places.extend(fields.map(|(at, (name, _))| (name.clone(), at)));
        self.indexed = self.message.fields.len();
        places
    }

    /// Returns the decoded message and its deviations.
    pub(super) fn finish(self) -> Decoded<'a> {
        let Self { mut message, deviations, further_deviations, .. } = self;
        if self.places.is_some() {
            // Fields whose repetition is left out are null until here.
            message.fields.retain(|(_, value)| !value.is_null());
        }
        Decoded { message, deviations, further_deviations }
    }
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        if self.message.fields.is_empty() {
            // This capacity is enough for most messages, so that the vector is allocated once.
            self.message.fields.reserve(16);
        }
        self.message.fields.push((name, value));
    }

    fn repeated_field(&mut self, name: FieldName<'a>, value: Value<'a>) {
        let places = self.places();
        let at = if value.is_null() { places.remove(&name) } else { places.get(&name).copied() };
        match at.and_then(|at| self.message.fields.get_mut(at)) {
            Some((_, known)) => *known = value,
            None if value.is_null() => {}
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

    fn further_deviations(&mut self, count: usize) {
        self.further_deviations = count;
    }
}

/// Converts the parts of a temporary text to owned parts, and passes them to another visitor.
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

    fn further_deviations(&mut self, count: usize) {
        self.0.further_deviations(count);
    }
}
