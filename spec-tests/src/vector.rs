//! The vectors as they stand in the files.

mod http;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::Recipe;
use crate::subject::Mode;
pub use http::{
    Afterwards, Authorization, HttpAnswer, HttpExchange, HttpRequest, Statuses, embedded_http, load_http,
};

/// The version of the files' form.
const SCHEMA: u32 = 1;

/// One file of vectors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Topic {
    /// The version of the form: 1.
    schema: u32,
    /// What the file is about, as its name says.
    pub topic: String,
    /// The vectors, in the order in which they are run.
    pub vectors: Vec<Vector>,
}

/// Some input, and what is made of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Vector {
    /// Its name, which no other has.
    pub id: String,
    /// What it is about, in a few words.
    pub title: String,
    /// The rule, of the table in `vectors/README.md`.
    pub rule: String,
    /// An implementation or report that the vector comes from.
    #[serde(default)]
    pub origin: Option<String>,
    /// What is expected is a choice, which `DECISIONS.md` gives reasons for: another is a deviation, and no failure.
    #[serde(default)]
    pub choice: bool,
    /// Nothing unusual is asked: what a sender does wrong here it does always, and it counts here alone.
    #[serde(default)]
    pub plain: bool,
    /// The name of what the vector is about, which counts even where a sender does so always.
    #[serde(default)]
    pub about: Option<String>,
    /// One payload: uncompressed JSON text, or what should be.
    #[serde(default)]
    payload: Option<Recipe>,
    /// Datagrams and times.
    #[serde(default)]
    datagrams: Option<Vec<Step>>,
    /// Pieces of a TCP stream, which then ends.
    #[serde(default)]
    stream: Option<Vec<Recipe>>,
    /// A message to be sent.
    #[serde(default)]
    send: Option<SendRequest>,
    /// A payload to be cut into datagrams.
    #[serde(default)]
    chunk: Option<ChunkRequest>,
    /// Requests of HTTP, and how their receiver is set up.
    #[serde(default)]
    http: Option<HttpExchange>,
    /// Limits other than the defaults.
    #[serde(default)]
    pub limits: Limits,
    /// What a strict implementation makes of it.
    strict: Expected,
    /// What a lenient one does; where it is missing, the same.
    #[serde(default)]
    lenient: Option<Expected>,
}

/// What an implementation is given.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'v> {
    /// A payload.
    Payload(&'v Recipe),
    /// Datagrams.
    Datagrams(&'v [Step]),
    /// A TCP stream.
    Stream(&'v [Recipe]),
    /// A message to be sent.
    Send(&'v SendRequest),
    /// A payload to be cut.
    Chunk(&'v ChunkRequest),
    /// Requests of HTTP.
    Http(&'v HttpExchange),
}

/// A datagram, or the time that passes.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Step {
    /// Seconds on a clock that begins at 0, and does not go back.
    #[serde(default)]
    pub at: f64,
    /// Who sent it.
    #[serde(default = "sender")]
    pub from: String,
    /// The datagram; without one, only time passes.
    #[serde(default)]
    pub datagram: Option<Recipe>,
}

fn sender() -> String {
    "A".to_owned()
}

/// Limits of a receiver, where a vector needs others than the defaults.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// How many messages may be pending.
    #[serde(default)]
    pub pending: Option<usize>,
    /// How many of one sender.
    #[serde(default)]
    pub pending_per_sender: Option<usize>,
    /// How long a frame may be.
    #[serde(default)]
    pub frame: Option<usize>,
    /// How long an inflated payload may be.
    #[serde(default)]
    pub payload: Option<usize>,
}

/// A message to be sent, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SendRequest {
    /// `udp` or `tcp`.
    pub transport: String,
    /// `none`, `gzip` or `zlib`; where it is missing `none`, or whatever a sender cannot do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// How many bytes a datagram may have, the header of a chunk included.
    #[serde(default = "wan")]
    pub datagram_size: u16,
    /// The message.
    pub message: MessageText,
}

impl SendRequest {
    /// The compression that is asked for.
    pub fn compression(&self) -> &str {
        self.compression.as_deref().unwrap_or("none")
    }
}

fn wan() -> u16 {
    1420
}

/// A payload to be cut into datagrams.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChunkRequest {
    /// How many bytes a datagram may have, the header of a chunk included.
    pub datagram_size: u16,
    /// What is cut.
    pub payload: Recipe,
}

/// A message, as text: nothing of it passes through a float.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MessageText {
    /// `host`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `short_message`; in the files it may be a recipe.
    #[serde(deserialize_with = "text")]
    pub short_message: String,
    /// `full_message`; in the files it may be a recipe.
    #[serde(default, deserialize_with = "some_text", skip_serializing_if = "Option::is_none")]
    pub full_message: Option<String>,
    /// `timestamp`, a plain decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// `level`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Additional fields, without the underscore, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, FieldValue)>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let bytes = Recipe::deserialize(deserializer)?.bytes().map_err(D::Error::custom)?;
    String::from_utf8(bytes).map_err(D::Error::custom)
}

fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

/// The value of an additional field.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum FieldValue {
    /// `true` or `false`
    Bool(bool),
    /// A number, as its text.
    Number {
        /// The text.
        number: String,
    },
    /// A string.
    Text(String),
}

/// What is made of the input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expected {
    /// The messages that are delivered, in order.
    #[serde(default)]
    pub messages: Vec<MessageText>,
    /// What is refused, in order, by name.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What is accepted though wrong, in order, by name.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// What else happened, in order, by name.
    #[serde(default)]
    pub events: Vec<String>,
    /// How many messages are incomplete at the end.
    #[serde(default)]
    pub pending: usize,
    /// The sizes of the datagrams that are sent.
    #[serde(default)]
    pub sizes: Option<Vec<usize>>,
    /// What the payload is that is sent, uncompressed and put together.
    #[serde(default)]
    pub payload: Option<Recipe>,
    /// With which bytes the first datagram begins, in hexadecimal.
    #[serde(default)]
    pub begins: Option<String>,
    /// What each request is answered with.
    #[serde(default)]
    pub answers: Vec<HttpAnswer>,
    /// How many connections the requests need.
    #[serde(default)]
    pub connections: Option<usize>,
    /// What becomes of the connection after the last.
    #[serde(default)]
    pub after: Option<Afterwards>,
}

impl Vector {
    /// What an implementation is given. A vector that was [loaded](load) has exactly one.
    pub fn input(&self) -> Option<Input<'_>> {
        let inputs = [
            self.payload.as_ref().map(Input::Payload),
            self.datagrams.as_deref().map(Input::Datagrams),
            self.stream.as_deref().map(Input::Stream),
            self.send.as_ref().map(Input::Send),
            self.chunk.as_ref().map(Input::Chunk),
            self.http.as_ref().map(Input::Http),
        ];
        let mut given = inputs.into_iter().flatten();
        given.next().filter(|_| given.next().is_none())
    }

    /// What it makes of it.
    pub fn expected(&self, mode: Mode) -> &Expected {
        match (mode, &self.lenient) {
            (Mode::Lenient, Some(lenient)) => lenient,
            _ => &self.strict,
        }
    }
}

/// The vectors of `spec-tests/vectors`, as this program was built with them.
///
/// # Errors
/// See [`LoadError`]; a test holds that there is none.
pub fn embedded() -> Result<Vec<Topic>, LoadError> {
    read(EMBEDDED.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())))
}

macro_rules! files {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../vectors/", $name)))),*] };
}

/// In the order of their names.
const EMBEDDED: [(&str, &str); 11] = files![
    "chunk_header.json",
    "compression.json",
    "encode.json",
    "envelope.json",
    "fields.json",
    "framing.json",
    "json.json",
    "level.json",
    "magic.json",
    "reassembly.json",
    "timestamp.json"
];

/// The rules, in the order of their numbers: `R1` and what it says.
pub fn rules() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("../vectors/README.md").lines().filter_map(|line| {
        let (rule, text) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let rule = rule.trim_end_matches('*');
        let number = rule.strip_prefix('R')?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some((rule, text))
    });
    rows.collect()
}

/// Reads all files of a folder, in the order of their names, but that of HTTP: see [`load_http`].
///
/// # Errors
/// See [`LoadError`], which names the file and, where it can, the vector.
pub fn load(folder: &Path) -> Result<Vec<Topic>, LoadError> {
    let error = |path: &Path, reason| LoadError { path: path.to_owned(), reason: Reason::Io(reason) };
    let entries = fs::read_dir(folder).map_err(|reason| error(folder, reason))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_none_or(|name| name != http::FILE))
        .collect();
    paths.sort();
    let files = read_files(paths)?;
    if files.is_empty() {
        return Err(LoadError { path: folder.to_owned(), reason: Reason::Empty });
    }
    read(files)
}

