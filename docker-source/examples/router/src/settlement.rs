//! The settlement of records: a record is settled once each of its routes has delivered it or given it up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_source::{Positions, Progress, Record, Ticket};

/// The progress of all routes together.
#[derive(Clone, Debug)]
pub(crate) struct SharedProgress(Arc<Mutex<Progress>>);

impl SharedProgress {
    pub(crate) fn new(start: Positions) -> Self {
        Self(Arc::new(Mutex::new(Progress::new(start))))
    }

    /// Adds a record that `routes` routes take. It is settled once each of them has settled it.
    pub(crate) fn read(&self, record: &Record, routes: usize) -> Settlement {
        let ticket = self.lock().read(record.position());
        let settlement = Settlement(Arc::new(Unsettled {
            progress: self.clone(),
            ticket: Mutex::new(Some(ticket)),
            routes: AtomicUsize::new(routes),
        }));
        if routes == 0 {
            settlement.0.settle();
        }
        settlement
    }

    /// Removes the containers that do not exist any more.
    pub(crate) fn retain(&self, exists: impl FnMut(&str) -> bool) {
        self.lock().retain(exists);
    }

    pub(crate) fn positions(&self) -> Positions {
        self.lock().positions()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that is not settled. If a route drops its clone without settling it, the record is read again
/// after a restart.
#[derive(Clone, Debug)]
pub(crate) struct Settlement(Arc<Unsettled>);

#[derive(Debug)]
struct Unsettled {
    progress: SharedProgress,
    ticket: Mutex<Option<Ticket>>,
    /// The number of routes that have not settled the record.
    routes: AtomicUsize,
}

impl Settlement {
    /// Settles the record for one route.
    pub(crate) fn settle(self) {
        if self.0.routes.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.settle();
        }
    }
}

impl Unsettled {
    fn settle(&self) {
        let ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticket) = ticket {
            self.progress.lock().settle(ticket);
        }
    }
}
