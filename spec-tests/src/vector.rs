//! Defines the vectors and loads them from their files.

mod expanded;
mod http;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::{DeserializeOwned, Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::Content;
use crate::text::shortened;
pub use expanded::{VERSION, expanded};
pub use http::{
    Afterwards, Authorization, HttpAnswer, HttpExchange, HttpRequest, Statuses, embedded_http, load_http,
};

/// Version of the formats of vector and expectation files.
const SCHEMA: u32 = 1;

/// Tolerance of an implementation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Accepts GELF 1.1 only.
    Strict,
    /// Accepts all input whose meaning is clear.
    Lenient,
}

/// Writes `strict` or `lenient`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Strict => "strict",
            Self::Lenient => "lenient",
        })
    }
}

/// One file of vectors.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Version of the file format: 1.
    schema: u32,
    /// Version of the vectors, in an expanded file.
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    /// License of the vectors, in an expanded file.
    #[serde(rename = "license")]
    _license: Option<IgnoredAny>,
    /// Topic of the vectors. It is the name of the file without `.json`.
    pub topic: String,
    /// The vectors, in the order in which they run.
    pub vectors: Vec<Vector>,
}

/// An input with the expected results.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Unique id.
    pub id: String,
    /// Short description.
    pub title: String,
    /// Rule under test, or a range of rules such as `R2-R4`, from the table in `vectors/README.md`.
    pub rule: String,
    /// The demand, which only expanded files state. A file is refused if the stated demand contradicts the
    /// expected results.
    #[serde(rename = "demand", skip_serializing_if = "Option::is_none")]
    stated_demand: Option<Demand>,
    /// Implementation or report that motivated the vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// True if the expected result is one choice among several, explained in `DECISIONS.md`. Another result
    /// is then a deviation, not a failure. A receiver that invents a timestamp or a level still fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub choice: bool,
    /// True if the request to a sender is ordinary. A violation in the reply to such a request probably occurs
    /// in all messages of the sender. Therefore, it counts only in the vectors with this mark, and in vectors
    /// that are [about](Self::about) it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub plain: bool,
    /// Name of the violation under test. It counts in this vector even if the sender commits it in all
    /// messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// One payload: uncompressed JSON text, valid or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Content>,
    /// Datagrams with their times.
    #[serde(skip_serializing_if = "Option::is_none")]
    datagrams: Option<Vec<Step>>,
    /// Pieces of a TCP stream, followed by its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<Vec<Content>>,
    /// A message to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    send: Option<SendRequest>,
    /// A payload to split into datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<ChunkRequest>,
    /// HTTP requests, with the setup of the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpExchange>,
    /// Limits that differ from the defaults.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Expected result of a strict implementation.
    strict: Expected,
    /// Expected result of a lenient implementation, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    lenient: Option<Expected>,
}

/// Demand of a vector on an implementation. Vectors with different demands are counted in separate scores.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Demand {
    /// Every receiver has to deliver the messages, and every sender has to send the message.
    Take,
    /// No receiver may deliver a message, and no sender may send the message as it is.
    Refuse,
    /// Implementations may differ: strict and lenient ones deliver different messages, or the vector is a
    /// choice.
    Free,
}

impl Demand {
    /// All demands, in the order of the columns of a score.
    pub const ALL: [Self; 3] = [Self::Take, Self::Refuse, Self::Free];

    /// Returns the heading of the demand's column: a verb, or `free`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Take => "takes",
            Self::Refuse => "refuses",
            Self::Free => "free",
        }
    }
}

