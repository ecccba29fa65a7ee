//! Reads the values of a request's body as it arrives: unpacks it, and cuts it.

use bytes::Bytes;

use super::unpack::{UnpackError, Unpacker};
use super::values::{TooLong, Values};

/// Reads the values of one body that comes in parts.
///
/// The values of a good body do not depend on the parts in which it arrives. The part in which a bad
/// one fails decides how many of its values are read before the error.
#[derive(Debug)]
pub(super) struct BodyValues {
    unpacker: Unpacker,
    values: Values,
}

impl BodyValues {
    /// Reads values of up to `max_len` bytes.
    pub(super) fn new(unpacker: Unpacker, max_len: usize) -> Self {
        Self { unpacker, values: Values::new(max_len) }
    }

    /// Returns the next value of a part of the body, which is advanced; `None` once it is used up.
    pub(super) fn next_value(
        &mut self,
        part: &mut &[u8],
    ) -> Result<Option<Result<Bytes, TooLong>>, UnpackError> {
        loop {
            if let Some(value) = self.values.next_value() {
                return Ok(Some(value));
            }
            let piece = self.unpacker.unpack(part)?;
            if piece.is_empty() {
                return Ok(None);
            }
            self.values.push(piece);
        }
    }

    /// Returns the next value that the end of the body completes; `None` if there are no more.
    pub(super) fn finish(&mut self) -> Result<Option<Result<Bytes, TooLong>>, UnpackError> {
        self.values.push(self.unpacker.finish()?);
        Ok(self.values.next_value().or_else(|| self.values.finish().map(Ok)))
    }

    /// Returns whether a value has begun that would be lost with the rest of the body.
    pub(super) fn has_begun_value(&self) -> bool {
        self.values.has_begun_value()
    }
}
