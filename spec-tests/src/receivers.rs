//! Predicts how known receivers handle a message.
//!
//! `receivers.json` lists the messages that end one of six receivers, or that it refuses, loses or alters:
//!
//! ```json
//! {"schema": 1, "all": [RULE, …], "receivers": [{"name": "Graylog", "transports": ["udp", "tcp", "http"], "rules": [RULE, …]}, …]}
//! ```
//!
//! `transports` lists the transports over which the behaviour of the receiver is known, by default `udp` and
//! `tcp`. The rules in `all` apply to every receiver. A rule has this form:
//!
//! ```json
//! {"when": CONDITION, "effect": "ends" | "refuses" | "loses" | "alters", "text": …, "source": …}
//! ```
//!
//! `text` explains the rule, and `source` names a file of the receiver or a report. The effects are:
//!
//! - `ends`: the process or the listener of the receiver ends. This message is not delivered, and further
//!   messages are lost until the receiver runs again.
//! - `refuses`: the message is not delivered.
//! - `loses`: a part of the message is lost, or other messages of its connection are.
//! - `alters`: the message is delivered with a changed part.
//!
//! A condition is a name or an object. A name is the name of a violation that [`inspect`](crate::inspect)
//! reports; `vectors/README.md` lists most of these names. An object has one or more of the following members,
//! and the condition of each member must hold:
//!
//! | member | condition |
//! |---|---|
//! | `name` | a violation, as above |
//! | `transport` | `udp`, `tcp` or `http` |
//! | `way` | encoding or chunking: `compressed`, `zlib header other than 78 9c`, `chunked`, `empty single chunk`, `interleaved chunks` (with other datagrams), `shorter chunk first` |
//! | `datagram_longer_than`, `frame_longer_than` | a datagram, or the frame, is longer than this many bytes |
//! | `members` | the message has one of these: a name, a prefix with a trailing `*`, `*` for any member that GELF defines, or `others` for any member that GELF does not define and that has no leading underscore |
//! | `is` | with `members`: the value is one of `null`, `boolean`, `integer`, `fraction` (a number with a point or an exponent), `string` (any string), `numeric string` (its content is a number), `other string`, `array`, `object` |
//! | `outside` | with `members`: the value is a number below the first or above the second given number |
//! | `twice` | with `members`: the name is repeated |
//! | `field_name` | an additional field has a name `beyond A-Z a-z 0-9 . _ - @` or `beyond letters of any language, digits . _ - @` |
//! | `without` | the message has no member with this name; needs another condition beside it |
//!
//! The rules were read from the receivers' sources as of August 2026. Two of the receivers, Graylog's decoder
//! and go-gelf's UDP reader, are also peers of this suite. Two others, Seq's input and Logstash's plugin,
//! were run to confirm which messages end them. Receivers of other versions, or with other settings, can
//! behave differently.

mod delivery;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use delivery::Delivery;
use delivery::{GELF_MEMBERS, Kind, Number};

/// Version of the file format.
const SCHEMA: u32 = 1;

/// A receiver, with the messages that it does not handle as intended.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Name.
    pub name: String,
    /// Transports for which the behaviour of the receiver is known.
    #[serde(default = "datagrams_and_frames")]
    pub transports: Vec<Transport>,
    /// Rules for the messages that end the receiver, or that it refuses, loses or alters.
    pub rules: Vec<ReceiverRule>,
}

/// A kind of message that ends a receiver, or that it refuses, loses or alters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverRule {
    when: When,
    /// Effect on the message.
    pub effect: Effect,
    /// Explanation for people.
    pub text: String,
    /// Source of the rule.
    pub source: String,
}

/// Effect of a receiver on a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The receiver, or its listener, ends. Further messages are lost until it runs again.
    Ends,
    /// The message is not delivered.
    Refuses,
    /// A part of the message is lost, or other messages of its connection are.
    Loses,
    /// The message is delivered with a changed part.
    Alters,
}

