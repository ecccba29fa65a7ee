//! A route: where to, and which containers.

use std::fmt;

use docker_source::name_pattern::InvalidPattern;
use docker_source::{Container, NamePattern};
use gelf_tokio::{Endpoint, InvalidEndpoint};

use crate::print::Window;

/// Where lines go, and whose.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// How many messages may be on their way, where the destination is the embedded receiver.
    pub(crate) window: Option<Window>,
    name: Option<NamePattern>,
}

impl Route {
    /// Reads `gelf://HOST[:PORT]?OPTION=VALUE&...`, Logspout's `filter.name` among the options.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRoute> {
        let (endpoint, filters) =
            Endpoint::parse_with(text, &["filter.name"]).map_err(InvalidRoute::Endpoint)?;
        // The first of several counts, as in Logspout.
        let name = match filters.first() {
            Some((_, pattern)) => Some(NamePattern::new(pattern).map_err(InvalidRoute::Name)?),
            None => None,
        };
        Ok(Self { endpoint, window: None, name })
    }

    /// Whether the container's lines go this way.
    pub(crate) fn takes(&self, container: &Container) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.matches(container.name()))
    }
}

/// Why a text is no route.
#[derive(Clone, Debug)]
pub(crate) enum InvalidRoute {
    Endpoint(InvalidEndpoint),
    Name(InvalidPattern),
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::Name(error) => write!(f, "filter.name: {error}"),
        }
    }
}
