//! Presets for the stack traces of programming languages.
//!
//! Hand-written code, instead of regular expressions, decides whether a line continues a message. Most lines
//! do not, and the code recognizes this by the first byte and a few prefixes of the line.

mod compiled;
mod scripts;

use std::fmt;
use std::str::FromStr;

use gelf_core::Level;

use crate::level_word::leading_level;

/// A language whose stack traces are joined.
///
/// In every language, indented lines continue a message. The table lists the main other lines that continue a
/// message. In the table, a *report* is a line of a logger with at least the severity of a warning, and
/// *behind* means on the line or lines that follow.
///
/// | preset | lines |
/// |---|---|
/// | `java` | `Caused by:`, `Suppressed:`; an exception behind a report; second line of `java.util.logging` |
/// | `python` | the exception behind frames; a chained traceback; a traceback behind a report |
/// | `go` | `goroutine N [...]:`, calls, `created by`, `[signal ...]`, registers, `exit status N` |
/// | `ruby` | frames (`file.rb:7:in ...`), the cause behind frames, `Did you mean?` |
/// | `node` | source, caret and error behind `file.js:7`; a closing brace; an error behind a report |
/// | `dotnet` | `--- End of ...`, `Parameter name:`; an exception behind a report |
/// | `php` | `Stack trace:`, `#0 ...`, `Next ...`, Monolog's `[stacktrace]` and its end |
/// | `rust` | the message behind `panicked at file.rs:7:5:`; `note:`, `stack backtrace:`, `Caused by:` |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Preset {
    /// Java, Kotlin and Scala.
    Java,
    /// Python, with chained exceptions and exception groups.
    Python,
    /// Go: panics, fatal errors and dumps of goroutines.
    Go,
    /// Ruby, with causes, and the backtraces of Rails.
    Ruby,
    /// Node.js, with causes and properties of errors.
    Node,
    /// .NET, with inner exceptions.
    Dotnet,
    /// PHP, with previous exceptions, and Monolog.
    Php,
    /// Rust: panics with backtraces, and the reports of anyhow and eyre.
    Rust,
}

/// The part of a stack trace that a message has reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum TraceState {
    /// No part of a stack trace was seen.
    #[default]
    Plain,
    /// A line was seen that announces a stack trace or a part of one.
    Announced,
    /// Node.js: the source line of the error was seen, behind an announcement. Python: a line that introduces
    /// a further traceback was seen, behind an exception.
    Source,
    /// The caret below the source line was seen.
    Caret,
    /// Frames were seen. A preset that does not tell the parts of a stack trace apart uses this state for all
    /// of them.
    Frames,
    /// The end of the frames was seen.
    Ended,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 8] =
        [Self::Java, Self::Python, Self::Go, Self::Ruby, Self::Node, Self::Dotnet, Self::Php, Self::Rust];

    /// Returns the name: `java`, `python`, `go`, `ruby`, `node`, `dotnet`, `php` or `rust`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Python => "python",
            Self::Go => "go",
            Self::Ruby => "ruby",
            Self::Node => "node",
            Self::Dotnet => "dotnet",
            Self::Php => "php",
            Self::Rust => "rust",
        }
    }

    /// Returns the state of a message with this first line.
    pub(super) fn first(self, line: &[u8]) -> TraceState {
        let line = without_colour(line);
        match self {
            Self::Python => scripts::python_first(line),
            Self::Ruby => scripts::ruby_first(line),
            Self::Node => scripts::node_first(line),
            Self::Rust => compiled::rust_first(line),
            Self::Java | Self::Go | Self::Dotnet | Self::Php => TraceState::Plain,
        }
    }

    /// Returns the state behind a line that continues a message, or `None` if the line begins the next
    /// message. `last` is the last line of the message.
    pub(super) fn next(self, line: &[u8], state: TraceState, last: &[u8]) -> Option<TraceState> {
        let line = without_colour(line);
        if line.trim_ascii().is_empty() {
            return Some(state);
        }
        match self {
            Self::Java => compiled::java(line, state, last),
            Self::Python => scripts::python(line, state, last),
            Self::Go => compiled::go(line, state, last),
            Self::Ruby => scripts::ruby(line, state),
            Self::Node => scripts::node(line, state, last),
            Self::Dotnet => compiled::dotnet(line, state, last),
            Self::Php => scripts::php(line, state),
            Self::Rust => compiled::rust(line, state),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = InvalidPreset;

    fn from_str(text: &str) -> Result<Self, InvalidPreset> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text).ok_or(InvalidPreset)
    }
}

/// The error for a text that is not the name of a [`Preset`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidPreset;

impl fmt::Display for InvalidPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown preset: use {}", Preset::ALL.map(Preset::as_str).join(", "))
    }
}

impl std::error::Error for InvalidPreset {}

/// Returns the line without the escape sequences at its start, such as those that set a colour.
fn without_colour(mut line: &[u8]) -> &[u8] {
    while let Some(sequence) = line.strip_prefix(b"\x1b[") {
        let end = sequence.iter().position(|byte| matches!(byte, 0x40..=0x7e)).unwrap_or(sequence.len());
        line = sequence.get(end + 1..).unwrap_or_default();
    }
    line
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

fn begins_with_any(line: &[u8], prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| line.starts_with(prefix.as_bytes()))
}

/// Returns whether the line is a report: a line of a logger with at least the severity of a warning.
fn reports_problem(line: &[u8]) -> bool {
    leading_level(without_colour(line)).is_some_and(|level| level <= Level::Warning)
}

/// Returns the type of the exception that a line begins with, up to `:`, ` (` or the end of the line. The
/// type consists of letters, digits and the given characters.
fn exception_type<'a>(line: &'a [u8], also: &[u8]) -> Option<&'a [u8]> {
    let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && !also.contains(byte));
    let (name, behind) = line.split_at_checked(end.unwrap_or(line.len()))?;
    let ends = behind.is_empty() || behind.starts_with(b":") || behind.starts_with(b" (");
    (ends && name.first().is_some_and(u8::is_ascii_alphabetic)).then_some(name)
}
