//! Ends a source. If lines of a log may be missing, the log is first read up to its present end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The maximum time for the last windows. A window is a response with the last records of a log. Docker kills
/// a container 10 s after the signal, and the program has to deliver the last lines before that.
const FINISH_WITHIN: Duration = Duration::from_secs(4);

/// The request to stop the source, and the number of logs that are still to be read up to their present end.
/// A log counts in four cases:
///
/// * A request for a stream that follows the log is not answered yet.
/// * The log is read by windows.
/// * A stream follows the log and has brought lines since a window last proved that no line is missing.
/// * The log was not yet read up to its present end since the source started.
///
/// In addition, if the source reads lines from before it connected, the list of containers counts as one log
/// until the first complete list arrives.
#[derive(Debug)]
pub(crate) struct Stopping {
    requested: watch::Sender<bool>,
    unproved: watch::Sender<usize>,
}

/// A log that is to be read up to its present end before the source ends, or the list of containers. The value
/// is dropped once the log or the list is read.
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

    /// Waits until the source is to stop and the last windows are read. Returns the number of logs whose last
    /// window was not read in time.
    pub(crate) async fn finished(&self) -> usize {
        self.requested().await;
        let mut unproved = self.unproved.subscribe();
        // The wait is limited, because a consumer that takes no lines delays the last windows.
        let _ = timeout(FINISH_WITHIN, unproved.wait_for(|logs| *logs == 0)).await;
        *self.unproved.borrow()
    }
}
