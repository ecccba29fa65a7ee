//! Shares the file descriptors of this process between the logs and all other uses.
//!
//! Each log that is followed holds a connection to the Engine. On a host with more containers than
//! descriptors, the logs would leave no descriptor for the events, the lists and the program itself.
//! Therefore a reserve is kept for these uses, and the streams of logs share the other descriptors. If no
//! descriptor is free for the log of a further container, its log is [read in turn](crate::follow) with others:
//! each such log is read up to its present end with a descriptor of the reserve. This descriptor then goes to
//! the log that has waited for the longest time. Thus all logs are read, regardless of their number. A warning
//! reports the number of containers whose logs are read in turn.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// The smallest and the largest reserve, in descriptors. Between these limits, the reserve is an eighth of all
/// descriptors.
///
/// The reserve has descriptors for the events, a list of containers, the program, the
/// [requests beside the streams](Descriptors::request), and the logs that
/// [catch up](crate::context::CATCH_UPS).
const RESERVE: (u64, u64) = (12, 256);

/// The time between the start of a shortage and its warning. A shorter shortage causes no warning. If many
/// containers start at about the same time, the warning counts all of them.
const SETTLE: Duration = Duration::from_secs(1);

/// The minimum time between the warnings of two shortages. A further shortage that ends within this time causes
/// no warning.
const INTERVAL: Duration = Duration::from_secs(30);

/// The file descriptors that streams and other requests can use.
#[derive(Debug)]
pub(crate) struct Descriptors {
    logs: Arc<Semaphore>,
    requests: Semaphore,
}

impl Descriptors {
    /// Divides the descriptors of this process between the logs and a reserve. Without `/proc`, the number of
    /// descriptors counts as unlimited.
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
        Self { logs: Arc::new(Semaphore::new(permits(logs))), requests: Semaphore::new(permits(reserve / 4)) }
    }

    /// Takes a descriptor for the stream of a container's log. Returns `None` if no descriptor is free.
    pub(crate) fn log(&self) -> Option<OwnedSemaphorePermit> {
        self.logs.clone().try_acquire_owned().ok()
    }

    /// Waits for a descriptor of the reserve, for a request beside the stream of a log. Such a request is an
    /// inspection, or a proof that the stream has omitted nothing.
    pub(crate) async fn request(&self) -> Option<SemaphorePermit<'_>> {
        self.requests.acquire().await.ok()
    }
}

/// Parses the soft limit of open files from the text of `/proc/self/limits`. Returns `None` if there is no
/// such limit.
fn soft_limit(limits: &str) -> Option<u64> {
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    files.split_whitespace().next()?.parse().ok()
}

