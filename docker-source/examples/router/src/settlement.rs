//! Tracks the progress of a route: the lines that were read, and the lines that were settled. A line is
//! settled once it need not be read again, for example because it was delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_source::{Positions, Progress, Record, Ticket};

/// The progress of a route, shared by the route's reader, its receipts and the state folder. The progress is
/// absent until the positions at which the route starts are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedProgress(Arc<Mutex<Option<Progress>>>);

impl SharedProgress {
    /// Starts the progress at these positions, unless the progress has been started already.
    pub(crate) fn start(&self, positions: &Positions) {
        self.lock().get_or_insert_with(|| Progress::new(positions.clone()));
    }

    /// Adds a record that was read. Before the progress has started, the record is not tracked.
    pub(crate) fn read(&self, record: &Record) -> Settlement {
        let ticket = self.lock().as_mut().map(|progress| progress.read(record.position()));
        Settlement { progress: self.clone(), ticket }
    }

    /// Removes the containers that no longer exist, except those with unsettled lines.
    pub(crate) fn retain(&self, exists: impl FnMut(&str) -> bool) {
        if let Some(progress) = &mut *self.lock() {
            progress.retain(exists);
        }
    }

    /// Returns a position for each container, if the progress has started: the position in front of the first
    /// unsettled line, or behind the last line if all lines are settled.
    pub(crate) fn positions(&self) -> Option<Positions> {
        self.lock().as_ref().map(Progress::positions)
    }

    /// Returns the position behind the last line that was read of each container, if the progress has started.
    pub(crate) fn read_positions(&self) -> Option<Positions> {
        self.lock().as_ref().map(Progress::read_positions)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of each route, by the name of the route in the state folder. Clones share the routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteProgress(Arc<Mutex<BTreeMap<String, SharedProgress>>>);

impl RouteProgress {
    pub(crate) fn add(&self, name: String, progress: SharedProgress) {
        self.lock().insert(name, progress);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Removes, from the progress of each route, the containers without unsettled lines for which `exists` returns
    /// false. Then returns the positions of the routes whose progress has started.
    pub(crate) fn positions(&self, exists: impl Fn(&str) -> bool) -> BTreeMap<String, Positions> {
        let routes = self.lock();
        routes.values().for_each(|progress| progress.retain(&exists));
        routes.iter().filter_map(|(name, route)| Some((name.clone(), route.positions()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SharedProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that is not settled yet. If this value is dropped without [`settle`](Self::settle), the next
/// start reads the record again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settlement {
    progress: SharedProgress,
    ticket: Option<Ticket>,
}

impl Settlement {
    /// Settles the record.
    pub(crate) fn settle(self) {
        if let (Some(progress), Some(ticket)) = (&mut *self.progress.lock(), self.ticket) {
            progress.settle(ticket);
        }
    }
}
