//! The error for an invalid setting of the message format.

use std::fmt;

use gelf_core::InvalidFieldName;

use crate::name_pattern::InvalidNamePattern;

/// The error for a setting that a [`GelfFormat`](super::GelfFormat) cannot have.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFormat {
    /// The host is empty or only white space.
    Blank,
    /// The pattern is empty, or matches the empty text.
    EmptyPattern,
    /// GELF forbids the name of the field.
    Name(InvalidFieldName),
    /// The pattern for the names of labels or environment variables is invalid.
    Pattern(InvalidNamePattern),
    /// The regular expression is invalid or too large.
    Regex {
        /// The reason, on one line.
        reason: String,
    },
    /// A constant field of this name was added before.
    Repeated,
    /// This crate sends a field of this name itself, or Logstash gives the name to a member of its event.
    Reserved,
    /// The template of the tag has braces that are not closed, or that enclose an unknown name.
    Tag {
        /// The byte offset of the opening braces in the template.
        at: usize,
    },
}

impl InvalidFormat {
    pub(crate) fn regex(error: &regex::Error) -> Self {
        let reason = match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("the regular expression needs more than {limit} bytes of memory")
            }
            // The text of the error has several lines. The last line has the reason.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!("not a regular expression: {}", last.trim_start_matches("error: "))
            }
        };
        Self::Regex { reason }
    }

    /// Creates the error for several regular expressions that are compiled as one set.
    pub(crate) fn regex_set(error: &regex::Error) -> Self {
        match error {
            regex::Error::CompiledTooBig(limit) => {
                let mebibytes = limit / (1024 * 1024);
                let reason =
                    format!("all regular expressions together need more than {mebibytes} MiB of memory");
                Self::Regex { reason }
            }
            error => Self::regex(error),
        }
    }
}

impl fmt::Display for InvalidFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("the host is blank"),
            Self::EmptyPattern => f.write_str("the pattern matches the empty text"),
            Self::Name(error) => error.fmt(f),
            Self::Pattern(error) => error.fmt(f),
            Self::Regex { reason } => f.write_str(reason),
            Self::Repeated => f.write_str("the field is given twice"),
            Self::Reserved => f.write_str("the name is reserved for a field of the message itself"),
            Self::Tag { at } => write!(
                f,
                "the braces at byte {at} are none of {{{{.ID}}}}, {{{{.FullID}}}}, {{{{.Name}}}}, \
                 {{{{.ImageName}}}}, {{{{.ImageID}}}}, {{{{.ImageFullID}}}} and {{{{.DaemonName}}}}"
            ),
        }
    }
}

impl std::error::Error for InvalidFormat {}