fn read_files(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<(PathBuf, Vec<u8>)>, LoadError> {
    let mut files = Vec::new();
    for path in paths {
        match fs::read(&path) {
            Ok(bytes) => files.push((path, bytes)),
            Err(reason) => return Err(LoadError { path, reason: Reason::Io(reason) }),
        }
    }
    Ok(files)
}

fn read(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Result<Vec<Topic>, LoadError> {
    let mut ids = HashSet::new();
    let mut topics = Vec::new();
    for (path, bytes) in files {
        let error = |reason| LoadError { path: path.clone(), reason };
        let topic: Topic = serde_json::from_slice(&bytes).map_err(|reason| error(Reason::Json(reason)))?;
        if topic.schema != SCHEMA {
            return Err(error(Reason::Schema(topic.schema)));
        }
        for vector in &topic.vectors {
            let wrong = |what| Err(error(Reason::Vector(vector.id.clone(), what)));
            if !ids.insert(vector.id.clone()) {
                return wrong("another vector has this id");
            }
            if vector.input().is_none() {
                return wrong("it needs exactly one of payload, datagrams, stream, send, chunk and http");
            }
            if let Some(what) = http::fault(vector) {
                return wrong(what);
            }
            let steps = vector.datagrams.as_deref().unwrap_or_default();
            if !steps.iter().all(|step| (0.0..1e6).contains(&step.at))
                || !steps.is_sorted_by(|a, b| a.at <= b.at)
            {
                return wrong("its times are not in order");
            }
        }
        topics.push(topic);
    }
    Ok(topics)
}

/// A file of vectors cannot be read.
#[derive(Debug)]
pub struct LoadError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Empty,
    Io(io::Error),
    Json(serde_json::Error),
    Schema(u32),
    Vector(String, &'static str),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::Empty => f.write_str("no vectors"),
            Reason::Io(error) => error.fmt(f),
            Reason::Json(error) => error.fmt(f),
            Reason::Schema(found) => write!(f, "schema {found}, and this program knows {SCHEMA}"),
            Reason::Vector(id, what) => write!(f, "vector {id}: {what}"),
        }
    }
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads one file with this content, and says what is wrong with it.
    fn fault(name: &str, content: &str) -> String {
        let folder = std::env::temp_dir().join(format!("gelf-vectors-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("topic.json"), content).unwrap();
        let error = load(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        error.split_once("topic.json: ").unwrap().1.to_owned()
    }

    #[test]
    fn the_program_has_all_files_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
        let ids = |topics: Vec<Topic>| -> Vec<(String, Vec<String>)> {
            let of =
                |topic: Topic| (topic.topic, topic.vectors.into_iter().map(|vector| vector.id).collect());
            topics.into_iter().map(of).collect()
        };
        assert_eq!(ids(embedded().unwrap()), ids(load(&folder).unwrap()));
        assert_eq!(ids(embedded_http().unwrap()), ids(load_http(&folder).unwrap()));
    }

    #[test]
    fn each_vector_is_about_a_rule_of_the_table() {
        let rules = rules();
        assert!(rules.len() >= 30, "{rules:?}");
        let topics = [embedded().unwrap(), embedded_http().unwrap()].concat();
        for vector in topics.iter().flat_map(|topic| &topic.vectors) {
            let first = vector.rule.split('-').next().unwrap_or_default();
            assert!(rules.iter().any(|(rule, _)| *rule == first), "{} is about {}", vector.id, vector.rule);
        }
    }

    #[test]
    fn a_malformed_file_is_named_with_the_vector_and_the_reason() {
        assert!(fault("json", "{").contains("EOF while parsing"));
        assert_eq!(
            fault("schema", r#"{"schema":2,"topic":"t","vectors":[]}"#),
            "schema 2, and this program knows 1"
        );
        assert_eq!(
            fault(
                "input",
                r#"{"schema":1,"topic":"t","vectors":[{"id":"X","title":"t","rule":"R1","strict":{}}]}"#
            ),
            "vector X: it needs exactly one of payload, datagrams, stream, send, chunk and http"
        );
        let unknown = r#"{"schema":1,"topic":"t","vectors":[{"id":"X","payloads":""}]}"#;
        assert!(fault("unknown", unknown).contains("unknown field `payloads`"));
        let twice = r#"{"id":"X","title":"t","rule":"R1","payload":"","strict":{}}"#;
        let twice = format!(r#"{{"schema":1,"topic":"t","vectors":[{twice},{twice}]}}"#);
        assert_eq!(fault("twice", &twice), "vector X: another vector has this id");
        let back = r#"{"schema":1,"topic":"t","vectors":[{"id":"X","title":"t","rule":"R1","datagrams":[{"at":2},{"at":1}],"strict":{}}]}"#;
        assert_eq!(fault("back", back), "vector X: its times are not in order");
    }
}
