//! Collects text that is written piece by piece.

use super::unescape::ROOM;

/// The number of bytes after which the written text is checked and moved to the string. A block of this
/// length stays in the processor's first-level cache.
const BLOCK: usize = 8 * 1024;

/// Once a text has this length in bytes, the memory for all bytes that the caller announces is reserved in one step.
const LARGE: usize = 1024 * 1024;

/// A buffer for text whose pieces may begin and end inside a character.
///
/// For the next text, the buffer keeps only its block, which is at most 2 * [`BLOCK`] + [`ROOM`] bytes long.
#[derive(Clone, Debug, Default)]
pub(super) struct TextBuffer {
    block: Vec<u8>,
    /// The end of the written part of the block.
    end: usize,
    /// The text before the block.
    text: String,
    is_invalid: bool,
}

impl TextBuffer {
    pub(super) fn clear(&mut self) {
        (self.end, self.text, self.is_invalid) = (0, String::new(), false);
    }

    /// Returns the free part of the block. It is at least [`ROOM`] bytes longer than `wanted`, or than
    /// [`BLOCK`] if `wanted` is greater. `wanted` has the same meaning as in [`flush`](Self::flush).
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the block is extended beyond its written part")]
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.end >= BLOCK {
            self.flush(wanted);
        }
        let len = self.end + wanted.min(BLOCK) + ROOM;
        if self.block.len() < len {
            self.block.resize(len, 0);
        }
        &mut self.block[self.end..]
    }

    /// Adds the first `len` bytes of the [`room`](Self::room) to the text.
    #[inline(always)]
    pub(super) fn advance(&mut self, len: usize) {
        self.end += len;
    }

    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "the room has at least the wanted length")]
    pub(super) fn push_str(&mut self, text: &str) {
        if text.len() <= BLOCK {
            self.room(text.len())[..text.len()].copy_from_slice(text.as_bytes());
            self.end += text.len();
        } else {
            self.flush(text.len());
            self.text.push_str(text);
        }
    }

    /// Moves the complete characters of the block to the string. `wanted` is the maximum number of bytes that the
    /// caller will add to the text: in the next piece, or in total if the caller knows how many bytes are left.
    #[cold]
    #[allow(clippy::indexing_slicing, reason = "`end` is the end of the written part of the block")]
    fn flush(&mut self, wanted: usize) {
        if self.text.len() >= LARGE {
            // Growing step by step would copy a text of megabytes several times.
            self.text.reserve_exact(self.end + wanted);
        }
        let whole = whole_characters(&self.block[..self.end]);
        match simdutf8::basic::from_utf8(&self.block[..whole]) {
            Ok(text) => self.text.push_str(text),
            Err(_) => self.is_invalid = true,
        }
        self.block.copy_within(whole..self.end, 0);
        self.end -= whole;
    }

    /// Returns the text, or `None` if it is not UTF-8.
    #[inline(never)]
    #[allow(clippy::indexing_slicing, reason = "`end` is the end of the written part of the block")]
    pub(super) fn take(&mut self) -> Option<String> {
        let last = simdutf8::basic::from_utf8(&self.block[..self.end]).ok()?;
        let mut text = std::mem::take(&mut self.text);
        text.reserve_exact(last.len());
        text.push_str(last);
        text.shrink_to_fit();
        (!self.is_invalid).then_some(text)
    }

    /// Returns the length of the text.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.end
    }
}

/// Returns the length of the text without an incomplete character at the end of the text.
#[inline]
pub(super) fn whole_characters(text: &[u8]) -> usize {
    let behind_lead = text.iter().rev().take(4).take_while(|byte| matches!(byte, 0x80..0xc0)).count();
    let cut = match text.iter().rev().nth(behind_lead) {
        Some(0xc0..0xe0) => behind_lead < 1,
        Some(0xe0..0xf0) => behind_lead < 2,
        Some(0xf0..) => behind_lead < 3,
        _ => false,
    };
    if cut { text.len() - behind_lead - 1 } else { text.len() }
}
