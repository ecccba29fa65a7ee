//! Ends a source: logs of which lines may be missing are read up to their present end once more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The time limit of the last windows.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The request to stop, and the number of logs that are then read up to the present. These logs are read by
/// windows, or their stream has brought lines since a window last proved that no line is missing, or they were
/// not read up to the present since the source started.
#[derive(Debug)]
pub(crate) struct Stopping {
    requested: watch::Sender<bool>,
    unproved: watch::Sender<usize>,
}

/// A log that a last window has to read before the source ends. The value is dropped once the window is read.
#[derive(Debug)]
pub(crate) struct Unproved(Arc<Stopping>);

impl Drop for Unproved {
    fn drop(&mut self) {
        self.0.unproved.send_modify(|logs| *logs -= 1);
    }
}

impl Stopping {
    pub(crate) fn new() -> Self {
        Self { requested: watch::Sender::new(false), unproved: watch::Sender::new(0) }
    }

    /// Makes the end of the source wait for a log.
    pub(crate) fn unproved(self: &Arc<Self>) -> Unproved {
        self.unproved.send_modify(|logs| *logs += 1);
        Unproved(self.clone())
    }

    /// Returns whether the source is to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits until the source is to stop.
    pub(crate) async fn requested(&self) {
        let mut requested = self.requested.subscribe();
        // The sender lives as long as `self`.
        let _ = requested.wait_for(|requested| *requested).await;
    }

    /// Requests the stop. Returns whether there is a log to wait for.
    pub(crate) fn request(&self) -> bool {
        self.requested.send_replace(true);
        *self.unproved.borrow() > 0
    }

    /// Waits until the source is to stop and the last windows are read.
    pub(crate) async fn finished(&self) {
        self.requested().await;
        let mut unproved = self.unproved.subscribe();
        // A consumer that takes no lines delays the last windows.
        let _ = timeout(FINISH_WITHIN, unproved.wait_for(|logs| *logs == 0)).await;
    }
}
