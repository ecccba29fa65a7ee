#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod message;
#[cfg(feature = "serde")]
mod serialize;
mod too_large;
pub mod wire;

pub use bytes;

pub use decode::{DecodeError, DecodeErrorKind, Decoded, Decoder, Deviation, DeviationKind, Member, Visitor};
pub use encode::{Encoder, Fit};
pub use message::{
    FieldName, FieldSet, FieldSetBuilder, InvalidFieldName, InvalidLevel, InvalidTimestamp, Level, Message,
    Number, Timestamp, Value,
};
#[cfg(feature = "serde")]
pub use serialize::SerializeError;
pub use too_large::MessageTooLarge;
pub use wire::chunk::DatagramSize;
pub use wire::compress::{Compression, CompressionLevel, InvalidCompression};
pub use wire::datagram_reader::{
    DatagramDeviation, DatagramError, DatagramErrorCounts, DatagramLimits, DatagramReader, DatagramStats,
};
pub use wire::datagram_writer::{DatagramWriter, Overflow};
pub use wire::frame::{Delimiter, FrameError, Framer};
