//! The Docker Engine's HTTP API, limited to the requests that reading logs needs.
//!
//! | module | contents |
//! |---|---|
//! | `address` | `DOCKER_HOST` and the default sockets |
//! | `version` | API versions and their negotiation |
//! | `client` | one GET request, its timeouts and its body |
//! | `resolve` | the lookup of the Engine's host name |
//! | `endpoints` | the six requests |
//! | `types` | the JSON answers: what is kept of them, and their parsing |
//! | `events` | the decoder of the event stream |
//! | `keep` | the parts of a JSON value to keep, and their limits |
//! | `members`, `array` | the filter that keeps these parts of a value, and of each element of an array |
//! | `error` | one-line errors that say what to do |

mod address;
mod array;
mod client;
mod endpoints;
mod error;
mod events;
mod keep;
mod members;
mod resolve;
mod types;
mod version;

pub use address::{EngineAddress, InvalidEngineAddress};
pub(crate) use client::{Body, EngineClient, Limits};
pub(crate) use endpoints::{ContainerList, LogsQuery};
pub use error::EngineError;
pub(crate) use error::LogRefusal;
#[cfg(feature = "fuzzing")]
pub(crate) use events::EVENT_MAX;
pub(crate) use events::{Action, Event, EventReader};
pub(crate) use types::{ContainerId, ContainerSummary, Info, Inspect};
pub(crate) use version::ApiVersion;
