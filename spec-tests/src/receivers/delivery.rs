//! Describes a message and its transport by the properties that decide how receivers handle the message.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Transport, Way};
use crate::inspect::{Inspection, Violation};
use crate::reader::{Chunk, Encoding, encoding, is_chunk};

/// Members that GELF defines.
pub(super) const GELF_MEMBERS: [&str; 9] =
    ["version", "host", "short_message", "full_message", "timestamp", "level", "facility", "line", "file"];

/// A received message, or the bytes that arrived in its place.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(crate) transport: Transport,
    pub(super) ways: BTreeSet<Way>,
    /// The members of the message, in the order of the JSON text.
    pub(super) members: Vec<(String, Shape)>,
    names: BTreeSet<String>,
    longest: usize,
}

impl Delivery {
    /// Describes a message by its datagrams, in the order of arrival. `interleaved` tells whether datagrams
    /// of other messages arrived between them.
    pub fn datagrams(sent: &[Vec<u8>], interleaved: bool, inspection: &Inspection) -> Self {
        let mut ways = BTreeSet::new();
        let chunked = sent.iter().filter(|datagram| is_chunk(datagram));
        let mut chunks: Vec<Chunk<'_>> = chunked.filter_map(|datagram| Chunk::read(datagram).ok()).collect();
        if !chunks.is_empty() {
            ways.insert(Way::Chunked);
        }
        if matches!(chunks[..], [Chunk { count: 1, payload: [], .. }]) {
            ways.insert(Way::EmptySingleChunk);
        }
        if chunks.is_sorted_by(|one, next| one.payload.len() >= next.payload.len()) {
            // This is the usual order: no chunk is longer than the one before it.
        } else {
            ways.insert(Way::ShorterFirst);
        }
        if interleaved {
            ways.insert(Way::Interleaved);
        }
        let whole: Vec<u8> = if chunks.is_empty() {
            sent.first().into_iter().flatten().take(2).copied().collect()
        } else {
            chunks.sort_by_key(|chunk| chunk.number);
            chunks.iter().flat_map(|chunk| chunk.payload).take(2).copied().collect()
        };
        add_compression(&whole, &mut ways);
        Self::new(Transport::Udp, ways, sent.iter().map(Vec::len).max().unwrap_or(0), inspection)
    }

    /// Describes a message by its frame. `frame` does not include the null byte at the end.
    pub fn frame(frame: &[u8], inspection: &Inspection) -> Self {
        let mut ways = BTreeSet::new();
        add_compression(frame, &mut ways);
        Self::new(Transport::Tcp, ways, frame.len(), inspection)
    }

    /// Describes a message by the body of its request. `of_request` are the violations of the request itself.
    pub fn posted(body: &[u8], of_request: &[Violation], inspection: &Inspection) -> Self {
        let mut ways = BTreeSet::new();
        add_compression(body, &mut ways);
        let mut delivery = Self::new(Transport::Http, ways, body.len(), inspection);
        delivery.names.extend(of_request.iter().map(|violation| violation.name.clone()));
        delivery
    }

    fn new(transport: Transport, ways: BTreeSet<Way>, longest: usize, inspection: &Inspection) -> Self {
        let payload = inspection.payload.as_deref().unwrap_or_default();
        let names = inspection
            .violations
            .iter()
            // A violation of R40 is left out, because R40 is about a valid header. In the rules of receivers,
            // the name of this violation, `CompressionHeader`, means an invalid header of compressed data.
            .filter(|violation| violation.rule != "R40")
            .map(|violation| violation.name.clone());
        Self { transport, ways, members: members(payload), names: names.collect(), longest }
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns the length of the longest datagram, of the frame or of the body, in bytes. Returns 0 if the
    /// message arrived over another transport.
    pub(super) fn longest(&self, transport: Transport) -> usize {
        if self.transport == transport { self.longest } else { 0 }
    }

    /// Returns the names of the members that GELF does not define, each with its underscore if it has one.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let names = self.members.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !GELF_MEMBERS.contains(name))
    }
}

fn add_compression(bytes: &[u8], ways: &mut BTreeSet<Way>) {
    match encoding(bytes) {
        Encoding::Zlib => {
            ways.insert(Way::Compressed);
            if bytes.get(1) != Some(&0x9c) {
                ways.insert(Way::OtherZlibHeader);
            }
        }
        Encoding::Gzip => {
            ways.insert(Way::Compressed);
        }
        _ => {}
    }
}

/// Type of a JSON value.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Fraction,
    String,
    #[serde(rename = "numeric string")]
    NumericString,
    #[serde(rename = "other string")]
    OtherString,
    Array,
    Object,
}

/// The properties of a value that matter to receivers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The most specific type.
    kind: Kind,
    /// The value, if it is a number.
    pub(super) number: Option<Number>,
}

/// A number of any size. Two integers that fit into an `i128` are compared exactly.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "serde_json::Number")]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl TryFrom<serde_json::Number> for Number {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        Self::of(&number.to_string()).ok_or("not a number")
    }
}

impl Number {
    fn of(json: &str) -> Option<Self> {
        let integer = json.parse().ok().map(Self::Integer);
        integer.or_else(|| json.parse().ok().map(Self::Float))
    }

    pub(super) fn is_below(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => one < other,
            (one, other) => one.rounded() < other.rounded(),
        }
    }

    fn rounded(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl Shape {
    pub(super) fn is(self, kind: Kind) -> bool {
        self.kind == kind
            || kind == Kind::String && matches!(self.kind, Kind::NumericString | Kind::OtherString)
    }

    fn of(json: &str) -> Self {
        let kind = match json.bytes().next() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(b'"') if json.trim_matches('"').parse::<f64>().is_ok_and(f64::is_finite) => {
                Kind::NumericString
            }
            Some(b'"') => Kind::OtherString,
            _ if json.contains(['.', 'e', 'E']) => Kind::Fraction,
            _ => Kind::Integer,
        };
        let is_number = matches!(kind, Kind::Integer | Kind::Fraction);
        Self { kind, number: is_number.then(|| Number::of(json)).flatten() }
    }
}

/// Returns the members of the JSON object at the start of a payload, or an empty list if the payload does not
/// start with a whole object.
fn members(payload: &[u8]) -> Vec<(String, Shape)> {
    let text = String::from_utf8_lossy(payload);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = serde_json::Deserializer::from_str(text);
    // Bytes after the object, such as null bytes, are ignored.
    Members::deserialize(&mut reader).map(|Members(members)| members).unwrap_or_default()
}

struct Members(Vec<(String, Shape)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, Shape::of(value.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}
