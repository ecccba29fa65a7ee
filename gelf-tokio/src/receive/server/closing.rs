//! Notifies the tasks of a server that the server closes.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The maximum time for reading from peers that keep sending. When this time is over, a peer that notices the
/// closing has usually ended its side, and data in transit has usually arrived.
const MAX_READING: Duration = Duration::from_secs(1);

/// The sending side of the channel that announces the closing. The server owns this side.
#[derive(Debug)]
pub(crate) struct Closer(watch::Sender<Option<CloseTimes>>);

/// The receiving side of the channel that announces the closing. Each task has a clone of this side.
#[derive(Clone, Debug)]
pub(crate) struct Closing(watch::Receiver<Option<CloseTimes>>);

/// The deadlines of a server that closes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CloseTimes {
    /// The time at which a connection stops reading, even if its peer keeps sending: half of the time for
    /// closing, at most [`MAX_READING`]. The rest of the time is for delivering the received data.
    pub(crate) read_until: Instant,
    /// The time at which connections that are still open are reset.
    pub(crate) over: Instant,
}

/// Creates the two sides of the channel.
pub(crate) fn channel() -> (Closer, Closing) {
    let (sender, receiver) = watch::channel(None);
    (Closer(sender), Closing(receiver))
}

impl Closer {
    /// Begins to close. Later calls change nothing.
    pub(crate) fn close(&self, within: Duration) {
        // A time of more than thirty years is shortened, so that the clock can represent the deadline.
        let within = within.min(Duration::from_secs(30 * 365 * 24 * 3600));
        let now = Instant::now();
        self.0.send_if_modified(|times| {
            let is_first = times.is_none();
            times.get_or_insert(CloseTimes {
                read_until: now + (within / 2).min(MAX_READING),
                over: now + within,
            });
            is_first
        });
    }
}

impl Closing {
    /// Waits until the server begins to close.
    pub(crate) async fn begun(&mut self) -> CloseTimes {
        let times = match self.0.wait_for(Option::is_some).await {
            Ok(times) => *times,
            Err(_) => None,
        };
        match times {
            Some(times) => times,
            // The server was dropped, and this task is about to be aborted.
            None => pending().await,
        }
    }

    /// Waits until the time for reading from peers that keep sending is over.
    pub(crate) async fn reading_over(&mut self) {
        let times = self.begun().await;
        sleep_until(times.read_until).await;
    }

    /// Waits until the time to close is over.
    pub(crate) async fn over(&mut self) {
        let times = self.begun().await;
        sleep_until(times.over).await;
    }
}
