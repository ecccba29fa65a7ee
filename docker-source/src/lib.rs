#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod clock;
mod container;
mod context;
mod cursor;
mod dedup;
mod descriptors;
mod dialect;
mod engine;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gelf;
mod identity;
mod lists;
mod log;
mod metadata;
mod name_pattern;
mod one_line;
mod outage;
mod own_container;
mod position;
mod progress;
mod record;
mod source;
mod start;
mod stats;
mod supervise;
mod timing;
mod warnings;

pub use container::{Container, ContainerBuilder};
#[cfg(feature = "tls")]
pub use engine::EngineCertificates;
pub use engine::{EngineAddress, EngineError, InvalidEngineAddress};
pub use gelf_core;
pub use log::LogStream;
pub use name_pattern::{InvalidNamePattern, NamePattern};
pub use position::{Position, Positions};
pub use progress::{Progress, Ticket};
pub use record::{Record, RecordBuilder, RecordParts};
pub use source::{Source, SourceBuilder, SourceError};
pub use start::Start;
pub use stats::{LineCounts, Stats, StatsSnapshot};
pub use timing::Timing;