/// Warns once of each shortage of descriptors, and logs the end of the shortage. A short shortage is not logged;
/// see [`SETTLE`] and [`INTERVAL`]. `waiting` is the number of containers that wait for a descriptor.
pub(crate) async fn log_shortage(waiting: watch::Receiver<u64>) -> Infallible {
    report(waiting, |notice| match notice {
        Notice::Waiting(number) => tracing::warn!(
            "too few file descriptors: {number} containers are read in turn, and their lines may be late; \
             raise the limit of open files (ulimit -n)"
        ),
        Notice::Over => tracing::info!("there are enough file descriptors again"),
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
        let number = *waiting.borrow();
        if number == 0 {
            continue;
        }
        say(Notice::Waiting(number));
        let said = Instant::now();
        becomes(&mut waiting, |number| number == 0).await;
        say(Notice::Over);
        sleep_until(said + INTERVAL).await;
    }
}

async fn becomes(waiting: &mut watch::Receiver<u64>, condition: impl Fn(u64) -> bool) {
    if waiting.wait_for(|number| condition(*number)).await.is_err() {
        // The sender of the number was dropped: the source has ended, and there is nothing to report.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use simulated_engine::{
        Container, ContainerOptions, Fault, Options, RequestKind, SimulatedEngine, Stream,
    };
    use std::collections::{HashMap, HashSet};
    use std::sync::Mutex;
    use tokio::time::{timeout, timeout_at};

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

    fn two_streams() -> Descriptors {
        Descriptors::new(24, 10)
    }

    /// Returns an Engine, its twenty running containers, and a source with these descriptors.
    async fn twenty_containers(
        options: Options,
        descriptors: fn() -> Descriptors,
    ) -> (SimulatedEngine, Vec<Container>, Source) {
        let engine = SimulatedEngine::start_with(options).await;
        let create = |number| engine.create(ContainerOptions::named(&format!("web-{number}")));
        let containers: Vec<_> = (0..20).map(create).collect();
        containers.iter().for_each(Container::start);
        let mut builder = Source::builder().address(engine.docker_host().parse().unwrap());
        builder.descriptors = descriptors;
        let source = builder.connect().await.unwrap();
        (engine, containers, source)
    }

    #[tokio::test(start_paused = true)]
    async fn containers_without_a_descriptor_are_read_in_turn_and_none_waits_for_long() {
        const LATEST: u64 = 10;
        for options in [Options::docker_20_10(), Options::docker_28_5(), Options::podman_4_3()] {
            let (_engine, containers, mut source) = twenty_containers(options, two_streams).await;
            let start = Instant::now();
            let mut unread = HashSet::new();
            for second in 0..60 {
                for container in &containers {
                    let text = format!("{second} {}", container.id());
                    container.line(Stream::Stdout, &text);
                    unread.insert((second, text));
                }
                while let Ok(record) = timeout_at(start + Duration::from_secs(second), source.next()).await {
                    let text = String::from_utf8(record.unwrap().unwrap().bytes().to_vec()).unwrap();
                    let written = text.split_once(' ').unwrap().0.parse().unwrap();
                    assert!(unread.remove(&(written, text)), "a line is read once");
                }
                let oldest = unread.iter().map(|(written, _)| *written).min();
                assert!(oldest.is_none_or(|oldest| oldest + LATEST > second), "{unread:?}");
            }
            assert_eq!(source.stats().snapshot().waiting_for_descriptor, 18);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_ends_while_it_waits_for_its_turn_is_read_to_its_end() {
        let (_engine, containers, mut source) = twenty_containers(Options::default(), two_streams).await;
        sleep(Duration::from_secs(2)).await;
        for container in &containers {
            for _ in 0..100 {
                container.line(Stream::Stderr, container.id());
            }
            container.die();
        }
        let mut read = HashMap::new();
        for _ in 0..2000 {
            let record = source.next().await.unwrap().unwrap();
            *read.entry(record.container().id().to_owned()).or_insert(0) += 1;
        }
        assert!(containers.iter().all(|container| read[container.id()] == 100), "{read:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(source.stats().snapshot().waiting_for_descriptor, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn proofs_beside_streams_stay_within_the_reserve_and_stop_no_other_stream() {
        let (engine, containers, mut source) =
            twenty_containers(Options::docker_28_5(), || Descriptors::new(42, 10)).await;
        for container in &containers {
            container.wait_for_followers(1).await;
            container.fail_logs(Fault::LateBody(Duration::from_secs(60)));
        }
        // The first proof of each container is due.
        sleep(Duration::from_secs(10)).await;
        assert_eq!(engine.count_kind(RequestKind::Tail), 3);
        for container in &containers {
            container.line(Stream::Stdout, "line");
        }
        for _ in 0..17 {
            assert!(timeout(Duration::from_secs(5), source.next()).await.unwrap().unwrap().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_that_lasts_and_its_end_are_reported_once_each() {
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
        let expected = [(11, Notice::Waiting(27)), (80, Notice::Over), (92, Notice::Waiting(5))];
        assert_eq!(*said.lock().unwrap(), expected);
        // The next shortage begins soon after the warning of the last shortage.
        waiting.send_replace(0);
        sleep(Duration::from_secs(1)).await;
        waiting.send_replace(2);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(said.lock().unwrap()[3..], [(101, Notice::Over), (123, Notice::Waiting(2))]);
        reporting.abort();
    }
}