/// The input of a vector.
#[derive(Clone, Copy, Debug)]
pub enum Input<'v> {
    /// A payload.
    Payload(&'v [u8]),
    /// Datagrams.
    Datagrams(&'v [Step]),
    /// A TCP stream.
    Stream(&'v [Content]),
    /// A message to send.
    Send(&'v SendRequest),
    /// A payload to split into datagrams.
    Chunk(&'v ChunkRequest),
    /// HTTP requests.
    Http(&'v HttpExchange),
}

impl<'v> Input<'v> {
    /// Returns the bytes for a receiver: the payload, the datagrams or the pieces of the stream. Returns
    /// nothing for other inputs.
    pub fn parts(self) -> Vec<&'v [u8]> {
        match self {
            Self::Payload(payload) => vec![payload],
            Self::Datagrams(steps) => steps.iter().filter_map(|step| step.datagram.as_deref()).collect(),
            Self::Stream(pieces) => pieces.iter().map(|piece| &**piece).collect(),
            Self::Send(_) | Self::Chunk(_) | Self::Http(_) => Vec::new(),
        }
    }
}

/// A datagram, or a point in time at which nothing arrives.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Seconds on a clock that starts at 0 and never goes back.
    #[serde(default)]
    pub at: f64,
    /// Name of the sender.
    #[serde(default = "default_sender")]
    pub from: String,
    /// The datagram, or `None` if only time passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagram: Option<Content>,
}

/// Returns whether a member has its default value, which is left out of an expanded file.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_sender() -> String {
    "A".to_owned()
}

/// Receiver limits that differ from the defaults.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Maximum number of pending messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<usize>,
    /// Maximum number of pending messages of one sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_per_sender: Option<usize>,
    /// Maximum length of a frame, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    /// Maximum length of a payload in bytes. For a compressed payload, this is the length of the inflated
    /// payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<usize>,
}

/// A request to send a message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// Transport: `udp` or `tcp`.
    pub transport: String,
    /// Compression: `none`, `gzip` or `zlib`. If it is absent, the sender is asked to send uncompressed
    /// bytes. A sender that supports only compressed datagrams is asked for `gzip` or `zlib` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Maximum size of a datagram in bytes, including the chunk header.
    #[serde(default = "default_datagram_size")]
    pub datagram_size: u16,
    /// The message.
    pub message: MessageText,
}

impl SendRequest {
    /// Returns the requested compression.
    pub fn compression(&self) -> &str {
        self.compression.as_deref().unwrap_or("none")
    }
}

fn default_datagram_size() -> u16 {
    1420
}

/// A request to split a payload into datagrams.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRequest {
    /// Maximum size of a datagram in bytes, including the chunk header.
    pub datagram_size: u16,
    /// The payload.
    pub payload: Content,
}

/// A message. The timestamp and the numbers in fields are kept as text, so that they keep all of their digits.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MessageText {
    /// The member `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The member `short_message`. In a file, it can be a recipe.
    #[serde(deserialize_with = "text")]
    pub short_message: String,
    /// The member `full_message`. In a file, it can be a recipe.
    #[serde(default, deserialize_with = "some_text", skip_serializing_if = "Option::is_none")]
    pub full_message: Option<String>,
    /// The member `timestamp`, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The member `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Additional fields in order. The names are without the underscore that GELF puts in front of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, FieldValue)>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let bytes = Content::deserialize(deserializer)?;
    String::from_utf8(bytes.to_vec()).map_err(D::Error::custom)
}

fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

/// The value of an additional field.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number as text.
    Number {
        /// The JSON text of the number.
        number: String,
    },
    /// A string.
    Text(String),
}

/// Writes the value for people. Shortens long strings.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Number { number } => f.write_str(number),
            Self::Text(text) => f.write_str(&shortened(&format!("{text:?}"))),
        }
    }
}

/// The expected result of a vector.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Delivered messages, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageText>,
    /// Names of the errors, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Names of the tolerated deviations, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<String>,
    /// Names of other events, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Number of incomplete messages at the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pending: usize,
    /// Sizes of the sent datagrams, or of the one frame, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<usize>>,
    /// The payload of the sent datagrams or frame, reassembled and uncompressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Content>,
    /// First sent bytes, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
    /// Answer to each HTTP request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<HttpAnswer>,
    /// Maximum number of connections that the client may need for the requests. A receiver that closes
    /// connections early makes the client open more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// State of the connection after the last request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Afterwards>,
}

