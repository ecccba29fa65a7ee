//! Statistics of messages and violations, with a few examples.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::event::{Event, HttpEvent, HttpEventKind};
use super::http_tally::HttpTally;
use super::judged::Judged;
use crate::inspect::{Severity, Violation};
use crate::reader::{CHUNK_HEADER_BYTES, Chunk, Encoding, encoding, is_chunk};
use crate::receivers::{Effect, Receiver, ReceiverRule, Transport};
use crate::recipe::first_bytes;

/// Maximum number of senders that are counted separately. The others are counted together.
const MAX_SENDERS: usize = 256;

/// Maximum number of kinds of violations. About a hundred kinds exist.
const MAX_KINDS: usize = 256;

/// Maximum number of examples of each kind.
const MAX_EXAMPLES: usize = 3;

/// Maximum number of bytes in an example of a violation that has no excerpt.
const SHOWN_BYTES: usize = 24;

/// Statistics of all senders.
#[derive(Debug, Default, Serialize)]
pub struct Tally<'r> {
    /// Number of complete and incomplete messages. Bytes that arrived in the place of a message count, too.
    pub(crate) messages: u64,
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) connections: u64,
    /// Number of connections that were closed because Graylog would close them.
    pub(crate) ended_connections: u64,
    /// Number of connections that were closed because of the limit on open connections.
    pub(crate) refused_connections: u64,
    /// Number of datagrams that the kernel of this machine dropped.
    pub(crate) dropped_datagrams: u64,
    /// Number of messages that were not judged, because the run ended first, or because this program closed
    /// their idle connection.
    pub(crate) left: u64,
    /// Number of messages that were not judged, because they were evicted or exceeded a limit.
    pub(crate) not_judged: u64,
    #[serde(skip)]
    pub(crate) senders: BTreeMap<(Transport, SocketAddr), Figures>,
    pub(crate) other_senders: Figures,
    pub(crate) compressions: BTreeMap<&'static str, u64>,
    /// Number of messages by number of chunks. A message in a plain datagram has 0 chunks.
    pub(crate) chunks: BTreeMap<usize, u64>,
    #[serde(skip)]
    pub(crate) violations: BTreeMap<Kind, Violations>,
    #[serde(skip)]
    pub(crate) receivers: Vec<ReceiverTally<'r>>,
    /// Statistics of HTTP, set at the end of the run.
    #[serde(skip)]
    pub(crate) http: Option<HttpTally>,
}

/// Counts of one sender.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) messages: u64,
    pub(crate) datagrams: u64,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

/// A kind of violation, ordered by severity, then by rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Kind {
    is_odd: bool,
    /// Number of the rule, by which kinds are sorted.
    number: u32,
    pub(crate) rule: &'static str,
    pub(crate) name: String,
}

impl Kind {
    fn of(violation: &Violation) -> Self {
        Self {
            is_odd: violation.severity == Severity::Odd,
            number: violation.rule.trim_start_matches('R').parse().unwrap_or(u32::MAX),
            rule: violation.rule,
            name: violation.name.clone(),
        }
    }

    pub(crate) fn severity(&self) -> Severity {
        if self.is_odd { Severity::Odd } else { Severity::Broken }
    }
}

/// Counts and examples of a kind of violation.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Violations {
    pub(crate) times: u64,
    /// Number of messages with the violation. A violation that is judged apart from its message, or outside of any
    /// message, counts as a further one.
    pub(crate) messages: u64,
    pub(crate) examples: Vec<Example>,
}

/// An example of a violation.
#[derive(Debug, Serialize)]
pub(crate) struct Example {
    #[serde(rename = "address")]
    pub(crate) source: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) text: String,
    pub(crate) bytes: String,
}

/// Predicted behaviour of a receiver.
#[derive(Debug)]
pub(crate) struct ReceiverTally<'r> {
    pub(crate) receiver: &'r Receiver,
    /// Number of messages over the transports for which the receiver's behaviour is known.
    pub(crate) known: u64,
    /// Number of these messages that the receiver accepts.
    pub(crate) messages: u64,
    /// Number of times that each of the receiver's rules applied, to a message or to a violation outside of a
    /// message.
    counts: Vec<u64>,
}

impl<'r> ReceiverTally<'r> {
    /// Returns the rules with this effect that applied at least once, each with its number, most frequent first.
    pub(crate) fn rules(&self, effect: Effect) -> Vec<(&'r ReceiverRule, u64)> {
        let rules = self.receiver.rules.iter().zip(self.counts.iter().copied());
        let mut rules: Vec<_> = rules.filter(|(rule, count)| rule.effect == effect && *count > 0).collect();
        rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rules
    }
}

