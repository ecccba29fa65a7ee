//! The counters of a [`DatagramReader`](super::DatagramReader).

use super::{DatagramDeviation, DatagramError};
use crate::wire::reassemble::ReassemblyStats;

/// Counters of a [`DatagramReader`](super::DatagramReader). They satisfy `datagrams = payloads + chunks +
/// refused_chunks + errors.total()`.
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Datagrams read.
    pub datagrams: u64,
    /// Payloads returned.
    pub payloads: u64,
    /// Valid chunks that returned no payload: chunks that did not complete their message, and repeated chunks.
    pub chunks: u64,
    /// Further invalid chunks of a message. The first invalid chunk of a message is an error and counts in
    /// [`errors`](Self::errors). The further ones cause no error as long as the reader remembers the message. A chunk
    /// with a [`CountMismatch`](crate::wire::InvalidChunk::CountMismatch) is always an error, and does not count here.
    pub refused_chunks: u64,
    /// Datagrams that ended in an error, by error.
    pub errors: DatagramErrorCounts,
    /// Returned payloads of messages with the deviation [`DatagramDeviation::LegacyHeader`].
    pub legacy_headers: u64,
    /// Returned payloads of messages with the deviation [`DatagramDeviation::SmallWindow`], including messages that
    /// also have trailing data.
    pub small_windows: u64,
    /// Returned payloads of messages whose only deviation is [`DatagramDeviation::TrailingData`].
    pub trailing_data: u64,
    /// The counters of the reassembler.
    pub reassembly: ReassemblyStats,
}

/// The number of datagrams that ended in each [`DatagramError`].
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramErrorCounts {
    /// [`DatagramError::Chunk`]
    pub chunk: u64,
    /// [`DatagramError::Decompress`]
    pub decompress: u64,
    /// [`DatagramError::Deviation`]
    pub deviation: u64,
    /// [`DatagramError::Empty`]
    pub empty: u64,
    /// [`DatagramError::EmptyPayload`]
    pub empty_payload: u64,
    /// [`DatagramError::NestedChunk`]
    pub nested_chunk: u64,
    /// [`DatagramError::PayloadTooLarge`]
    pub payload_too_large: u64,
    /// [`DatagramError::UnknownMagic`]
    pub unknown_magic: u64,
}

impl DatagramErrorCounts {
    /// Returns the sum of all counters.
    pub fn total(&self) -> u64 {
        let Self {
            chunk,
            decompress,
            deviation,
            empty,
            empty_payload,
            nested_chunk,
            payload_too_large,
            unknown_magic,
        } = self;
        chunk
            + decompress
            + deviation
            + empty
            + empty_payload
            + nested_chunk
            + payload_too_large
            + unknown_magic
    }

    pub(super) fn count(&mut self, error: DatagramError) {
        let count = match error {
            DatagramError::Chunk(_) => &mut self.chunk,
            DatagramError::Decompress(_) => &mut self.decompress,
            DatagramError::Deviation(_) => &mut self.deviation,
            DatagramError::Empty => &mut self.empty,
            DatagramError::EmptyPayload => &mut self.empty_payload,
            DatagramError::NestedChunk => &mut self.nested_chunk,
            DatagramError::PayloadTooLarge { .. } => &mut self.payload_too_large,
            DatagramError::UnknownMagic => &mut self.unknown_magic,
        };
        *count += 1;
    }
}

impl DatagramStats {
    pub(super) fn count(&mut self, deviation: DatagramDeviation) {
        let count = match deviation {
            DatagramDeviation::LegacyHeader => &mut self.legacy_headers,
            DatagramDeviation::SmallWindow => &mut self.small_windows,
            DatagramDeviation::TrailingData => &mut self.trailing_data,
        };
        *count += 1;
    }
}
