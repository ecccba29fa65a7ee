//! Groups the pending messages of one source or of all sources, and chooses the message that is dropped to
//! make room.

use super::list::{Kind, Linked, List};
use super::slot::Slots;

/// A list of pending messages by age. The group also counts the messages that have received only one chunk.
/// The comments below call these the messages with one chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    kind: Kind,
    list: List,
    /// The number of messages with one chunk.
    singles: usize,
    /// The message at which the search for the oldest message with one chunk begins. All older messages have
    /// several chunks. If this is `None`, all messages have several chunks.
    oldest_single: Option<u32>,
}

impl Group {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, list: List::default(), singles: 0, oldest_single: None }
    }

    pub(super) fn first(&self) -> Option<u32> {
        self.list.first()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Appends a message, whose first chunk has arrived.
    pub(super) fn push<S>(&mut self, slot: u32, slots: &mut Slots<S>) {
        self.list.push(self.kind, slot, slots);
        self.singles += 1;
        self.oldest_single = self.oldest_single.or(Some(slot));
    }

    /// Counts the second chunk of a message.
    pub(super) fn count_second_chunk(&mut self) {
        self.singles -= 1;
    }

    pub(super) fn remove<S>(&mut self, slot: u32, slots: &mut Slots<S>) {
        if slots.get(slot).is_single() {
            self.singles -= 1;
        }
        if self.oldest_single == Some(slot) {
            self.oldest_single = slots.links(slot).after(self.kind);
        }
        self.list.remove(self.kind, slot, slots);
    }

    /// Returns the message to drop: the oldest message with one chunk if more than half of the messages have
    /// only one chunk, otherwise the oldest message.
    pub(super) fn evictable<S>(&mut self, slots: &Slots<S>) -> Option<u32> {
        if self.singles * 2 > self.len() { self.oldest_single(slots) } else { self.first() }
    }

    /// Finds the oldest message with one chunk. The search passes each message with several chunks only once,
    /// since no message loses a chunk, and each new message is younger than all others.
    fn oldest_single<S>(&mut self, slots: &Slots<S>) -> Option<u32> {
        while let Some(slot) = self.oldest_single {
            let place = slots.get(slot);
            if place.is_single() {
                break;
            }
            self.oldest_single = place.links.after(self.kind);
        }
        self.oldest_single
    }

    #[cfg(test)]
    pub(super) fn check<S>(&self, slots: &Slots<S>) {
        let after = |slot: &u32| slots.get(*slot).links.after(self.kind);
        let all: Vec<u32> = std::iter::successors(self.first(), after).collect();
        assert_eq!(all.len(), self.len());
        assert_eq!(all.iter().filter(|slot| slots.get(**slot).is_single()).count(), self.singles);
        let mut older = all.iter().take_while(|slot| Some(**slot) != self.oldest_single);
        assert!(older.all(|slot| !slots.get(*slot).is_single()));
    }
}
