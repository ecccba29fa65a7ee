//! Statistics of HTTP requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{BodyCoding, Request};
use crate::inspect::HttpInspection;
use crate::report::merged;
use crate::text::{counted, grouped};

/// Maximum number of different `Content-Encoding` values that are counted.
const MAX_ENCODINGS: usize = 16;

/// Number of characters to which a `Content-Encoding` value is cut.
const ENCODING_CHARS: usize = 40;

/// Statistics of requests and answers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct HttpTally {
    /// The configured status: the answer to the first delivery of each message.
    #[serde(skip)]
    status: u16,
    requests: u64,
    /// Number of requests with `Content-Length`.
    #[serde(rename = "content_length")]
    lengths: u64,
    /// Number of requests with a chunked body.
    chunked: u64,
    encodings: BTreeMap<String, u64>,
    /// Largest number of messages in a body.
    most_messages: usize,
    /// Largest size of a body in bytes, after inflation if it can be inflated.
    most_bytes: usize,
    /// Largest number of requests on a connection.
    most_on_connection: u64,
    answers: BTreeMap<u16, u64>,
    /// Number of messages whose first delivery was answered with the configured status, which refuses them.
    #[serde(skip)]
    pub(super) refused: u64,
    /// Number of refused messages that were retried.
    #[serde(skip)]
    retried: u64,
    /// Shortest time from a refusal to the retry.
    #[serde(skip)]
    quickest: Option<Duration>,
    /// Longest time from a refusal to the retry.
    #[serde(skip)]
    slowest: Duration,
    /// Number of refused messages that arrived too close to the end of the run for a retry.
    #[serde(skip)]
    pub(super) too_late: u64,
}

impl HttpTally {
    pub(super) fn new(status: u16) -> Self {
        Self { status, ..Default::default() }
    }

    /// Returns whether the configured status accepts messages.
    pub(super) fn accepts(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns whether the configured status refuses the request for a reason other than its messages. A
    /// sender must retry after such a status.
    pub(super) fn is_to_be_retried(&self) -> bool {
        matches!(self.status, 300..=399 | 401 | 403 | 404 | 405 | 407 | 408 | 429 | 500..=599)
    }

    /// Returns whether the configured status refuses the messages themselves, so that a retry is in vain.
    /// After a status that is neither final nor [to be retried](Self::is_to_be_retried), senders are free to
    /// retry.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status, 400 | 413 | 415 | 422)
    }

    /// Counts a request. `number` is its number on the connection.
    pub(super) fn received(&mut self, request: &Request, number: u64, inspection: &HttpInspection) {
        self.requests += 1;
        match request.coding {
            BodyCoding::Length => self.lengths += 1,
            BodyCoding::Chunked(_) => self.chunked += 1,
            _ => {}
        }
        let encoding = request.headers("content-encoding").next().unwrap_or("none");
        let encoding: String = encoding.chars().take(ENCODING_CHARS).collect();
        if self.encodings.len() < MAX_ENCODINGS || self.encodings.contains_key(&encoding) {
            *self.encodings.entry(encoding).or_default() += 1;
        }
        self.most_messages = self.most_messages.max(inspection.messages.len() + inspection.not_judged);
        self.most_bytes = self.most_bytes.max(inspection.body_bytes.unwrap_or(request.body.len()));
        self.most_on_connection = self.most_on_connection.max(number);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
    }

    /// Counts a retry, which arrived this long after the refusal.
    pub(super) fn repeated(&mut self, after: Duration) {
        self.retried += 1;
        self.quickest = Some(self.quickest.map_or(after, |quickest| quickest.min(after)));
        self.slowest = self.slowest.max(after);
    }

    /// Returns the name and the text of each line of the report.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        if self.requests == 0 {
            return Vec::new();
        }
        let list = |figures: Vec<(String, u64)>| {
            let all = figures.into_iter().filter(|(_, count)| *count > 0);
            all.map(|(name, count)| format!("{name} {}", grouped(count))).collect::<Vec<_>>().join(", ")
        };
        let without = self.requests - self.lengths - self.chunked;
        let bodies = list(vec![
            ("by Content-Length".to_owned(), self.lengths),
            ("chunked".to_owned(), self.chunked),
            ("without".to_owned(), without),
        ]);
        let most = format!(
            "{bodies}; at most {} and {} in one, {} on a connection",
            counted(self.most_messages as u64, "message"),
            counted(self.most_bytes as u64, "byte"),
            counted(self.most_on_connection, "request"),
        );
        let encodings = self.encodings.iter().map(|(name, count)| (name.clone(), *count)).collect();
        let answers = self.answers.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        let mut lines = vec![("bodies", most), ("encodings", list(encodings)), ("answers", list(answers))];
        if !self.accepts() {
            let mut text = format!(
                "of {} answered with {}, {} retried",
                counted(self.refused, "message"),
                self.status,
                grouped(self.retried)
            );
            if let Some(quickest) = self.quickest {
                text.push_str(&format!(
                    ", after {:.1} to {:.1} s",
                    quickest.as_secs_f64(),
                    self.slowest.as_secs_f64()
                ));
            }
            if self.too_late > 0 {
                text.push_str(&format!("; {} arrived too late for a retry", grouped(self.too_late)));
            }
            lines.push(("retries", text));
        }
        lines
    }

    /// Returns the JSON report.
    pub(crate) fn json(&self) -> Value {
        if self.accepts() {
            return json!(self);
        }
        let retries = json!({
            "status": self.status,
            "to_be_retried": self.is_to_be_retried(),
            "messages": self.refused,
            "came_again": self.retried,
            "too_late": self.too_late,
            "quickest_seconds": self.quickest.map(|quickest| quickest.as_secs_f64()),
            "slowest_seconds": self.quickest.map(|_| self.slowest.as_secs_f64()),
        });
        merged(json!(self), json!({"retries": retries}))
    }
}
