//! Defines routes. A route has a destination, a selection of containers, and the format of messages.

mod decisions;
pub(crate) mod json;
mod lines;
pub(crate) mod list;
pub(crate) mod options;
mod uri;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use docker_source::content::ContentOptions;
use docker_source::gelf::GelfFormat;
use docker_source::{Container, ContainerFilter, StreamFilter};
use gelf_tokio::options::QueueOptions;
use gelf_tokio::{Endpoint, InvalidEndpoint, Transport};

use self::options::{Settings, TABLE};
use crate::print::Window;

pub(crate) use self::decisions::Decisions;
pub(crate) use self::lines::Joining;
pub(crate) use self::options::check_option;
pub(crate) use self::uri::{RouteUri, decode};

/// The default limit of datagrams per second of a route over UDP.
pub(crate) const UDP_RATE: u32 = 2000;

/// Returns the default queue of a route: 8,192 messages and 8 MiB. A longer queue has no use, since Docker's log
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
    /// The default options for reading the content of lines. Labels of a container override them.
    pub(crate) content: ContentOptions,
    /// The way in which lines are joined into messages.
    pub(crate) joining: Joining,
    filter: ContainerFilter,
    streams: StreamFilter,
    /// The maximum time that a line of a busy log waits until it is read, if the route sets the option `latency`.
    pub(crate) latency: Option<Duration>,
    /// The parts of the URI from which the route was made.
    uri: RouteUri,
}

/// Writes the name of the destination, as the client writes it in logs.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint.destination())
    }
}

impl Route {
    /// Parses `gelf://HOST[:PORT]?OPTION=VALUE&...#NAME`.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRoute> {
        RouteUri::parse(text).map_err(InvalidRoute::Endpoint).and_then(Self::new)
    }

    /// Creates a route from the parts of its URI.
    pub(crate) fn new(uri: RouteUri) -> Result<Self, InvalidRoute> {
        let own: Vec<_> = TABLE.iter().map(|option| option.name).collect();
        let (endpoint, given) = Endpoint::parse_with_defaults(&uri.to_uri(), &own, default_queue())
            .map_err(InvalidRoute::Endpoint)?;
        let mut settings = Settings::default();
        let mut once = Vec::new();
        for (name, value) in given {
            // The endpoint returns only options of the table.
            let Some(option) = options::find(&name) else { continue };
            if !option.is_list {
                if once.contains(&option.name) {
                    return Err(InvalidRoute::Endpoint(InvalidEndpoint::Repeated { name }));
                }
                once.push(option.name);
            }
            settings = option
                .set(settings, &name, &value)
                .map_err(|error| InvalidRoute::Option { option: format!("{name}={value}"), error })?;
        }
        let Settings { format, filter, streams, lines, content, latency } = settings;
        let invalid = |(option, error): (&str, _)| InvalidRoute::Option { option: option.to_owned(), error };
        let joining = lines.joining().map_err(invalid)?;
        Ok(Self { endpoint, format, window: None, joining, content, filter, streams, latency, uri })
    }

    /// Limits a route over UDP to [`UDP_RATE`] datagrams per second, unless the route has a rate. UDP does
    /// not slow a sender down, so a burst would overrun the receiver's buffer. With the limit, the lines of a
    /// burst wait in Docker's log files.
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

    /// Numbers the messages of each container; see [`GelfFormat::with_sequence`].
    pub(crate) fn number_messages(&mut self, epoch: u64) {
        self.format = self.format.clone().with_sequence(epoch);
    }

    /// Sends the id of the EC2 instance in each message once the id is known.
    pub(crate) fn send_instance(&mut self, id: Arc<OnceLock<String>>) {
        self.format = self.format.clone().with_ec2_instance_id(id);
    }

    /// Returns whether the destination is the embedded receiver.
    pub(crate) fn is_printed(&self) -> bool {
        self.window.is_some()
    }

    /// Returns the parts of the URI from which the route was made.
    pub(crate) fn uri(&self) -> &RouteUri {
        &self.uri
    }

    /// Returns whether the route selects the container. If the container is renamed while it is read, the result
    /// stays the same until the container's run ends.
    pub(crate) fn takes(&self, container: &Container) -> bool {
        self.mismatch(container).is_none()
    }

    /// Returns the reason why the route does not select the container, or `None` if it does.
    pub(crate) fn mismatch(&self, container: &Container) -> Option<String> {
        if is_agent(container) {
            return Some("it is an agent, by its label gelf-router.agent or its command".to_owned());
        }
        self.filter.mismatch(container)
    }
}

/// The label that the image of the router has, see `deploy/Dockerfile`.
pub(crate) const AGENT_LABEL: &str = "gelf-router.agent";

/// Returns whether the label or the command of the container shows that the container is a `gelf-router`. No
/// route selects such a container. Otherwise, if two agents on a host read each other's logs, each line that
/// one agent logs could cause the other agent to log a further line, for ever.
pub(crate) fn is_agent(container: &Container) -> bool {
    let program = container.command().split(' ').next().unwrap_or_default();
    container.labels().contains_key(AGENT_LABEL) || program.rsplit('/').next() == Some("gelf-router")
}

/// The error for a text that is not a route.
#[derive(Clone, Debug)]
pub(crate) enum InvalidRoute {
    Endpoint(InvalidEndpoint),
    Option {
        /// The name and the value, or the name alone if the option does not fit the other options.
        option: String,
        error: String,
    },
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::Option { option, error } => write!(f, "{option:?}: {error}"),
        }
    }
}
