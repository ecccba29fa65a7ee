//! Requests lists of all containers at an interval, soon after an unreadable event, and after a failed list.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::engine::{ContainerList, EngineClient, EngineError};
use crate::timing::Timing;

/// The minimum time between the starts of two requests if an unreadable event causes the second request.
const SOON: Duration = Duration::from_secs(1);

type Request = Pin<Box<dyn Future<Output = Result<Listed, EngineError>> + Send>>;

/// An answered request for a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) list: ContainerList,
    /// The number of events that were applied before the request.
    pub(crate) events_before: u64,
}

/// Requests one list after the other. The first request is sent immediately.
pub(crate) struct Lists {
    schedule: Schedule,
    request: Option<Request>,
}

impl Lists {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self { schedule: Schedule::new(timing, Instant::now()), request: None }
    }

    /// Requests the next list as soon as a second has passed since the start of the last request, unless it is
    /// due earlier.
    pub(crate) fn soon(&mut self) {
        self.schedule.soon();
    }

    /// Returns the next list. `events` is the number of events that have been applied.
    ///
    /// # Cancel safety
    /// This method is cancel safe: the next call waits for the same list.
    pub(crate) async fn next(&mut self, client: &EngineClient, events: u64) -> Result<Listed, EngineError> {
        let request = match &mut self.request {
            Some(request) => request,
            none => {
                sleep_until(self.schedule.due).await;
                self.schedule.started(Instant::now());
                let client = client.clone();
                none.insert(Box::pin(async move {
                    Ok(Listed { list: client.containers().await?, events_before: events })
                }))
            }
        };
        let listed = request.await;
        self.request = None;
        let is_complete = listed.as_ref().is_ok_and(|listed| listed.list.error.is_none());
        self.schedule.ended(is_complete, Instant::now());
        listed
    }
}

/// The times of the requests.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    /// The waits after lists that failed or are not complete.
    retries: Backoff,
    due: Instant,
    /// The earliest time of a request that an unreadable event causes.
    earliest: Instant,
    /// True if [`soon`](Self::soon) was called since the start of the last request.
    is_wanted: bool,
}

impl Schedule {
    fn new(timing: &Timing, now: Instant) -> Self {
        let retries = Backoff::new(timing.reconnect_min, timing.reconnect_max);
        Self { interval: timing.list_interval, retries, due: now, earliest: now, is_wanted: false }
    }

    fn started(&mut self, now: Instant) {
        (self.earliest, self.is_wanted) = (now + SOON, false);
    }

    fn ended(&mut self, is_complete: bool, now: Instant) {
        let wait = match is_complete {
            true => {
                self.retries.reset();
                self.interval
            }
            false => self.retries.next(),
        };
        self.due = now + wait;
        if self.is_wanted {
            self.soon();
        }
    }

    fn soon(&mut self) {
        self.is_wanted = true;
        self.due = self.due.min(self.earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn lists_are_due_after_the_interval_and_sooner_after_an_incomplete_list() {
        let start = Instant::now();
        let mut schedule = Schedule::new(&Timing::default(), start);
        assert_eq!(schedule.due, start);
        for (is_complete, wait) in [(true, 30.0), (false, 0.1), (false, 0.2), (true, 30.0), (false, 0.1)] {
            let ended = schedule.due + seconds(5.0);
            schedule.started(schedule.due);
            schedule.ended(is_complete, ended);
            assert_eq!(schedule.due, ended + seconds(wait));
        }
    }

    #[test]
    fn unreadable_events_cause_at_most_one_early_list_a_second() {
        let start = Instant::now();
        let mut schedule = Schedule::new(&Timing::default(), start);
        schedule.started(start);
        // The list was requested before the event, so it can lack the change that the event reports.
        (0..3).for_each(|_| schedule.soon());
        schedule.ended(true, start + seconds(0.1));
        assert_eq!(schedule.due, start + seconds(1.0));
        schedule.started(schedule.due);
        schedule.ended(true, start + seconds(1.1));
        assert_eq!(schedule.due, start + seconds(31.1));
        (0..3).for_each(|_| schedule.soon());
        assert_eq!(schedule.due, start + seconds(2.0));
    }
}