impl Effect {
    /// All effects, from worst to mildest.
    pub const ALL: [Self; 4] = [Self::Ends, Self::Refuses, Self::Loses, Self::Alters];

    /// Returns the word for files and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ends => "ends",
            Self::Refuses => "refuses",
            Self::Loses => "loses",
            Self::Alters => "alters",
        }
    }

    /// Returns whether the whole message is lost.
    pub(crate) fn is_loss_of_message(self) -> bool {
        matches!(self, Self::Ends | Self::Refuses)
    }
}

/// Transport of a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP datagrams.
    Udp,
    /// A frame of a TCP stream.
    Tcp,
    /// The body of an HTTP request.
    Http,
}

impl Transport {
    /// Returns the word for files and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum When {
    Name(String),
    All(Box<Conditions>),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Conditions {
    name: Option<String>,
    transport: Option<Transport>,
    way: Option<Way>,
    datagram_longer_than: Option<usize>,
    frame_longer_than: Option<usize>,
    members: Vec<String>,
    is: Vec<Kind>,
    outside: Option<(Number, Number)>,
    twice: bool,
    field_name: Option<NameSet>,
    without: Option<String>,
}

/// Encoding and chunking of a message on its way to a receiver.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Way {
    #[serde(rename = "compressed")]
    Compressed,
    #[serde(rename = "zlib header other than 78 9c")]
    OtherZlibHeader,
    #[serde(rename = "chunked")]
    Chunked,
    #[serde(rename = "empty single chunk")]
    EmptySingleChunk,
    #[serde(rename = "interleaved chunks")]
    Interleaved,
    #[serde(rename = "shorter chunk first")]
    ShorterFirst,
}

/// Set of characters that a receiver allows in field names.
#[derive(Clone, Copy, Debug, Deserialize)]
enum NameSet {
    #[serde(rename = "beyond A-Z a-z 0-9 . _ - @")]
    Ascii,
    #[serde(rename = "beyond letters of any language, digits . _ - @")]
    AnyLanguage,
}

