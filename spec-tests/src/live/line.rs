//! Parses output lines of a receiver. The section "Observed lines" in `PROTOCOL.md` describes the format.

use std::collections::BTreeMap;

use crate::observed::{JsonText, ObservedMessage};

/// Parses the message of a line. Returns `None` if the line is not a JSON object.
pub(super) fn message(line: &str) -> Option<ObservedMessage> {
    let members: BTreeMap<String, JsonText> = serde_json::from_str(line).ok()?;
    let mut message = ObservedMessage::default();
    for (name, value) in members {
        match name.as_str() {
            "version" => message.version = Some(value),
            "host" => message.host = Some(value),
            "short_message" => message.short_message = Some(value),
            "full_message" => message.full_message = Some(value),
            "timestamp" => message.timestamp = Some(value),
            "level" => message.level = Some(value),
            "fields" => match serde_json::from_str::<BTreeMap<String, JsonText>>(value.json()) {
                Ok(fields) => message.fields.extend(fields),
                Err(_) => {
                    message.fields.insert(name, value);
                }
            },
            other => {
                let bare = other.strip_prefix('_').unwrap_or(other).to_owned();
                message.fields.insert(bare, value);
            }
        }
    }
    for member in [
        &mut message.host,
        &mut message.short_message,
        &mut message.full_message,
        &mut message.timestamp,
        &mut message.level,
    ] {
        if member.as_ref().is_some_and(JsonText::is_null) {
            *member = None;
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<(String, String)> {
        let message = message(line).unwrap();
        message.fields.iter().map(|(name, value)| (name.clone(), value.json().to_owned())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_read_in_every_form() {
        let wanted = pairs(&[("n", "9007199254740993"), ("user", "\"x\"")]);
        assert_eq!(fields(r#"{"short_message":"m","_user":"x","_n":9007199254740993}"#), wanted);
        assert_eq!(fields(r#"{"short_message":"m","fields":{"user":"x","n":9007199254740993}}"#), wanted);
        assert_eq!(fields(r#"{"short_message":"m","user":"x","_n":9007199254740993}"#), wanted);
        assert_eq!(
            fields(r#"{"short_message":"m","__x":1,"fields":"f"}"#),
            pairs(&[("_x", "1"), ("fields", "\"f\"")])
        );
    }

    #[test]
    fn members_are_read_and_null_is_missing() {
        let line = r#"{"version":"1.1","host":"h","short_message":"m","full_message":null,"timestamp":1.5,"level":3}"#;
        let message = message(line).unwrap();
        let json = |seen: &Option<JsonText>| seen.as_ref().map(|seen| seen.json().to_owned());
        assert_eq!(json(&message.host).as_deref(), Some("\"h\""));
        assert_eq!(json(&message.full_message), None);
        assert_eq!(json(&message.timestamp).as_deref(), Some("1.5"));
        assert_eq!(json(&message.level).as_deref(), Some("3"));
    }

    #[test]
    fn other_lines_are_not_messages() {
        assert!(message("ready").is_none());
        assert!(message("[1]").is_none());
        assert!(message("{\"a\":").is_none());
    }
}
