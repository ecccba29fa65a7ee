//! Defines the builder of sources, which connects to the Engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio::task;
use tokio::time::sleep;

use super::{MOUNTINFO, Source};
use crate::backoff::Backoff;
use crate::container::Container;
use crate::context::{CATCH_UPS, Context};
use crate::descriptors::{Descriptors, log_shortage};
use crate::engine::{EngineAddress, EngineClient, EngineError, Limits};
use crate::files::LogFiles;
use crate::identity::Identity;
use crate::outage::Outage;
use crate::own_container::OwnContainer;
use crate::record::RecordQueue;
use crate::start::{ResolvedStart, Start};
use crate::stats::Stats;
use crate::stopping::Stopping;
use crate::supervise::Supervisor;
use crate::timing::Timing;
use crate::unavailable_logs::UnavailableLogs;
use crate::warnings::Warnings;

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
    pub(super) fn new() -> Self {
        Self {
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
        self.timing = timing.bounded();
        self
    }

    /// Sets the value by which several sources share the count of the runs whose log cannot be read. If several
    /// sources have the same value, only one of them counts such a run. By default, the source counts each such
    /// run.
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
    /// up to 128 files of each log. While such files have more than 256 MiB in all logs together, the source
    /// opens only one file of each log ahead. Such files still take room on the Engine's disk. Events and metadata still come from the Engine. The [positions](crate::Position) are
    /// the same: a source with files can resume from the positions of a source without files, and vice versa.
    ///
    /// The source reads a log through the Engine if the files of the log cannot be opened, if the log has
    /// another driver, or if its next lines are in compressed files. Logs whose files cannot be opened cause
    /// at most one warning a minute.
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
