//! Keeps the last gaps for the HTTP API. A gap is a place in a log where lines may be missing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_source::{Container, Gap};

/// The maximum number of entries, that is, of pairs of a container and a reason. A further entry replaces the
/// entry that has had no new gap for the longest time.
const MAX_ENTRIES: usize = 100;

/// The gaps of one container that have the same reason.
#[derive(Clone, Debug)]
pub(crate) struct GapEntry {
    pub(crate) container: Arc<Container>,
    /// The last gap.
    pub(crate) last: Gap,
    /// The number of gaps.
    pub(crate) count: u64,
}

/// The last gaps, by container and reason. Clones share the gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Arc<Mutex<VecDeque<GapEntry>>>);

impl Gaps {
    /// Adds a gap. If several sources announce the same gap, it counts once.
    pub(crate) fn add(&self, container: &Arc<Container>, gap: &Gap) {
        let mut entries = self.lock();
        let is_same =
            |entry: &GapEntry| entry.container.id() == container.id() && entry.last.reason == gap.reason;
        let count = match entries.iter().position(is_same).and_then(|index| entries.remove(index)) {
            Some(entry) if entry.last == *gap => entry.count,
            Some(entry) => entry.count + 1,
            None => 1,
        };
        entries.truncate(MAX_ENTRIES - 1);
        entries.push_front(GapEntry { container: Arc::clone(container), last: *gap, count });
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
}
