//! The progress of a route: the lines that were read, and the lines that were settled.

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

    /// Adds a record. The progress has to be started.
    pub(crate) fn read(&self, record: &Record) -> Settlement {
        let ticket = self.lock().as_mut().map(|progress| progress.read(record.position()));
        Settlement { progress: self.clone(), ticket }
    }

    /// Removes the containers that do not exist any more.
    pub(crate) fn retain(&self, exists: impl FnMut(&str) -> bool) {
        if let Some(progress) = &mut *self.lock() {
            progress.retain(exists);
        }
    }

    /// Returns the positions of the settled lines.
    pub(crate) fn positions(&self) -> Option<Positions> {
        self.lock().as_ref().map(Progress::positions)
    }

    /// Returns the positions of all lines that were read.
    pub(crate) fn read_positions(&self) -> Option<Positions> {
        self.lock().as_ref().map(Progress::read_positions)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that is not settled. If it is dropped, the next start reads the record again.
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
