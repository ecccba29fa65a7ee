//! Reads the values of a request's body as the body arrives: unpacks the body, and cuts it into values.

use bytes::Bytes;

use super::unpack::{UnpackError, Unpacker};
use super::values::{TooLong, Values};

/// Reads the values of one body that comes in parts.
///
/// The values of a valid body do not depend on the parts in which it arrives. In an invalid body, values
/// shortly before the error may be lost. How many values are lost depends on where the parts begin.
#[derive(Debug)]
pub(super) struct BodyValues {
    unpacker: Unpacker,
    values: Values,
}

impl BodyValues {
    /// Creates a reader of values of up to `max_len` bytes.
    pub(super) fn new(unpacker: Unpacker, max_len: usize) -> Self {
        Self { unpacker, values: Values::new(max_len) }
    }

    /// Returns the next value of a part of the body, and advances the part. Returns `None` once the part is
    /// used up.
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

    /// Ends the body. Returns the value that is complete only because the body ends, if there is such a
    /// value. Further calls return `None`.
    pub(super) fn finish(&mut self) -> Result<Option<Result<Bytes, TooLong>>, UnpackError> {
        self.values.push(self.unpacker.finish()?);
        Ok(self.values.next_value().or_else(|| self.values.finish().map(Ok)))
    }

    /// Returns whether a value has begun and is not complete. Such a value is lost if the rest of the body
    /// does not come.
    pub(super) fn has_begun_value(&self) -> bool {
        self.values.has_begun_value()
    }
}
