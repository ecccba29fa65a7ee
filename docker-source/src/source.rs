//! The public face: a builder, and the stream of records.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use gelf_core::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{self, AbortHandle};
use tokio::time::sleep;

use crate::container::Container;
use crate::engine::{ContainerId, EngineAddress, EngineClient, EngineError, Limits};
use crate::follow::{CATCH_UPS, Shared};
use crate::own_container::container_id_in;
use crate::record::{Queued, Record, RecordQueue};
use crate::stats::Stats;
use crate::supervise::{Outage, Supervisor};
use crate::timing::{Backoff, Timing};

/// The lines of all containers of one Engine, from when it was connected.
///
/// Lines of one stream of one container come in order; between streams and containers there is none. Reading never holds up a
/// container, and pauses while nobody calls [`next`](Self::next): the Engine's log files keep what was not read.
///
/// Dropping the source ends all of it.
#[derive(Debug)]
pub struct Source {
    records: mpsc::Receiver<Queued>,
    stats: Arc<Stats>,
    engine_host: Arc<str>,
    supervisor: AbortHandle,
}

impl Source {
    /// The way to a source.
    pub fn builder() -> SourceBuilder {
        SourceBuilder {
            address: None,
            select: Box::new(|_| true),
            timing: Timing::default(),
            mountinfo: "/proc/self/mountinfo".into(),
        }
    }

    /// The next line of any container, waiting for it as long as it takes; `None` once the source was
    /// [stopped](Self::stop) and all that was read is handed out.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Record> {
        self.records.recv().await.map(Queued::into_record)
    }

    /// Stops reading. [`next`](Self::next) hands out what was read, then `None`.
    pub fn stop(&mut self) {
        self.supervisor.abort();
    }

    /// The host name of the Engine.
    pub fn engine_host(&self) -> &str {
        &self.engine_host
    }

    /// The accounts.
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a [`Source`] shall read.
#[must_use = "a builder does nothing until `connect` is awaited"]
pub struct SourceBuilder {
    address: Option<EngineAddress>,
    select: Box<dyn Fn(&Container) -> bool + Send + Sync>,
    timing: Timing,
    mountinfo: PathBuf,
}

impl SourceBuilder {
    /// Where the Engine listens. Default: [`EngineAddress::from_env`].
    pub fn address(mut self, address: EngineAddress) -> Self {
        self.address = Some(address);
        self
    }

    /// Which containers to follow. Default: all.
    ///
    /// Each container is asked about once, when it is first followed; a later renaming changes nothing. Never followed
    /// are the container in which this process runs, and those that [ask for it](Container::is_ignored).
    pub fn select(mut self, select: impl Fn(&Container) -> bool + Send + Sync + 'static) -> Self {
        self.select = Box::new(select);
        self
    }

    /// How long to wait for what.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The list of this process's mounts, by which it finds the container that it runs in. Default:
    /// `/proc/self/mountinfo`. Where there is none, it runs in none.
    pub fn mountinfo(mut self, path: impl Into<PathBuf>) -> Self {
        self.mountinfo = path.into();
        self
    }

    /// Waits for the Engine, as long as it takes, and starts to follow its containers on the current tokio runtime.
    ///
    /// Of containers that run already, only what they write from now on is read.
    ///
    /// # Errors
    /// Those that [waiting does not mend](EngineError::is_permanent). All others are logged, once per outage.
    pub async fn connect(self) -> Result<Source, EngineError> {
        let address = match self.address {
            Some(address) => address,
            None => EngineAddress::from_env()?,
        };
        let timing = self.timing;
        let client = EngineClient::new(address, Limits { headers: timing.headers, body: timing.answer });
        let mut backoff = Backoff::new(timing.reconnect_min, timing.reconnect_max);
        let mut outage = Outage::default();
        let info = loop {
            let asked = async {
                client.negotiate().await?;
                client.info().await
            };
            match asked.await {
                Ok(info) => break info,
                Err(error) if error.is_permanent() => return Err(error),
                Err(error) => outage.failed(&error),
            }
            sleep(backoff.next()).await;
        };
        outage.over();
        let engine_host: Arc<str> = info.name.into();
        // Stamps are the Engine's, and so must be the moment from which they count. One that tells no time shares ours.
        let floor =
            Timestamp::from_rfc3339(&info.system_time).unwrap_or_else(|_| Timestamp::from(SystemTime::now()));
        let stats = Arc::new(Stats::new(client.clone()));
        let (queue, records) = RecordQueue::new();
        let mounts = std::fs::read(&self.mountinfo).unwrap_or_default();
        let supervisor = Supervisor::new(Arc::new(Shared {
            client,
            engine_host: engine_host.clone(),
            floor,
            own_container: container_id_in(&String::from_utf8_lossy(&mounts)).and_then(ContainerId::parse),
            select: self.select,
            timing,
            queue,
            stats: stats.clone(),
            catch_ups: Semaphore::new(CATCH_UPS),
        }));
        let supervisor = task::spawn(supervisor.run()).abort_handle();
        Ok(Source { records, stats, engine_host, supervisor })
    }
}

impl fmt::Debug for SourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBuilder")
            .field("address", &self.address)
            .field("timing", &self.timing)
            .field("mountinfo", &self.mountinfo)
            .finish_non_exhaustive()
    }
}
