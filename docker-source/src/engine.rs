//! Implements a client of the Docker Engine's HTTP API, limited to the requests that are needed to read logs.
//!
//! | module | contents |
//! |---|---|
//! | `address` | `DOCKER_HOST` and the default sockets |
//! | `version` | API versions and their negotiation |
//! | `client` | one GET request, its timeouts and its body |
//! | `resolve` | the lookup of the Engine's host name |
//! | `endpoints` | the requests, to six paths |
//! | `types` | the JSON answers: the members that are kept, and their parsing |
//! | `events` | the decoder of the event stream |
//! | `keep` | the parts of a JSON value to keep, and their limits |
//! | `members`, `array` | the filter that keeps these parts of a value, and of each element of an array |
//! | `tls` | TLS connections and their certificates |
//! | `error` | the errors, whose texts are one line each |

mod address;
mod array;
mod client;
mod endpoints;
mod error;
mod events;
mod keep;
mod members;
mod resolve;
#[cfg(feature = "tls")]
mod tls;
mod types;
mod version;

pub use address::{EngineAddress, InvalidEngineAddress};
pub(crate) use client::{Body, EngineClient, Limits};
pub(crate) use endpoints::{ContainerList, LogsQuery, RunEnd};
pub use error::EngineError;
pub(crate) use error::LogRefusal;
#[cfg(feature = "fuzzing")]
pub(crate) use events::EVENT_MAX;
pub(crate) use events::{Action, Event, EventReader};
#[cfg(feature = "tls")]
pub use tls::EngineCertificates;
pub(crate) use types::{ContainerId, ContainerSummary, Info, Inspect};
pub(crate) use version::ApiVersion;
