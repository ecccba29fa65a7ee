//! Writes deflate's bits, the lowest first.
#![allow(clippy::indexing_slicing, reason = "the buffer has 8 bytes more than the longest output")]

/// A code with its extra bits, ready to be written. The lower 24 bits of the word are the code and the extra bits.
/// The upper 8 bits are the number of these bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Code(u32);

impl Code {
    /// Creates a code of up to 24 bits.
    pub(super) const fn new(bits: u32, count: u32) -> Self {
        Self(bits | count << 24)
    }

    /// Returns the code followed by extra bits.
    pub(super) const fn followed_by(self, extra: u32, extra_bits: u32) -> Self {
        Self::new(self.bits() | extra << self.count(), self.count() + extra_bits)
    }

    pub(super) const fn bits(self) -> u32 {
        self.0 & 0xff_ffff
    }

    pub(super) const fn count(self) -> u32 {
        self.0 >> 24
    }
}

/// Writes bits to a buffer, which must be 8 bytes longer than the output.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    dst: &'a mut [u8],
    /// The number of whole bytes that are written.
    at: usize,
    /// The bits that are not in the buffer yet. There are fewer than 8 of them after [`flush`](Self::flush).
    pending: u64,
    /// The number of pending bits.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Creates a writer that continues behind `at` whole bytes and up to 7 further bits. The tuple has these
    /// bits and their number.
    pub(super) fn new(dst: &'a mut [u8], at: usize, (bits, count): (u8, u32)) -> Self {
        Self { dst, at, pending: u64::from(bits), count }
    }

    /// Adds a code. At most 56 bits may be added between two calls of [`flush`](Self::flush).
    #[inline(always)]
    pub(super) fn put(&mut self, code: Code) {
        self.pending |= u64::from(code.bits()) << self.count;
        self.count += code.count();
    }

    /// Adds plain bits.
    #[inline(always)]
    pub(super) fn put_bits(&mut self, bits: u32, count: u32) {
        self.pending |= u64::from(bits) << self.count;
        self.count += count;
    }

    /// Moves the whole bytes into the buffer.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        self.dst[self.at..self.at + 8].copy_from_slice(&self.pending.to_le_bytes());
        self.at += (self.count >> 3) as usize;
        self.pending >>= self.count & !7;
        self.count &= 7;
    }

    /// Returns the number of whole bytes, and the bits behind these bytes with their number.
    pub(super) fn position(mut self) -> (usize, (u8, u32)) {
        self.flush();
        (self.at, (self.pending as u8, self.count))
    }

    /// Fills up the last byte with zero bits, and returns the number of bytes.
    pub(super) fn finish(mut self) -> usize {
        self.flush();
        self.at + usize::from(self.count > 0)
    }
}
