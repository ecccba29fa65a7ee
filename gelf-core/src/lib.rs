#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chunk;
mod compress;
mod datagram_reader;
mod datagram_writer;
mod decode;
mod decompress;
mod distinct;
mod encode;
mod escape;
mod field;
mod field_set;
mod frame;
mod level;
mod message;
mod reassemble;
#[cfg(feature = "serde")]
mod serialize;
mod timestamp;
mod writer;

pub use chunk::{
    CHUNK_HEADER_LEN, CHUNK_MAGIC, ChunkHeader, Chunker, Datagram, DatagramSize, Datagrams, InvalidChunk,
    LogstashIds, MAX_CHUNKS, MessageId, MessageIdSource, PayloadTooLarge, RandomIds,
};
pub use compress::{CompressWhen, Compression, CompressionLevel, Compressor};
pub use datagram_reader::{
    DatagramDeviation, DatagramDeviationCounts, DatagramError, DatagramErrorCounts, DatagramLimits,
    DatagramReader, DatagramStats,
};
pub use datagram_writer::{DatagramWriter, MessageTooLarge, Overflow, Written};
pub use decode::{DecodeError, DecodeErrorKind, Decoded, Decoder, Deviation, DeviationKind, Member, Visitor};
pub use decompress::{DecompressError, Decompressor, Encoding, Inflated};
pub use encode::{Encoder, FieldsTooLarge, Fit, encode};
pub use field::{FieldName, InvalidFieldName, Number, Value};
pub use field_set::{FieldSet, FieldSetBuilder};
pub use frame::{Delimiter, FrameTooLong, Framer, UnframeablePayload};
pub use level::{InvalidLevel, Level};
pub use message::Message;
pub use reassemble::{
    DropReason, Dropped, OnConflict, Progress, Reassembler, ReassemblyError, ReassemblyLimits,
    ReassemblyStats,
};
#[cfg(feature = "serde")]
pub use serialize::SerializeError;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use writer::Booleans;
