//! The Docker Engine's HTTP API, as far as reading logs needs it.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` | where the Engine listens: `DOCKER_HOST` |
//! | `version.rs` | the API versions that are spoken |
//! | `client.rs` | one GET request, its time-outs and its body |
//! | `endpoints.rs` | the six requests there are |
//! | `types.rs` | the JSON answers, read leniently |
//! | `error.rs` | what can go wrong, in a line that says what to do |

mod address;
mod client;
mod endpoints;
mod error;
mod types;
mod version;

pub use address::{EngineAddress, InvalidEngineAddress};
pub(crate) use client::{Body, EngineClient, Limits};
pub(crate) use endpoints::LogsQuery;
pub use error::EngineError;
pub(crate) use types::{ContainerId, ContainerSummary, Inspect};
pub use version::{ApiVersion, InvalidApiVersion};
