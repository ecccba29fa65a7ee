//! Rules that decide which lines belong together.

use std::fmt;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use super::preset::{Preset, TraceState};

/// The maximum length of a pattern in bytes.
const MAX_PATTERN_BYTES: usize = 1024;
/// The maximum memory of a compiled pattern, in bytes. A search with the pattern may take as much memory in
/// addition. Without a maximum, a label with a pattern such as `(.{99}){99}` would take much memory.
const MAX_COMPILED_BYTES: usize = 128 * 1024;

/// A rule that decides which lines belong together.
///
/// A clone shares the compiled pattern.
#[derive(Clone, Debug)]
pub struct Rule(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Preset(Preset),
    Pattern { regex: Regex, matches: Match },
}

/// The state of an open message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct State(TraceState);

impl Rule {
    /// Creates the rule for the stack traces of a language.
    pub const fn preset(preset: Preset) -> Self {
        Self(Kind::Preset(preset))
    }

    /// Creates a rule from a regular expression, as in Logspout's `MULTILINE_PATTERN` and `MULTILINE_MATCH`.
    ///
    /// The pattern has the syntax of the crate `regex`, which is nearly the syntax of Go (RE2). For example, `\Q`
    /// is refused. As in Go, `\s`, `\d`, `\w` and `\b` mean ASCII characters. A class of characters beyond ASCII,
    /// such as `\pL` or `[é]`, is refused. A pattern without an anchor such as `^` or `$` matches anywhere in the
    /// line.
    ///
    /// # Errors
    /// Returns [`InvalidPattern`] if the pattern has an error, is longer than 1 KiB, or takes more than
    /// 128 KiB when compiled.
    ///
    /// # Examples
    ///
    /// ```
    /// use docker_source::multiline::{Match, Rule};
    ///
    /// let begins_with_a_date = Rule::pattern(r"^\d{4}-\d\d-\d\d", Match::First)?;
    /// assert!(Rule::pattern("(", Match::First).is_err());
    /// # Ok::<(), docker_source::multiline::InvalidPattern>(())
    /// ```
    pub fn pattern(pattern: &str, matches: Match) -> Result<Self, InvalidPattern> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(InvalidPattern { reason: format!("it is longer than {MAX_PATTERN_BYTES} bytes") });
        }
        let regex = RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .build();
        let regex = regex.map_err(|error| InvalidPattern { reason: reason(&error) })?;
        Ok(Self(Kind::Pattern { regex, matches }))
    }

    /// Returns the state of a message with this first line.
    pub(super) fn first(&self, line: &[u8]) -> State {
        State(match &self.0 {
            Kind::Preset(preset) => preset.first(line),
            Kind::Pattern { .. } => TraceState::default(),
        })
    }

    /// Returns the state behind a line that continues a message, or `None` if the line begins the next
    /// message. `last` is the last line of the message.
    pub(super) fn next(&self, line: &[u8], state: State, last: &[u8]) -> Option<State> {
        match &self.0 {
            Kind::Preset(preset) => preset.next(line, state.0, last).map(State),
            Kind::Pattern { regex, matches: Match::First } => (!regex.is_match(line)).then_some(state),
            Kind::Pattern { regex, matches: Match::NonFirst } => regex.is_match(line).then_some(state),
            Kind::Pattern { matches: Match::Last | Match::NonLast, .. } => Some(state),
        }
    }

    /// Returns whether the line is the last line of its message.
    pub(super) fn ends(&self, line: &[u8]) -> bool {
        match &self.0 {
            Kind::Pattern { regex, matches: Match::Last } => regex.is_match(line),
            Kind::Pattern { regex, matches: Match::NonLast } => !regex.is_match(line),
            Kind::Pattern { .. } | Kind::Preset(_) => false,
        }
    }
}

/// Writes the name of the preset, such as `java`, or the [`Match`] and the pattern, such as `nonfirst ^\s`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Preset(preset) => f.write_str(preset.as_str()),
            Kind::Pattern { regex, matches } => write!(f, "{} {}", matches.as_str(), regex.as_str()),
        }
    }
}

/// Returns the reason of an error, on one line. If the error's text has several lines, the last line has the
/// reason, and the lines before it show the pattern.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("it takes more than {} KiB of memory", MAX_COMPILED_BYTES / 1024)
        }
        error => {
            let text = error.to_string();
            let line = text.lines().next_back().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// The lines that a pattern matches, as in Logspout's `MULTILINE_MATCH`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Match {
    /// The pattern matches the first line of each message. All lines up to the next match continue the
    /// message.
    First,
    /// The pattern matches the last line of a message.
    Last,
    /// The pattern matches the lines that continue a message. This is the default, as in Logspout.
    #[default]
    NonFirst,
    /// The pattern matches all lines of a message but the last.
    NonLast,
}

impl Match {
    /// All values.
    pub const ALL: [Self; 4] = [Self::First, Self::Last, Self::NonFirst, Self::NonLast];

    /// Returns the value of `MULTILINE_MATCH`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::NonFirst => "nonfirst",
            Self::NonLast => "nonlast",
        }
    }
}

/// Parses a value of `MULTILINE_MATCH`. As in Logspout, the value may be in upper or lower case.
impl FromStr for Match {
    type Err = InvalidMatch;

    fn from_str(text: &str) -> Result<Self, InvalidMatch> {
        Self::ALL.into_iter().find(|matches| matches.as_str().eq_ignore_ascii_case(text)).ok_or(InvalidMatch)
    }
}

/// The error for a text that is not a [`Match`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidMatch;

impl fmt::Display for InvalidMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use first, last, nonfirst or nonlast")
    }
}

impl std::error::Error for InvalidMatch {}

/// The error for a text that is not a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidPattern {
    /// The reason, on one line.
    reason: String,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern cannot be used: {}", self.reason)
    }
}

impl std::error::Error for InvalidPattern {}
