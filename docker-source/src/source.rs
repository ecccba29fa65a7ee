//! Defines the stream of records, and its builder.

use std::fmt;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_core::Stream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{self, JoinHandle};
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::container::Container;
use crate::context::{CATCH_UPS, Context};
use crate::descriptors::{Descriptors, log_shortage};
use crate::engine::{EngineAddress, EngineClient, EngineError, Limits};
use crate::files::LogFiles;
use crate::identity::Identity;
use crate::outage::Outage;
use crate::own_container::OwnContainer;
use crate::position::Positions;
use crate::record::{QueuedRecord, Record, RecordQueue};
use crate::start::{ResolvedStart, Start};
use crate::stats::Stats;
use crate::stopping::Stopping;
use crate::supervise::Supervisor;
use crate::timing::Timing;
use crate::unavailable_logs::UnavailableLogs;
use crate::warnings::Warnings;

/// The maximum number of records that are taken out of the queue together. These records count as in flight
/// until they are yielded.
const TAKEN_AT_ONCE: usize = 64;

/// The file that lists the mounts of this process.
pub(crate) const MOUNTINFO: &str = "/proc/self/mountinfo";

/// A stream of the lines of all selected containers of one Engine. By default, all containers are selected, and
/// the stream begins at the time of connecting.
///
/// The lines of one stream of one container are in order, except lines that the Engine omitted at first: these
/// lines come later. There is no order between streams or containers.
///
/// The source pauses reading while [`next`](Self::next) is not called. This does not block the containers:
/// the Engine writes their lines to its log files, and the source reads them from there.
///
/// Dropping the source stops all its tasks.
///
/// # Examples
///
/// Print the lines of all containers:
///
/// ```no_run
/// use docker_source::Source;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = Source::builder().connect().await?;
/// while let Some(record) = source.next().await? {
///     println!("{}: {}", record.container().name(), String::from_utf8_lossy(record.bytes()));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    records: mpsc::Receiver<QueuedRecord>,
    /// Records that were taken out of the queue together, in reverse order: the next record comes last.
    taken: Vec<QueuedRecord>,
    stats: Arc<Stats>,
    engine_host: Arc<str>,
    start: Positions,
    /// The task that reads the logs. `None` once [`next`](Self::next) has reported the end of the task.
    supervisor: Option<JoinHandle<Option<EngineError>>>,
    stopping: Arc<Stopping>,
}

impl Source {
    /// Returns a builder with the default options.
    pub fn builder() -> SourceBuilder {
        SourceBuilder {
            address: None,
            select: Box::new(|_| true),
            start: Start::default(),
            timing: Timing::default(),
            unavailable_logs: UnavailableLogs::default(),
            log_files: None,
            mountinfo: MOUNTINFO.into(),
            descriptors: Descriptors::of_process,
        }
    }

    /// Returns the next line of any container. Returns `None` once the source was [stopped](Self::stop) and
    /// has yielded all lines that were read.
    ///
    /// # Errors
    /// Returns an error if reading ended early. The error comes after all lines that were read, and further
    /// calls return `None`.
    ///
    /// # Cancel safety
    /// Cancel safe: no record is lost.
    pub async fn next(&mut self) -> Result<Option<Record>, SourceError> {
        poll_fn(|context| self.poll_record(context)).await.transpose()
    }

    fn poll_record(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Record, SourceError>>> {
        if self.taken.is_empty()
            && ready!(self.records.poll_recv_many(context, &mut self.taken, TAKEN_AT_ONCE)) > 0
        {
            self.taken.reverse();
        }
        if let Some(record) = self.taken.pop() {
            return Poll::Ready(Some(Ok(record.into_record())));
        }
        let Some(supervisor) = &mut self.supervisor else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(supervisor).poll(context));
        self.supervisor = None;
        Poll::Ready(match ended {
            Err(error) if error.is_panic() => Some(Err(SourceError::Panicked { message: error.to_string() })),
            Ok(Some(error)) => Some(Err(SourceError::Engine(error))),
            // The source was stopped.
            Ok(None) | Err(_) => None,
        })
    }

