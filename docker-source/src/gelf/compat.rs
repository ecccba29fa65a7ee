//! Defines the shapes of messages: the names of fields, the levels and the timestamps.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use gelf_core::{FieldName, Level, Timestamp};

use crate::container::Container;
use crate::log::LogStream;

/// The shape of messages, named after the program whose messages it imitates.
///
/// Dashboards, filters and grok patterns that were written for that program keep working.
///
/// | | [`Docker`](Self::Docker) | [`Micahhausler`](Self::Micahhausler) | [`Vincit2017`](Self::Vincit2017) |
/// |---|---|---|---|
/// | `level` of stdout, stderr | 6, 3 | 6, 3 | 3, 6 |
/// | `timestamp` | to the nanosecond | to the millisecond | to the nanosecond |
/// | `_timestamp` | | | the same time as text in RFC 3339 format |
/// | `_container_name` | `shop` | `shop` | `/shop` |
/// | `_container_id`, `_image_id`, `_image_name` | yes | yes | yes |
/// | `_command` | entry point and arguments | without entry point | without entry point |
/// | `_created` | yes | yes | |
/// | `_tag`, `_source_stream` | yes | | |
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Compat {
    /// Docker's own log driver `gelf`, with `_source_stream` in addition. This is the default.
    #[default]
    Docker,
    /// `micahhausler/logspout-gelf`, a module of Logspout. The image `vincit/logspout-gelf` has contained it
    /// since February 2018.
    Micahhausler,
    /// `rickalm/logspout-gelf`, the module in the image `vincit/logspout-gelf` of 2017. The shape reproduces
    /// the events that Logstash created from the module's messages.
    ///
    /// The messages of the module were not valid GELF. Graylog dropped their fields, which had no underscore.
    /// Their `timestamp` was a text, which Graylog does not read, and which Logstash keeps as a field of the
    /// event. In this shape, each field has an underscore, which Logstash strips. The member `timestamp` is a
    /// number, and the field `_timestamp` is the text. The event in Logstash then has the fields of 2017. Its
    /// `@timestamp` is the time of the line, whereas in 2017 it was the time of arrival. The levels of stdout
    /// and stderr are swapped, as in 2017.
    Vincit2017,
}

impl Compat {
    /// All shapes.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Micahhausler, Self::Vincit2017];

    /// Returns the name of the shape: `docker`, `micahhausler` or `vincit-2017`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Micahhausler => "micahhausler",
            Self::Vincit2017 => "vincit-2017",
        }
    }

    /// Returns the `level` of the lines of a stream.
    pub(super) const fn level(self, stream: LogStream) -> Level {
        match (self, stream) {
            (Self::Docker | Self::Micahhausler, LogStream::Stdout) => Level::Informational,
            (Self::Docker | Self::Micahhausler, LogStream::Stderr) => Level::Error,
            (Self::Vincit2017, LogStream::Stdout) => Level::Error,
            (Self::Vincit2017, LogStream::Stderr) => Level::Informational,
        }
    }

    /// Returns the `timestamp` of a line with Docker's stamp `time`.
    pub(super) fn timestamp(self, time: Timestamp) -> Timestamp {
        match self {
            Self::Docker | Self::Vincit2017 => time,
            Self::Micahhausler => {
                let (_, nanos) = time.as_unix();
                time.saturating_sub(Duration::from_nanos(u64::from(nanos % 1_000_000)))
            }
        }
    }

    /// Returns the text of `_timestamp`, if the shape has that field.
    pub(super) fn timestamp_text(self, time: Timestamp) -> Option<String> {
        match self {
            Self::Docker | Self::Micahhausler => None,
            Self::Vincit2017 => time.to_rfc3339(),
        }
    }

    /// Returns the fields of the container and the stream. A field whose value is unknown is empty.
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
            (COMMAND, command.to_owned()),
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
    type Err = InvalidCompat;

    fn from_str(text: &str) -> Result<Self, InvalidCompat> {
        Self::ALL.into_iter().find(|compat| compat.as_str() == text).ok_or(InvalidCompat)
    }
}

impl TryFrom<&str> for Compat {
    type Error = InvalidCompat;

    fn try_from(text: &str) -> Result<Self, InvalidCompat> {
        text.parse()
    }
}

/// The error for a text that is not the name of a [`Compat`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidCompat;

impl fmt::Display for InvalidCompat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown shape: use docker, micahhausler or vincit-2017")
    }
}

impl std::error::Error for InvalidCompat {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_parsed_to_its_shape_and_other_names_are_refused() {
        for compat in Compat::ALL {
            assert_eq!(compat.to_string().parse(), Ok(compat));
            assert!(InvalidCompat.to_string().contains(compat.as_str()));
        }
        for text in ["", "Docker", "vincit", "vincit-2018", "docker "] {
            assert_eq!(text.parse::<Compat>(), Err(InvalidCompat), "{text:?}");
        }
    }
}
