//! The content of the messages, from the corpus of the benches.

use gelf_benches::Corpus;
use serde_json::{Map, Value, json};

/// The lengths of a line in bytes.
pub(crate) const LENGTHS: [usize; 3] = [100, 640, 4000];

/// The number of different lines, which take turns.
const LINES: usize = 64;

/// Returns lines of this length. Each line consists of samples of the corpus with less than 2,000 bytes, which are
/// joined by spaces and then cut to the length.
pub(crate) fn lines(length: usize) -> Vec<String> {
    let corpus = Corpus::new(4000);
    let mut texts =
        corpus.samples.iter().map(|sample| sample.text.as_str()).filter(|text| text.len() < 2000).cycle();
    let line = |_| {
        let mut line = String::new();
        while line.len() < length {
            line.extend(texts.next());
            line.push(' ');
        }
        // The corpus is ASCII, so any length is a boundary of a character.
        line.truncate(length);
        // In the output of a container, a line feed would end the line.
        line.replace(['\n', '\t'], " ")
    };
    (0..LINES).map(line).collect()
}

/// Returns the content of the file that the senders read: the host, the twelve fields of a container, and the lines.
pub(crate) fn messages(length: usize) -> Value {
    let corpus = Corpus::new(1);
    let (host, fields) = &corpus.containers[0];
    // Python's logging reserves the name `created`.
    let name = |name: &str| name.trim_start_matches('_').replace("created", "created_at");
    let fields: Map<String, Value> = fields.iter().map(|(key, value)| (name(key), json!(value))).collect();
    json!({ "host": host, "fields": fields, "lines": lines(length) })
}
