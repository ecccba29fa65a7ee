#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod clock;
mod container;
pub mod content;
mod context;
mod cursor;
mod dedup;
mod descriptors;
mod dialect;
mod engine;
mod files;
mod filter;
mod follow;
mod follow_state;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gelf;
mod identity;
mod level_word;
mod lists;
mod log;
mod log_size;
mod metadata;
pub mod multiline;
mod name_pattern;
mod one_line;
mod outage;
mod own_container;
mod position;
mod progress;
mod record;
mod redact;
mod running;
mod source;
mod start;
mod stats;
mod stopping;
mod supervise;
mod timing;
mod unavailable_logs;
mod warnings;

pub use container::{Container, ContainerBuilder};
#[cfg(feature = "tls")]
pub use engine::EngineCertificates;
pub use engine::{EngineAddress, EngineError, InvalidEngineAddress};
pub use files::{LogFileError, LogFiles};
pub use filter::{ContainerFilter, InvalidFilter, Property, StreamFilter};
pub use follow_state::FollowState;
pub use gelf_core;
pub use log::LogStream;
pub use name_pattern::{InvalidNamePattern, NamePattern};
pub use position::{Position, Positions};
pub use progress::{Progress, Ticket};
pub use record::{Gap, GapReason, Record, RecordBuilder, RecordParts};
pub use redact::{Redaction, Secret};
pub use running::{own_container, ping, running_containers};
pub use source::{Source, SourceBuilder, SourceError};
pub use start::Start;
pub use stats::{ContainerStatus, LineCounts, Stats, StatsSnapshot};
pub use timing::Timing;
pub use unavailable_logs::UnavailableLogs;
