//! What many messages have in common, encoded once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::distinct::first_free;
use crate::encode::write_head;
use crate::field::{FieldName, Value};
use crate::message::Message;
use crate::writer::{Booleans, Writer};

/// A host and the additional fields that are the same in many messages, encoded once and spliced into each.
///
/// On the wire all of it stands at the front, `{"version":"1.1","host":"web-1","_container_id":"…"`, so that one copy
/// does for the constant part of a message. A clone shares the bytes.
///
/// ```
/// use gelf_core::{FieldName, FieldSet, encode};
///
/// let container = FieldSet::builder("web-1")
///     .field(FieldName::from_static("container_name"), "shop")
///     .build();
/// let mut payload = bytes::BytesMut::new();
/// encode(&container.message("started"), &mut payload);
/// assert_eq!(payload, r#"{"version":"1.1","host":"web-1","_container_name":"shop","short_message":"started"}"#);
/// ```
#[derive(Clone)]
pub struct FieldSet {
    inner: Arc<Inner>,
}

struct Inner {
    host: String,
    fields: Vec<Field>,
    /// The opening brace, `version`, `host` and every field, without a comma at the end.
    encoded: Bytes,
    /// Where in `encoded` the fields begin.
    fields_at: usize,
    /// Whether there is a boolean among the fields: `encoded` has it as a string.
    booleans: bool,
}

struct Field {
    name: FieldName<'static>,
    value: Value<'static>,
    /// `,"_name":value` in `encoded`.
    encoded: Range<usize>,
}

impl FieldSet {
    /// Starts a set. A blank host goes out as `-`, for Graylog refuses a message with a blank one.
    pub fn builder(host: impl Into<String>) -> FieldSetBuilder {
        FieldSetBuilder { host: host.into(), fields: Vec::new() }
    }

    /// A message with this host and these fields, and a `short_message`.
    pub fn message<'a>(&'a self, short_message: impl Into<std::borrow::Cow<'a, str>>) -> Message<'a> {
        Message::with_field_set(self, short_message)
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The value of a field, by its name without the underscore.
    pub fn field(&self, name: &str) -> Option<&Value<'static>> {
        self.inner.fields.iter().find(|field| field.name.as_str() == name).map(|field| &field.value)
    }

    /// The fields, in the order in which they were given.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&FieldName<'static>, &Value<'static>)> {
        self.inner.fields.iter().map(|field| (&field.name, &field.value))
    }

    /// Writes all of the set but the fields that `overridden` names.
    pub(crate) fn splice(
        &self,
        booleans: Booleans,
        overridden: impl Fn(&FieldName<'_>) -> bool,
        dst: &mut BytesMut,
    ) {
        let Inner { fields, encoded, fields_at, .. } = &*self.inner;
        let as_encoded = booleans == Booleans::Strings || !self.inner.booleans;
        if as_encoded && !fields.iter().any(|field| overridden(&field.name)) {
            dst.extend_from_slice(encoded);
            return;
        }
        dst.extend_from_slice(encoded.get(..*fields_at).unwrap_or_default());
        for field in fields.iter().filter(|field| !overridden(&field.name)) {
            if as_encoded {
                dst.extend_from_slice(encoded.get(field.encoded.clone()).unwrap_or_default());
            } else {
                write_field(field.name.as_str(), &field.value, booleans, dst);
            }
        }
    }
}

fn write_field(name: &str, value: &Value<'_>, booleans: Booleans, dst: &mut BytesMut) {
    let mut writer = Writer::new(dst, 64);
    writer.field(name, value, booleans);
    writer.finish();
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entry(&"host", &self.host()).entries(self.fields()).finish()
    }
}

/// Collects a [`FieldSet`].
#[derive(Clone, Debug)]
pub struct FieldSetBuilder {
    host: String,
    fields: Vec<(FieldName<'static>, Value<'static>)>,
}

impl FieldSetBuilder {
    /// Adds a field; of two with the same name the later value stays, in the earlier place.
    ///
    /// A name that a decoder found and that [`FieldName::new`] refuses is sanitized, as by
    /// [`sanitized_field`](Self::sanitized_field).
    #[must_use]
    pub fn field(mut self, name: FieldName<'static>, value: impl Into<Value<'static>>) -> Self {
        if name.is_foreign() {
            return self.sanitized_field(name.as_str(), value);
        }
        let value = value.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Adds a field under a name that is [made of any text](FieldName::sanitize), and replaces none: where there is a
    /// field of this name, `_2` is put at its end, or the first further number that makes it another.
    ///
    /// ```
    /// use gelf_core::FieldSet;
    ///
    /// let set = FieldSet::builder("h").sanitized_field("a/b", 1).sanitized_field("a b", 2).build();
    /// let names: Vec<_> = set.fields().map(|(name, _)| name.as_str()).collect();
    /// assert_eq!(names, ["a_b", "a_b_2"]);
    /// ```
    #[must_use]
    pub fn sanitized_field(mut self, name: impl AsRef<str>, value: impl Into<Value<'static>>) -> Self {
        let name = first_free(FieldName::sanitize(name.as_ref()), |name| {
            self.fields.iter().any(|(known, _)| known.as_str() == name)
        });
        self.fields.push((name.into_owned(), value.into()));
        self
    }

    /// Encodes the set.
    pub fn build(self) -> FieldSet {
        let mut encoded = BytesMut::new();
        let booleans = self.fields.iter().any(|(_, value)| matches!(value, Value::Bool(_)));
        write_head(&self.host, &mut encoded);
        let fields_at = encoded.len();
        let fields = self
            .fields
            .into_iter()
            .map(|(name, value)| {
                let start = encoded.len();
                write_field(name.as_str(), &value, Booleans::Strings, &mut encoded);
                Field { name, value, encoded: start..encoded.len() }
            })
            .collect();
        let inner = Inner { host: self.host, fields, encoded: encoded.freeze(), fields_at, booleans };
        FieldSet { inner: Arc::new(inner) }
    }
}
