//! Splits payloads that do not fit one datagram into chunks.
//!
//! > GELF 1.1: "Prepend the following structure to your GELF message to make it chunked: chunked GELF magic
//! > bytes `0x1e 0x0f` (2 bytes), message ID (8 bytes; must be the same for every chunk of this message),
//! > sequence number (1 byte, starting at 0, always less than the sequence count), sequence count (1 byte;
//! > total number of chunks)." "A message MUST NOT consist of more than 128 chunks."

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::too_large::MessageTooLarge;

/// The id that all chunks of a message have in common.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub [u8; 8]);

/// Writes the id in hexadecimal.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// The header of a chunk. The sequence number is less than the sequence count, which is 1 to 128.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkHeader {
    id: MessageId,
    sequence_number: u8,
    sequence_count: u8,
}

impl ChunkHeader {
    /// The first two bytes of a chunk.
    pub const MAGIC: [u8; 2] = [0x1e, 0x0f];

    /// The length of a header in bytes.
    pub const LEN: usize = 12;

    /// The maximum number of chunks of a message.
    pub const MAX_COUNT: u8 = 128;

    /// Splits a datagram into header and payload. The payload may be empty: go-gelf sometimes sends a
    /// last chunk without payload.
    ///
    /// # Errors
    /// See [`InvalidChunk`]; each error is the sender's fault.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), InvalidChunk> {
        if !datagram.starts_with(&Self::MAGIC) {
            return Err(InvalidChunk::Magic);
        }
        let (header, payload) = datagram
            .split_first_chunk::<{ Self::LEN }>()
            .ok_or(InvalidChunk::HeaderTruncated { len: datagram.len() })?;
        let [_, _, id @ .., number, count] = *header;
        match count {
            0 => Err(InvalidChunk::CountZero),
            count if count > Self::MAX_COUNT => Err(InvalidChunk::CountTooLarge { count }),
            count if number >= count => Err(InvalidChunk::SequenceOutOfRange { number, count }),
            _ => Ok((Self { id: MessageId(id), sequence_number: number, sequence_count: count }, payload)),
        }
    }

    /// Returns the header as it is sent before the payload.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d, e, f, g, h] = self.id.0;
        let [magic, magic_too] = Self::MAGIC;
        [magic, magic_too, a, b, c, d, e, f, g, h, self.sequence_number, self.sequence_count]
    }

    /// Returns the id of the message.
    pub const fn id(self) -> MessageId {
        self.id
    }

    /// Returns the number of this chunk, counted from 0.
    pub const fn sequence_number(self) -> u8 {
        self.sequence_number
    }

    /// Returns the number of chunks of the message, 1 to 128.
    pub const fn sequence_count(self) -> u8 {
        self.sequence_count
    }
}

/// The reason why a datagram is not a chunk, or does not belong to the chunks of its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidChunk {
    /// The sequence count differs from the count in the earlier chunks of the message; see
    /// [`Reassembler`](super::Reassembler).
    CountMismatch {
        /// The sequence count of the first chunk.
        expected: u8,
        /// The sequence count of this chunk.
        found: u8,
    },
    /// The sequence count is more than 128.
    CountTooLarge {
        /// The sequence count.
        count: u8,
    },
    /// The sequence count is 0.
    CountZero,
    /// The datagram ends within the header.
    HeaderTruncated {
        /// The length of the datagram in bytes.
        len: usize,
    },
    /// The datagram does not begin with [`ChunkHeader::MAGIC`].
    Magic,
    /// The sequence number is not less than the sequence count.
    SequenceOutOfRange {
        /// The sequence number.
        number: u8,
        /// The sequence count.
        count: u8,
    },
}

impl fmt::Display for InvalidChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountMismatch { expected, found } => {
                write!(f, "the chunk's sequence count is {found}, but earlier chunks have {expected}")
            }
            Self::CountTooLarge { count } => {
                write!(f, "the chunk's sequence count is {count}, more than {}", ChunkHeader::MAX_COUNT)
            }
            Self::CountZero => f.write_str("the chunk's sequence count is 0"),
            Self::HeaderTruncated { len } => write!(f, "the chunk has {len} bytes, fewer than its header"),
            Self::Magic => f.write_str("not a chunk"),
            Self::SequenceOutOfRange { number, count } => {
                write!(f, "the chunk's sequence number is {number}, but its sequence count is {count}")
            }
        }
    }
}

impl std::error::Error for InvalidChunk {}

/// The maximum size of a datagram in bytes, including the header of a chunk.
///
/// ```
/// use gelf_core::DatagramSize;
///
/// assert_eq!(DatagramSize::default(), DatagramSize::WAN);
/// assert_eq!(DatagramSize::new(8192), Some(DatagramSize::LAN));
/// assert_eq!(DatagramSize::WAN.max_payload(), 180_224);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DatagramSize(u16);