impl Vector {
    /// Returns the input. A vector that was [loaded](load) has exactly one input.
    pub fn input(&self) -> Option<Input<'_>> {
        let inputs = [
            self.payload.as_deref().map(Input::Payload),
            self.datagrams.as_deref().map(Input::Datagrams),
            self.stream.as_deref().map(Input::Stream),
            self.send.as_ref().map(Input::Send),
            self.chunk.as_ref().map(Input::Chunk),
            self.http.as_ref().map(Input::Http),
        ];
        let mut given = inputs.into_iter().flatten();
        given.next().filter(|_| given.next().is_none())
    }

    /// Derives the demand of the vector from its expected results.
    pub fn demand(&self) -> Demand {
        let (strict, lenient) = (self.expected(Mode::Strict), self.expected(Mode::Lenient));
        let is_sent = self.send.is_some() || self.chunk.is_some();
        let takes = match is_sent {
            true => strict.errors.is_empty(),
            false => !strict.messages.is_empty(),
        };
        match takes {
            _ if self.choice || strict.messages != lenient.messages => Demand::Free,
            true => Demand::Take,
            false => Demand::Refuse,
        }
    }

    /// Returns the expected result in this mode.
    pub fn expected(&self, mode: Mode) -> &Expected {
        match (mode, &self.lenient) {
            (Mode::Lenient, Some(lenient)) => lenient,
            _ => &self.strict,
        }
    }
}

/// Returns the vectors of `spec-tests/vectors` except those of `http.json`, embedded at build time.
/// [`embedded_http`] returns the HTTP vectors.
///
/// # Errors
/// Returns an error if a file has a mistake. A test ensures that there is no mistake.
pub fn embedded() -> Result<Vec<Topic>, String> {
    read(EMBEDDED.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())))
}

macro_rules! files {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../vectors/", $name)))),*] };
}

/// The files, sorted by name.
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

/// Returns the number of the line that has the id of a vector, in the embedded file of a topic. The first
/// line is 1.
pub(crate) fn line_of(topic: &str, id: &str) -> Option<usize> {
    let mut files = EMBEDDED.iter().copied().chain([http::EMBEDDED]);
    let (_, text) = files.find(|(name, _)| name.strip_suffix(".json") == Some(topic))?;
    let member = format!("\"id\": \"{id}\"");
    Some(text.lines().position(|line| line.contains(&member))? + 1)
}

/// Reads all vector files of a folder, sorted by name. The file with the HTTP vectors is left out, see
/// [`load_http`].
///
/// # Errors
/// Returns an error that names the file, the reason and, if possible, the vector.
pub fn load(folder: &Path) -> Result<Vec<Topic>, String> {
    let error = |error: io::Error| at(folder, &error);
    let entries = fs::read_dir(folder).map_err(error)?;
    let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(error)?;
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "json")
            && path.file_name().is_none_or(|name| name != http::FILE)
            && path.file_stem().is_none_or(|stem| Path::new(stem).extension() != Some("schema".as_ref()))
    });
    paths.sort();
    let files = read_files(paths)?;
    if files.is_empty() {
        return Err(at(folder, &"no vectors"));
    }
    read(files)
}

fn read_files(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let read = |path: PathBuf| match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(at(&path, &error)),
    };
    paths.into_iter().map(read).collect()
}

/// Returns the text of an error about a file.
pub(crate) fn at(path: &Path, reason: &dyn fmt::Display) -> String {
    format!("{}: {reason}", path.display())
}

/// Parses a file and checks its schema.
pub(crate) fn parse<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    schema: fn(&T) -> u32,
) -> Result<T, String> {
    let file: T = serde_json::from_slice(bytes).map_err(|error| at(path, &error))?;
    match schema(&file) {
        SCHEMA => Ok(file),
        found => Err(at(path, &format!("unsupported schema {found}, expected {SCHEMA}"))),
    }
}