impl<'r> Tally<'r> {
    pub(super) fn new(receivers: &'r [Receiver]) -> Self {
        let taken = |receiver: &'r Receiver| ReceiverTally {
            receiver,
            known: 0,
            messages: 0,
            counts: vec![0; receiver.rules.len()],
        };
        Self { receivers: receivers.iter().map(taken).collect(), ..Self::default() }
    }

    /// Counts an event.
    pub(super) fn received(&mut self, event: &Event) {
        match event {
            Event::Datagram { source, bytes } => {
                let len = bytes.len() as u64;
                self.datagrams += 1;
                self.bytes += len;
                let figures = self.sender(Transport::Udp, *source);
                figures.datagrams += 1;
                figures.bytes += len;
            }
            Event::Opened { source } => {
                self.connections += 1;
                self.sender(Transport::Tcp, *source);
            }
            Event::Read { source, bytes, .. } => {
                self.bytes += bytes.len() as u64;
                self.sender(Transport::Tcp, *source).bytes += bytes.len() as u64;
            }
            Event::Closed { .. } => {}
            Event::Ended => self.ended_connections += 1,
            Event::Refused => self.refused_connections += 1,
            Event::Dropped(datagrams) => self.dropped_datagrams += datagrams,
            Event::Http(event) => self.http_received(event),
        }
    }

    fn http_received(&mut self, event: &HttpEvent) {
        let HttpEvent { source, bytes, kind } = event;
        self.bytes += *bytes as u64;
        let figures = self.sender(Transport::Http, *source);
        figures.bytes += *bytes as u64;
        figures.requests += u64::from(matches!(kind, HttpEventKind::Request { .. }));
        self.connections += u64::from(matches!(kind, HttpEventKind::Opened));
    }

    fn sender(&mut self, transport: Transport, source: SocketAddr) -> &mut Figures {
        let key = (transport, source);
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&key) {
            return &mut self.other_senders;
        }
        self.senders.entry(key).or_default()
    }

    /// Counts a judged message, or a violation outside of a message.
    pub(super) fn judged(&mut self, judged: &Judged) {
        if judged.is_message {
            self.messages += 1;
            self.sender(judged.delivery.transport, judged.source).messages += 1;
            let compression = judged.compression.unwrap_or_else(|| compression(&judged.parts));
            *self.compressions.entry(compression).or_default() += 1;
            if judged.delivery.transport == Transport::Udp {
                let chunks = judged.parts.iter().filter(|part| is_chunk(part)).count();
                *self.chunks.entry(chunks).or_default() += 1;
            }
        }
        self.violations_of(judged);
        for taken in &mut self.receivers {
            if !taken.receiver.transports.contains(&judged.delivery.transport) {
                continue;
            }
            taken.known += u64::from(judged.is_message);
            let mut is_refused = false;
            for (rule, count) in taken.receiver.rules.iter().zip(&mut taken.counts) {
                // A violation outside of a message cannot cause the loss of a message.
                if rule.covers(&judged.delivery) && (judged.is_message || !rule.effect.is_loss_of_message()) {
                    *count += 1;
                    is_refused |= rule.effect.is_loss_of_message();
                }
            }
            taken.messages += u64::from(judged.is_message && !is_refused);
        }
    }

    fn violations_of(&mut self, judged: &Judged) {
        let mut kinds: Vec<Kind> = Vec::new();
        for violation in &judged.inspection.violations {
            let kind = Kind::of(violation);
            if self.violations.len() >= MAX_KINDS && !self.violations.contains_key(&kind) {
                continue;
            }
            let violations = self.violations.entry(kind.clone()).or_default();
            violations.times += 1;
            violations.messages += u64::from(!kinds.contains(&kind));
            if violations.examples.len() < MAX_EXAMPLES {
                violations.examples.push(Example {
                    source: judged.source,
                    transport: judged.delivery.transport,
                    text: violation.text.clone(),
                    bytes: bytes_of(judged, violation),
                });
            }
            kinds.push(kind);
        }
    }

    /// Returns whether there were messages and no rule was broken.
    pub fn is_good(&self) -> bool {
        self.messages > 0 && self.violations.keys().all(|kind| kind.severity() == Severity::Odd)
    }
}

/// Returns the bytes that show a violation: payload text, the end of an unterminated frame, or the start of a
/// datagram or frame in hexadecimal.
fn bytes_of(judged: &Judged, violation: &Violation) -> String {
    if !violation.excerpt.is_empty() {
        return violation.excerpt.clone();
    }
    let shown = match violation.name.as_str() {
        "EmptyChunk" => judged.parts.iter().find(|part| part.len() == CHUNK_HEADER_BYTES),
        _ => judged.parts.first(),
    };
    let Some(shown) = shown else { return String::new() };
    if violation.name == "UnterminatedFrame" {
        let end = shown.get(shown.len().saturating_sub(SHOWN_BYTES)..).unwrap_or_default();
        return format!("ends with {:?}", String::from_utf8_lossy(end));
    }
    first_bytes(shown, SHOWN_BYTES)
}

/// Returns the name of the compression that the first bytes show.
pub(super) fn encoding_word(bytes: &[u8]) -> &'static str {
    match encoding(bytes) {
        Encoding::Gzip => "gzip",
        Encoding::Plain => "none",
        Encoding::Zlib | Encoding::SmallZlib => "zlib",
        _ => "unknown",
    }
}

/// Returns the name of the compression of a message, or "unknown" if its first bytes are missing.
fn compression(parts: &[Vec<u8>]) -> &'static str {
    let mut chunks = parts.iter().filter(|part| is_chunk(part)).filter_map(|part| Chunk::read(part).ok());
    let first = chunks.find(|chunk| chunk.number == 0);
    let head: &[u8] = match (first, parts.first()) {
        (Some(chunk), _) => chunk.payload,
        (None, Some(part)) if !is_chunk(part) => part,
        _ => return "unknown",
    };
    encoding_word(head)
}
