//! The Docker Engine's HTTP API, limited to the requests that reading logs needs.
//!
//! | module | contents |
//! |---|---|
//! | `address` | `DOCKER_HOST` and the default sockets |
//! | `version` | API versions and their negotiation |
//! | `client` | one GET request, its timeouts and its body |
//! | `endpoints` | the six requests |
//! | `types` | the JSON answers, parsed leniently |
//! | `events` | the decoder of the event stream |
//! | `error` | one-line errors that say what to do |

mod address;
mod client;
mod endpoints;
mod error;
mod events;
mod types;
mod version;

pub use address::{EngineAddress, InvalidEngineAddress};
pub(crate) use client::{Body, EngineClient, Limits};
pub(crate) use endpoints::LogsQuery;
pub use error::EngineError;
pub(crate) use error::LogRefusal;
pub(crate) use events::{Action, Event, EventReader};
pub(crate) use types::{ContainerId, ContainerSummary, Inspect};
pub(crate) use version::ApiVersion;
