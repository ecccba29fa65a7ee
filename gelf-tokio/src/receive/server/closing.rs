//! How the tasks of a server learn that it closes.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long peers that go on sending are read. A peer that takes notice of the end has ended its side
/// earlier, and data that was on its way has come.
const MAX_READING: Duration = Duration::from_secs(1);

/// The sending side, in the receiver.
#[derive(Debug)]
pub(crate) struct Closer(watch::Sender<Option<CloseTimes>>);

/// The receiving side, in each task.
#[derive(Clone, Debug)]
pub(crate) struct Closing(watch::Receiver<Option<CloseTimes>>);

/// The time table of a server that closes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CloseTimes {
    /// When a connection stops reading, however much its peer goes on sending: after half of the time, so
    /// that the rest is left to hand out what was read, and at most [`MAX_READING`].
    pub(crate) read_until: Instant,
    /// When a connection that is still open is reset.
    pub(crate) over: Instant,
}

/// Creates the two sides.
pub(crate) fn channel() -> (Closer, Closing) {
    let (sender, receiver) = watch::channel(None);
    (Closer(sender), Closing(receiver))
}

impl Closer {
    /// Begins to close. Later calls change nothing.
    pub(crate) fn close(&self, within: Duration) {
        // A time beyond all clocks is thirty years.
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
            // The receiver was dropped, which aborts this task.
            None => pending().await,
        }
    }

    /// Waits until peers that go on sending are not read any more.
    #[cfg(feature = "tls")]
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