fn read(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Result<Vec<Topic>, String> {
    let mut ids = HashSet::new();
    let mut topics = Vec::new();
    for (path, bytes) in files {
        let topic: Topic = parse(&path, &bytes, |topic: &Topic| topic.schema)?;
        for vector in &topic.vectors {
            let wrong = |what: &str| Err(at(&path, &format!("vector {}: {what}", vector.id)));
            if !ids.insert(vector.id.clone()) {
                return wrong("the id is not unique");
            }
            if vector.input().is_none() {
                return wrong(
                    "exactly one input is required: payload, datagrams, stream, send, chunk or http",
                );
            }
            if let Some(what) = http::fault(vector) {
                return wrong(what);
            }
            if let Some(fault) = expanded::fault(vector).or_else(|| words::fault(vector)) {
                return wrong(&fault);
            }
            let steps = vector.datagrams.as_deref().unwrap_or_default();
            if !steps.iter().all(|step| (0.0..1e6).contains(&step.at))
                || !steps.is_sorted_by(|a, b| a.at <= b.at)
            {
                return wrong("the times must be in order, from 0 to less than 1,000,000 seconds");
            }
        }
        topics.push(topic);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads one file with this content and returns the error.
    fn fault(name: &str, content: &str) -> String {
        let folder = std::env::temp_dir().join(format!("gelf-vectors-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("topic.json"), content).unwrap();
        let error = load(&folder).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        error.split_once("topic.json: ").unwrap().1.to_owned()
    }

    #[test]
    fn all_files_are_embedded() {
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
    fn errors_name_file_vector_and_reason() {
        assert!(fault("json", "{").contains("EOF while parsing"));
        assert_eq!(
            fault("schema", r#"{"schema":2,"topic":"t","vectors":[]}"#),
            "unsupported schema 2, expected 1"
        );
        assert_eq!(
            fault(
                "input",
                r#"{"schema":1,"topic":"t","vectors":[{"id":"X","title":"t","rule":"R1","strict":{}}]}"#
            ),
            "vector X: exactly one input is required: payload, datagrams, stream, send, chunk or http"
        );
        let unknown = r#"{"schema":1,"topic":"t","vectors":[{"id":"X","payloads":""}]}"#;
        assert!(fault("unknown", unknown).contains("unknown field `payloads`"));
        let twice = r#"{"id":"X","title":"t","rule":"R1","payload":"","strict":{}}"#;
        let twice = format!(r#"{{"schema":1,"topic":"t","vectors":[{twice},{twice}]}}"#);
        assert_eq!(fault("twice", &twice), "vector X: the id is not unique");
        for (rule, expected, error) in [
            ("R999", "{}", "unknown rule \"R999\""),
            ("R1", r#"{"errors":["Nonsense"]}"#, "unknown error or deviation \"Nonsense\""),
            ("R1", r#"{"deviations":["Missing hosts"]}"#, "unknown error or deviation \"Missing hosts\""),
            ("R1", r#"{"events":["Expires"]}"#, "unknown event \"Expires\""),
        ] {
            let vector =
                format!(r#"{{"id":"X","title":"t","rule":"{rule}","payload":"","strict":{expected}}}"#);
            let words = format!(r#"{{"schema":1,"topic":"t","vectors":[{vector}]}}"#);
            assert_eq!(fault("words", &words), format!("vector X: {error}"));
        }
        let back = r#"{"schema":1,"topic":"t","vectors":[{"id":"X","title":"t","rule":"R1","datagrams":[{"at":2},{"at":1}],"strict":{}}]}"#;
        assert_eq!(
            fault("back", back),
            "vector X: the times must be in order, from 0 to less than 1,000,000 seconds"
        );
    }
}
