//! Keeps the last gaps for the HTTP API. A gap is a place in a log where lines may be missing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_source::{Container, Gap};

/// The maximum number of entries, that is, of pairs of a container and a reason. A further entry replaces the
/// entry that has had no new gap for the longest time.
const MAX_ENTRIES: usize = 100;
/// The maximum number of past gaps that an entry compares with a new gap. An entry remembers several gaps,
/// because one source may announce a gap after another source has announced this gap and later gaps.
const MAX_RECENT: usize = 32;

/// The gaps of one container that have the same reason.
#[derive(Clone, Debug)]
pub(crate) struct GapEntry {
    pub(crate) container: Arc<Container>,
    /// The gap that was added last.
    pub(crate) last: Gap,
    /// The number of gaps.
    pub(crate) count: u64,
    /// The gaps that were added last, at most [`MAX_RECENT`].
    recent: VecDeque<Gap>,
}

/// The last gaps, by container and reason. Clones share the gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Arc<Mutex<VecDeque<GapEntry>>>);

impl Gaps {
    /// Adds a gap. If several sources announce the same gap, it counts once. It counts again if, between two
    /// announcements, [`MAX_RECENT`] other gaps of the container with the same reason were added, or the entry
    /// was removed because there were [`MAX_ENTRIES`] later entries.
    pub(crate) fn add(&self, container: &Arc<Container>, gap: &Gap) {
        let mut entries = self.lock();
        let is_same =
            |entry: &GapEntry| entry.container.id() == container.id() && entry.last.reason == gap.reason;
        let index = entries.iter().position(is_same);
        if index.and_then(|index| entries.get(index)).is_some_and(|entry| entry.recent.contains(gap)) {
            return;
        }
        let (count, mut recent) = match index.and_then(|index| entries.remove(index)) {
            Some(entry) => (entry.count, entry.recent),
            None => (0, VecDeque::new()),
        };
        recent.truncate(MAX_RECENT - 1);
        recent.push_front(*gap);
        entries.truncate(MAX_ENTRIES - 1);
        let container = Arc::clone(container);
        entries.push_front(GapEntry { container, last: *gap, count: count + 1, recent });
    }

    /// Returns the entries. The first entry has the gap that was added last.
    pub(crate) fn entries(&self) -> Vec<GapEntry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<GapEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use docker_source::gelf_core::Timestamp;
    use docker_source::{GapReason, Record};

    use super::*;

    fn gap(before: i64, reason: GapReason) -> Gap {
        let container = Container::builder("web").build();
        let record =
            Record::builder(container, "").gap(None, Timestamp::from_unix(before, 0), reason).build();
        *record.gap().unwrap()
    }

    #[test]
    fn gaps_are_counted_by_container_and_reason_and_the_oldest_entries_are_removed() {
        let gaps = Gaps::default();
        let container = |id: usize| Arc::new(Container::builder("web").id(format!("{id:064x}")).build());
        gaps.add(&container(0), &gap(1, GapReason::Rotated));
        gaps.add(&container(0), &gap(1, GapReason::Rotated));
        gaps.add(&container(0), &gap(2, GapReason::Rotated));
        gaps.add(&container(0), &gap(2, GapReason::Removed));
        let counts =
            || gaps.entries().iter().map(|entry| (entry.last.reason, entry.count)).collect::<Vec<_>>();
        assert_eq!(counts(), [(GapReason::Removed, 1), (GapReason::Rotated, 2)]);
        for id in 1..200 {
            gaps.add(&container(id), &gap(3, GapReason::Damaged));
        }
        assert_eq!(counts().len(), MAX_ENTRIES);
        assert!(counts().iter().all(|entry| *entry == (GapReason::Damaged, 1)));
    }

    #[test]
    fn gaps_that_several_sources_announce_in_turn_count_once() {
        let gaps = Gaps::default();
        let container = Arc::new(Container::builder("web").build());
        let only = || gaps.entries().pop().unwrap();
        for before in [1, 2, 1, 2] {
            gaps.add(&container, &gap(before, GapReason::Rotated));
        }
        assert_eq!((only().count, only().last), (2, gap(2, GapReason::Rotated)));
        gaps.add(&container, &gap(1, GapReason::Rotated));
        assert_eq!(only().last, gap(2, GapReason::Rotated), "a repeated gap is not the last gap");
        for before in 3..1000 {
            gaps.add(&container, &gap(before, GapReason::Rotated));
        }
        assert_eq!((only().count, only().recent.len()), (999, MAX_RECENT));
    }
}
