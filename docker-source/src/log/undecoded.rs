//! Keeps the bytes of a log response that are not decoded yet.

use bytes::{Bytes, BytesMut};

use super::decoder::LogDecoder;
use super::error::LogFormatError;
use super::piece::Piece;

/// The bytes of a response that are not decoded yet.
///
/// Records are decoded from the part that arrived last, without a buffer, as long as each of them lies within the
/// part. If a record continues in the next part, its beginning is kept in a buffer, to which the rest is appended:
/// only the rest of the record, or all of the next part if the log is that of a terminal. Once
/// [`decode`](Self::decode) has returned `Ok(None)`, the input shares no memory with a part.
#[derive(Debug, Default)]
pub(crate) struct UndecodedBytes {
    /// The beginning of a record whose end has not arrived.
    begun: BytesMut,
    /// The rest of the part that arrived last.
    part: Bytes,
}

impl UndecodedBytes {
    /// Appends the next part of the response.
    pub(crate) fn push(&mut self, part: Bytes) {
        self.keep();
        self.part = part;
    }

    /// Returns the bytes that are not decoded yet.
    pub(super) fn bytes(&mut self) -> &[u8] {
        if !self.begun.is_empty() {
            self.keep();
            return &self.begun;
        }
        &self.part
    }

    /// Takes the next piece; see [`LogDecoder::decode`].
    ///
    /// # Errors
    /// Returns the errors of [`LogDecoder::decode`].
    pub(crate) fn decode(&mut self, decoder: &mut LogDecoder) -> Result<Option<Piece>, LogFormatError> {
        while !self.begun.is_empty() {
            if let Some(piece) = decoder.decode(&mut self.begun)? {
                return Ok(Some(piece));
            }
            let more = decoder.missing(&self.begun, &self.part);
            if more == 0 {
                return Ok(None);
            }
            self.begun.extend_from_slice(&self.part.split_to(more));
        }
        let piece = decoder.decode(&mut self.part)?;
        if piece.is_none() {
            self.keep();
        }
        Ok(piece)
    }

    /// Takes the next piece once the response has ended; see [`LogDecoder::finish`].
    ///
    /// # Errors
    /// Returns the errors of [`LogDecoder::finish`].
    pub(crate) fn finish(&mut self, decoder: &mut LogDecoder) -> Result<Option<Piece>, LogFormatError> {
        self.keep();
        decoder.finish(&mut self.begun)
    }

    /// Removes the rest of a log file; see [`LogDecoder::end_file`].
    ///
    /// # Errors
    /// Returns the errors of [`LogDecoder::end_file`].
    pub(super) fn end_file(&mut self, decoder: &mut LogDecoder) -> Result<(), LogFormatError> {
        self.keep();
        decoder.end_file(&mut self.begun)
    }

    /// Returns the number of bytes that are not decoded.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.part.len()
    }

    /// Copies the rest of the part, so that the memory of the part can be freed.
    fn keep(&mut self) {
        self.begun.extend_from_slice(&self.part);
        self.part = Bytes::new();
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::Framing;
    use super::*;
    use crate::dialect::Dialect;

    const FRAME: &[u8] = b"\x01\0\0\0\0\0\0\x23\
        2026-11-22T22:44:18.123456789Z abc\n";

    #[test]
    fn only_a_record_that_continues_in_the_next_part_is_buffered() {
        let mut decoder = LogDecoder::new(Framing::Frames, Dialect::Docker);
        let mut input = UndecodedBytes::default();
        let part = Bytes::from(FRAME.repeat(100));
        input.push(part.slice(..99 * FRAME.len() + 9));
        for _ in 0..99 {
            assert!(input.decode(&mut decoder).unwrap().is_some());
            assert_eq!(input.begun.capacity(), 0);
        }
        assert_eq!(input.decode(&mut decoder), Ok(None));
        assert_eq!((input.len(), input.begun.len()), (9, 9));
        assert!(part.is_unique());
        // Only the rest of the begun record is appended to the buffer, and no byte of the next record.
        input.push(Bytes::from([&FRAME[9..], &FRAME.repeat(2)].concat()));
        assert!(input.decode(&mut decoder).unwrap().is_some());
        assert_eq!((input.begun.len(), input.part.len()), (0, 2 * FRAME.len()));
    }

    #[test]
    fn the_pieces_do_not_depend_on_the_parts() {
        let terminal = b"2026-11-22T22:44:18.123456789Z abc\r\nno stamp\r\n2026-11-22T22:44:19Z d\r\n";
        for (framing, log) in [(Framing::Frames, FRAME.repeat(3)), (Framing::Terminal, terminal.to_vec())] {
            let read = |size: usize| {
                let mut decoder = LogDecoder::new(framing, Dialect::Docker);
                let (mut input, mut read) = (UndecodedBytes::default(), Vec::new());
                for part in log.chunks(size) {
                    input.push(Bytes::copy_from_slice(part));
                    loop {
                        match input.decode(&mut decoder) {
                            Ok(None) => break,
                            result => read.push(result),
                        }
                    }
                }
                assert_eq!(input.finish(&mut decoder), Ok(None));
                read
            };
            for size in 1..log.len() {
                assert_eq!(read(size), read(log.len()), "{framing:?} in parts of {size}");
            }
        }
    }
}
