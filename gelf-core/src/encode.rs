//! Encodes messages as JSON.
//!
//! The order of the members on the wire is fixed: `version`, `host` and the fields of the [`FieldSet`], which
//! are constant for many messages and are usually copied as one piece; then `timestamp`, `level`,
//! `short_message`, `full_message`; then the message's own fields. JSON gives the order no meaning, so every
//! reader accepts this order.
//!
//! The encoder adapts messages so that every known reader accepts them:
//!
//! | a message with | is sent with | because |
//! |---|---|---|
//! | a blank `host` or `short_message` | `-` | Graylog refuses the whole message |
//! | a boolean | the string `"true"` or `"false"` ([by default](crate::Encoder::with_json_booleans)) | Graylog drops booleans |
//! | an integer outside of `i64` | a string of its digits | Graylog reads it modulo 2^64 |
//! | a decoded field name that [`FieldName::new`](crate::FieldName::new) refuses | the name [sanitized](crate::FieldName::sanitize) | readers drop the field, or the message |
//! | names that sanitizing makes equal | `_2`, `_3`, ... appended to all but the first | readers keep one field of several with the same name |
//! | a field that its field set also has | only the message's value | readers disagree about a repeated name |

mod display;
pub(crate) mod escape;
pub(crate) mod writer;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::BytesMut;

use crate::message::field::{numbered, sanitized};
use crate::message::{FieldSet, Head, Message, Timestamp};
use crate::too_large::MessageTooLarge;
use escape::{cut_to, escaped_len};
use writer::{PLACEHOLDER, ValueOptions, Writer, or_placeholder, write_head};

/// The name of the field that marks a truncated message. The field's value is the original length of the
/// texts in bytes.
const TRUNCATED: &str = "truncated";

/// Encodes messages, with options for cases in which readers differ.
///
/// ```
/// use gelf_core::{Encoder, Level, Message, bytes::BytesMut};
///
/// let mut payload = BytesMut::new();
/// let message = Message::new("web-1", "it \"works\"").with_level(Level::Notice);
/// Encoder::new().encode(&message, &mut payload);
/// assert_eq!(payload, r#"{"version":"1.1","host":"web-1","level":5,"short_message":"it \"works\""}"#);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Encoder {
    values: ValueOptions,
    default_timestamp: Option<Timestamp>,
}

impl Encoder {
    /// Creates an encoder whose messages every known reader accepts.
    pub const fn new() -> Self {
        Self { values: ValueOptions::DEFAULT, default_timestamp: None }
    }

    /// Makes the encoder write booleans as JSON's `true` and `false`, for readers that are known to take
    /// them, such as Logstash. By default, booleans are written as the strings `"true"` and `"false"`: GELF
    /// has no booleans, and Graylog drops them.
    ///
    /// ```
    /// use gelf_core::{Encoder, Message, bytes::BytesMut};
    ///
    /// let mut payload = BytesMut::new();
    /// let message = Message::new("h", "m").try_field("cached", true)?;
    /// Encoder::new().with_json_booleans().encode(&message, &mut payload);
    /// assert_eq!(payload, r#"{"version":"1.1","host":"h","short_message":"m","_cached":true}"#);
    /// # Ok::<(), gelf_core::InvalidFieldName>(())
    /// ```
    #[must_use]
    pub const fn with_json_booleans(mut self) -> Self {
        self.values.json_booleans = true;
        self
    }

