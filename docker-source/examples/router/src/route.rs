//! A route: where to, which containers, and how messages look.

use std::fmt;

use docker_source::gelf::{BlankHost, GelfFormat, InvalidField, UnknownCompat};
use docker_source::name_pattern::InvalidPattern;
use docker_source::{Container, NamePattern};
use gelf_tokio::{Endpoint, InvalidEndpoint, QueueOptions};

use crate::print::Window;

/// The options of a route that are not those of its endpoint.
const OPTIONS: [&str; 4] = ["compat", "field.*", "filter.name", "host"];

/// The queue of a route unless it says otherwise: 8,192 lines and 8 MiB. More would gain nothing, since Docker's log files
/// hold what is not read yet.
pub(crate) fn default_queue() -> QueueOptions {
    let mut queue = QueueOptions::default();
    (queue.max_messages, queue.max_bytes) = (8192, 8 * 1024 * 1024);
    queue
}

/// Where lines go, whose, and how their messages look.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) format: GelfFormat,
    /// How many messages may be on their way, where the destination is the embedded receiver.
    pub(crate) window: Option<Window>,
    name: Option<NamePattern>,
}

impl Route {
    /// Reads `gelf://HOST[:PORT]?OPTION=VALUE&...`, with Logspout's `filter.name` among the options.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRoute> {
        let (endpoint, options) =
            Endpoint::parse_over(text, &OPTIONS, default_queue()).map_err(InvalidRoute::Endpoint)?;
        let mut format = GelfFormat::default();
        let mut name = None;
        let mut once = Vec::new();
        for (option, value) in options {
            if let Some(field) = option.strip_prefix("field.") {
                format =
                    format.with_field(field, value).map_err(|error| InvalidRoute::Field { option, error })?;
                continue;
            }
            match option.as_str() {
                // The first of several counts, as in Logspout.
                "filter.name" if name.is_some() => continue,
                "filter.name" => name = Some(NamePattern::new(&value).map_err(InvalidRoute::Name)?),
                _ if once.contains(&option) => {
                    return Err(InvalidRoute::Endpoint(InvalidEndpoint::Repeated { name: option }));
                }
                "compat" => {
                    let compat = value.parse().map_err(|error| InvalidRoute::Compat { value, error })?;
                    format = format.with_compat(compat);
                }
                _ => format = format.with_host(value).map_err(InvalidRoute::Host)?,
            }
            once.push(option);
        }
        Ok(Self { endpoint, format, window: None, name })
    }

    /// Sets the host of its messages, unless the route has one or the name is blank.
    pub(crate) fn set_default_host(&mut self, name: &str) {
        if self.format.host().is_none()
            && let Ok(format) = self.format.clone().with_host(name)
        {
            self.format = format;
        }
    }

    /// Whether the container's lines go this way.
    pub(crate) fn takes(&self, container: &Container) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.matches(container.name()))
    }
}

/// Why a text is no route.
#[derive(Clone, Debug)]
pub(crate) enum InvalidRoute {
    Compat { value: String, error: UnknownCompat },
    Endpoint(InvalidEndpoint),
    Field { option: String, error: InvalidField },
    Host(BlankHost),
    Name(InvalidPattern),
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compat { value, error } => write!(f, "compat={value:?}: {error}"),
            Self::Endpoint(error) => error.fmt(f),
            Self::Field { option, error } => write!(f, "{option:?}: {error}"),
            Self::Host(error) => write!(f, "host: {error}"),
            Self::Name(error) => write!(f, "filter.name: {error}"),
        }
    }
}
