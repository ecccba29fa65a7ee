//! Deflate for payloads that share prefixes.
//!
//! The messages of a [`FieldSet`](crate::FieldSet) begin with the same bytes, the prefix, which is often a
//! third of a message. The rest of a message is called its line. A `Primer` keeps the compressed form of one
//! prefix, the checksum of the prefix, and Huffman codes that are trained on the lines of a few messages. To
//! compress a message, the primer copies the compressed prefix, and encodes the line with its codes. The
//! matches of the line may reach back into the prefix. Thus no message needs a deflate state, a search for
//! matches in its prefix, or codes of its own.
//!
//! The files build on one another in this order: `bits`, `symbols`, `matcher`, `histogram`, `huffman`,
//! `block`, `format`, `primer`, this file. No file imports a later file.

mod bits;
mod block;
mod format;
mod histogram;
mod huffman;
mod matcher;
mod primer;
mod symbols;

use std::fmt;

use memchr::memmem;

use matcher::{EMPTY, Table};
use primer::Primer;

pub(super) use format::Format;

/// The maximum length of a payload in bytes. A longer payload is compressed better with codes of its own.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;

/// The maximum length of a prefix in bytes. A payload with a longer prefix gets no primer of its own, so
/// that long prefixes do not fill the memory.
const MAX_PREFIX: usize = 4 * 1024;

/// The maximum number of primers. With a prefix of 1 KiB, a primer takes about 10 KiB. This limit bounds
/// the memory for prefixes that never repeat.
const MAX_PRIMERS: usize = 512;

/// The texts that end a prefix. The prefix of a payload ends with the first of these texts in the payload.
/// The encoder writes one of these texts behind the host and the fields of a field set, directly or behind the level.
const ENDS: [&[u8]; 2] = [br#","timestamp":"#, br#","short_message":"#];

/// The credit that a new primer costs. Each payload earns credit. If no prefix repeats, only every 32nd payload
/// gets a new primer once the initial credit is used up.
const PRICE: u32 = 32;

/// The credit that a payload earns if its prefix has a primer.
const INCOME_WITH_PRIMER: u32 = 4;

/// The credit that a payload earns if its prefix has no primer.
const INCOME_WITHOUT_PRIMER: u32 = 1;

/// The maximum credit, which is enough for 64 primers.
const MAX_CREDIT: u32 = 64 * PRICE;

/// Compresses payloads of up to [`MAX_PAYLOAD`] bytes.
pub(super) struct Primed {
    format: Format,
    /// The primers, sorted by prefix. No prefix begins with another prefix, since each prefix ends with the
    /// first text of [`ENDS`] that it contains.
    primers: Vec<Primer>,
    /// The index of the primer that was used last.
    last: usize,
    /// The primer for payloads whose prefix has no primer. Its own prefix is empty.
    general: Primer,
    /// The number of payloads so far.
    number: u64,
    /// The credit for new primers; each costs [`PRICE`].
    credit: u32,
    /// The match table of the current payload.
    scratch: Box<Table>,
}

impl Primed {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            primers: Vec::new(),
            last: 0,
            general: Primer::new(b"", format),
            number: 0,
            credit: MAX_CREDIT,
            scratch: Box::new(EMPTY),
        }
    }

    /// Compresses a payload into the beginning of `dst`, which grows if it has to. Returns the length of the
    /// output, which is at most 23 bytes longer than the payload.
    pub(super) fn compress(&mut self, payload: &[u8], dst: &mut Vec<u8>) -> usize {
        self.number += 1;
        let found = self.find(payload);
        let income = if found.is_ok() { INCOME_WITH_PRIMER } else { INCOME_WITHOUT_PRIMER };
        self.credit = (self.credit + income).min(MAX_CREDIT);
        let primer = match found {
            Ok(at) => Some(at),
            Err(at) => self.insert(payload, at),
        };
        self.last = primer.unwrap_or(self.last);
        let primer = match primer.and_then(|at| self.primers.get_mut(at)) {
            Some(primer) => primer,
            None => &mut self.general,
        };
        let len = primer.compress(payload, self.number, self.format, &mut self.scratch, dst);
        if len > stored_len(payload, self.format) { store(payload, self.format, dst) } else { len }
    }

    /// Returns the index of the primer whose prefix the payload begins with. If there is no such primer, the
    /// error is the index at which a primer for the payload belongs.
    fn find(&self, payload: &[u8]) -> Result<usize, usize> {
        let is_of = |at: usize| {
            self.primers.get(at).is_some_and(|primer: &Primer| payload.starts_with(primer.prefix()))
        };
        if is_of(self.last) {
            return Ok(self.last);
        }
        // The prefix of the payload, if it has a primer, is the last prefix that is not greater than the
        // payload.
        let behind = self.primers.partition_point(|primer| primer.prefix() <= payload);
        match behind.checked_sub(1) {
            Some(at) if is_of(at) => Ok(at),
            _ => Err(behind),
        }
    }

    /// Inserts a primer for the payload at the index `at`, if the payload has a prefix and there is enough
    /// credit. If there are too many primers, removes the primer that has not been used for the longest time.
    /// Returns the index of the new primer.
    fn insert(&mut self, payload: &[u8], mut at: usize) -> Option<usize> {
        let credit = self.credit.checked_sub(PRICE)?;
        let head = payload.get(..MAX_PREFIX).unwrap_or(payload);
        let end = ENDS.iter().filter_map(|end| Some(memmem::find(head, end)? + end.len())).min()?;
        self.credit = credit;
        if self.primers.len() >= MAX_PRIMERS {
            let primers = self.primers.iter().enumerate();
            let (oldest, _) = primers.min_by_key(|(_, primer)| primer.used())?;
            self.primers.remove(oldest);
            at -= usize::from(oldest < at);
        }
        self.primers.insert(at, Primer::new(payload.get(..end)?, self.format));
        Some(at)
    }
}

/// Returns the length of the output of [`store`] for a payload.
fn stored_len(payload: &[u8], format: Format) -> usize {
    format.header().len() + 5 + payload.len() + format.trailer_len()
}

/// Writes a payload without compression, in one stored block (RFC 1951, section 3.2.4) with the header and
/// the trailer of the format. Returns the length of the output.
fn store(payload: &[u8], format: Format, dst: &mut Vec<u8>) -> usize {
    dst.clear();
    dst.extend_from_slice(format.header());
    let len = payload.len() as u16;
    dst.push(1);
    dst.extend_from_slice(&len.to_le_bytes());
    dst.extend_from_slice(&(!len).to_le_bytes());
    dst.extend_from_slice(payload);
    let at = dst.len();
    dst.resize(at + format.trailer_len(), 0);
    at + format.write_trailer(payload, 0, format.checksum(b""), dst.get_mut(at..).unwrap_or_default())
}

/// Shows no prefix, since prefixes are parts of messages.
impl fmt::Debug for Primed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primed")
            .field("format", &self.format)
            .field("primers", &self.primers.len())
            .field("payloads", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
