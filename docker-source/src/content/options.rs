//! The kinds of content that are read, and the labels by which a container asks for them.

use std::fmt;
use std::str::FromStr;

use super::known::KnownMembers;
use crate::container::Container;

/// The label with the kinds of content.
const LABEL: &str = "gelf.content";
/// The label that asks for the removal of escape sequences.
const LABEL_STRIP: &str = "gelf.strip_ansi";

/// The kinds of content that are read. The default reads none.
///
/// ```
/// use docker_source::content::ContentOptions;
///
/// let options: ContentOptions = "json,level".parse()?;
/// assert!(options.json && options.level && !options.logfmt);
/// # Ok::<(), docker_source::content::InvalidContent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ContentOptions {
    /// Read lines that are a JSON object.
    pub json: bool,
    /// Read lines in logfmt.
    pub logfmt: bool,
    /// Read the severity at the start of other lines.
    pub level: bool,
    /// Remove escape sequences of terminals, such as those that set colours.
    pub strip_ansi: bool,
}

impl ContentOptions {
    /// Returns whether messages are left as they are.
    pub const fn is_off(self) -> bool {
        !(self.json || self.logfmt || self.level || self.strip_ansi)
    }

    /// Returns the options that read every kind of content that `self` or `other` reads.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            json: self.json || other.json,
            logfmt: self.logfmt || other.logfmt,
            level: self.level || other.level,
            strip_ansi: self.strip_ansi || other.strip_ansi,
        }
    }
}

/// Parses `off`, `all`, or a comma-separated list of `json`, `logfmt` and `level`.
impl FromStr for ContentOptions {
    type Err = InvalidContent;

    fn from_str(text: &str) -> Result<Self, InvalidContent> {
        let mut options = Self::default();
        for kind in text.split(',').map(str::trim) {
            match kind {
                "all" => (options.json, options.logfmt, options.level) = (true, true, true),
                "json" => options.json = true,
                "logfmt" => options.logfmt = true,
                "level" => options.level = true,
                "off" if text.trim() == "off" => {}
                _ => return Err(InvalidContent),
            }
        }
        Ok(options)
    }
}

/// Writes the kinds of content in the form in which they are parsed. `strip_ansi` is not written.
impl fmt::Display for ContentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.json, "json"), (self.logfmt, "logfmt"), (self.level, "level")];
        let kinds: Vec<_> = kinds.iter().filter(|(is_read, _)| *is_read).map(|(_, kind)| *kind).collect();
        if kinds.is_empty() { f.write_str("off") } else { f.write_str(&kinds.join(",")) }
    }
}

/// The error for a text that does not list kinds of content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidContent;

impl fmt::Display for InvalidContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use all, off, or a comma-separated list of json, logfmt and level")
    }
}

impl std::error::Error for InvalidContent {}

/// The options for the lines of one container, and the state of reading these lines.
#[derive(Clone, Debug, Default)]
pub struct ContainerContent {
    pub(super) options: ContentOptions,
    /// The number of names of fields that lines of the container have introduced.
    pub(super) names: usize,
    pub(super) known: KnownMembers,
}

impl ContainerContent {
    /// Creates the initial state for a container with these options.
    pub const fn new(options: ContentOptions) -> Self {
        Self { options, names: 0, known: KnownMembers::new() }
    }

    /// Returns whether messages are left as they are.
    pub const fn is_off(&self) -> bool {
        self.options.is_off()
    }
}

/// Returns the options of a container, as its labels `gelf.content` and `gelf.strip_ansi` (`true` or `false`)
/// set them. If a label is missing, the options that it would set are the same as in `default`.
///
/// # Errors
/// Returns [`InvalidContentLabel`] if a label is invalid.
pub fn container_content(
    container: &Container,
    default: ContentOptions,
) -> Result<ContentOptions, InvalidContentLabel> {
    let label = |name| container.labels().get(name).map(String::as_str);
    let mut options = default;
    if let Some(value) = label(LABEL) {
        options = value.parse().map_err(|_| InvalidContentLabel::Content)?;
        options.strip_ansi = default.strip_ansi;
    }
    match label(LABEL_STRIP) {
        Some("true") => options.strip_ansi = true,
        Some("false") => options.strip_ansi = false,
        Some(_) => return Err(InvalidContentLabel::StripAnsi),
        None => {}
    }
    Ok(options)
}

/// The error for an invalid label of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidContentLabel {
    /// `gelf.content` has a value that [`ContentOptions`] does not accept.
    Content,
    /// `gelf.strip_ansi` is neither `true` nor `false`.
    StripAnsi,
}

impl fmt::Display for InvalidContentLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => write!(f, "label {LABEL}: {InvalidContent}"),
            Self::StripAnsi => write!(f, "label {LABEL_STRIP}: use true or false"),
        }
    }
}

impl std::error::Error for InvalidContentLabel {}
