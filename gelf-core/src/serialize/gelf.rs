//! Implements `Serialize` and `Deserialize` for messages, values, levels and timestamps.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::decode::Decoder;
use crate::message::{FieldName, Level, Message, Number, Timestamp, Value};

/// Serializes the members that GELF defines, and the additional fields with their underscore.
///
/// To send a message, use an [`Encoder`](crate::Encoder): this impl does not adapt the message to its
/// readers.
impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", "1.1")?;
        if let Some(host) = self.host() {
            map.serialize_entry("host", host)?;
        }
        if let Some(timestamp) = self.timestamp() {
            map.serialize_entry("timestamp", &timestamp)?;
        }
        if let Some(level) = self.level() {
            map.serialize_entry("level", &level)?;
        }
        map.serialize_entry("short_message", self.short_message())?;
        if let Some(text) = self.full_message() {
            map.serialize_entry("full_message", text)?;
        }
        for (name, value) in self.fields() {
            map.serialize_entry(&format_args!("_{name}"), value)?;
        }
        map.end()
    }
}

/// Deserializes a message as a [lenient](Decoder::lenient) decoder reads it. A number that is outside of `i64` and
/// `u64`, or that has decimals or an exponent, passes through a float, so it may lose digits.
impl<'de> Deserialize<'de> for Message<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Message<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a GELF message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut json = String::from("{");
                while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                    if json.len() > 1 {
                        json.push(',');
                    }
                    json.push_str(&serde_json::Value::String(name).to_string());
                    json.push(':');
                    json.push_str(&value.to_string());
                }
                json.push('}');
                let decoded = Decoder::lenient().decode(json.as_bytes()).map_err(de::Error::custom)?;
                Ok(decoded.message.into_owned())
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for FieldName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Serializes an integer outside of `i64` as a string of its digits, and a number with decimals or an exponent as
/// the nearest float. A number beyond the range of a float, such as `1e999`, is serialized as a string of its
/// text, since JSON has no infinity.
impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_i64() {
            Some(integer) => serializer.serialize_i64(integer),
            None if self.is_beyond_i64() || !self.is_finite() => serializer.collect_str(self),
            None => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Null => serializer.serialize_none(),
            Self::Number(number) => number.serialize(serializer),
            Self::Str(text) => serializer.serialize_str(text),
        }
    }
}

/// Serializes the number of the severity.
impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.as_u8())
    }
}

/// Deserializes a number from 0 to 7, or a name as [`FromStr`](std::str::FromStr) parses it.
impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl Visitor<'_> for NumberOrName {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a syslog severity")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Level, E> {
                let level = u8::try_from(number).ok().and_then(|number| Level::try_from(number).ok());
                level.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Level, E> {
                let unsigned = u64::try_from(number);
                unsigned
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| Self.visit_u64(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Level, E> {
                let level = Level::ALL.into_iter().find(|level| f64::from(level.as_u8()) == number);
                level.ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Level, E> {
                name.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(NumberOrName)
    }
}

/// Serializes the seconds since the epoch as a number, if a float represents them to the nanosecond. At
/// today's dates, this holds for whole microseconds. Other timestamps are serialized as a string with the
/// exact decimal.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (seconds, nanos) = self.as_unix();
        if nanos == 0 {
            return serializer.serialize_i64(seconds);
        }
        let decimal = self.to_string();
        match decimal.parse::<f64>() {
            Ok(float) if Self::from_decimal(&float.to_string()) == Ok(*self) => {
                serializer.serialize_f64(float)
            }
            _ => serializer.serialize_str(&decimal),
        }
    }
}

