//! The shapes that messages can have: which fields, under which names, and which levels and timestamps.

use std::fmt;
use std::str::FromStr;

use gelf_core::{FieldName, Level, Timestamp};

use crate::container::Container;
use crate::stream::LogStream;

/// How many bytes of a command are sent: 8 KiB. A whole script may stand on a command line.
const MAX_COMMAND_BYTES: usize = 8 * 1024;

/// The program whose messages the messages of a [`GelfFormat`](super::GelfFormat) look like.
///
/// Dashboards, filters and grok patterns that were written for one of these programs go on working.
///
/// | | [`Docker`](Self::Docker) | [`Micahhausler`](Self::Micahhausler) | [`Vincit2017`](Self::Vincit2017) |
/// |---|---|---|---|
/// | `level` of stdout, stderr | 6, 3 | 6, 3 | 3, 6 |
/// | `timestamp` | to the nanosecond | to the millisecond | to the nanosecond |
/// | `_timestamp` | | | the same as RFC 3339 text |
/// | `_container_name` | `shop` | `shop` | `/shop` |
/// | `_container_id`, `_image_id`, `_image_name` | yes | yes | yes |
/// | `_command` | entry point and arguments | without entry point | without entry point |
/// | `_created` | yes | yes | |
/// | `_tag`, `_source_stream` | yes | | |
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Compat {
    /// Docker's own log driver `gelf`, and `_source_stream`. The default.
    #[default]
    Docker,
    /// `micahhausler/logspout-gelf`, a module of Logspout; the image `vincit/logspout-gelf` has it since February 2018.
    Micahhausler,
    /// `rickalm/logspout-gelf`, which the image `vincit/logspout-gelf` had in 2017, as Logstash saw its messages.
    ///
    /// They were not valid GELF: the fields had no underscore, so that Graylog dropped them, and `timestamp` was a text,
    /// which Graylog does not read and Logstash keeps as a field of the event. Here each field has its underscore, which
    /// Logstash strips, and the text stands in `_timestamp` beside a `timestamp` that is a number: the event in Logstash
    /// has the fields of 2017, and `@timestamp` is the time of the line instead of that of its arrival. The levels of the
    /// two streams stay confused, as they were.
    Vincit2017,
}

impl Compat {
    /// All shapes.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Micahhausler, Self::Vincit2017];

    /// Returns the name by which a [`Compat`] is parsed: `docker`, `micahhausler` or `vincit-2017`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Micahhausler => "micahhausler",
            Self::Vincit2017 => "vincit-2017",
        }
    }

    /// Returns the `level` of the lines of a stream.
    pub const fn level(self, stream: LogStream) -> Level {
        match (self, stream) {
            (Self::Docker | Self::Micahhausler, LogStream::Stdout) => Level::Informational,
            (Self::Docker | Self::Micahhausler, LogStream::Stderr) => Level::Error,
            (Self::Vincit2017, LogStream::Stdout) => Level::Error,
            (Self::Vincit2017, LogStream::Stderr) => Level::Informational,
        }
    }

    /// Returns the `timestamp` of a line that Docker has stamped with `time`.
    pub(super) fn timestamp(self, time: Timestamp) -> Timestamp {
        match self {
            Self::Docker | Self::Vincit2017 => time,
            Self::Micahhausler => {
                let (seconds, nanos) = time.as_unix();
                Timestamp::from_unix(seconds, nanos - nanos % 1_000_000).unwrap_or(time)
            }
        }
    }

    /// Returns the text of `_timestamp`, where the shape has one.
    pub(super) fn timestamp_text(self, time: Timestamp) -> Option<String> {
        match self {
            Self::Docker | Self::Micahhausler => None,
            Self::Vincit2017 => time.to_rfc3339(),
        }
    }

    /// Returns the fields that tell the container and the stream; those that are not known have an empty value.
    pub(super) fn fields(
        self,
        container: &Container,
        stream: LogStream,
    ) -> Vec<(FieldName<'static>, String)> {
        const CONTAINER_ID: FieldName<'static> = FieldName::from_static("container_id");
        const CONTAINER_NAME: FieldName<'static> = FieldName::from_static("container_name");
        const IMAGE_ID: FieldName<'static> = FieldName::from_static("image_id");
        const IMAGE_NAME: FieldName<'static> = FieldName::from_static("image_name");
        const COMMAND: FieldName<'static> = FieldName::from_static("command");
        const CREATED: FieldName<'static> = FieldName::from_static("created");
        const TAG: FieldName<'static> = FieldName::from_static("tag");
        const SOURCE_STREAM: FieldName<'static> = FieldName::from_static("source_stream");

        let name = match self {
            Self::Vincit2017 if !container.name().is_empty() => format!("/{}", container.name()),
            Self::Docker | Self::Micahhausler | Self::Vincit2017 => container.name().to_owned(),
        };
        let command = match self {
            Self::Docker => container.command(),
            Self::Micahhausler | Self::Vincit2017 => container.command_without_entry_point(),
        };
        let mut fields = vec![
            (CONTAINER_ID, container.id().to_owned()),
            (CONTAINER_NAME, name),
            (IMAGE_ID, container.image_id().to_owned()),
            (IMAGE_NAME, container.image().to_owned()),
            (COMMAND, at_most(command, MAX_COMMAND_BYTES).to_owned()),
        ];
        if self != Self::Vincit2017 {
            fields.push((CREATED, container.created().to_owned()));
        }
        if self == Self::Docker {
            fields.push((TAG, container.short_id().to_owned()));
            fields.push((SOURCE_STREAM, stream.as_str().to_owned()));
        }
        fields
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Compat {
    type Err = UnknownCompat;

    fn from_str(text: &str) -> Result<Self, UnknownCompat> {
        Self::ALL.into_iter().find(|compat| compat.as_str() == text).ok_or(UnknownCompat)
    }
}

/// The text names no [`Compat`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnknownCompat;

impl fmt::Display for UnknownCompat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown shape: use docker, micahhausler or vincit-2017")
    }
}

impl std::error::Error for UnknownCompat {}

/// Returns the beginning of the text, cut between two characters.
fn at_most(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_that_of_its_shape_and_no_other_is_known() {
        for compat in Compat::ALL {
            assert_eq!(compat.to_string().parse(), Ok(compat));
            assert!(UnknownCompat.to_string().contains(compat.as_str()));
        }
        for text in ["", "Docker", "vincit", "vincit-2018", "docker "] {
            assert_eq!(text.parse::<Compat>(), Err(UnknownCompat), "{text:?}");
        }
    }

    #[test]
    fn commands_are_cut_between_characters() {
        assert_eq!(at_most("aéb", 2), "a");
        assert_eq!(at_most("aéb", 3), "aé");
        assert_eq!(at_most("a", 100), "a");
    }
}
