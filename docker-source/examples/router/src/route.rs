//! Routes: a destination, a selection of containers, and the format of messages.

use std::fmt;
use std::num::NonZeroU32;

use docker_source::gelf::{GelfFormat, InvalidCompat, InvalidField, InvalidHost};
use docker_source::{Container, InvalidNamePattern, NamePattern};
use gelf_tokio::options::QueueOptions;
use gelf_tokio::{Endpoint, InvalidEndpoint, Transport};

use crate::print::Window;

/// The options of a route besides those of its endpoint.
const OPTIONS: [&str; 4] = ["compat", "field.*", "filter.name", "host"];

/// The default limit of datagrams per second of a route over UDP.
pub(crate) const UDP_RATE: u32 = 2000;

/// Returns the default queue of a route: 8,192 lines and 8 MiB. A longer queue has no use, since Docker's log
/// files hold the lines that are not read yet.
pub(crate) fn default_queue() -> QueueOptions {
    let mut queue = QueueOptions::default();
    (queue.max_messages, queue.max_bytes) = (8192, 8 * 1024 * 1024);
    queue
}

/// A destination, with a selection of containers and a format.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) format: GelfFormat,
    /// The limit of messages in flight, if the destination is the embedded receiver.
    pub(crate) window: Option<Window>,
    /// The patterns of container names, any of which has to match; none selects all containers.
    names: Vec<NamePattern>,
}

/// The destination, by the name that the client has in logs.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint.destination())
    }
}

impl Route {
    /// Parses `gelf://HOST[:PORT]?OPTION=VALUE&...`, with Logspout's `filter.name` among the options.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRoute> {
        let (endpoint, options) =
            Endpoint::parse_with_defaults(text, &OPTIONS, default_queue()).map_err(InvalidRoute::Endpoint)?;
        let mut format = GelfFormat::default();
        let mut names = Vec::new();
        let mut once = Vec::new();
        for (option, value) in options {
            if let Some(field) = option.strip_prefix("field.") {
                format =
                    format.with_field(field, value).map_err(|error| InvalidRoute::Field { option, error })?;
                continue;
            }
            match option.as_str() {
                "filter.name" => {
                    let pattern = NamePattern::new(&value).map_err(InvalidRoute::Name)?;
                    if let Some(character) = pattern.impossible_character() {
                        return Err(InvalidRoute::NoSuchName { character });
                    }
                    names.push(pattern);
                    continue;
                }
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
        Ok(Self { endpoint, format, window: None, names })
    }

    /// Limits a route over UDP to [`UDP_RATE`], unless the route has a rate. UDP does not slow a sender down,
    /// so a burst overruns the receiver's buffer, while Docker's log files hold the lines that wait here.
    pub(crate) fn paced(mut self) -> Result<Self, InvalidRoute> {
        if let Transport::Udp(udp) = self.endpoint.transport() {
            let mut paced = *udp;
            paced.rate = paced.rate.or(NonZeroU32::new(UDP_RATE));
            let (port, queue) = (self.endpoint.port(), self.endpoint.queue());
            self.endpoint = Endpoint::new(Transport::Udp(paced), self.endpoint.host())
                .and_then(|endpoint| endpoint.with_port(port)?.with_queue(queue))
                .map_err(InvalidRoute::Endpoint)?;
        }
        Ok(self)
    }

    /// Sets the host of messages, unless the route has one.
    pub(crate) fn set_default_host(&mut self, name: &str) -> Result<(), InvalidHost> {
        if self.format.host().is_none() {
            self.format = self.format.clone().with_host(name)?;
        }
        Ok(())
    }

    /// Numbers the messages of each container; see [`GelfFormat::with_sequence`].
    pub(crate) fn number_messages(&mut self, epoch: u64) {
        self.format = self.format.clone().with_sequence(epoch);
    }

    /// Returns whether the destination is the embedded receiver.
    pub(crate) fn is_printed(&self) -> bool {
        self.window.is_some()
    }

    /// Returns whether the route selects the container. The result stays the same for a run of the container,
    /// even if it is renamed meanwhile.
    pub(crate) fn takes(&self, container: &Container) -> bool {
        let name = container.selected_name();
        !is_agent(container)
            && (self.names.is_empty() || self.names.iter().any(|pattern| pattern.matches(name)))
    }
}

/// The label that the image carries, see `deploy/Dockerfile`.
pub(crate) const AGENT_LABEL: &str = "gelf-router.agent";

/// Returns whether the container is an agent of this kind, by its label or its command. Two agents on a host
/// that read each other's diagnostics could feed each other for ever.
fn is_agent(container: &Container) -> bool {
    let program = container.command().split(' ').next().unwrap_or_default();
    container.labels().contains_key(AGENT_LABEL) || program.rsplit('/').next() == Some("gelf-router")
}

/// The error for a text that is not a route.
#[derive(Clone, Debug)]
pub(crate) enum InvalidRoute {
    Compat {
        value: String,
        error: InvalidCompat,
    },
    Endpoint(InvalidEndpoint),
    Field {
        option: String,
        error: InvalidField,
    },
    Host(InvalidHost),
    Name(InvalidNamePattern),
    /// The pattern has a character that no container name has.
    NoSuchName {
        character: char,
    },
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compat { value, error } => write!(f, "compat={value:?}: {error}"),
            Self::Endpoint(error) => error.fmt(f),
            Self::Field { option, error } => write!(f, "{option:?}: {error}"),
            Self::Host(error) => write!(f, "host: {error}"),
            Self::Name(error) => write!(f, "filter.name: {error}"),
            Self::NoSuchName { character } => write!(
                f,
                "filter.name: no container name has the character {character:?}; for several patterns, give the \
                 option several times"
            ),
        }
    }
}
