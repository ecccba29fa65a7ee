//! Keeps the positions of delivered lines in the state folder, so that the next start continues behind these
//! lines.
//!
//! The file `positions` has a line with its version and checksum, and then the positions of each route as
//! JSON. A dedicated thread writes the file, since a disk may be slow. The thread writes and synchronizes a
//! new file in the same folder and then renames it, so that a crash leaves either the old or the new file.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use docker_source::Positions;
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::condition::Condition;
use crate::group::Sources;
use crate::settlement::RouteProgress;

/// The name of the file in the state folder.
const FILE: &str = "positions";
/// The beginning of the file, with the version of its format.
const HEADER: &str = "gelf-router positions 1 crc32=";
/// The positions of each route, by the name of the route.
pub(crate) type SavedPositions = BTreeMap<String, Positions>;

/// The time after which changed positions are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two warnings that the state cannot be written.
const WARN_INTERVAL: Duration = Duration::from_secs(30);

/// An open state folder. On Linux, no other router can open it.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    /// The lock file, which stays locked until it is closed.
    _lock: File,
}

impl StateFolder {
    /// Opens the folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created or written to, or if another router has opened it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
        lock_exclusively(&lock)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Reads the saved positions. A file with invalid contents is renamed to `positions.unreadable`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or renamed.
    pub(crate) fn load(&self) -> io::Result<SavedPositions> {
        let path = self.path.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(SavedPositions::new()),
            Err(error) => return Err(error),
        };
        match decode(&text) {
            Ok(positions) => Ok(positions),
            Err(reason) => {
                let aside = path.with_extension("unreadable");
                fs::rename(&path, &aside)?;
                tracing::error!(
                    "{} is unreadable ({reason}) and was renamed to {}; reading starts as if no positions were saved",
                    path.display(),
                    aside.display()
                );
                Ok(SavedPositions::new())
            }
        }
    }

    fn save(&self, positions: &SavedPositions) -> io::Result<()> {
        let new = self.path.join("positions.new");
        let mut file = File::create(&new)?;
        file.write_all(&encode(positions)?)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, self.path.join(FILE))?;
        File::open(&self.path)?.sync_all()
    }

    /// Starts the thread that writes the file. The thread notes in `is_writable` whether the last write
    /// succeeded.
    ///
    /// # Errors
    /// Returns an error if the system cannot start the thread.
    pub(crate) fn into_writer(self, is_writable: Condition) -> io::Result<StateWriter> {
        let (sender, receiver) = sync_channel(1);
        let (ended, end) = oneshot::channel();
        let written = is_writable.clone();
        thread::Builder::new().name("state".to_owned()).spawn(move || {
            let last = self.write_all(&receiver, &written);
            // The folder must be unlocked before the receiver of `ended` gets the result.
            drop(self);
            let _ = ended.send(last);
        })?;
        Ok(StateWriter { sender, end, is_writable })
    }

    /// Writes all received positions. Returns the result of the last write.
    fn write_all(&self, positions: &Receiver<SavedPositions>, is_writable: &Condition) -> io::Result<()> {
        let mut last = Ok(());
        let mut warned: Option<Instant> = None;
        while let Ok(positions) = positions.recv() {
            last = self.save(&positions);
            let Err(error) = &last else {
                is_writable.holds();
                continue;
            };
            is_writable.failed(format_args!("{}: {error}", self.path.display()));
            if warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
                warned = Some(Instant::now());
                tracing::warn!(
                    "cannot write the state in {} ({error}); shipping goes on, but the next start repeats lines",
                    self.path.display()
                );
            }
        }
        last
    }
}

/// Writes the positions of all routes when they have changed. From the progress of each route, also removes the
/// containers that no longer exist and have no unsettled lines.
pub(crate) struct Keeper {
    /// Writes positions, if there is a state folder.
    pub(crate) writer: Option<StateWriter>,
    pub(crate) routes: RouteProgress,
    pub(crate) sources: Sources,
    /// Notifies this task that the progress of a route has started.
    pub(crate) route_started: Arc<Notify>,
}

impl Keeper {
    /// Writes the positions when a route starts, then once a second if they have changed, and at the end.
    /// Without the positions at the start, a router that is killed within its first second would leave no
    /// record of where it had started to read.
    ///
    /// # Errors
    /// Returns an error if the last positions cannot be written.
    pub(crate) async fn run(self, mut end: oneshot::Receiver<()>) -> io::Result<()> {
        let mut ticks = interval(WRITE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut written = SavedPositions::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.route_started.notified() => {}
                _ = &mut end => break,
            }
            let positions = self.positions();
            let Some(writer) = &self.writer else { continue };
            // A write that failed is repeated, even if the positions have not changed since.
            let is_due = written != positions || writer.is_writable.problem().is_some();
            if is_due && writer.write(positions.clone()) {
                written = positions;
            }
        }
        let positions = self.positions();
        match self.writer {
            Some(writer) => writer.finish(positions).await,
            None => Ok(()),
        }
    }

    fn positions(&self) -> SavedPositions {
        self.routes.positions(|id| self.sources.know(id))
    }
}

/// Writes positions in the background.
#[derive(Debug)]
pub(crate) struct StateWriter {
    sender: SyncSender<SavedPositions>,
    end: oneshot::Receiver<io::Result<()>>,
    /// The condition that the last write succeeded.
    is_writable: Condition,
}

