//! Formats the lines of a live tail as text for a terminal or as JSON.

use std::fmt::Write;

use bytes::Bytes;
use docker_source::Record;
use serde_json::json;

use super::time::rfc3339;
use crate::terminal::{color, is_unsafe, push_safe};

/// The smallest width of the column of names in characters, as in Logspout.
const MIN_WIDTH: usize = 16;
/// The largest width of the column of names in characters. A longer name widens only its own line.
const MAX_WIDTH: usize = 48;

/// The form of a live tail.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// One object with the keys of Logspout for each line.
    Json,
    /// The name of the container in a column, and the line. A name that is longer than `width` makes the
    /// column wider for all later lines, up to [`MAX_WIDTH`].
    Text { has_colors: bool, width: usize },
}

impl Form {
    pub(super) fn text(has_colors: bool) -> Self {
        Self::Text { has_colors, width: MIN_WIDTH }
    }

    /// Returns a line, with a newline at its end.
    pub(super) fn line(&mut self, record: &Record) -> Bytes {
        let (container, line) = (record.container(), String::from_utf8_lossy(record.bytes()));
        let text = match self {
            // Logspout shows the whole inspection of the container. The router does not, since an inspection
            // has the environment variables.
            Self::Json => json_line(&json!({
                "Container": {
                    "Id": container.id(),
                    "Name": format!("/{}", container.name()),
                    "Config": { "Image": container.image() },
                },
                "Source": record.stream().as_str(),
                "Data": line,
                "Time": rfc3339(record.time()),
            })),
            Self::Text { has_colors, width } => {
                let mut name = String::new();
                push_safe(&mut name, container.name());
                *width = (*width).max(name.chars().count().min(MAX_WIDTH));
                let mut text = String::with_capacity(*width + line.len() + 16);
                if *has_colors {
                    text.push_str(color(&name));
                }
                // Writing to a string cannot fail.
                let _ = write!(text, "{name:>width$}|");
                push_safe(&mut text, &line);
                text.push_str(if *has_colors { "\u{1b}[0m\n" } else { "\n" });
                text
            }
        };
        text.into()
    }

    /// Returns a notice with the number of lines that the client has missed.
    pub(super) fn missed(&self, lines: u64) -> Bytes {
        self.notice(
            "Missed",
            &json!(lines),
            &format!("{lines} lines were missed: this client reads too slowly"),
        )
    }

    /// Returns a notice with the reason why the tail ends.
    pub(super) fn ended(&self, reason: &str) -> Bytes {
        self.notice("Ended", &json!(reason), reason)
    }

    fn notice(&self, key: &str, value: &serde_json::Value, text: &str) -> Bytes {
        match self {
            Self::Json => json_line(&json!({ key: value })).into(),
            Self::Text { .. } => {
                let mut line = String::from("-- ");
                push_safe(&mut line, text);
                line.push_str(" --\n");
                line.into()
            }
        }
    }
}

/// Returns a JSON value on one line. Escapes the characters that a terminal may interpret. The value stays
/// the same, since these characters occur only in strings.
fn json_line(value: &serde_json::Value) -> String {
    let mut line = String::new();
    for character in value.to_string().chars() {
        match is_unsafe(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            false => line.push(character),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use docker_source::gelf_core::Timestamp;
    use docker_source::{Container, LogStream};

    use super::*;

    fn record(name: &str, line: &str) -> Record {
        let container = Container::builder(name).image("shop:1").env("PASSWORD=hunter2").build();
        let time = Timestamp::from_rfc3339("2026-11-29T15:45:34.5Z").unwrap();
        Record::builder(container, line.to_owned()).stream(LogStream::Stderr).time(time).build()
    }

    fn shown(form: &mut Form, name: &str, line: &str) -> String {
        String::from_utf8(form.line(&record(name, line)).to_vec()).unwrap()
    }

    #[test]
    fn text_has_a_column_of_names_that_grows() {
        let mut form = Form::text(false);
        assert_eq!(shown(&mut form, "web", "a\tb \"c\" \\ é"), "             web|a\tb \"c\" \\ é\n");
        assert_eq!(shown(&mut form, "a-name-of-20-letters", "x"), "a-name-of-20-letters|x\n");
        assert_eq!(shown(&mut form, "web", "x"), "                 web|x\n");
        assert_eq!(shown(&mut Form::text(true), "web", "x"), "\u{1b}[31m             web|x\u{1b}[0m\n");
        assert_eq!(&form.missed(3)[..], b"-- 3 lines were missed: this client reads too slowly --\n");
    }

    #[test]
    fn json_has_the_keys_of_logspout_and_no_variable_of_the_container() {
        let line = shown(&mut Form::Json, "web", "a \"b\"");
        let id = "0".repeat(64);
        assert_eq!(
            line,
            format!(
                "{{\"Container\":{{\"Config\":{{\"Image\":\"shop:1\"}},\"Id\":\"{id}\",\"Name\":\"/web\"}},\
                 \"Data\":\"a \\\"b\\\"\",\"Source\":\"stderr\",\"Time\":\"2026-11-29T15:45:34.500000000Z\"}}\n"
            )
        );
        assert_eq!(&Form::Json.missed(3)[..], b"{\"Missed\":3}\n");
    }

    #[test]
    fn a_terminal_acts_on_nothing_in_a_line_and_json_keeps_the_text() {
        let line = "a\u{1b}[2Jb\u{9b}1m\u{7f}\r\n\u{202e}\u{2028}\u{e0001}";
        let text = shown(&mut Form::text(false), "we\u{1b}b", line);
        assert!(!text.trim_end().chars().any(char::is_control) && !text.contains('\u{202e}'), "{text:?}");
        let json = shown(&mut Form::Json, "web", line);
        assert!(json.trim_end().is_ascii() && !json.trim_end().chars().any(char::is_control), "{json:?}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["Data"], line);
    }
}
