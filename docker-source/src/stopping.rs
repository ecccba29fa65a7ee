//! The end of a source: busy logs are read up to the present once more.

use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, watch};
use tokio::time::timeout;

/// The time limit of the last windows.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The request to stop, and the logs that are read by windows. The lines since the last window of such a log
/// would be missing, whereas a stream has sent all lines already.
#[derive(Debug)]
pub(crate) struct Stopping {
    requested: watch::Sender<bool>,
    windows: RwLock<()>,
}

impl Stopping {
    pub(crate) fn new() -> Self {
        Self { requested: watch::Sender::new(false), windows: RwLock::new(()) }
    }

    /// Notes that a log is read by windows, until the result is dropped.
    pub(crate) async fn begin_windows(&self) -> RwLockReadGuard<'_, ()> {
        self.windows.read().await
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

    /// Requests the stop. Returns false if no log is read by windows, so that there is nothing to wait for.
    pub(crate) fn request(&self) -> bool {
        self.requested.send_replace(true);
        self.windows.try_write().is_err()
    }

    /// Waits until the source is to stop and the last windows are read.
    pub(crate) async fn finished(&self) {
        self.requested().await;
        // A consumer that takes no lines delays the last windows.
        let _ = timeout(FINISH_WITHIN, self.windows.write()).await;
    }
}
