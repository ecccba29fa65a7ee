//! Requests lists of all containers: at an interval, soon after an unreadable event, and again after a failure.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::engine::{ContainerList, EngineClient, EngineError};
use crate::timing::Timing;

/// The minimum time between the starts of two lists of which an unreadable event asked for the second.
const SOON: Duration = Duration::from_secs(1);

type Request = Pin<Box<dyn Future<Output = Result<Listed, EngineError>> + Send>>;

/// An answered request for a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) list: ContainerList,
    /// The number of events that were applied before the request.
    pub(crate) events_before: u64,
}

/// Requests one list after the other, the first at once.
pub(crate) struct Lists {
    interval: Duration,
    /// The waits after lists that failed or are not complete.
    retries: Backoff,
    request: Option<Request>,
    /// The start of the last request.
    started: Option<Instant>,
    due: Instant,
    /// Whether a list was asked for since the last request.
    is_wanted: bool,
}

impl Lists {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self {
            interval: timing.list_interval,
            retries: Backoff::new(timing.reconnect_min, timing.reconnect_max),
            request: None,
            started: None,
            due: Instant::now(),
            is_wanted: false,
        }
    }

    /// Requests a list as soon as a second has passed since the last request.
    pub(crate) fn soon(&mut self) {
        self.is_wanted = true;
        let earliest = self.started.map_or_else(Instant::now, |started| started + SOON);
        self.due = self.due.min(earliest);
    }

    /// Returns the next list. `events` is the number of events that have been applied.
    ///
    /// # Cancel safety
    /// Cancel safe: the next call waits for the same list.
    pub(crate) async fn next(&mut self, client: &EngineClient, events: u64) -> Result<Listed, EngineError> {
        let request = match &mut self.request {
            Some(request) => request,
            none => {
                sleep_until(self.due).await;
                (self.started, self.is_wanted) = (Some(Instant::now()), false);
                let client = client.clone();
                none.insert(Box::pin(async move {
                    Ok(Listed { list: client.containers().await?, events_before: events })
                }))
            }
        };
        let listed = request.await;
        self.request = None;
        let wait = match &listed {
            Ok(Listed { list, .. }) if list.error.is_none() => {
                self.retries.reset();
                self.interval
            }
            _ => self.retries.next(),
        };
        self.due = Instant::now() + wait;
        if self.is_wanted {
            self.soon();
        }
        listed
    }
}