/// Deserializes a number of seconds since the epoch, or a string with such a number or with a time in the format
/// of RFC 3339.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since the Unix epoch")
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Timestamp, E> {
                Timestamp::from_unix(seconds, 0)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
                i64::try_from(seconds)
                    .ok()
                    .and_then(|seconds| Timestamp::from_unix(seconds, 0))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Timestamp, E> {
                Timestamp::from_decimal(&seconds.to_string()).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::from_decimal(text).or_else(|_| Timestamp::from_rfc3339(text)).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_serialization() {
        let message = Message::new("h", "m")
            .with_full_message("m\nn")
            .with_level(Level::Error)
            .with_timestamp(Timestamp::from_unix_nanos(1_700_000_000_123_456_000))
            .with_field(FieldName::from_static("text"), "t")
            .with_field(FieldName::from_static("count"), -3)
            .with_field(FieldName::from_static("ratio"), 0.25)
            .with_field(FieldName::from_static("yes"), true);
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(
            json,
            r#"{"version":"1.1","host":"h","timestamp":1700000000.123456,"level":3,"short_message":"m","full_message":"m\nn","_text":"t","_count":-3,"_ratio":0.25,"_yes":true}"#
        );
        assert_eq!(serde_json::from_str::<Message<'static>>(&json).unwrap(), message);
        assert!(serde_json::from_str::<Message<'static>>("{}").is_err());
        assert!(serde_json::from_str::<Message<'static>>("[]").is_err());
    }

    #[test]
    fn levels_are_written_as_numbers_and_read_as_numbers_or_names() {
        assert_eq!(serde_json::to_string(&Level::Warning).unwrap(), "4");
        assert_eq!(serde_json::from_str::<Level>("4").unwrap(), Level::Warning);
        assert_eq!(serde_json::from_str::<Level>("0.4e1").unwrap(), Level::Warning);
        assert_eq!(serde_json::from_str::<Level>("-0").unwrap(), Level::Emergency);
        assert_eq!(serde_json::from_str::<Level>("\"warn\"").unwrap(), Level::Warning);
        for wrong in ["8", "-1", "256", "3.7", "-0.5", "\"loud\"", "null"] {
            assert!(serde_json::from_str::<Level>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn timestamps_survive_to_the_nanosecond() {
        let json = |nanos| serde_json::to_string(&Timestamp::from_unix_nanos(nanos)).unwrap();
        assert_eq!(json(1_700_000_000_000_000_000), "1700000000");
        assert_eq!(json(1_700_000_000_250_000_000), "1700000000.25");
        assert_eq!(json(1_700_000_000_123_456_789), "\"1700000000.123456789\"");
        for nanos in [0, -1, -1_500_000_000, 1_700_000_000_123_456_000, 1_700_000_000_123_456_789] {
            let timestamp = Timestamp::from_unix_nanos(nanos);
            assert_eq!(serde_json::from_str::<Timestamp>(&json(nanos)).unwrap(), timestamp);
        }
        let rfc3339 = serde_json::from_str::<Timestamp>("\"1970-01-01T00:00:01Z\"").unwrap();
        assert_eq!(rfc3339, Timestamp::from_unix_nanos(1_000_000_000));
        assert!(serde_json::from_str::<Timestamp>("1e300").is_err());
    }

    #[test]
    fn numbers_beyond_i64_are_strings() {
        assert_eq!(serde_json::to_string(&Value::from(u64::MAX)).unwrap(), format!("\"{}\"", u64::MAX));
        assert_eq!(serde_json::to_string(&Value::Null).unwrap(), "null");
    }

    #[test]
    fn numbers_beyond_the_range_of_a_float_are_strings() {
        let json = |text: &str| serde_json::to_string(&Number::parse(text.to_owned()).unwrap()).unwrap();
        assert_eq!(json("1e999"), "\"1e999\"");
        assert_eq!(json("-1.5E+400"), "\"-1.5E+400\"");
        assert_eq!((json("1.5e2"), json("1e-999")), ("150.0".to_owned(), "0.0".to_owned()));
    }

    #[test]
    fn counters_survive_serialization() {
        let mut reader = crate::DatagramReader::<()>::default();
        let _ = reader.read(std::time::Instant::now(), (), b"\x1e");
        let stats = reader.stats();
        let json = serde_json::to_string(&stats).unwrap();
        assert!(json.contains("\"unknown_magic\":1"), "{json}");
        assert_eq!(serde_json::from_str::<crate::DatagramStats>(&json).unwrap(), stats);
        assert_eq!(serde_json::from_str::<crate::DatagramStats>("{}").unwrap(), Default::default());
    }
}
