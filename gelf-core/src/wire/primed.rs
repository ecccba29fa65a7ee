//! Deflate for payloads that have prefixes in common.
//!
//! The messages of a [`FieldSet`](crate::FieldSet) begin with the same bytes, often a third of a message. A
//! `Primer` has the compressed form of such a prefix, its checksum, and codes that are trained on a few
//! messages. A message is then the copied form of the prefix, and the symbols of the rest, whose matches may
//! reach back into the prefix. No message needs a deflate state, a search in its prefix, or codes of its own.
//!
//! The files have the order `bits`, `symbols`, `matcher`, `histogram`, `huffman`, `block`, `format`,
//! `primer`, and this file. No file imports a later file.

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

/// The length of the longest payload in bytes. Longer payloads are compressed better with codes of their own.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;

/// The length of the longest prefix in bytes, and the number of prefixes. With a prefix of 1 KiB, a primer
/// takes about 10 KiB. The limits stop senders whose prefixes are long or never repeat.
const MAX_PREFIX: usize = 4 * 1024;
const MAX_PRIMERS: usize = 512;

/// The ends of prefixes; the first that a payload has counts. The encoder writes one of these members behind
/// the host and the fields of a field set.
const ENDS: [&[u8]; 2] = [br#","timestamp":"#, br#","short_message":"#];

/// The price of a primer, and the income by a payload whose prefix has a primer and by any other payload. If
/// no prefix repeats, a new primer is therefore made at every 32nd payload only.
const PRICE: u32 = 32;
const INCOME: (u32, u32) = (4, 1);
const MAX_CREDIT: u32 = 64 * PRICE;

/// Compresses payloads of up to [`MAX_PAYLOAD`] bytes.
pub(super) struct Primed {
    format: Format,
    /// The primers in the order of their prefixes. No prefix begins with another one, since each ends with
    /// its first member of [`ENDS`].
    primers: Vec<Primer>,
    /// The index of the primer that was used last.
    last: usize,
    /// The primer for all other payloads, without a prefix.
    general: Primer,
    /// The number of payloads so far.
    number: u64,
    /// The number of primers that may be made, in units of 1/[`PRICE`].
    credit: u32,
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
        let income = if found.is_ok() { INCOME.0 } else { INCOME.1 };
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

    /// Returns the index of the primer whose prefix the payload has. If there is none, returns the index at
    /// which it belongs.
    fn find(&self, payload: &[u8]) -> Result<usize, usize> {
        let is_of = |at: usize| {
            self.primers.get(at).is_some_and(|primer: &Primer| payload.starts_with(primer.prefix()))
        };
        if is_of(self.last) {
            return Ok(self.last);
        }
        let behind = self.primers.partition_point(|primer| primer.prefix() <= payload);
        match behind.checked_sub(1) {
            Some(at) if is_of(at) => Ok(at),
            _ => Err(behind),
        }
    }

    /// Makes a primer at an index, if the payload has a prefix and there is credit. If there are too many
    /// primers, the one that was not used for the longest time is removed. Returns the index of the primer.
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

/// Returns the length of a payload in a stored block with its header and trailer.
fn stored_len(payload: &[u8], format: Format) -> usize {
    format.header().len() + 5 + payload.len() + format.trailer_len()
}

/// Writes a payload without compression, in one stored block (RFC 1951, section 3.2.4).
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