impl DatagramSize {
    /// 1,420 bytes, the default. With the headers of UDP and IP, a datagram of this size fits an Ethernet frame and
    /// leaves at least 32 bytes for the headers of a tunnel. go-gelf's reader cuts larger datagrams.
    pub const WAN: Self = Self(1420);

    /// 8,192 bytes, for networks without loss. Logstash's reader cuts larger datagrams.
    pub const LAN: Self = Self(8192);

    /// 65,507 bytes, the maximum of a UDP datagram over IPv4.
    pub const MAX: Self = Self(65_507);

    /// Returns a size of `bytes` bytes. Returns `None` if `bytes` is less than 13, the length of a header and
    /// one byte, or more than [`MAX`](Self::MAX).
    pub const fn new(bytes: u16) -> Option<Self> {
        if bytes as usize > ChunkHeader::LEN && bytes <= Self::MAX.0 { Some(Self(bytes)) } else { None }
    }

    /// Returns the size in bytes.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// Returns the maximum length, in bytes, of a payload that fits 128 chunks.
    pub const fn max_payload(self) -> usize {
        (self.as_usize() - ChunkHeader::LEN) * ChunkHeader::MAX_COUNT as usize
    }
}

/// Returns [`WAN`](Self::WAN).
impl Default for DatagramSize {
    fn default() -> Self {
        Self::WAN
    }
}

/// Splits payloads into datagrams.
///
/// ```
/// use gelf_core::{DatagramSize, wire::Chunker};
///
/// let mut chunker = Chunker::new(DatagramSize::WAN);
/// assert_eq!(chunker.split(&[b'a'; 1420])?.len(), 1);
/// let sizes: Vec<_> = chunker.split(&[b'a'; 1421])?.map(|datagram| datagram.len()).collect();
/// assert_eq!(sizes, [1420, 25]);
/// # Ok::<(), gelf_core::MessageTooLarge>(())
/// ```
///
/// # Message ids
///
/// [`split`](Self::split) gives each chunked message a random id that cannot be predicted outside of the
/// process: SipHash of a counter, with keys from the operating system. A clone has keys of its own. Ids made
/// from the clock and the host's name, as the specification proposes, have collided in several libraries, and
/// the messages were lost.
///
/// Each of the eight bytes of an id is a number from 100 to 255. Logstash's input identifies a message by the
/// decimal numbers of the bytes, written one after another. For Logstash, the bytes `01 17` and `0c 03` are
/// both the text `123`, and Logstash would mix the chunks of two messages whose ids differ only in such
/// bytes. With three decimal digits for each byte, all ids are distinct. There are 156⁸, or about 2⁵⁸, such
/// ids.
#[derive(Clone, Debug)]
pub struct Chunker {
    size: DatagramSize,
    ids: RandomIds,
}

impl Chunker {
    /// Creates a chunker for datagrams of up to `size`.
    pub fn new(size: DatagramSize) -> Self {
        Self { size, ids: RandomIds::default() }
    }

    /// Returns the maximum size of a datagram.
    pub fn datagram_size(&self) -> DatagramSize {
        self.size
    }

    /// Returns the datagrams that carry the payload: the payload itself if it fits one datagram, otherwise
    /// its chunks in order, with a random id. Nothing is copied.
    ///
    /// # Errors
    /// Returns [`MessageTooLarge::Payload`] if the payload needs more than 128 chunks.
    pub fn split<'p>(&mut self, payload: &'p [u8]) -> Result<Datagrams<'p>, MessageTooLarge> {
        datagrams(payload, self.size, || self.ids.next_id())
    }

    /// Returns the datagrams that carry the payload, as [`split`](Self::split) does, but with the id `id` in
    /// the chunks. The caller must ensure that no other message, from any sender, has this id within the time that
    /// a reader waits for the chunks of a message, usually 5 s.
    ///
    /// # Errors
    /// Returns the same errors as [`split`](Self::split).
    pub fn split_with_id<'p>(
        &self,
        payload: &'p [u8],
        id: MessageId,
    ) -> Result<Datagrams<'p>, MessageTooLarge> {
        datagrams(payload, self.size, || id)
    }
}

fn datagrams(
    payload: &[u8],
    size: DatagramSize,
    id: impl FnOnce() -> MessageId,
) -> Result<Datagrams<'_>, MessageTooLarge> {
    if payload.len() <= size.as_usize() {
        return Ok(Datagrams { rest: Some(payload), chunked: None });
    }
    let share = size.as_usize() - ChunkHeader::LEN;
    let count = match u8::try_from(payload.len().div_ceil(share)) {
        Ok(count) if count <= ChunkHeader::MAX_COUNT => count,
        _ => return Err(MessageTooLarge::Payload { len: payload.len(), max: size.max_payload() }),
    };
    let header = ChunkHeader { id: id(), sequence_number: 0, sequence_count: count };
    Ok(Datagrams { rest: Some(payload), chunked: Some((header, share)) })
}

