//! Defines the options of a route, except the options of the route's endpoint.
//!
//! The [table](TABLE) is used by the parser of routes, by `--help`, by the README, and by the check of Logspout's
//! variables for `multiline+`.

mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use docker_source::content::ContentOptions;
use docker_source::gelf::{GelfFormat, InvalidFormat};
use docker_source::{ContainerFilter, InvalidFilter, Redaction, StreamFilter};

pub(crate) use self::table::TABLE;
use super::lines::LineOptions;

/// The settings that the options of a route determine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) format: GelfFormat,
    pub(crate) filter: ContainerFilter,
    pub(crate) streams: StreamFilter,
    pub(crate) lines: LineOptions,
    pub(crate) content: ContentOptions,
    /// The maximum time that a line of a busy log waits until it is read, if the option `latency` is given.
    pub(crate) latency: Option<Duration>,
}

/// One option of a route.
pub(crate) struct RouteOption {
    /// The name, as in `?name=value`; `field.*` stands for all names that begin with `field.`.
    pub(crate) name: &'static str,
    /// The permitted values.
    pub(crate) values: &'static str,
    /// The default value, or a description of it.
    pub(crate) default: &'static str,
    /// True if the option may be given several times.
    pub(crate) is_list: bool,
    /// The meaning of the option.
    pub(crate) help: &'static str,
    /// The option or variable of Logspout, of its modules or of Docker's driver that this option replaces.
    pub(crate) replaces: &'static str,
    /// Adds a value to the settings. For an option such as `field.*`, the second argument is the part of the
    /// name behind `field.`.
    set: fn(Settings, &str, &str) -> Result<Settings, String>,
}

impl RouteOption {
    /// Adds a value of the option to the settings.
    ///
    /// # Errors
    /// Returns a text of one line if the value is not permitted.
    pub(crate) fn set(&self, settings: Settings, name: &str, value: &str) -> Result<Settings, String> {
        let rest = self.group().and_then(|group| name.strip_prefix(group)).unwrap_or_default();
        (self.set)(settings, rest, value)
    }

    /// Returns the common beginning of the names that the option stands for, if it stands for several names.
    fn group(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }
}

/// Returns the option with this name.
pub(crate) fn find(name: &str) -> Option<&'static RouteOption> {
    TABLE.iter().find(|option| match option.group() {
        Some(group) => name.starts_with(group),
        None => option.name == name,
    })
}

/// Checks a value of an option of [`TABLE`]. Accepts each value of an option that is not in the table.
///
/// # Errors
/// Returns a text of one line if the value is not permitted.
pub(crate) fn check_option(name: &str, value: &str) -> Result<(), String> {
    find(name).map_or(Ok(()), |option| option.set(Settings::default(), name, value).map(drop))
}

impl Settings {
    fn filtered(
        self,
        change: impl FnOnce(ContainerFilter) -> Result<ContainerFilter, InvalidFilter>,
    ) -> Result<Self, String> {
        Ok(Self { filter: change(self.filter).map_err(|error| error.to_string())?, ..self })
    }

    fn lined(mut self, change: impl FnOnce(&mut LineOptions) -> Result<(), String>) -> Result<Self, String> {
        change(&mut self.lines)?;
        Ok(self)
    }

    fn redacted(
        self,
        change: impl FnOnce(Redaction) -> Result<Redaction, InvalidFormat>,
    ) -> Result<Self, String> {
        self.formatted(|format| {
            let redaction = change(format.redaction().cloned().unwrap_or_default())?;
            Ok::<_, InvalidFormat>(format.with_redaction(redaction))
        })
    }

    fn formatted<E: ToString>(
        self,
        change: impl FnOnce(GelfFormat) -> Result<GelfFormat, E>,
    ) -> Result<Self, String> {
        Ok(Self { format: change(self.format).map_err(|error| error.to_string())?, ..self })
    }
}
