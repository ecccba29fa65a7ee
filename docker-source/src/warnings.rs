//! Logs warnings: at most one warning of each kind in a minute.
//!
//! A host can run thousands of containers, and many problems affect all of them: an Engine that restarts, a
//! full disk, a clock that was set back, a log driver that cannot be read.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// The minimum time between two warnings of one kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// The warnings of a source. [`run`](Self::run) logs them.
#[derive(Debug)]
pub(crate) struct Warnings {
    /// Parts of containers' logs that cannot be read.
    pub(crate) logs: LimitedWarnings,
    /// Gaps in containers' logs.
    pub(crate) gaps: LimitedWarnings,
    /// Lines that were skipped as too old.
    pub(crate) old_lines: LimitedWarnings,
    /// Events that cannot be read.
    pub(crate) events: LimitedWarnings,
    /// Elements of a list of containers that cannot be read.
    pub(crate) list_elements: LimitedWarnings,
    /// Containers whose metadata are cut.
    pub(crate) cut_metadata: LimitedWarnings,
}

impl Warnings {
    pub(crate) fn new() -> Self {
        Self {
            logs: LimitedWarnings::new("warnings about logs of containers"),
            gaps: LimitedWarnings::new("gaps, which records announce"),
            old_lines: LimitedWarnings::new("such lines"),
            events: LimitedWarnings::new("such events"),
            list_elements: LimitedWarnings::new("such elements"),
            cut_metadata: LimitedWarnings::new("such containers"),
        }
    }

    /// Logs the warnings as they are added.
    pub(crate) async fn run(&self) -> Infallible {
        tokio::select! {
            never = self.logs.run() => never,
            never = self.gaps.run() => never,
            never = self.old_lines.run() => never,
            never = self.events.run() => never,
            never = self.list_elements.run() => never,
            never = self.cut_metadata.run() => never,
        }
    }
}

/// The warnings of one kind.
#[derive(Debug)]
pub(crate) struct LimitedWarnings {
    /// The noun for the occurrences after the first occurrence.
    noun: &'static str,
    pending: Mutex<Pending>,
    changed: Notify,
}

/// The occurrences since the last warning.
#[derive(Debug, Default)]
struct Pending {
    /// The container and the text of the first occurrence.
    first: Option<(Option<String>, String)>,
    /// The number of occurrences after the first occurrence.
    more: u64,
}

impl LimitedWarnings {
    fn new(noun: &'static str) -> Self {
        Self { noun, pending: Mutex::default(), changed: Notify::new() }
    }

    /// Adds an occurrence. `container` is the container with the problem, if only one container has the
    /// problem. If no other occurrence is pending, `text` is logged within a minute. Otherwise, the new
    /// occurrence is only counted.
    pub(crate) fn warn(&self, container: Option<&str>, text: impl Display) {
        self.warn_of(1, container, text);
    }

    /// Adds any number of equal occurrences.
    pub(crate) fn warn_of(&self, count: u64, container: Option<&str>, text: impl Display) {
        if count == 0 {
            return;
        }
        let mut pending = self.lock();
        pending.more += count;
        if pending.first.is_none() {
            pending.first = Some((container.map(str::to_owned), text.to_string()));
            pending.more -= 1;
        }
        drop(pending);
        self.changed.notify_one();
    }

    /// Logs the first occurrence immediately. Then logs at most one warning a minute: the first new occurrence,
    /// with the number of occurrences that followed it.
    async fn run(&self) -> Infallible {
        loop {
            self.changed.notified().await;
            let Pending { first, more } = std::mem::take(&mut *self.lock());
            let Some((container, text)) = first else { continue };
            match more {
                0 => tracing::warn!(container, "{text}"),
                _ => tracing::warn!(container, "{text}; and {more} more {}", self.noun),
            }
            sleep(INTERVAL).await;
        }
    }

    /// Locks the pending occurrences. No method panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
