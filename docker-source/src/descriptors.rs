//! The file descriptors of this process that logs may use.
//!
//! Each log that is followed holds a connection to the Engine. Without a reserve, a host with more containers
//! than descriptors would leave none for the events, the lists and the program itself. A reserve is therefore
//! subtracted from the limit, and logs share the rest. If no descriptor is left, further containers wait in
//! the order of their arrival. The waiting containers are counted, and a warning reports their number.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The smallest and the largest reserve.
///
/// The reserve has descriptors for the events, a list of containers, the program, the
/// [inspections](Descriptors::inspection) of new containers, and four inspections of containers that may
/// have started and ended without an event.
const RESERVE: (u64, u64) = (12, 256);

/// The time from the first waiting container to the warning. If many containers start at once, some wait
/// briefly, and a short wait needs no warning.
const SETTLE: Duration = Duration::from_secs(1);

/// The minimum time between two warnings.
const INTERVAL: Duration = Duration::from_secs(30);

/// The file descriptors that logs and inspections may use.
#[derive(Debug)]
pub(crate) struct Descriptors {
    logs: Arc<Semaphore>,
    inspections: Semaphore,
}

impl Descriptors {
    /// Reads the current limit of this process. Without `/proc`, no limit applies.
    pub(crate) fn of_process() -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64);
        Self::new(soft_limit(&limits).unwrap_or(u64::MAX), open)
    }

    /// Divides the descriptors of a process between the logs and a reserve. `limit` is the maximum number of
    /// descriptors, and `open` is the number in use.
    fn new(limit: u64, open: u64) -> Self {
        let (smallest, largest) = RESERVE;
        let reserve = (limit / 8).clamp(smallest, largest);
        let logs = limit.saturating_sub(open).saturating_sub(reserve).max(1);
        let permits = |count: u64| {
            usize::try_from(count).map_or(Semaphore::MAX_PERMITS, |count| count.min(Semaphore::MAX_PERMITS))
        };
        Self {
            logs: Arc::new(Semaphore::new(permits(logs))),
            inspections: Semaphore::new(permits(reserve / 4)),
        }
    }

    /// Takes a descriptor for a container's log. Returns `None` if no descriptor is free, or if other
    /// containers wait for one.
    pub(crate) fn try_log(&self) -> Option<OwnedSemaphorePermit> {
        self.logs.clone().try_acquire_owned().ok()
    }

    /// Waits for a descriptor for a container's log. The holder of the descriptor has one connection at a
    /// time.
    pub(crate) async fn log(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.logs.clone().acquire_owned().await.ok()
    }

    /// Waits for a descriptor for an inspection. The descriptors of logs are separate.
    pub(crate) async fn inspection(&self) -> Option<SemaphorePermit<'_>> {
        self.inspections.acquire().await.ok()
    }
}

/// Parses the soft limit of open files from the text of `/proc/self/limits`; `None` if it is unlimited.
fn soft_limit(limits: &str) -> Option<u64> {
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    files.split_whitespace().next()?.parse().ok()
}

/// Warns while containers wait for a descriptor, at most every 30 s, and logs the end of the shortage.
/// `waiting` is the number of containers that wait.
pub(crate) async fn log_shortage(waiting: watch::Receiver<u64>) -> Infallible {
    report(waiting, |notice| match notice {
        Notice::Waiting(number) => tracing::warn!(
            "{number} containers wait for a file descriptor and are not read; \
             raise the limit of open files (ulimit -n)"
        ),
        Notice::Over => tracing::info!("no container waits for a file descriptor any more"),
    })
    .await
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Notice {
    Waiting(u64),
    Over,
}

async fn report(mut waiting: watch::Receiver<u64>, mut say: impl FnMut(Notice)) -> Infallible {
    loop {
        becomes(&mut waiting, |number| number > 0).await;
        sleep(SETTLE).await;
        let mut said = None;
        loop {
            let number = *waiting.borrow();
            if number == 0 {
                break;
            }
            say(Notice::Waiting(number));
            said = Some(Instant::now());
            // The wait ends when the interval is over, or when no container waits.
            let _ = timeout(INTERVAL, becomes(&mut waiting, |number| number == 0)).await;
        }
        if let Some(said) = said {
            say(Notice::Over);
            sleep_until(said + INTERVAL).await;
        }
    }
}

async fn becomes(waiting: &mut watch::Receiver<u64>, condition: impl Fn(u64) -> bool) {
    if waiting.wait_for(|number| condition(*number)).await.is_err() {
        // The statistics have been dropped, and this task has nothing left to report.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn logs_leave_a_reserve_of_an_eighth_but_at_least_12_and_at_most_256_descriptors() {
        let logs = |limit, open| Descriptors::new(limit, open).logs.available_permits();
        assert_eq!(logs(40, 10), 18);
        assert_eq!(logs(1024, 24), 1024 - 24 - 128);
        assert_eq!(logs(1 << 20, 10), (1 << 20) - 10 - 256);
        assert_eq!(logs(u64::MAX, 10), Semaphore::MAX_PERMITS);
        // A process with too few descriptors for a reserve still reads one log.
        assert_eq!(logs(16, 10), 1);
    }

    #[test]
    fn the_soft_limit_is_the_first_of_the_two_limits() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max core file size        0                    unlimited            bytes     \n\
            Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(soft_limit(""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_reported_every_30_s_and_its_end_is_reported_once() {
        let waiting = watch::Sender::new(0);
        let said = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        let reporting = report(waiting.subscribe(), {
            let said = said.clone();
            move |notice| said.lock().unwrap().push((start.elapsed().as_secs(), notice))
        });
        let reporting = tokio::spawn(reporting);
        let changes =
            [(1.0, 1), (0.5, 0), (8.5, 1), (0.0, 27), (50.0, 20), (20.0, 0), (1.0, 3), (0.5, 0), (9.5, 5)];
        for (seconds, number) in changes {
            sleep(Duration::from_secs_f64(seconds)).await;
            waiting.send_replace(number);
        }
        sleep(Duration::from_secs(10)).await;
        let expected = [
            (11, Notice::Waiting(27)),
            (41, Notice::Waiting(27)),
            (71, Notice::Waiting(20)),
            (80, Notice::Over),
        ];
        assert_eq!(*said.lock().unwrap(), expected);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(said.lock().unwrap()[4..], [(102, Notice::Waiting(5))]);
        reporting.abort();
    }
}