/// A generator of random ids; see [`Chunker`].
#[derive(Debug, Default)]
struct RandomIds {
    keys: RandomState,
    counter: u64,
}

/// Creates a generator with keys of its own. With the same keys, both generators would make the same ids.
impl Clone for RandomIds {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl RandomIds {
    fn next_id(&mut self) -> MessageId {
        self.counter = self.counter.wrapping_add(1);
        let mut rest = self.keys.hash_one(self.counter);
        MessageId([(); 8].map(|()| {
            let byte = 100 + (rest % 156) as u8;
            rest /= 156;
            byte
        }))
    }
}

/// An iterator over the datagrams of one payload, in order; see [`Chunker::split`].
#[derive(Clone)]
pub struct Datagrams<'p> {
    rest: Option<&'p [u8]>,
    /// The header of the next chunk, and the maximum length of a chunk's payload in bytes. `None` if the
    /// payload is one datagram.
    chunked: Option<(ChunkHeader, usize)>,
}

impl<'p> Iterator for Datagrams<'p> {
    type Item = Datagram<'p>;

    fn next(&mut self) -> Option<Datagram<'p>> {
        let rest = self.rest.take()?;
        let Some((header, share)) = &mut self.chunked else {
            return Some(Datagram { header: None, payload: rest });
        };
        let (payload, tail) = rest.split_at(rest.len().min(*share));
        let datagram = Datagram { header: Some(header.to_bytes()), payload };
        header.sequence_number += 1;
        self.rest = (!tail.is_empty()).then_some(tail);
        Some(datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match (self.rest, &self.chunked) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(rest), Some((_, share))) => rest.len().div_ceil(*share),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Datagrams<'_> {}

/// Writes the number of datagrams, not their bytes.
impl fmt::Debug for Datagrams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A datagram: the header and payload of a chunk, or a whole payload without a header.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Datagram<'p> {
    header: Option<[u8; ChunkHeader::LEN]>,
    payload: &'p [u8],
}

impl<'p> Datagram<'p> {
    /// Returns the header if this is a chunk.
    pub fn header(&self) -> Option<&[u8; ChunkHeader::LEN]> {
        self.header.as_ref()
    }

    /// Returns the payload, or the part of it that this chunk carries.
    pub fn payload(&self) -> &'p [u8] {
        self.payload
    }

    /// Returns the number of bytes on the wire.
    #[allow(clippy::len_without_is_empty, reason = "an empty payload is a datagram too")]
    pub fn len(&self) -> usize {
        self.header.map_or(0, |header| header.len()) + self.payload.len()
    }

    /// Appends the datagram to a buffer.
    pub fn write_to(&self, dst: &mut Vec<u8>) {
        dst.extend_from_slice(self.header().map_or(&[], |header| header.as_slice()));
        dst.extend_from_slice(self.payload);
    }
}

/// Writes the header and the length of the datagram, not the bytes of the payload.
impl fmt::Debug for Datagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("header", &self.header)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_datagram_has_room_for_a_header_and_a_byte() {
        assert_eq!(DatagramSize::new(12), None);
        assert_eq!(DatagramSize::new(13).unwrap().max_payload(), 128);
        assert_eq!(DatagramSize::new(65_507), Some(DatagramSize::MAX));
        assert_eq!(DatagramSize::new(65_508), None);
    }

    #[test]
    fn an_id_of_the_caller_is_in_each_chunk() {
        let id = MessageId(*b"the id !");
        let chunker = Chunker::new(DatagramSize::WAN);
        let mut chunks = chunker.split_with_id(&[b'a'; 3000], id).unwrap();
        assert_eq!(chunks.len(), 3);
        assert!(chunks.all(|chunk| chunk.header().unwrap()[2..10] == id.0));
        assert_eq!(chunker.split_with_id(b"whole", id).unwrap().next().unwrap().header(), None);
    }

    #[test]
    fn ids_of_two_generators_and_of_a_clone_do_not_repeat() {
        let (mut first, mut second) = (RandomIds::default(), RandomIds::default());
        let mut clone = first.clone();
        let next_ids = |_| [first.next_id(), second.next_id(), clone.next_id()];
        let ids: HashSet<_> = (0..10_000).flat_map(next_ids).collect();
        assert_eq!(ids.len(), 30_000);
    }

    #[test]
    fn each_byte_of_an_id_has_three_decimal_digits_for_logstash() {
        let mut ids = RandomIds::default();
        let mut decimals = HashSet::new();
        for _ in 0..100_000 {
            let MessageId(bytes) = ids.next_id();
            assert!(bytes.iter().all(|byte| *byte >= 100));
            assert!(decimals.insert(bytes.map(|byte| byte.to_string()).concat()));
        }
    }
}