    /// Sets the maximum length of the value of an additional field in bytes. A longer string is cut off
    /// between characters and ends in `…`. The three bytes of the `…` count towards the maximum; if the
    /// maximum is less than three bytes, only the `…` is left. An integer outside of `i64` and `u64`, which is sent
    /// as a string, is cut off in the same way. Booleans and other numbers are never cut off. By default, the length
    /// is not limited.
    ///
    /// Elasticsearch and OpenSearch index the fields of Graylog's messages as keywords, and refuse a message
    /// with a value of more than 32,766 bytes.
    ///
    /// ```
    /// use gelf_core::{Encoder, Message, bytes::BytesMut};
    ///
    /// let mut payload = BytesMut::new();
    /// let message = Message::new("h", "m").try_field("body", "x".repeat(40_000))?;
    /// Encoder::new().with_max_value_bytes(32_766).encode(&message, &mut payload);
    /// assert!(payload.ends_with("x…\"}".as_bytes()));
    /// # Ok::<(), gelf_core::InvalidFieldName>(())
    /// ```
    #[must_use]
    pub const fn with_max_value_bytes(mut self, bytes: usize) -> Self {
        self.values.max_bytes = bytes;
        self
    }

    /// Sets the timestamp of messages that have none.
    ///
    /// ```
    /// use gelf_core::{Encoder, Message, Timestamp, bytes::BytesMut};
    ///
    /// let mut payload = BytesMut::new();
    /// let encoder = Encoder::new().with_default_timestamp(Timestamp::from_unix_nanos(1_500_000_000));
    /// encoder.encode(&Message::new("h", "m"), &mut payload);
    /// assert_eq!(payload, r#"{"version":"1.1","host":"h","timestamp":1.500,"short_message":"m"}"#);
    /// ```
    #[must_use]
    pub fn with_default_timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.default_timestamp = Some(timestamp.into());
        self
    }

    /// Appends the message to `dst` as one JSON object. Encoding cannot fail. The call allocates memory only
    /// to grow `dst`, and for a table of names if the message has names that must be
    /// [sanitized](crate::FieldName::sanitize).
    ///
    /// The payload never contains a NUL byte, so a NUL byte can mark the end of the payload.
    pub fn encode(&self, message: &Message<'_>, dst: &mut BytesMut) {
        self.write(message, Texts::of(message), dst);
    }

    /// Appends the message in at most `limit` bytes. If the message is longer, its texts are truncated at a
    /// character boundary. First, `full_message` is truncated or left out. `short_message` is truncated only
    /// if the message is too long even without `full_message`. A truncated message gets the field
    /// `_truncated`: the original length of both texts together, in bytes. If the message has a field with
    /// this name already, it keeps that field instead.
    ///
    /// ```
    /// use gelf_core::{Encoder, Fit, Message, bytes::BytesMut};
    ///
    /// let mut payload = BytesMut::new();
    /// let message = Message::new("h", "a line").with_full_message("of some length ".repeat(10));
    /// assert_eq!(Encoder::new().encode_within(&message, 100, &mut payload)?, Fit::Truncated);
    /// assert_eq!(
    ///     payload,
    ///     r#"{"version":"1.1","host":"h","short_message":"a line","full_message":"of some leng","_truncated":156}"#
    /// );
    /// # Ok::<(), gelf_core::MessageTooLarge>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`MessageTooLarge::Fields`] if the message is longer than `limit` even with its texts truncated
    /// as far as possible. In this case, `dst` is not changed.
    pub fn encode_within(
        &self,
        message: &Message<'_>,
        limit: usize,
        dst: &mut BytesMut,
    ) -> Result<Fit, MessageTooLarge> {
        let start = dst.len();
        self.encode(message, dst);
        let len = dst.len() - start;
        if len <= limit {
            return Ok(Fit::Whole);
        }
        dst.truncate(start);
        let cut = Texts::of(message).cut(message, len, limit)?;
        self.write(message, cut, dst);
        Ok(Fit::Truncated)
    }

    /// Appends the message to `dst`, with `texts` in place of its own texts.
    fn write(&self, message: &Message<'_>, texts: Texts<'_>, dst: &mut BytesMut) {
        match &message.head {
            Head::Host(Some(host)) => write_head(host, dst),
            Head::Host(None) => write_head(PLACEHOLDER, dst),
            Head::Set(set) => set.write(self.values, |name| message.has_own(name), dst),
        }
        let full_len = texts.full_message.map_or(0, str::len);
        let mut writer = Writer::new(dst, texts.short_message.len() + full_len + 64 * message.fields.len());
        if let Some(timestamp) = message.timestamp.or(self.default_timestamp) {
            writer.json(br#","timestamp":"#);
            writer.plain(timestamp.write(&mut [0; Timestamp::TEXT_MAX]));
        }
        if let Some(level) = message.level {
            writer.json(br#","level":"#);
            writer.json(&[b'0' + level.as_u8()]);
        }
        writer.json(br#","short_message":""#);
        writer.escaped(or_placeholder(texts.short_message));
        writer.json(br#"""#);
        if let Some(text) = texts.full_message {
            writer.json(br#","full_message":""#);
            writer.escaped(text);
            writer.json(br#"""#);
        }
        if message.fields.iter().any(|(name, _)| name.is_foreign()) {
            for (name, (_, value)) in sent_names(message).iter().zip(&message.fields) {
                writer.field(name, value, self.values);
            }
        } else {
            for (name, value) in &message.fields {
                writer.field(name.as_str(), value, self.values);
            }
        }
        if let Some(len) = texts.truncated {
            writer.json(br#","_truncated":"#);
            writer.integer(len);
        }
        writer.json(b"}");
        writer.finish();
    }
}

impl Message<'_> {
    /// Encodes the message as JSON, with the default [`Encoder`].
    pub fn to_vec(&self) -> Vec<u8> {
        let mut dst = BytesMut::new();
        Encoder::new().encode(self, &mut dst);
        dst.into()
    }
}

/// The completeness of an encoded message; see [`Encoder::encode_within`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a message is either whole or not")]
#[must_use = "the truncated text is lost"]
pub enum Fit {
    /// The texts were truncated.
    Truncated,
    /// The message is complete.
    Whole,
}

/// The parts of a message that can be truncated.
#[derive(Clone, Copy)]
struct Texts<'m> {
    short_message: &'m str,
    full_message: Option<&'m str>,
    /// The value of the field `_truncated`: the original length of both texts in bytes. `None` if the field
    /// is not added.
    truncated: Option<u64>,
}

impl<'m> Texts<'m> {
    fn of(message: &'m Message<'_>) -> Self {
        Self {
            short_message: &message.short_message,
            full_message: message.full_message.as_deref(),
            truncated: None,
        }
    }

    /// Truncates the texts so that the message has at most `limit` bytes. `len` is the length of the whole
    /// message in bytes.
    fn cut(self, message: &Message<'_>, len: usize, limit: usize) -> Result<Self, MessageTooLarge> {
        const FULL_MESSAGE: usize = r#","full_message":"""#.len();
        let short_len = escaped_len(or_placeholder(self.short_message));
        let full_len = self.full_message.map_or(0, |text| escaped_len(text) + FULL_MESSAGE);
        let texts_len = (self.short_message.len() + self.full_message.map_or(0, str::len)) as u64;
        let truncated = message.field(TRUNCATED).is_none().then_some(texts_len);
        let marker = truncated.map_or(0, |len| r#","_truncated":"#.len() + digit_count(len));
        let without_texts = len - short_len - full_len + marker;
        // A short message has at least one byte.
        let least = without_texts + PLACEHOLDER.len();
        if limit < least {
            return Err(MessageTooLarge::Fields { len: least, max: limit });
        }
        let room = limit - without_texts;
        let (short_message, full_message) = match room.checked_sub(short_len) {
            Some(room) => {
                let full = room.checked_sub(FULL_MESSAGE).zip(self.full_message);
                (
                    self.short_message,
                    full.map(|(room, text)| cut_to(text, room)).filter(|text| !text.is_empty()),
                )
            }
            None => (cut_to(self.short_message, room), None),
        };
        Ok(Self { short_message, full_message, truncated })
    }
}

/// Returns the number of decimal digits of an integer.
fn digit_count(integer: u64) -> usize {
    integer.checked_ilog10().map_or(1, |power| power as usize + 1)
}

/// Returns the names of the message's own fields as they are sent, in order.
///
/// Sanitizing makes `a/b` and `a b` both `a_b`, and readers would keep one of the two values. Therefore only
/// the first of these fields is sent as `a_b`, and `_2`, `_3` and so on are appended to the names of the
/// other fields. A number that would give an existing name is skipped. A name that needs no sanitizing is
/// never changed.
///
/// The caller calls this function only if a name is foreign.
fn sent_names<'m>(message: &'m Message<'_>) -> Vec<Cow<'m, str>> {
    let set = message.field_set().into_iter().flat_map(FieldSet::fields).map(|(name, _)| name.as_str());
    let own = message.fields.iter().filter(|(name, _)| !name.is_foreign()).map(|(name, _)| name.as_str());
    let mut taken: HashSet<Cow<'_, str>> = set.chain(own).map(Cow::Borrowed).collect();
    // The last number that was appended to each name. Without this map, each of a thousand equal names would
    // try all numbers from 2 on.
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let sent = message.fields.iter().map(|(name, _)| {
        if !name.is_foreign() {
            return Cow::Borrowed(name.as_str());
        }
        let base = sanitized(name.as_str());
        let number = numbers.entry(base.clone()).or_insert(1);
        let mut sent = base.clone();
        // The loop ends, since there are fewer names than values of `number`.
        while !taken.insert(Cow::Owned(sent.clone())) {
            *number += 1;
            sent = numbered(&base, *number);
        }
        Cow::Owned(sent)
    });
    sent.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::message::{FieldName, Level, Number};
    use proptest::prelude::*;

    fn encoded(message: &Message<'_>) -> String {
        let mut dst = BytesMut::new();
        Encoder::new().encode(message, &mut dst);
        String::from_utf8(dst.to_vec()).unwrap()
    }

    fn name(text: &'static str) -> FieldName<'static> {
        FieldName::new(text).unwrap()
    }

    #[test]
    fn members_are_written_in_the_fixed_order() {
        let set = FieldSet::builder("h").field(name("a"), "x").field(name("b"), 2).build();
        let message = set
            .message("s")
            .with_full_message("f")
            .with_level(Level::Error)
            .with_timestamp(Timestamp::from_unix(1_500_646_980, 661_000_000).unwrap())
            .with_field(name("z"), "own");
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","_a":"x","_b":2,"timestamp":1500646980.661,"level":3,"short_message":"s","full_message":"f","_z":"own"}"#
        );
    }

    #[test]
    fn a_field_of_the_message_replaces_the_field_of_its_field_set() {
        let set = FieldSet::builder("h").field(name("a"), 1).field(name("b"), 2).field(name("c"), 3).build();
        let message = set.message("s").with_field(name("b"), "mine");
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","_a":1,"_c":3,"short_message":"s","_b":"mine"}"#
        );
        assert_eq!(message.fields().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
    }

    #[test]
    fn an_empty_field_set_leaves_no_stray_comma() {
        let set = FieldSet::builder("h").build();
        assert_eq!(encoded(&set.message("s")), r#"{"version":"1.1","host":"h","short_message":"s"}"#);
    }

    #[test]
    fn blank_host_and_short_message_are_never_sent() {
        for blank in ["", " ", "\r", "\n\t ", "\u{2003}"] {
            let expected = r#"{"version":"1.1","host":"-","short_message":"-"}"#;
            assert_eq!(encoded(&Message::new(blank, blank)), expected);
            assert_eq!(encoded(&FieldSet::builder(blank).build().message(blank)), expected);
        }
    }

    #[test]
    fn a_decoder_takes_shortened_names() {
        let payload = format!(r#"{{"short_message":"m","_{0}x":1,"_{0}y":2}}"#, "n".repeat(1030));
        let mut decoder = Decoder::lenient().with_max_name_bytes(2000);
        let decoded = decoder.decode(payload.as_bytes()).unwrap();
        assert_eq!(decoded.message.fields().count(), 2);
        let mut sent = BytesMut::new();
        Encoder::new().encode(&decoded.message, &mut sent);
        let again = Decoder::strict().decode(&sent).unwrap().message;
        let names: Vec<_> = again.fields().map(|(name, _)| name.as_str().to_owned()).collect();
        assert_eq!(names, ["n".repeat(1023), format!("{}_2", "n".repeat(1021))]);
    }

    #[test]
    fn foreign_names_that_become_equal_are_numbered() {
        let foreign = |text: &'static str| FieldName::decoded(text.into());
        let message = Message::new("h", "s")
            .with_field(foreign("a/b"), 1)
            .with_field(foreign("a b"), 2)
            .with_field(foreign("a:b"), 3)
            .with_field(name("a_b_2"), "own")
            .with_field(foreign("a/b_2"), 4)
            .with_field(foreign("c d"), 5)
            .with_field(name("c_d"), "own, though later");
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","short_message":"s","_a_b":1,"_a_b_3":2,"_a_b_4":3,"_a_b_2":"own","_a_b_2_2":4,"_c_d_2":5,"_c_d":"own, though later"}"#
        );
        let set = FieldSet::builder("h").field(name("x_y"), 1).field(foreign("x/y"), 2).build();
        assert_eq!(
            encoded(&set.message("s").with_field(foreign("x y"), 3)),
            r#"{"version":"1.1","host":"h","_x_y":1,"_x_y_2":2,"short_message":"s","_x_y_3":3}"#
        );
    }

    #[test]
    fn booleans_can_be_json_in_the_field_set_too() {
        let set = FieldSet::builder("h").field(name("a"), true).field(name("b"), "x").build();
        let message = set.message("s").with_field(name("c"), false);
        assert_eq!(
            encoded(&message),
            r#"{"version":"1.1","host":"h","_a":"true","_b":"x","short_message":"s","_c":"false"}"#
        );
        let mut dst = BytesMut::new();
        Encoder::new().with_json_booleans().encode(&message, &mut dst);
        assert_eq!(dst, r#"{"version":"1.1","host":"h","_a":true,"_b":"x","short_message":"s","_c":false}"#);
    }

    #[test]
    fn values_beyond_the_maximum_are_cut_between_characters_and_marked() {
        let digits = "1".repeat(30);
        let set = FieldSet::builder("h").field(name("set"), "s".repeat(11)).field(name("yes"), true).build();
        let message = set
            .message("a message of any length")
            .with_field(name("fits"), "0123456789")
            .with_field(name("ascii"), "0123456789a")
            .with_field(name("wide"), "éééééé")
            .with_field(name("digits"), Number::parse(digits).unwrap());
        let mut dst = BytesMut::new();
        Encoder::new().with_max_value_bytes(10).encode(&message, &mut dst);
        let own = r#""_fits":"0123456789","_ascii":"0123456…","_wide":"ééé…","_digits":"1111111…"}"#;
        let head = r#"{"version":"1.1","host":"h","_set":"sssssss…","_yes":"true","short_message":"a message of any length","#;
        assert_eq!(dst, format!("{head}{own}"));
        let mut whole = BytesMut::new();
        Encoder::new().with_max_value_bytes(30).encode(&message, &mut whole);
        assert_eq!(whole, encoded(&message));
    }

    #[test]
    fn integers_are_sent_exactly() {
        for integer in [0, 7, -1, 10, i64::MAX, i64::MIN, 1_000_000_007] {
            let expected = format!(r#"{{"version":"1.1","host":"h","short_message":"s","_i":{integer}}}"#);
            assert_eq!(encoded(&Message::new("h", "s").with_field(name("i"), integer)), expected);
        }
    }

    /// Returns the output of [`Encoder::encode_within`] as text.
    fn within(message: &Message<'_>, limit: usize) -> Result<(Fit, String), MessageTooLarge> {
        let mut dst = BytesMut::from("before");
        let fit = Encoder::new().encode_within(message, limit, &mut dst);
        let text = std::str::from_utf8(dst.strip_prefix(b"before").unwrap()).unwrap().to_owned();
        assert_eq!(fit.is_err(), text.is_empty());
        fit.map(|fit| (fit, text))
    }

    #[test]
    fn a_truncated_message_ends_between_characters_and_is_marked() {
        let message = Message::new("h", format!("aé\"z{}", "w".repeat(40)));
        let whole = encoded(&message);
        assert_eq!(within(&message, whole.len()), Ok((Fit::Whole, whole)));
        let of = |short: &str| {
            format!(r#"{{"version":"1.1","host":"h","short_message":"{short}","_truncated":45}}"#)
        };
        for (short, room) in [("a", 1), ("a", 2), ("aé", 3), ("aé", 4), (r#"aé\""#, 5), (r#"aé\"z"#, 6)] {
            let limit = of("").len() + room;
            assert_eq!(within(&message, limit), Ok((Fit::Truncated, of(short))));
        }
        let least = of("-").len();
        assert_eq!(within(&message, least - 1), Err(MessageTooLarge::Fields { len: least, max: least - 1 }));
    }

    #[test]
    fn full_message_is_cut_first_and_a_field_named_truncated_is_kept() {
        let message =
            Message::new("h", "short").with_full_message("f".repeat(100)).with_field(name("truncated"), 999);
        let of = |full: &str| {
            format!(r#"{{"version":"1.1","host":"h","short_message":"short"{full},"_truncated":999}}"#)
        };
        let three = of(r#","full_message":"fff""#);
        assert_eq!(within(&message, three.len()), Ok((Fit::Truncated, three.clone())));
        assert_eq!(within(&message, three.len() - 3), Ok((Fit::Truncated, of(""))));
        assert_eq!(within(&message, of("").len()), Ok((Fit::Truncated, of(""))));
        let shorter = of("").replace("short\"", "shor\"");
        assert_eq!(within(&message, of("").len() - 1), Ok((Fit::Truncated, shorter)));
    }

    proptest! {
        #[test]
        fn a_truncated_message_fits_and_a_cut_full_message_leaves_at_most_one_byte(
            short in "[a-z\"é\n]{1,40}",
            full in proptest::option::of("[a-z\"é\n]{0,40}"),
            limit in 40usize..200,
        ) {
            let mut message = Message::new("h", short.as_str());
            message.full_message = full.as_deref().map(Into::into);
            let whole = encoded(&message);
            match within(&message, limit) {
                Ok((Fit::Whole, text)) => {
                    prop_assert!(whole.len() <= limit);
                    prop_assert_eq!(text, whole);
                }
                Ok((Fit::Truncated, text)) => {
                    prop_assert!(whole.len() > limit);
                    prop_assert!(text.len() <= limit, "{} bytes, but the limit is {limit}", text.len());
                    let decoded = Decoder::strict().decode(text.as_bytes()).unwrap().message;
                    let cut = decoded.short_message();
                    prop_assert!(cut == "-" || short.starts_with(cut));
                    let texts = short.len() + full.as_deref().map_or(0, str::len);
                    prop_assert_eq!(decoded.field("truncated").unwrap().as_i64(), Some(texts as i64));
                    // A character of these texts has at most two bytes in JSON. So at most one byte of room
                    // is unused, unless there is no full message.
                    prop_assert!(text.len() + 2 > limit || decoded.full_message().is_none());
                }
                Err(MessageTooLarge::Fields { len, max }) => {
                    prop_assert!(len > limit);
                    prop_assert_eq!(max, limit);
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
