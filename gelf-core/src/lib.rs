#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod message;
#[cfg(feature = "serde")]
mod serialize;
pub mod wire;

pub use bytes;

pub use decode::{DecodeError, DecodeErrorKind, Decoded, Decoder, Deviation, DeviationKind, Member, Visitor};
pub use encode::{Booleans, Encoder, FieldsTooLarge, Fit, encode};
pub use message::{
    FieldName, FieldSet, FieldSetBuilder, InvalidFieldName, InvalidLevel, InvalidTimestamp, Level, Message,
    Number, Timestamp, Value,
};
#[cfg(feature = "serde")]
pub use serialize::SerializeError;
pub use wire::chunk::DatagramSize;
pub use wire::compress::{Compression, CompressionLevel, InvalidCompression};
pub use wire::datagram_reader::{
    DatagramDeviation, DatagramDeviationCounts, DatagramError, DatagramErrorCounts, DatagramLimits,
    DatagramReader, DatagramStats,
};
pub use wire::datagram_writer::{DatagramWriter, MessageTooLarge, Overflow, Written};
pub use wire::frame::{Delimiter, FrameTooLong, Framer, UnframeablePayload};
