//! Collects the datagrams of each sender into messages and judges them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::judged::Judged;
use crate::inspect::Violation;
use crate::reader::{Chunk, is_chunk};
use crate::receivers::Transport;

/// Maximum time from the first chunk of a message to its last chunk (R18).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time from the first chunk of a message until the message is given up as incomplete. A missing chunk that arrives
/// after [`TIMEOUT`] but within this time still belongs to the message, which is reported as late.
const LATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of incomplete messages, as in gelf-core's reassembler. A flood of chunks with
/// different ids evicts the oldest messages.
const MAX_PENDING: usize = 8192;

/// Maximum total size of all incomplete messages: 64 MiB.
const MAX_PENDING_BYTES: usize = 64 << 20;

/// Maximum number of remembered ids of complete messages. The same maximum applies to the ids of messages with
/// malformed chunks.
const MAX_FINISHED: usize = 8192;

/// Sender and message id.
type Key = (SocketAddr, [u8; 8]);

/// An incomplete message.
#[derive(Debug)]
struct Group {
    /// Time of the first chunk.
    first: Instant,
    /// The datagrams, in the order of arrival.
    parts: Vec<Vec<u8>>,
    /// Total size of the datagrams.
    bytes: usize,
    /// Hash of each chunk's payload, by sequence number.
    hashes: HashMap<u8, u64>,
    count: u8,
    /// Position of the message's last datagram among the datagrams of all senders, counted from 1.
    last: u64,
    /// True if another datagram arrived between the datagrams of this message.
    interleaved: bool,
    /// True if a chunk arrived after [`TIMEOUT`].
    late: bool,
    /// Violations that a single chunk does not show: repeated or conflicting chunks, reused ids, and late chunks.
    more: Vec<Violation>,
}

/// A complete message, which is remembered to recognise repeated chunks and reused ids.
#[derive(Debug)]
struct Finished {
    at: Instant,
    hashes: HashMap<u8, u64>,
}

/// The incomplete messages, and the remembered ids of other messages.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    pending: HashMap<Key, Group>,
    pending_bytes: usize,
    finished: HashMap<Key, Finished>,
    /// Ids of messages with malformed chunks. They are remembered so that each message counts once.
    unreadable: HashMap<Key, Instant>,
    datagrams: u64,
    evicted: u64,
}

impl Gatherer {
    /// Adds a datagram. Returns the messages that the datagram completes or ends. For a malformed chunk, and for a
    /// repeated chunk of a complete message, returns the violation of the datagram itself.
    pub(super) fn datagram(&mut self, at: Instant, source: SocketAddr, datagram: Vec<u8>) -> Vec<Judged> {
        self.datagrams += 1;
        if !is_chunk(&datagram) {
            return vec![Judged::datagrams(source, vec![datagram], false, Vec::new(), true)];
        }
        let id = datagram.get(2..10).and_then(|id| <[u8; 8]>::try_from(id).ok());
        let Ok(Chunk { id, number, count, payload }) = Chunk::read(&datagram) else {
            let is_first = id.is_none_or(|id| self.is_first_unreadable(at, (source, id)));
            return vec![Judged::datagrams(source, vec![datagram], false, Vec::new(), is_first)];
        };
        let (key, hash) = ((source, id), hash_of(payload));
        let mut judged = Vec::new();
        if let Some(group) = self.pending.get_mut(&key) {
            match group.hashes.get(&number) {
                Some(same) if *same == hash => {
                    group.last = self.datagrams;
                    group.note(Violation::odd("R15", "Duplicate", format!("chunk {number} arrived twice")));
                    return judged;
                }
                Some(_) => {
                    let text = format!("two different chunks {number}: two concurrent messages have this id");
                    group.note(Violation::broken("R16", "Conflict", text));
                    judged.extend(self.end(key));
                }
                None => {}
            }
        } else if self.finished.get(&key).is_some_and(|finished| {
            at.duration_since(finished.at) <= TIMEOUT && finished.hashes.get(&number) == Some(&hash)
        }) {
            let text = format!("chunk {number} arrived again");
            let again = Violation::odd("R15", "Duplicate", text);
            return vec![Judged::violation(source, Transport::Udp, vec![datagram], again, false)];
        }
        let group = self.pending.entry(key).or_insert_with(|| {
            let mut group = Group::new(at, self.datagrams, count);
            match self.finished.remove(&key).map(|finished| at.duration_since(finished.at)) {
                Some(before) if before <= TIMEOUT => {
                    let text = format!("another message had this id {before:?} before");
                    group.note(Violation::broken("R16", "ReusedId", text));
                }
                _ => {}
            }
            group
        });
        group.add(at, self.datagrams, number, hash, datagram, &mut self.pending_bytes);
        if group.hashes.len() >= usize::from(group.count) {
            judged.extend(self.complete(at, key));
        }
        self.evict();
        judged
    }