    /// Returns the next line if [`next`](Self::next) has already taken it out of the queue. A call of `next`
    /// takes up to 64 lines out of the queue. After such a call, a program can get the other lines by
    /// `try_next` and handle all of them together, such as the lines that arrived while the program waited
    /// for its destination.
    ///
    /// `None` does not mean that the source has ended, or that no further line was read: only `next` takes
    /// lines out of the queue.
    pub fn try_next(&mut self) -> Option<Record> {
        self.taken.pop().map(QueuedRecord::into_record)
    }

    /// Stops reading, within 4 s. [`next`](Self::next) yields the lines that were read, then `None`. Before
    /// it stops, the source reads logs with recent lines up to their present ends, because the Engine may
    /// have omitted some of these lines, and because busy logs are read only at intervals, see
    /// [`Timing::latency`]. Logs that are not read up to their present ends within the 4 s are counted, see
    /// [`LineCounts::unread_logs`](crate::LineCounts::unread_logs).
    pub fn stop(&mut self) {
        let has_unproved_logs = self.stopping.request();
        if !has_unproved_logs {
            self.abort();
        }
    }

    fn abort(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.abort();
        }
    }

    /// Returns the positions from which the source reads: the positions of [`Start::At`], or the time at
    /// which another [`Start`] begins. For [`Start::Now`], this is the time of the Engine's clock at which
    /// the source connected.
    pub fn start(&self) -> &Positions {
        &self.start
    }

    /// Returns the host name of the Engine. Returns the host name of this machine if a proxy refuses the
    /// request for the Engine's host name, or if the Engine reports an invalid name.
    pub fn engine_host(&self) -> &str {
        &self.engine_host
    }

    /// Returns the counters of the source.
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }
}

/// Yields the records that [`Source::next`] returns, for the combinators of other crates.
///
/// The stream ends after an error. Even if `StreamExt` of such a crate is in scope, `source.next()` calls
/// [`Source::next`], which returns `Result<Option<Record>, SourceError>`.
impl Stream for Source {
    type Item = Result<Record, SourceError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_record(context)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Options of a [`Source`].
///
/// # Examples
///
/// Follow the containers whose names begin with `web-`, on an Engine at a given address:
///
/// ```no_run
/// use docker_source::{NamePattern, Source};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pattern = NamePattern::new("web-*")?;
/// let source = Source::builder()
///     .address("unix:///run/user/1000/docker.sock".parse()?)
///     .select(move |container| pattern.matches(container.name()))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `connect` is awaited"]
pub struct SourceBuilder {
    address: Option<EngineAddress>,
    select: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    start: Start,
    timing: Timing,
    unavailable_logs: UnavailableLogs,
    log_files: Option<LogFiles>,
    pub(crate) mountinfo: PathBuf,
    pub(crate) descriptors: fn() -> Descriptors,
}

impl SourceBuilder {
    /// Sets the Engine's address. The default is [`EngineAddress::from_env`].
    pub fn address(mut self, address: EngineAddress) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets the filter that selects containers. The default selects all.
    ///
    /// The result of the filter holds for one run of the container. If a selected container is renamed while
    /// it runs, the source goes on following the container, and the filter sees the new name at the next
    /// start. If a container that is not selected is renamed, the source calls the filter again immediately. If
    /// the filter then selects the container, the source reads the lines that are written after the renaming.
    /// [`Container::selected_name`] returns the name that the filter saw.
    ///
    /// Two kinds of containers are never followed: the container that this process runs in, and containers
    /// that [ask not to be followed](Container::is_ignored).
    pub fn select(mut self, select: impl Fn(&Container) -> bool + Send + Sync + 'static) -> Self {
        self.select = Box::new(select);
        self
    }

    /// Sets the place in the logs at which reading starts. The default is [`Start::Now`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets the timeouts and intervals.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Shares with other sources the count of the runs whose log cannot be read. If several sources have the
    /// same value, only one of them counts such a run. By default, the source counts each such run.
    pub fn unavailable_logs(mut self, shared: UnavailableLogs) -> Self {
        self.unavailable_logs = shared;
        self
    }