impl StateWriter {
    /// Passes the positions to the thread that writes them. Returns `false` if earlier positions are still
    /// waiting to be written.
    pub(crate) fn write(&self, positions: SavedPositions) -> bool {
        !matches!(self.sender.try_send(positions), Err(TrySendError::Full(_)))
    }

    /// Writes the last positions.
    ///
    /// # Errors
    /// Returns an error if the positions cannot be written.
    pub(crate) async fn finish(self, mut positions: SavedPositions) -> io::Result<()> {
        while let Err(TrySendError::Full(refused)) = self.sender.try_send(positions) {
            positions = refused;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(self.sender);
        self.end.await.map_err(|_| io::Error::other("the thread that writes the state has ended early"))?
    }
}

fn encode(positions: &SavedPositions) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(positions)?;
    let mut text = format!("{HEADER}{:08x}\n", crc32(&json)).into_bytes();
    text.extend(json);
    Ok(text)
}

fn decode(text: &[u8]) -> Result<SavedPositions, String> {
    let rest = text.strip_prefix(HEADER.as_bytes()).ok_or("it has another format or version")?;
    let (sum, json) = rest.split_at_checked(9).ok_or("it is cut short")?;
    if sum != format!("{:08x}\n", crc32(json)).as_bytes() {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Locks the file until it is closed.
#[cfg(target_os = "linux")]
fn lock_exclusively(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};

    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => {
            io::Error::new(ErrorKind::ResourceBusy, "another router uses this folder")
        }
        error => error.into(),
    })
}

#[cfg(not(target_os = "linux"))]
fn lock_exclusively(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::SharedProgress;
    use docker_source::gelf_core::Timestamp;

    struct TestFolder(PathBuf);

    impl TestFolder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gelf-router-state-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for TestFolder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn positions(second: i64) -> SavedPositions {
        [("gelf://h".to_owned(), Positions::from_time(Timestamp::from_unix(second, 7).unwrap()))].into()
    }

    #[test]
    fn positions_are_read_as_they_were_written() {
        let folder = TestFolder::new("round-trip");
        let state = StateFolder::open(&folder.0.join("created")).unwrap();
        assert!(state.load().unwrap().is_empty());
        for second in [1, 2] {
            state.save(&positions(second)).unwrap();
            assert_eq!(state.load().unwrap(), positions(second));
        }
    }

    #[test]
    fn a_file_with_a_changed_byte_or_a_missing_end_is_set_aside() {
        let folder = TestFolder::new("damaged");
        let state = StateFolder::open(&folder.0).unwrap();
        let path = folder.0.join(FILE);
        let whole = encode(&positions(1)).unwrap();
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 0x10;
            for text in [&changed[..], &whole[..index]] {
                fs::write(&path, text).unwrap();
                assert!(state.load().unwrap().is_empty(), "byte {index}");
                assert_eq!(fs::read(folder.0.join("positions.unreadable")).unwrap(), text);
                assert!(!path.exists());
            }
        }
    }

    #[test]
    fn a_folder_is_open_in_one_router_at_a_time() {
        let folder = TestFolder::new("locked");
        let first = StateFolder::open(&folder.0).unwrap();
        assert_eq!(StateFolder::open(&folder.0).unwrap_err().to_string(), "another router uses this folder");
        drop(first);
        StateFolder::open(&folder.0).unwrap();
    }

    #[tokio::test]
    async fn the_last_positions_are_written_or_an_error_is_returned() {
        let folder = TestFolder::new("last");
        let writer = StateFolder::open(&folder.0).unwrap().into_writer(Condition::default()).unwrap();
        for second in 1..100 {
            writer.write(positions(second));
        }
        writer.finish(positions(100)).await.unwrap();
        let state = StateFolder::open(&folder.0).unwrap();
        assert_eq!(state.load().unwrap(), positions(100));
        let is_writable = Condition::default();
        let writer = state.into_writer(is_writable.clone()).unwrap();
        fs::remove_dir_all(&folder.0).unwrap();
        assert_eq!(writer.finish(positions(101)).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(is_writable.problem().unwrap().error.starts_with(&folder.0.display().to_string()));
    }

    /// Time stands still while the test yields, so that only the start of the route causes a write.
    #[tokio::test(start_paused = true)]
    async fn the_first_positions_are_written_when_a_route_starts() {
        let folder = TestFolder::new("first");
        let writer = StateFolder::open(&folder.0).unwrap().into_writer(Condition::default()).unwrap();
        let (progress, route_started) = (SharedProgress::default(), Arc::new(Notify::new()));
        let routes = RouteProgress::default();
        routes.add("gelf://h".to_owned(), progress.clone());
        let keeper = Keeper {
            writer: Some(writer),
            routes,
            sources: Sources::default(),
            route_started: Arc::clone(&route_started),
        };
        let (_end, ended) = oneshot::channel();
        let keeping = tokio::spawn(keeper.run(ended));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        progress.start(&positions(1)["gelf://h"]);
        route_started.notify_one();
        let written = Instant::now() + Duration::from_secs(60);
        while !folder.0.join(FILE).exists() {
            assert!(Instant::now() < written, "nothing was written");
            tokio::task::yield_now().await;
            thread::sleep(Duration::from_millis(1));
        }
        keeping.abort();
    }
}
