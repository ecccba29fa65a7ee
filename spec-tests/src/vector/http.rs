//! The vectors of HTTP: requests, and what a receiver answers.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{LoadError, Topic, Vector, read, read_files};
use crate::recipe::Recipe;

/// The file that holds them.
pub(super) const FILE: &str = "http.json";

/// Requests to a receiver that is set up in a certain way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpExchange {
    /// Whether the receiver takes several messages of a body; none, where it makes no difference.
    #[serde(default)]
    pub bulk: Option<bool>,
    /// Whether it demands a header.
    #[serde(default)]
    pub header: bool,
    /// How many bytes it takes of a body, where that matters.
    #[serde(default)]
    pub max_body: Option<usize>,
    /// How many bytes it takes of a message that is one of several, where that matters.
    #[serde(default)]
    pub max_message: Option<usize>,
    /// The requests, each sent when the one before is answered, and all on one connection as long as it is open.
    pub requests: Vec<HttpRequest>,
}

/// A request, or the bytes that stand in the place of one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpRequest {
    /// `POST`
    #[serde(default = "post")]
    pub method: String,
    /// `/gelf`; where that stands at the beginning, it is the receiver's own path.
    #[serde(default = "gelf")]
    pub target: String,
    /// `HTTP/1.1`
    #[serde(default = "version")]
    pub version: String,
    /// Names and values, behind those that every request has.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// What becomes of the header that the receiver demands.
    #[serde(default)]
    pub authorization: Authorization,
    /// A body with its length.
    #[serde(default)]
    pub body: Option<Recipe>,
    /// A body with its length, that is sent in parts.
    #[serde(default)]
    pub parts: Option<Vec<Recipe>>,
    /// A body in chunks.
    #[serde(default)]
    pub chunks: Option<Vec<Recipe>>,
    /// All bytes of the request, instead of all else.
    #[serde(default)]
    pub raw: Option<Recipe>,
    /// Nothing more is sent on the connection.
    #[serde(default)]
    pub end: bool,
}

fn post() -> String {
    "POST".to_owned()
}

fn gelf() -> String {
    "/gelf".to_owned()
}

fn version() -> String {
    "HTTP/1.1".to_owned()
}

/// What becomes of the header that a receiver demands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Authorization {
    /// It is there.
    #[default]
    Right,
    /// It has another value.
    Wrong,
    /// It is missing.
    Missing,
}

/// What a request is answered with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpAnswer {
    /// One of these.
    pub status: Statuses,
    /// How long the answer's body is, where that matters.
    #[serde(default)]
    pub length: Option<usize>,
    /// The connection may be closed instead.
    #[serde(default)]
    pub closed: bool,
}

/// One status, or several of which each is right.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Statuses {
    /// This.
    One(u16),
    /// Any of these.
    Any(Vec<u16>),
}

impl Statuses {
    /// All of them.
    pub fn all(&self) -> &[u16] {
        match self {
            Self::One(status) => std::slice::from_ref(status),
            Self::Any(all) => all,
        }
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Afterwards {
    /// It may be used again.
    Open,
    /// The receiver closes it.
    Closed,
}

/// The vectors of HTTP, as this program was built with them. They are put to receivers that run, and so not among those
/// of [`embedded`](super::embedded).
///
/// # Errors
/// See [`LoadError`]; a test holds that there is none.
pub fn embedded_http() -> Result<Vec<Topic>, LoadError> {
    read([(PathBuf::from(FILE), include_bytes!("../../vectors/http.json").to_vec())])
}

/// Reads the vectors of HTTP of a folder: its file `http.json`, if there is one.
///
/// # Errors
/// See [`LoadError`], which names the file and, where it can, the vector.
pub fn load_http(folder: &Path) -> Result<Vec<Topic>, LoadError> {
    let path = folder.join(FILE);
    if path.exists() { read(read_files([path])?) } else { Ok(Vec::new()) }
}

/// What is wrong with a vector of HTTP.
pub(super) fn fault(vector: &Vector) -> Option<&'static str> {
    let exchange = vector.http.as_ref()?;
    if exchange.requests.is_empty() {
        return Some("it has no requests");
    }
    for expected in [Some(&vector.strict), vector.lenient.as_ref()].into_iter().flatten() {
        if expected.answers.len() != exchange.requests.len() {
            return Some("it needs an answer for each request");
        }
        let known = |answer: &HttpAnswer| {
            let all = answer.status.all();
            !all.is_empty() && all.iter().all(|status| (200..600).contains(status))
        };
        if !expected.answers.iter().all(known) {
            return Some("an answer needs a status from 200 to 599");
        }
    }
    let whole = |request: &HttpRequest| {
        let bodies = [
            request.body.is_some(),
            request.parts.is_some(),
            request.chunks.is_some(),
            request.raw.is_some(),
        ];
        bodies.into_iter().filter(|body| *body).count() <= 1
    };
    (!exchange.requests.iter().all(whole))
        .then_some("a request has one of body, parts, chunks and raw at most")
}
