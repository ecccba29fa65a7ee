//! Replaces invalid UTF-8 in a payload.
//!
//! A payload may have millions of invalid bytes in an order that no processor can predict. Therefore text
//! with invalid bytes is read by a state machine whose transitions are in a table, without branches that depend
//! on the text.

use super::DecodeErrorKind;
use super::escape_block::bits;
use super::text_buffer::{TextBuffer, whole_characters};

/// The number of bytes that are checked at a time in long valid parts.
const WINDOW: usize = 4096;
/// The number of bytes whose states are found together: a `u64` has one bit for each of them.
const BLOCK: usize = 64;
/// After this number of valid blocks in a row, the following text is probably valid, too.
const MANY: usize = WINDOW / 2 / BLOCK;
/// The number of bytes that one step copies.
const PIECE: usize = 16;
/// The number of free bytes for a block: each byte may become the three bytes of U+FFFD, and a piece may be
/// copied behind them.
const ROOM: usize = 4 * BLOCK;

/// A text in which invalid UTF-8 is replaced.
#[derive(Debug, PartialEq)]
pub(super) struct Corrected {
    pub(super) text: String,
    /// The number of invalid sequences.
    pub(super) replaced: usize,
}

/// Replaces invalid UTF-8 by U+FFFD. The result is the same as that of [`String::from_utf8_lossy`], but this
/// function is faster for text with many invalid bytes. Refuses a result of more than `max_bytes`, and a
/// payload with more than `max_replaced` invalid sequences.
#[allow(clippy::indexing_slicing, reason = "the rest is shorter than `padded`")]
pub(super) fn corrected(
    payload: &[u8],
    max_bytes: usize,
    max_replaced: usize,
    buffer: &mut TextBuffer,
) -> Result<Corrected, DecodeErrorKind> {
    buffer.clear();
    let (mut rest, mut valid_blocks, mut replaced) = (payload, MANY, 0);
    while !rest.is_empty() && buffer.len() <= max_bytes && replaced <= max_replaced {
        if valid_blocks >= MANY {
            rest = push_valid_windows(rest, buffer);
            valid_blocks = 0;
        }
        let most = max_bytes.saturating_sub(buffer.len()).saturating_add(ROOM);
        let Some(room) = buffer.room(most).first_chunk_mut() else { break };
        let (block, written) = match rest.first_chunk::<{ BLOCK + PIECE }>() {
            Some(window) => put_block(window, BLOCK, room),
            None => {
                // An incomplete character at the end of the text is invalid: null bytes follow it here.
                let mut padded = [0; BLOCK + PIECE];
                padded[..rest.len()].copy_from_slice(rest);
                put_block(&padded, rest.len().min(BLOCK), room)
            }
        };
        buffer.advance(written);
        replaced += block.invalid.count_ones() as usize;
        valid_blocks = if block.invalid == 0 { valid_blocks + 1 } else { 0 };
        rest = rest.get(block.len..).unwrap_or_default();
    }
    if replaced > max_replaced {
        return Err(DecodeErrorKind::TooManyEscapes);
    }
    let text =
        buffer.take().filter(|text| text.len() <= max_bytes).ok_or(DecodeErrorKind::PayloadTooLarge)?;
    Ok(Corrected { text, replaced })
}

/// Adds valid text to the buffer, at most [`WINDOW`] bytes at a time, and returns the rest. The rest may begin
/// with valid text.
fn push_valid_windows<'a>(mut text: &'a [u8], buffer: &mut TextBuffer) -> &'a [u8] {
    loop {
        let window = text.first_chunk::<WINDOW>().map_or(text, |window| window);
        let Some((window, rest)) = text.split_at_checked(whole_characters(window)) else { return text };
        match simdutf8::basic::from_utf8(window) {
            Ok(valid) if !valid.is_empty() => buffer.push_str(valid),
            _ => return text,
        }
        text = rest;
    }
}

/// Writes the corrected text of a block, which is the first `len` bytes of `window`. Returns the block and the
/// number of bytes written.
#[inline(never)]
fn put_block(window: &[u8; BLOCK + PIECE], len: usize, room: &mut [u8; ROOM]) -> (Block, usize) {
    let block = Block::read(window.first_chunk().unwrap_or(&[0; BLOCK]), len);
    let written = block.put(window, room);
    (block, written)
}

/// The characters and invalid sequences in the first [`BLOCK`] bytes of a text.
struct Block {
    /// A bit for each byte with which a character or an invalid sequence begins. No bit is set if all bytes are
    /// ASCII.
    starts: u64,
    /// A bit for each byte that follows an invalid sequence.
    invalid: u64,
    /// The number of bytes up to the end of the last whole character or invalid sequence.
    len: usize,
}