    /// Reads the logs of the `json-file` driver from their files. By default, the source reads all logs
    /// through the Engine.
    ///
    /// Reading files costs the Engine nothing, and costs this process much less than reading responses. A
    /// line is read within [`Timing::latency`], or sooner if the driver keeps only few bytes of the log.
    /// If the driver removes files before they are read, the source keeps them open, so that no line is lost:
    /// up to 128 files of each log, and up to 256 MiB of all logs together. Such files still take room on the
    /// Engine's disk. Events and metadata still come from the Engine. The [positions](crate::Position) are
    /// the same: a source with files can resume from the positions of a source without files, and vice versa.
    ///
    /// The source reads a log through the Engine if the files of the log cannot be opened, if the log has
    /// another driver, or if its next lines are in compressed files. A warning names each log whose files
    /// cannot be opened.
    pub fn log_files(mut self, files: LogFiles) -> Self {
        self.log_files = Some(files);
        self
    }

    /// Connects to the Engine and starts to follow its containers on the current tokio runtime.
    ///
    /// Waits without a limit for an Engine that does not answer. If a container already runs, the source
    /// reads its lines from the [start](Self::start) on. If a proxy in front of the Engine refuses `GET
    /// info`, this machine's host name and clock count as the Engine's.
    ///
    /// # Errors
    /// Returns the first error that is [permanent](EngineError::is_permanent), or
    /// [`EngineError::StaleSocket`] if the socket file is stale, see [`Timing::stale_socket`]. After any
    /// other error, the source sends the request again. It logs the first error of an outage, and later
    /// errors at intervals from 30 s to an hour.
    ///
    /// # Panics
    /// Panics outside of a tokio runtime.
    pub async fn connect(self) -> Result<Source, EngineError> {
        let address = match self.address {
            Some(address) => address,
            None => EngineAddress::from_env()?,
        };
        let timing = self.timing;
        let client = EngineClient::new(
            address,
            Limits { headers: timing.headers, log: timing.catch_up, body: timing.answer },
        );
        let mut backoff = Backoff::new(timing.reconnect_min, timing.reconnect_max);
        let mut outage = Outage::new(self.mountinfo.clone(), timing.stale_socket);
        let own_container = own_container(&self.mountinfo);
        let mut identified = None;
        let (identity, start) = loop {
            let request = async {
                client.negotiate().await?;
                let identity = match identified.take() {
                    Some(identity) => identity,
                    None => Identity::of(&client).await?,
                };
                // The identity is kept for later attempts, since each refused request for the identity logs a
                // warning.
                let identity = identified.insert(identity).clone();
                let start = self.start.resolve(&client, identity.clock, &own_container).await?;
                Ok::<_, EngineError>((identity, start))
            };
            match request.await {
                Ok(connected) => break connected,
                Err(error) if error.is_permanent() => return Err(error),
                Err(error) => outage.failed(error)?,
            }
            sleep(backoff.next()).await;
        };
        outage.over(client.dialect());
        let ResolvedStart { positions: start, is_earlier, reason } = start;
        tracing::info!("reading the logs from {reason} on");
        let engine_host: Arc<str> = identity.host.into();
        let stats = Arc::new(Stats::new(client.clone()));
        let (queue, records) = RecordQueue::new();
        let stopping = Arc::new(Stopping::new());
        let context = Arc::new(Context {
            client,
            engine_host: engine_host.clone(),
            clock: identity.clock,
            start: start.clone(),
            resumes: is_earlier,
            own_container,
            select: self.select,
            timing,
            log_files: self.log_files,
            held_bytes: Arc::default(),
            queue,
            stats: stats.clone(),
            unavailable_logs: self.unavailable_logs,
            catch_ups: Semaphore::new(CATCH_UPS),
            descriptors: (self.descriptors)(),
            stopping: stopping.clone(),
            refused: Notify::new(),
            warnings: Warnings::new(),
        });
        let supervisor = Supervisor::new(context.clone());
        let supervisor = Some(task::spawn(async move {
            tokio::select! {
                biased;
                ended = supervisor.run(outage) => Some(ended),
                unread = context.stopping.finished() => {
                    context.stats.unread_logs(unread as u64);
                    None
                }
                never = context.warnings.run() => match never {},
                never = log_shortage(context.stats.waiting()) => match never {},
            }
        }));
        Ok(Source { records, taken: Vec::new(), stats, engine_host, start, supervisor, stopping })
    }
}

impl fmt::Debug for SourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBuilder")
            .field("address", &self.address)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// The error for a source whose reading ended before it was [stopped](Source::stop).
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// Further attempts to reach the Engine are useless.
    Engine(EngineError),
    /// A task of the source panicked, which is a bug in this crate.
    Panicked {
        /// The message of the panic.
        message: String,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Panicked { message } => write!(f, "reading from the Engine ended early: {message}"),
        }
    }
}