    /// Forgets old ids. Ends the overdue messages and returns them.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Judged> {
        self.finished.retain(|_, finished| now.duration_since(finished.at) <= TIMEOUT);
        self.unreadable.retain(|_, at| now.duration_since(*at) <= TIMEOUT);
        let is_over = |group: &Group| now.duration_since(group.first) > LATE_TIMEOUT;
        let mut over: Vec<(Instant, Key)> = self
            .pending
            .iter()
            .filter(|(_, group)| is_over(group))
            .map(|(key, group)| (group.first, *key))
            .collect();
        over.sort();
        over.into_iter().filter_map(|(_, key)| self.end(key)).collect()
    }

    /// Ends all incomplete messages and returns them.
    pub(super) fn finish(&mut self) -> Vec<Judged> {
        let mut left: Vec<(Instant, Key)> =
            self.pending.iter().map(|(key, group)| (group.first, *key)).collect();
        left.sort();
        left.into_iter().filter_map(|(_, key)| self.end(key)).collect()
    }

    /// Returns the number of evicted messages.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn is_first_unreadable(&mut self, at: Instant, key: Key) -> bool {
        if self.unreadable.len() >= MAX_FINISHED {
            self.unreadable.clear();
        }
        self.unreadable.insert(key, at).is_none()
    }

    /// Ends a complete message, and remembers it if the limit [`MAX_FINISHED`] permits.
    fn complete(&mut self, at: Instant, key: Key) -> Option<Judged> {
        if self.finished.len() < MAX_FINISHED {
            if let Some(group) = self.pending.get(&key) {
                self.finished.insert(key, Finished { at, hashes: group.hashes.clone() });
            }
        }
        self.end(key)
    }

    /// Removes a message, complete or not, and judges it.
    fn end(&mut self, key: Key) -> Option<Judged> {
        let mut group = self.pending.remove(&key)?;
        self.pending_bytes -= group.bytes;
        if group.late {
            group.note(Violation::broken(
                "R18",
                "Late",
                "its chunks arrived over more than five seconds".to_owned(),
            ));
        }
        Some(Judged::datagrams(key.0, group.parts, group.interleaved, group.more, true))
    }

    /// Evicts the oldest messages while a limit is exceeded.
    fn evict(&mut self) {
        while self.pending.len() > MAX_PENDING || self.pending_bytes > MAX_PENDING_BYTES {
            let oldest = self.pending.iter().min_by_key(|(_, group)| group.first).map(|(key, _)| *key);
            let Some(group) = oldest.and_then(|key| self.pending.remove(&key)) else { return };
            self.pending_bytes -= group.bytes;
            self.evicted += 1;
        }
    }
}

impl Group {
    fn new(at: Instant, datagram: u64, count: u8) -> Self {
        Self {
            first: at,
            parts: Vec::new(),
            bytes: 0,
            hashes: HashMap::new(),
            count,
            // The first chunk does not count as interleaved.
            last: datagram - 1,
            interleaved: false,
            late: false,
            more: Vec::new(),
        }
    }

    fn add(&mut self, at: Instant, datagram: u64, number: u8, hash: u64, bytes: Vec<u8>, sum: &mut usize) {
        self.interleaved |= datagram != self.last + 1;
        self.last = datagram;
        self.late |= at.duration_since(self.first) > TIMEOUT;
        self.hashes.insert(number, hash);
        self.bytes += bytes.len();
        *sum += bytes.len();
        self.parts.push(bytes);
    }

