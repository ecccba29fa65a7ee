//! What many messages have in common, encoded once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::encode;
use crate::field::{FieldName, Value};
use crate::message::Message;

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
    pub(crate) fn splice(&self, overridden: impl Fn(&FieldName<'_>) -> bool, dst: &mut BytesMut) {
        let Inner { fields, encoded, fields_at, .. } = &*self.inner;
        if !fields.iter().any(|field| overridden(&field.name)) {
            dst.extend_from_slice(encoded);
            return;
        }
        dst.extend_from_slice(encoded.get(..*fields_at).unwrap_or_default());
        for field in fields.iter().filter(|field| !overridden(&field.name)) {
            dst.extend_from_slice(encoded.get(field.encoded.clone()).unwrap_or_default());
        }
    }
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
    #[must_use]
    pub fn field(mut self, name: FieldName<'static>, value: impl Into<Value<'static>>) -> Self {
        let value = value.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Encodes the set.
    pub fn build(self) -> FieldSet {
        let mut encoded = BytesMut::new();
        encode::write_head(&self.host, &mut encoded);
        let fields_at = encoded.len();
        let fields = self
            .fields
            .into_iter()
            .map(|(name, value)| {
                let start = encoded.len();
                encode::write_field(&name, &value, &mut encoded);
                Field { name, value, encoded: start..encoded.len() }
            })
            .collect();
        FieldSet { inner: Arc::new(Inner { host: self.host, fields, encoded: encoded.freeze(), fields_at }) }
    }
}
