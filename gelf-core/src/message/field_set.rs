//! The host and fields that many messages have in common, encoded once.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::field::{FieldName, InvalidFieldName, set_field};
use super::value::Value;
use crate::encode::writer::{ValueOptions, Writer, write_head};

/// A host and the additional fields that are the same in many messages, encoded once and copied into each.
///
/// On the wire, a message begins with its set: `{"version":"1.1","host":"web-1","_container_id":"…"`. The
/// constant part of the message can therefore be copied in one step. Clones of a set share the encoded bytes.
///
/// ```
/// use gelf_core::FieldSet;
///
/// let container = FieldSet::builder("web-1").try_field("container_name", "shop")?.build();
/// let message = container.message("started");
/// assert_eq!(
///     message.to_string(),
///     r#"{"version":"1.1","host":"web-1","_container_name":"shop","short_message":"started"}"#
/// );
/// # Ok::<(), gelf_core::InvalidFieldName>(())
/// ```
#[derive(Clone)]
pub struct FieldSet {
    inner: Arc<Inner>,
}

struct Inner {
    host: String,
    fields: Vec<Field>,
    /// The opening brace, `version` and `host`.
    head: Bytes,
    /// The head and all fields, without a comma at the end.
    encoded: Bytes,
    /// True if a field is a boolean, which `encoded` contains as a string.
    booleans: bool,
    /// The length of the longest encoded field in bytes, which no value exceeds.
    longest: usize,
}

struct Field {
    name: FieldName<'static>,
    value: Value<'static>,
    /// The text `,"_name":value`, a slice of the set's `encoded`.
    encoded: Bytes,
}

impl FieldSet {
    /// Returns a builder for a set. A blank host is sent as `-`, since Graylog refuses messages with a blank
    /// host.
    pub fn builder(host: impl Into<String>) -> FieldSetBuilder {
        FieldSetBuilder { host: host.into(), fields: Vec::new() }
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// Returns the value of a field, by its name without the underscore.
    pub fn field(&self, name: &str) -> Option<&Value<'static>> {
        self.inner.fields.iter().find(|field| field.name.as_str() == name).map(|field| &field.value)
    }

    /// Returns the fields in the order in which they were added.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&FieldName<'static>, &Value<'static>)> {
        self.inner.fields.iter().map(|field| (&field.name, &field.value))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.inner.fields.iter().map(|field| field.name.as_str())
    }

    /// Writes the set without the fields for which `overridden` returns true. Copies the encoded fields if
    /// the options would not change them.
    pub(crate) fn write(
        &self,
        options: ValueOptions,
        overridden: impl Fn(&FieldName<'_>) -> bool,
        dst: &mut BytesMut,
    ) {
        let Inner { fields, head, encoded, .. } = &*self.inner;
        let as_encoded =
            (!options.json_booleans || !self.inner.booleans) && self.inner.longest <= options.max_bytes;
        if as_encoded && !fields.iter().any(|field| overridden(&field.name)) {
            dst.extend_from_slice(encoded);
            return;
        }
        dst.extend_from_slice(head);
        for field in fields.iter().filter(|field| !overridden(&field.name)) {
            if as_encoded {
                dst.extend_from_slice(&field.encoded);
            } else {
                write_field(field.name.as_str(), &field.value, options, dst);
            }
        }
    }
}

fn write_field(name: &str, value: &Value<'_>, options: ValueOptions, dst: &mut BytesMut) {
    let mut writer = Writer::new(dst, 64);
    writer.field(name, value, options);
    writer.finish();
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entry(&"host", &self.host()).entries(self.fields()).finish()
    }
}

/// Compares the hosts, and the fields including their order.
impl PartialEq for FieldSet {
    fn eq(&self, other: &Self) -> bool {
        self.host() == other.host() && self.fields().eq(other.fields())
    }
}

impl Eq for FieldSet {}

/// A builder for a [`FieldSet`].
#[derive(Clone, Debug)]
pub struct FieldSetBuilder {
    host: String,
    fields: Vec<(FieldName<'static>, Value<'static>)>,
}

impl FieldSetBuilder {
    /// Adds a field, or replaces the value of the field with this name. A null value removes the field.
    ///
    /// A field with a [foreign](FieldName::is_foreign) name is added as
    /// [`sanitized_field`](Self::sanitized_field) adds it.
    #[must_use]
    pub fn field(mut self, name: FieldName<'static>, value: impl Into<Value<'static>>) -> Self {
        self.set(name, value.into());
        self
    }

    /// Checks the name and adds a field, as [`field`](Self::field) does.
    ///
    /// # Errors
    /// Returns an error if [`FieldName::new`] refuses the name.
    pub fn try_field(
        self,
        name: impl Into<String>,
        value: impl Into<Value<'static>>,
    ) -> Result<Self, InvalidFieldName> {
        Ok(self.field(FieldName::new(name.into())?, value))
    }

    /// Adds a field under a [sanitized](FieldName::sanitize) name, and never replaces another field. If the
    /// set already has a field with this name, the name gets the suffix `_2`, or the first higher number that
    /// is free. A null value adds no field.
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
        self.set_sanitized(name.as_ref(), value.into());
        self
    }

    fn set(&mut self, name: FieldName<'static>, value: Value<'static>) {
        if name.is_foreign() {
            self.set_sanitized(name.as_str(), value);
        } else {
            set_field(&mut self.fields, name, value);
        }
    }

    fn set_sanitized(&mut self, name: &str, value: Value<'static>) {
        if !value.is_null() {
            let taken = self.fields.iter().map(|(known, _)| known.as_str());
            let name = FieldName::sanitize(name).first_free(taken);
            self.fields.push((name.into_owned(), value));
        }
    }

    /// Encodes the set.
    pub fn build(self) -> FieldSet {
        let mut encoded = BytesMut::new();
        write_head(&self.host, &mut encoded);
        let head_len = encoded.len();
        let mut ends = Vec::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            write_field(name.as_str(), value, ValueOptions::DEFAULT, &mut encoded);
            ends.push(encoded.len());
        }
        let encoded = encoded.freeze();
        let booleans = self.fields.iter().any(|(_, value)| matches!(value, Value::Bool(_)));
        let (mut start, mut longest) = (head_len, 0);
        let fields = self.fields.into_iter().zip(ends).map(|((name, value), end)| {
            let field = Field { name, value, encoded: encoded.slice(start..end) };
            longest = longest.max(end - start);
            start = end;
            field
        });
        let fields = fields.collect();
        let inner =
            Inner { host: self.host, fields, longest, head: encoded.slice(..head_len), encoded, booleans };
        FieldSet { inner: Arc::new(inner) }
    }
}

impl<V: Into<Value<'static>>> Extend<(FieldName<'static>, V)> for FieldSetBuilder {
    fn extend<I: IntoIterator<Item = (FieldName<'static>, V)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.set(name, value.into());
        }
    }
}
