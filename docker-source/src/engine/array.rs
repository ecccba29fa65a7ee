//! Splits a JSON array into the excerpts of its elements while the bytes of the array arrive.

use super::keep::Keep;
use super::members::{Excerpt, MemberFilter};

/// Reads an array element by element, regardless of how the text is split into reads. A bad element does not
/// affect the other elements, as long as its brackets and quotes are in pairs.
#[derive(Debug)]
pub(super) struct ArrayReader {
    state: State,
    element: MemberFilter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Before,
    Between,
    Within,
    After,
    /// The text is no array.
    Invalid,
}

impl ArrayReader {
    /// Creates a reader that keeps these parts of each element.
    pub(super) fn new(keep: &'static Keep) -> Self {
        Self { state: State::Before, element: MemberFilter::new(keep) }
    }

    /// Takes bytes up to the end of the next element and returns the excerpt of this element. Returns `None`
    /// if more bytes are needed, or if there is no further element.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Excerpt> {
        while let Some((first, rest)) = bytes.split_first() {
            match (self.state, first) {
                (State::After | State::Invalid, _) => *bytes = &[],
                (State::Within, _) => {
                    let taken = self.element.push(bytes);
                    *bytes = bytes.get(taken..).unwrap_or_default();
                    if self.element.is_complete() {
                        self.state = State::Between;
                        return Some(self.element.take());
                    }
                }
                (_, b' ' | b'\t' | b'\r' | b'\n') | (State::Between, b',') => *bytes = rest,
                (State::Before, b'[') => (self.state, *bytes) = (State::Between, rest),
                (State::Before, _) => self.state = State::Invalid,
                (State::Between, b']') => (self.state, *bytes) = (State::After, rest),
                (State::Between, _) => self.state = State::Within,
            }
        }
        None
    }

    /// Returns whether the array has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::After
    }

    /// Returns the number of bytes that are kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.element.kept()
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{ContainerSummary, SUMMARY};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Reads a text that arrives in parts of these lengths. The list of lengths repeats until the text ends.
    /// Returns the excerpts, and whether the array is complete. The flag of an excerpt is true if the excerpt
    /// is cut.
    fn read(keep: &'static Keep, text: &[u8], lengths: &[usize]) -> (Vec<(Vec<u8>, bool)>, bool) {
        let mut reader = ArrayReader::new(keep);
        let (mut found, mut rest) = (Vec::new(), text);
        for length in lengths.iter().cycle() {
            let (mut part, tail) = rest.split_at((*length).min(rest.len()));
            while let Some(Excerpt { text, is_cut }) = reader.next(&mut part) {
                found.push((text, is_cut));
            }
            assert!(part.is_empty());
            assert!(
                reader.kept() <= keep.max_len(),
                "{} of {} bytes are kept",
                reader.kept(),
                keep.max_len()
            );
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        (found, reader.is_complete())
    }

    fn summaries(text: &str, lengths: &[usize]) -> Vec<Option<ContainerSummary>> {
        let (found, _) = read(&SUMMARY, text.as_bytes(), lengths);
        found.into_iter().map(|(text, _)| serde_json::from_slice(&text).ok()).collect()
    }

    /// Limits that ordinary texts reach.
    const SMALL: Keep = Keep::Members(&[
        ("Id", Keep::Value(12)),
        (
            "Labels",
            Keep::Items(super::super::keep::Items {
                each: 20,
                total: 200,
                reserved: 100,
                prefixes: &["gelf_"],
            }),
        ),
        ("State", Keep::Members(&[("Id", Keep::Value(9))])),
    ]);

    fn element() -> impl Strategy<Value = Value> {
        let texts = || prop::collection::vec(".{0,20}", 0..4);
        let labels = || prop::collection::btree_map(".{0,12}", ".{0,30}", 0..5);
        (texts(), ".{0,20}", labels(), "[a-z]{0,8}", any::<Option<i64>>(), labels()).prop_map(
            |(names, image, labels, state, size, other)| {
                json!({
                    "Command": image, "Id": ID, "Names": names, "Image": image, "ImageID": "sha256:ab", "Size": size,
                    "Labels": labels, "State": state, "NetworkSettings": {"Labels": other, "Names": names}, "Mounts": [[], names],
                })
            },
        )
    }

    fn token() -> impl Strategy<Value = String> {
        let tokens = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"Id\":",
            "\"Labels\":{",
            "\"Labels\":[",
            "\"State\":{",
            "\"gelf_a\":\"b\",",
            "null",
            "-1.5e3",
            " ",
            "\n",
            "\\u00e9",
            "ä€😀",
            "{},",
            "\"x\",",
        ];
        let long = |text: &str| text.repeat(300);
        prop_oneof![
            8 => prop::sample::select(tokens.map(str::to_owned).to_vec()),
            1 => prop::sample::select(["[", "x", "{\"a\":", "\\n", "€"].map(long).to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn ordinary_elements_are_read_as_if_the_whole_text_was_parsed(
            elements in prop::collection::vec(element(), 0..6),
            is_pretty: bool,
            lengths in prop::collection::vec(1usize..100, 1..8),
        ) {
            let list = Value::Array(elements);
            let text = if is_pretty { format!("{list:#}") } else { list.to_string() };
            let expected: Vec<ContainerSummary> = serde_json::from_str(&text).unwrap();
            let found: Vec<_> = summaries(&text, &lengths).into_iter().map(Option::unwrap).collect();
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            let (found, is_complete) = read(&SUMMARY, text.as_bytes(), &lengths);
            prop_assert!(is_complete && found.iter().all(|(_, is_cut)| !is_cut));
        }

        #[test]
        fn a_bad_element_does_not_affect_the_other_elements(
            elements in prop::collection::vec(prop::sample::select(vec![
                None, Some("7"), Some("null"), Some("\"a,b]\""), Some("[[],{}]"), Some("{]"), Some("{\"Id\" 5}"),
                Some("{\"Id\":}"), Some("{\"Id\":\"../etc\"}"), Some("{\"Names\":[]}"), Some("{\"Id\":[[{\"a\":{}}]]}"),
                Some("{\"Labels\":{\"a\":[{}]}}"), Some("{\"Labels\":{\"a\"},\"b\":{}}"), Some("}"), Some("{,[}]"),
            ]), 0..20),
            lengths in prop::collection::vec(1usize..100, 1..8),
        ) {
            let good = format!(r#"{{"Id":"{ID}","Names":["/a"]}}"#);
            let texts: Vec<_> = elements.iter().map(|element| element.unwrap_or(&good)).collect();
            let found = summaries(&format!("[{}]", texts.join(",")), &lengths);
            let count = elements.iter().filter(|element| element.is_none()).count();
            prop_assert_eq!(found.iter().flatten().count(), count);
            prop_assert!(found.iter().flatten().all(|summary| summary.name() == Some("a")));
        }

        #[test]
        fn a_text_in_any_split_has_the_same_elements_in_bounded_memory(
            tokens in prop::collection::vec(token(), 0..60),
            lengths in prop::collection::vec(1usize..50, 1..8),
        ) {
            let text = format!("[{}", tokens.concat());
            let whole = read(&SMALL, text.as_bytes(), &[text.len()]);
            prop_assert_eq!(read(&SMALL, text.as_bytes(), &lengths), whole);
        }

        #[test]
        fn the_excerpt_of_a_valid_element_is_valid(element in element(), id in ".{0,40}") {
            let mut element = element;
            element["Id"] = json!(id);
            element["State"] = json!({"Id": id});
            let (found, is_complete) = read(&SMALL, json!([element]).to_string().as_bytes(), &[7]);
            prop_assert!(is_complete && found.len() == 1);
            let excerpt: Value = serde_json::from_slice(&found[0].0).unwrap();
            // If a string is cut, its beginning remains.
            let is_start = |part: &Value| part.as_str().is_none_or(|part| id.starts_with(part));
            prop_assert!(is_start(&excerpt["Id"]) && is_start(&excerpt["State"]["Id"]));
        }
    }

    #[test]
    fn a_cut_list_and_a_text_without_a_list_are_not_complete() {
        for text in ["", "[", "[{}", "[{},", "{}", "null", "x]"] {
            assert!(!read(&SUMMARY, text.as_bytes(), &[1]).1, "{text}");
        }
        assert_eq!(read(&SUMMARY, b" [ ] ", &[1]), (Vec::new(), true));
        assert_eq!(read(&SUMMARY, b"[{}", &[1]).0, [(b"{}".to_vec(), false)]);
    }
}