impl Block {
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a byte is within the table of 256 entries")]
    fn read(text: &[u8; BLOCK], len: usize) -> Self {
        let mut block = Self { starts: 0, invalid: 0, len };
        if text.is_ascii() {
            return block;
        }
        let (mut state, mut states) = (0_u64, [0; BLOCK]);
        for (byte, place) in text.iter().zip(&mut states) {
            state = TRANSITIONS[usize::from(*byte)] >> (state % 64);
            *place = state as u8;
        }
        let incomplete = bits(&states, |state| u64::from(state) & INCOMPLETE != 0);
        block.starts = bits(&states, |state| u64::from(state) & START != 0);
        block.invalid = block.starts & incomplete << 1;
        if incomplete >> (BLOCK - 1) == 1 {
            // The last character or invalid sequence possibly goes on behind the block. It is left to the next
            // block.
            block.len = block.starts.ilog2() as usize;
        }
        block
    }

    /// Writes the block, with U+FFFD in place of invalid sequences. Returns the number of bytes written.
    #[allow(
        clippy::indexing_slicing,
        reason = "the window and the room have a piece more than the block needs"
    )]
    #[inline(always)]
    fn put(&self, window: &[u8; BLOCK + PIECE], room: &mut [u8; ROOM]) -> usize {
        let (mut read, mut written, mut invalid) = (0, 0, self.invalid);
        let mut put = |from: usize, to: usize, written: usize| {
            room[written..written + PIECE].copy_from_slice(&window[from..from + PIECE]);
            if to - from > PIECE {
                room[written + PIECE..written + to - from].copy_from_slice(&window[from + PIECE..to]);
            }
            let end = written + to - from;
            room[end..end + 4].copy_from_slice(&REPLACEMENT);
            end
        };
        while invalid != 0 {
            let behind = invalid.trailing_zeros();
            let start = (self.starts & ((1 << behind) - 1)).ilog2() as usize;
            written = put(read, start, written) + 3;
            read = behind as usize;
            invalid &= invalid - 1;
        }
        put(read, self.len, written)
    }
}

/// U+FFFD in UTF-8, padded to four bytes. The fourth byte does not become a part of the text.
const REPLACEMENT: [u8; 4] = [0xef, 0xbf, 0xbd, 0];

/// The next state for each byte and each state. The entry of a byte has eight places of eight bits, one place for
/// each state. The place of a state contains the state that follows it. The lowest six bits of a state are the
/// offset of its place, so a shift of the entry by these bits reads the next state.
static TRANSITIONS: [u64; 256] = {
    let mut transitions = [0; 256];
    let mut rest: &mut [u64] = &mut transitions;
    let mut byte = 0_u8;
    while let [transition, tail @ ..] = rest {
        let mut state = 0;
        while state < 64 {
            *transition |= next(state, byte) << state;
            state += 8;
        }
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    transitions
};

/// The state behind a whole character or an invalid byte.
const WHOLE: u64 = 0;
/// The states in which one, two or three further bytes of a character are expected.
const ONE: u64 = 8;
const TWO: u64 = 16;
const THREE: u64 = 24;
/// The states behind the first bytes 0xe0, 0xed, 0xf0 and 0xf4, which restrict the range of the second byte.
const E0: u64 = 32;
const ED: u64 = 40;
const F0: u64 = 48;
const F4: u64 = 56;
/// The bit that is set behind the first byte of a character or of an invalid sequence.
const START: u64 = 1 << 6;
/// The bit that is set behind a byte that does not complete a character: the character needs further bytes, or is
/// invalid.
const INCOMPLETE: u64 = 1 << 7;

/// Returns the next state, as in table 3-7 of Unicode 16, section 3.9.
const fn next(state: u64, byte: u8) -> u64 {
    match (state, byte) {
        (ONE, 0x80..=0xbf) => WHOLE,
        (TWO, 0x80..=0xbf) | (E0, 0xa0..=0xbf) | (ED, 0x80..=0x9f) => ONE | INCOMPLETE,
        (THREE, 0x80..=0xbf) | (F0, 0x90..=0xbf) | (F4, 0x80..=0x8f) => TWO | INCOMPLETE,
        (_, 0x00..=0x7f) => WHOLE | START,
        (_, 0xc2..=0xdf) => ONE | START | INCOMPLETE,
        (_, 0xe0) => E0 | START | INCOMPLETE,
        (_, 0xed) => ED | START | INCOMPLETE,
        (_, 0xe1..=0xef) => TWO | START | INCOMPLETE,
        (_, 0xf0) => F0 | START | INCOMPLETE,
        (_, 0xf4) => F4 | START | INCOMPLETE,
        (_, 0xf1..=0xf3) => THREE | START | INCOMPLETE,
        _ => WHOLE | START | INCOMPLETE,
    }
}
