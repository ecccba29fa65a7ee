//! Defines the HTTP vectors: requests, and the answers that are expected from a receiver.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Topic, Vector, is_default, read, read_files};
use crate::recipe::Content;

/// Name of the file with the HTTP vectors.
pub(super) const FILE: &str = "http.json";

/// HTTP requests, with the setup that the receiver needs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpExchange {
    /// True for a receiver that is set up for several messages in a body, false for one that is not, or `None` if
    /// that does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk: Option<bool>,
    /// True if the receiver has to require an authorization header.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: bool,
    /// Maximum body size that the receiver has to have, in bytes, if it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body: Option<usize>,
    /// Maximum size that the receiver has to have for each message in a bulk body, in bytes, if it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message: Option<usize>,
    /// The requests. Each request is sent after the answer to the previous request. All requests use the same
    /// connection while it stays open.
    pub requests: Vec<HttpRequest>,
}

/// A request, or raw bytes in its place.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// Method, by default `POST`.
    #[serde(default = "post")]
    pub method: String,
    /// Target, by default `/gelf`. A leading `/gelf` is replaced by the path of the receiver.
    #[serde(default = "gelf")]
    pub target: String,
    /// Version, by default `HTTP/1.1`.
    #[serde(default = "version")]
    pub version: String,
    /// Names and values of headers, sent after `Host` and the header that the receiver requires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Treatment of the header that the receiver requires.
    #[serde(default)]
    pub authorization: Authorization,
    /// Body sent with `Content-Length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Content>,
    /// Body sent with `Content-Length`, in several writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Content>>,
    /// Body sent with `Transfer-Encoding: chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<Content>>,
    /// All bytes of the request. The members above are then not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Content>,
    /// True if the client shuts down its side of the connection after the request.
    #[serde(default, skip_serializing_if = "is_default")]
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

/// Treatment of the header that a receiver requires.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Authorization {
    /// Sent with the right value.
    #[default]
    Right,
    /// Sent with another value.
    Wrong,
    /// Not sent.
    Missing,
}

/// The expected answer to a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// Accepted statuses.
    pub status: Statuses,
    /// Length of the answer's body in bytes, if it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// True if the receiver is allowed to close the connection instead of answering.
    #[serde(default, skip_serializing_if = "is_default")]
    pub closed: bool,
}

/// The accepted statuses of an answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Statuses {
    /// Exactly this status.
    One(u16),
    /// Any status of the list.
    Any(Vec<u16>),
}

impl Statuses {
    /// Returns the accepted statuses.
    pub fn all(&self) -> &[u16] {
        match self {
            Self::One(status) => std::slice::from_ref(status),
            Self::Any(all) => all,
        }
    }
}

/// State of a connection after an answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Afterwards {
    /// The connection can be used again.
    Open,
    /// The receiver closes the connection.
    Closed,
}

/// Returns the HTTP vectors, embedded at build time. [`embedded`](super::embedded) does not return them,
/// because they are for running receivers only.
///
/// # Errors
/// Returns an error if the file has a mistake. A test ensures that there is no mistake.
pub fn embedded_http() -> Result<Vec<Topic>, String> {
    let (name, text) = EMBEDDED;
    read([(PathBuf::from(name), text.as_bytes().to_vec())])
}

/// Name and content of the file with the HTTP vectors, embedded at build time.
pub(super) const EMBEDDED: (&str, &str) = (FILE, include_str!("../../vectors/http.json"));

/// Reads the HTTP vectors of a folder from its file `http.json`, if present.
///
/// # Errors
/// Returns the reason of the failure, with the file and, if possible, the vector.
pub fn load_http(folder: &Path) -> Result<Vec<Topic>, String> {
    let path = folder.join(FILE);
    if path.exists() { read(read_files([path])?) } else { Ok(Vec::new()) }
}

/// Returns the first mistake in an HTTP vector.
pub(super) fn fault(vector: &Vector) -> Option<&'static str> {
    let exchange = vector.http.as_ref()?;
    if exchange.requests.is_empty() {
        return Some("there are no requests");
    }
    for expected in [Some(&vector.strict), vector.lenient.as_ref()].into_iter().flatten() {
        if expected.answers.len() != exchange.requests.len() {
            return Some("an answer is required for each request");
        }
        let known = |answer: &HttpAnswer| {
            let all = answer.status.all();
            !all.is_empty() && all.iter().all(|status| (200..600).contains(status))
        };
        if !expected.answers.iter().all(known) {
            return Some("the status of an answer must be from 200 to 599");
        }
    }
    let has_one_body = |request: &HttpRequest| {
        let bodies = [
            request.body.is_some(),
            request.parts.is_some(),
            request.chunks.is_some(),
            request.raw.is_some(),
        ];
        bodies.into_iter().filter(|body| *body).count() <= 1
    };
    (!exchange.requests.iter().all(has_one_body))
        .then_some("a request has at most one of body, parts, chunks and raw")
}
