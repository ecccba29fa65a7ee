//! Logs warnings about the logs of containers, at most one a minute for all containers together.
//!
//! A host may run thousands of containers, and many causes affect all of their logs: an Engine that restarts,
//! a full disk, a log driver that cannot be read.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// The minimum time between two warnings.
const INTERVAL: Duration = Duration::from_secs(60);

/// Collects warnings about the logs of containers. [`run`](Self::run) logs them.
#[derive(Debug, Default)]
pub(crate) struct LogWarnings {
    pending: Mutex<Pending>,
    changed: Notify,
}

/// The warnings since the last one that was logged.
#[derive(Debug, Default)]
struct Pending {
    /// The container and the text of the first pending warning.
    first: Option<(String, String)>,
    /// The number of pending warnings after the first one.
    more: u64,
}

impl LogWarnings {
    /// Adds a warning about the log of a container. It is logged within a minute. If another warning is
    /// pending, the new one is only counted.
    pub(crate) fn warn(&self, container: &str, text: impl Display) {
        let mut pending = self.lock();
        match pending.first {
            Some(_) => pending.more += 1,
            None => pending.first = Some((container.to_owned(), text.to_string())),
        }
        drop(pending);
        self.changed.notify_one();
    }

    /// Logs the first warning at once. Then logs at most one warning a minute: the first new one, with the
    /// number of new warnings after it.
    pub(crate) async fn run(&self) -> Infallible {
        loop {
            self.changed.notified().await;
            let Pending { first, more } = std::mem::take(&mut *self.lock());
            let Some((container, text)) = first else { continue };
            match more {
                0 => tracing::warn!(container, "{text}"),
                _ => tracing::warn!(container, "{text}; and {more} more warnings about logs of containers"),
            }
            sleep(INTERVAL).await;
        }
    }

    /// Locks the pending warnings. No method panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