    /// Adds a violation unless the message already has a violation of the same name.
    fn note(&mut self, new: Violation) {
        if !self.more.iter().any(|violation| violation.name == new.name) {
            self.more.push(new);
        }
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    fn source() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1000))
    }

    fn chunk(id: u8, number: u8, count: u8, payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0x1e, 0x0f, id, 0, 0, 0, 0, 0, 0, 0, number, count];
        datagram.extend_from_slice(payload);
        datagram
    }

    /// Gathers datagrams, each with its time in seconds. Returns the rules and names of each message's
    /// violations.
    fn judged(datagrams: Vec<(u64, Vec<u8>)>) -> Vec<Vec<String>> {
        let mut gatherer = Gatherer::default();
        let start = Instant::now();
        let mut judged = Vec::new();
        for (second, datagram) in datagrams {
            let now = start + Duration::from_secs(second);
            judged.extend(gatherer.expire(now));
            judged.extend(gatherer.datagram(now, source(), datagram));
        }
        judged.extend(gatherer.finish());
        assert_eq!((gatherer.pending.len(), gatherer.pending_bytes), (0, 0));
        let names = |judged: &Judged| {
            let names = judged.inspection.violations.iter();
            names.map(|violation| format!("{} {}", violation.rule, violation.name)).collect()
        };
        judged.iter().map(names).collect()
    }

    #[test]
    fn chunks_with_the_same_id_are_one_message() {
        let (one, two) = PAYLOAD.split_at(20);
        assert_eq!(judged(vec![(0, PAYLOAD.to_vec())]), [[""; 0]]);
        assert_eq!(judged(vec![(0, chunk(1, 1, 2, two)), (5, chunk(1, 0, 2, one))]), [[""; 0]]);
        let two_messages = [(1, 0, one), (2, 0, one), (2, 1, two), (1, 1, two)];
        let datagrams = two_messages.map(|(id, number, part)| (0, chunk(id, number, 2, part))).to_vec();
        assert_eq!(judged(datagrams), [[""; 0], [""; 0]]);
    }

    #[test]
    fn incomplete_messages_violate_r15_and_late_messages_violate_r18() {
        let (one, two) = PAYLOAD.split_at(20);
        assert_eq!(judged(vec![(0, chunk(1, 0, 2, one))]), [["R15 Incomplete"]]);
        let late = vec![(0, chunk(1, 0, 2, one)), (6, chunk(1, 1, 2, two))];
        assert_eq!(judged(late), [["R18 Late"]]);
        let too_late = vec![(0, chunk(1, 0, 2, one)), (11, chunk(1, 1, 2, two))];
        assert_eq!(judged(too_late), [["R15 Incomplete"], ["R15 Incomplete"]]);
    }

    #[test]
    fn an_id_that_is_reused_within_five_seconds_violates_r16() {
        let (one, two) = PAYLOAD.split_at(20);
        let other = br#"{"host":"h","version":"1.1","short_message":"n"}"#;
        let (third, fourth) = other.split_at(21);
        let parts = [(0, one), (1, two), (0, third), (1, fourth)];
        let again = |second| {
            let at = |at: usize| if at < 2 { 0 } else { second };
            let datagrams = parts.iter().enumerate();
            datagrams.map(|(n, (number, part))| (at(n), chunk(1, *number, 2, part))).collect()
        };
        assert_eq!(judged(again(0)), [vec![], vec!["R16 ReusedId"]]);
        assert_eq!(judged(again(6)), [[""; 0], [""; 0]]);
        let at_once = vec![(0, chunk(1, 0, 2, one)), (0, chunk(1, 0, 2, third)), (0, chunk(1, 1, 2, fourth))];
        assert_eq!(judged(at_once), [vec!["R15 Incomplete", "R16 Conflict"], vec![]]);
    }

    #[test]
    fn a_chunk_that_arrives_twice_is_odd() {
        let (one, two) = PAYLOAD.split_at(20);
        let parts = [(0, one), (0, one), (1, two), (1, two)];
        let datagrams = parts.map(|(number, part)| (0, chunk(1, number, 2, part))).to_vec();
        assert_eq!(judged(datagrams), [["R15 Duplicate"], ["R15 Duplicate"]]);
    }

    #[test]
    fn the_chunks_of_a_message_with_129_chunks_count_as_one_message() {
        let mut gatherer = Gatherer::default();
        let now = Instant::now();
        let judged: Vec<_> = (0..129)
            .flat_map(|number| gatherer.datagram(now, source(), chunk(1, number, 129, b"a")))
            .collect();
        assert_eq!(judged.iter().filter(|judged| judged.is_message).count(), 1);
        assert_eq!(judged.len(), 129);
        assert!(judged.iter().all(|judged| judged.inspection.violations[0].rule == "R17"));
    }

    #[test]
    fn the_number_of_incomplete_messages_is_bounded() {
        let mut gatherer = Gatherer::default();
        let now = Instant::now();
        for at in 0..MAX_PENDING as u64 + 10 {
            let mut datagram = chunk(0, 0, 2, b"a");
            datagram[2..10].copy_from_slice(&at.to_be_bytes());
            assert!(gatherer.datagram(now, source(), datagram).is_empty());
        }
        assert_eq!((gatherer.pending.len(), gatherer.evicted()), (MAX_PENDING, 10));
        assert_eq!(gatherer.pending_bytes, MAX_PENDING * 13);
    }
}