impl NameSet {
    /// Returns whether a name has a character outside of the set.
    fn excludes(self, name: &str) -> bool {
        !name.chars().all(|character| {
            matches!(character, '.' | '_' | '-' | '@')
                || match self {
                    Self::Ascii => character.is_ascii_alphanumeric(),
                    Self::AnyLanguage => character.is_alphanumeric(),
                }
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    all: Vec<ReceiverRule>,
    receivers: Vec<Receiver>,
}

fn datagrams_and_frames() -> Vec<Transport> {
    vec![Transport::Udp, Transport::Tcp]
}

/// Returns the known receivers.
///
/// # Errors
/// Returns an error if the embedded file has a mistake.
pub fn receivers() -> Result<Vec<Receiver>, String> {
    parse(include_str!("receivers.json")).map_err(|error| format!("receivers.json: {error}"))
}

fn parse(text: &str) -> Result<Vec<Receiver>, String> {
    let File { schema, all, receivers } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if schema != SCHEMA {
        return Err(format!("unsupported schema {schema}, expected {SCHEMA}"));
    }
    let known = known_names();
    let rules = all.iter().chain(receivers.iter().flat_map(|receiver| &receiver.rules));
    for rule in rules {
        rule.check(&known).map_err(|error| format!("{}: {error}", rule.text))?;
    }
    let with_all = |receiver: Receiver| {
        let rules = all.iter().cloned().chain(receiver.rules).collect();
        Receiver { rules, ..receiver }
    };
    Ok(receivers.into_iter().map(with_all).collect())
}

impl ReceiverRule {
    /// Returns whether the rule applies to a message.
    pub fn covers(&self, delivery: &Delivery) -> bool {
        match &self.when {
            When::Name(name) => delivery.has_name(name),
            When::All(conditions) => conditions.hold(delivery),
        }
    }

    fn check(&self, known: &BTreeSet<String>) -> Result<(), String> {
        let name = match &self.when {
            When::Name(name) => Some(name),
            When::All(conditions) => {
                conditions.check()?;
                conditions.name.as_ref()
            }
        };
        match name.filter(|name| !known.contains(*name)) {
            Some(name) => Err(format!("unknown name '{name}'")),
            None => Ok(()),
        }
    }
}

impl Conditions {
    /// Checks that conditions on members name the members, and that there is a condition beside `without`.
    fn check(&self) -> Result<(), String> {
        let of_members = !self.is.is_empty() || self.outside.is_some() || self.twice;
        if self.members.is_empty() && of_members {
            return Err("'is', 'outside' and 'twice' need 'members'".to_owned());
        }
        let any = self.name.is_some()
            || self.transport.is_some()
            || self.way.is_some()
            || self.datagram_longer_than.is_some()
            || self.frame_longer_than.is_some()
            || self.field_name.is_some()
            || !self.members.is_empty();
        if any { Ok(()) } else { Err("a condition without content".to_owned()) }
    }

    fn hold(&self, delivery: &Delivery) -> bool {
        self.name.as_ref().is_none_or(|name| delivery.has_name(name))
            && self.transport.is_none_or(|transport| delivery.transport == transport)
            && self.way.is_none_or(|way| delivery.ways.contains(&way))
            && self.datagram_longer_than.is_none_or(|len| delivery.longest(Transport::Udp) > len)
            && self.frame_longer_than.is_none_or(|len| delivery.longest(Transport::Tcp) > len)
            && self.field_name.is_none_or(|names| {
                delivery.fields().any(|name| names.excludes(name.strip_prefix('_').unwrap_or(name)))
            })
            && self.without.as_ref().is_none_or(|name| !delivery.members.iter().any(|(own, _)| own == name))
            && (self.members.is_empty() || self.member_holds(delivery))
    }

    fn member_holds(&self, delivery: &Delivery) -> bool {
        delivery.members.iter().any(|(name, value)| {
            self.members.iter().any(|pattern| matches(pattern, name))
                && (self.is.is_empty() || self.is.iter().any(|kind| value.is(*kind)))
                && self.outside.is_none_or(|(least, most)| {
                    value.number.is_some_and(|number| number.is_below(least) || most.is_below(number))
                })
                && (!self.twice || delivery.members.iter().filter(|(other, _)| other == name).count() > 1)
        })
    }
}

/// The pattern for members that GELF does not define and that have no leading underscore.
const OTHER_MEMBERS: &str = "others";

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => GELF_MEMBERS.contains(&name),
        None if pattern == OTHER_MEMBERS => !GELF_MEMBERS.contains(&name) && !name.starts_with('_'),
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// Names of violations that the table in `vectors/README.md` does not list. Most of them concern several
/// datagrams, messages or connections.
const OTHER_NAMES: [&str; 11] = [
    "ChunkId",
    "ChunkedOnStream",
    "Conflict",
    "Duplicate",
    "EmptyChunk",
    "EmptyFrame",
    "Incomplete",
    "Late",
    "ReusedId",
    "SingleChunk",
    "TlsHandshake",
];

/// Returns the names of all violations: the names in the table in `vectors/README.md`, and [`OTHER_NAMES`].
fn known_names() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = OTHER_NAMES.iter().map(ToString::to_string).collect();
    let rows = include_str!("../vectors/README.md")
        .lines()
        .skip_while(|line| *line != "### Names of errors and deviations")
        .take_while(|line| *line != "## Rules")
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    for (names, text) in rows {
        for name in quoted(names) {
            // `Missing M` stands for several names, one for each member in its row.
            match name.strip_suffix(" M") {
                Some(what) => known.extend(quoted(text).map(|member| format!("{what} {member}"))),
                None => {
                    known.insert(name.to_owned());
                }
            }
        }
    }
    known
}

/// Returns the texts between back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests;
