//! Maps the errors and deviations of gelf-core to the names that the vectors use for them.

use std::fmt::Debug;

use gelf_core::{
    DatagramDeviation, DatagramError, DecodeErrorKind, DeviationKind, Member,
    wire::{DecompressError, InvalidChunk},
};

pub(crate) fn of_deviation(kind: DeviationKind) -> String {
    match kind {
        DeviationKind::Blank(Member::Legacy) => "Blank legacy".to_owned(),
        DeviationKind::Blank(member) => format!("Blank {member}"),
        DeviationKind::Missing(Member::Legacy) => "Missing legacy".to_owned(),
        DeviationKind::Missing(member) => format!("Missing {member}"),
        DeviationKind::WrongType(Member::Legacy) => "WrongType legacy".to_owned(),
        DeviationKind::WrongType(member) => format!("WrongType {member}"),
        kind => variant(kind),
    }
}

pub(crate) fn of_decode_error(kind: DecodeErrorKind) -> String {
    match kind {
        DecodeErrorKind::Deviation(kind) => of_deviation(kind),
        kind => variant(kind),
    }
}

pub(crate) fn of_chunk_error(error: InvalidChunk) -> String {
    format!("Chunk{}", variant(error))
}

pub(crate) fn of_datagram_error(error: DatagramError) -> String {
    match error {
        DatagramError::Chunk(error) => of_chunk_error(error),
        DatagramError::Decompress(DecompressError::LimitExceeded { .. }) => "CompressionLimit".to_owned(),
        DatagramError::Decompress(error) => format!("Compression{}", variant(error)),
        DatagramError::Deviation(deviation) => of_datagram_deviation(deviation),
        DatagramError::Empty => "EmptyDatagram".to_owned(),
        other => variant(other),
    }
}

pub(crate) fn of_datagram_deviation(deviation: DatagramDeviation) -> String {
    match deviation {
        DatagramDeviation::TrailingData => "TrailingAfterCompressed".to_owned(),
        other => variant(other),
    }
}

/// Returns the name of a variant, without its fields.
fn variant(error: impl Debug) -> String {
    let mut name = format!("{error:?}");
    name.truncate(name.find([' ', '(']).unwrap_or(name.len()));
    name
}
