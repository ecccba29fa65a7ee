#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod container;
pub mod cursor;
mod engine;
mod events;
mod follow;
pub mod gelf;
mod intake;
mod known;
pub mod line;
pub mod name_pattern;
mod own_container;
mod read;
mod record;
mod source;
mod stats;
pub mod stdcopy;
mod stream;
mod supervise;
mod timing;
mod tty;

pub use container::Container;
pub use engine::{ApiVersion, EngineAddress, EngineError, InvalidApiVersion, InvalidEngineAddress};
pub use name_pattern::NamePattern;
pub use record::Record;
pub use source::{Source, SourceBuilder};
pub use stats::{ContainerCounts, Counts, Snapshot, Stats};
pub use stream::LogStream;
pub use timing::Timing;
