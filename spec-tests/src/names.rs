//! Maps the errors and deviations of gelf-core to the names of the vectors.

use gelf_core::{
    DatagramDeviation, DatagramError, DecodeErrorKind, DeviationKind, Member,
    wire::{DecompressError, InvalidChunk, ReassemblyError},
};

pub(crate) fn of_deviation(kind: DeviationKind) -> String {
    match kind {
        DeviationKind::Blank(member) => format!("Blank {}", of_member(member)),
        DeviationKind::Missing(member) => format!("Missing {}", of_member(member)),
        DeviationKind::WrongType(member) => format!("WrongType {}", of_member(member)),
        kind => format!("{kind:?}"),
    }
}

fn of_member(member: Member) -> &'static str {
    match member {
        Member::FullMessage => "full_message",
        Member::Host => "host",
        Member::Legacy => "legacy",
        Member::Level => "level",
        Member::ShortMessage => "short_message",
        Member::Timestamp => "timestamp",
        Member::Version => "version",
        _ => "?",
    }
}

pub(crate) fn of_decode_error(kind: DecodeErrorKind) -> String {
    match kind {
        DecodeErrorKind::Deviation(kind) => of_deviation(kind),
        kind => format!("{kind:?}"),
    }
}

pub(crate) fn of_chunk_error(error: InvalidChunk) -> &'static str {
    match error {
        InvalidChunk::CountTooLarge { .. } => "ChunkCountTooLarge",
        InvalidChunk::CountZero => "ChunkCountZero",
        InvalidChunk::HeaderTruncated { .. } => "ChunkHeaderTruncated",
        InvalidChunk::SequenceOutOfRange { .. } => "ChunkSequenceOutOfRange",
        _ => "?",
    }
}

pub(crate) fn of_datagram_error(error: DatagramError) -> String {
    match error {
        DatagramError::Chunk(error) => of_chunk_error(error),
        DatagramError::Decompress(DecompressError::Checksum) => "CompressionChecksum",
        DatagramError::Decompress(DecompressError::Corrupt) => "CompressionCorrupt",
        DatagramError::Decompress(DecompressError::Dictionary) => "CompressionDictionary",
        DatagramError::Decompress(DecompressError::Header) => "CompressionHeader",
        DatagramError::Decompress(DecompressError::LimitExceeded { .. }) => "CompressionLimit",
        DatagramError::Decompress(DecompressError::Truncated) => "CompressionTruncated",
        DatagramError::Deviation(deviation) => of_datagram_deviation(deviation),
        DatagramError::Empty => "EmptyDatagram",
        DatagramError::EmptyPayload => "EmptyPayload",
        DatagramError::NestedChunk => "NestedChunk",
        DatagramError::PayloadTooLarge { .. } => "PayloadTooLarge",
        DatagramError::Reassembly(ReassemblyError::CountMismatch { .. }) => "ChunkCountMismatch",
        DatagramError::UnknownMagic => "UnknownMagic",
        other => return format!("{other:?}"),
    }
    .to_owned()
}

pub(crate) fn of_datagram_deviation(deviation: DatagramDeviation) -> &'static str {
    match deviation {
        DatagramDeviation::LegacyHeader => "LegacyHeader",
        DatagramDeviation::SmallWindow => "SmallWindow",
        DatagramDeviation::TrailingData => "TrailingAfterCompressed",
        _ => "?",
    }
}