impl std::error::Error for SourceError {}

/// Returns the signs by which the container of this process is recognized.
fn own_container(mountinfo: &Path) -> OwnContainer {
    OwnContainer::read(mountinfo).unwrap_or_else(|error| {
        tracing::warn!(
            "{}: {error}; if this process runs in a container, its own lines are followed, too",
            mountinfo.display()
        );
        OwnContainer::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};

    /// Returns a source that reads nothing and has the given task as its supervisor.
    async fn supervised_by(task: impl Future<Output = EngineError> + Send + 'static) -> Source {
        let engine = SimulatedEngine::start().await;
        let builder = Source::builder().address(engine.docker_host().parse().unwrap());
        let mut source = builder.connect().await.unwrap();
        source.stop();
        assert!(source.next().await.unwrap().is_none());
        source.supervisor = Some(task::spawn(async { Some(task.await) }));
        source
    }

    #[tokio::test]
    async fn a_supervisor_that_panics_ends_the_source_with_an_error() {
        let mut source = supervised_by(async { panic!("on purpose") }).await;
        let error = source.next().await.unwrap_err();
        assert!(error.to_string().starts_with("reading from the Engine ended early: "), "{error}");
        assert!(error.to_string().contains("on purpose"), "{error}");
        assert!(source.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn as_a_stream_a_source_yields_the_same_records_and_ends_after_an_error() {
        let engine = SimulatedEngine::start().await;
        let builder = Source::builder().address(engine.docker_host().parse().unwrap());
        let mut source = builder.connect().await.unwrap();
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        web.line(Stream::Stdout, "one");
        let next = async |source: &mut Source| {
            poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *source), cx)).await
        };
        assert_eq!(next(&mut source).await.unwrap().unwrap().bytes(), b"one");
        source.stop();
        assert!(next(&mut source).await.is_none());
        source.supervisor = Some(task::spawn(async { Some(EngineError::Broken { endpoint: "events" }) }));
        assert!(matches!(next(&mut source).await, Some(Err(SourceError::Engine(_)))));
        assert!(next(&mut source).await.is_none());
    }

    #[tokio::test]
    async fn a_source_that_is_stopped_ends_without_an_error() {
        let mut source = supervised_by(std::future::pending()).await;
        source.stop();
        assert!(source.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_container_of_this_process_is_never_followed() {
        let engine = SimulatedEngine::start().await;
        let own = engine.create(ContainerOptions::named("agent"));
        own.start();
        let other = engine.create(ContainerOptions::named("web"));
        let mut source = builder_in(&engine, &own).connect().await.unwrap();
        engine.wait_for(1, "/containers/json").await;
        own.line(Stream::Stdout, "own");
        own.die();
        own.start();
        other.start();
        other.line(Stream::Stdout, "other");
        assert_eq!(source.next().await.unwrap().unwrap().bytes(), b"other");
        // The source opens the log of a container while it inspects the container. It closes the log of its
        // own container again.
        assert!(own.log_requests() <= 1, "{:?}", engine.requests());
    }

    /// Returns a builder of a source that runs in the container `own`.
    fn builder_in(engine: &SimulatedEngine, own: &simulated_engine::Container) -> SourceBuilder {
        let mountinfo = engine.socket().with_file_name("mountinfo");
        let mount = format!(
            "615 600 254:1 /var/lib/docker/containers/{}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n",
            own.id()
        );
        std::fs::write(&mountinfo, mount).unwrap();
        let mut builder = Source::builder().address(engine.docker_host().parse().unwrap());
        builder.mountinfo = mountinfo;
        builder
    }

    const SECOND: i64 = 1_000_000_000;

    fn after_predecessor(engine: &SimulatedEngine, own: &simulated_engine::Container) -> SourceBuilder {
        let after = Start::AfterPredecessor { label: "agent".into() };
        builder_in(engine, own).select(|container| container.name() == "web").start(after)
    }

    /// Returns the first line that a source in the container `own` reads.
    async fn first_line(engine: &SimulatedEngine, own: &simulated_engine::Container) -> String {
        let mut source = after_predecessor(engine, own).connect().await.unwrap();
        String::from_utf8_lossy(source.next().await.unwrap().unwrap().bytes()).into_owned()
    }

    #[tokio::test]
    async fn a_source_can_start_at_the_end_of_its_predecessor() {
        let engine = SimulatedEngine::start().await;
        let create = |name| engine.create(ContainerOptions::named(name).label("agent", ""));
        let web = engine.create(ContainerOptions::named("web"));
        let (own, old) = (create("own"), create("old"));
        web.start();
        old.start();
        web.line(Stream::Stdout, "while the old agent runs");
        engine.set_clock(web.line(Stream::Stdout, "2 s before the signal") + 2 * SECOND);
        old.kill(15);
        old.die();
        engine.set_clock(web.line(Stream::Stdout, "after its end") + 10 * SECOND);
        own.start();
        assert_eq!(first_line(&engine, &own).await, "after its end");

        // The own container starts again, so only the event of its end has the status of the ended run. If this
        // status is not 0, or if the Engine no longer has the event, the start is 10 s before the end.
        for (status, later_events, expected) in [
            (0, 0, "after the end of its own run"),
            (1, 0, "9 s before the signal to its own run"),
            (0, 256, "9 s before the signal to its own run"),
        ] {
            engine.set_clock(web.line(Stream::Stdout, "11 s before the end of its own run") + SECOND * 3 / 2);
            let before = web.line(Stream::Stdout, "9 s before the signal to its own run");
            engine.set_clock(before + SECOND * 19 / 2);
            own.kill(15);
            own.die_with(status);
            engine.set_clock(web.line(Stream::Stdout, "after the end of its own run") + 20 * SECOND);
            for _ in 0..later_events {
                engine.send_event("{}");
            }
            own.start();
            assert_eq!(first_line(&engine, &own).await, expected, "{status}, {later_events}");
        }

        old.start();
        engine.set_clock(web.line(Stream::Stdout, "while another agent runs") + 1);
        let next = async {
            engine.wait_for(3, "/logs").await;
            web.line(Stream::Stdout, "new");
        };
        assert_eq!(tokio::join!(first_line(&engine, &own), next).0, "new");
    }

    #[tokio::test]
    async fn reading_starts_1_s_before_the_predecessors_signal_or_10_s_before_an_end_without_a_signal() {
        /// Signals, each with the time from the signal to the end in seconds.
        type Signals = &'static [(u8, i64)];
        // The signals, the number of events after the end, and the first line that is read. The lines are
        // named by their time in seconds before the end.
        let cases: [(Signals, usize, i64); 7] = [
            (&[(15, 0)], 0, 1),
            (&[(15, 7)], 0, 8),
            (&[(15, 31), (9, 0)], 0, 32),
            (&[(15, 36), (15, 5), (15, 3)], 0, 6),
            (&[(9, 0)], 0, 10),
            (&[], 0, 10),
            // The Engine no longer has the event of the signal.
            (&[(15, 3)], 256, 10),
        ];
        for (signals, later_events, expected) in cases {
            let engine = SimulatedEngine::start().await;
            let web = engine.create(ContainerOptions::named("web"));
            let create = |name| engine.create(ContainerOptions::named(name).label("agent", ""));
            let (own, old) = (create("own"), create("old"));
            web.start();
            old.start();
            for before_end in (0..40).rev() {
                // The clock is set first, so that the line gets the stamp of its second.
                engine.set_clock(simulated_engine::START + (40 - before_end) * SECOND);
                for (signal, _) in signals.iter().filter(|(_, time)| *time == before_end) {
                    old.kill(*signal);
                }
                web.line(Stream::Stdout, before_end.to_string());
            }
            engine.set_clock(simulated_engine::START + 40 * SECOND);
            old.die();
            for _ in 0..later_events {
                engine.send_event("{}");
            }
            own.start();
            assert_eq!(first_line(&engine, &own).await, expected.to_string(), "{signals:?}");
        }
    }
}
