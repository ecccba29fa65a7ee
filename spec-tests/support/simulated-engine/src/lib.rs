//! A scripted Docker Engine on a unix socket, for what a real one will not do on demand.
//!
//! It answers `_ping`, `info`, `events`, `containers/json`, `containers/{id}/json` and `containers/{id}/logs` as Docker does, from
//! containers that the test creates, starts, writes into and removes, on a clock of its own. It remembers every request, and fails
//! as it is told: refusals, bad frames, cut connections, streams that end too early, lost events, an Engine that goes away.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
//!
//! let engine = SimulatedEngine::start().await;
//! let web = engine.create(ContainerOptions::named("web"));
//! web.start();
//! web.line(Stream::Stdout, "hello");
//! assert!(engine.docker_host().starts_with("unix:///"));
//! assert_eq!(engine.requests(), Vec::<String>::new());
//! # });
//! ```

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support for tests: what it cannot do, the test must hear of at once"
)]

mod http;
mod server;
mod stamp;
mod state;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use state::{Shared, State};

/// The clock of an Engine when it is started, in nanoseconds since the Unix epoch: 2026-11-22T22:44:18Z.
pub const START: i64 = 1_795_387_458_000_000_000;

/// The longest piece of a line that Docker stores as one.
pub const PIECE: usize = 16 * 1024;

/// To which of its outputs a container writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error. A container with a terminal has none: what is written there goes to standard output.
    Stderr,
}

/// How an Engine understands `since`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// As Docker 20.10: each piece with an older stamp is left out, wherever it stands.
    EachPiece,
    /// As Docker 24 and later: from the first piece on whose stamp is not older, all are sent.
    UntilFirst,
}

/// What an Engine is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The newest version of the API that it speaks. Default: `1.41`, Docker 20.10.
    pub api_version: String,
    /// Whether it names the content type of a log, as it does from version 1.42 on. Default: no.
    pub names_content_type: bool,
    /// How it understands `since`. Default: as Docker 20.10.
    pub since: Since,
    /// In how many bytes at a time it sends a log. Default: 4,096.
    pub chunk: usize,
    /// Its host name. Default: `engine-host`.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_version: "1.41".into(),
            names_content_type: false,
            since: Since::EachPiece,
            chunk: 4096,
            name: "engine-host".into(),
        }
    }
}

/// What a container is like.
#[derive(Clone, Debug, Default)]
pub struct ContainerOptions {
    /// Its name, without a slash.
    pub name: String,
    /// Its environment, `NAME=value` each.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Whether it has a terminal.
    pub tty: bool,
}

impl ContainerOptions {
    /// A container with this name and nothing else.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With a variable in its environment, `NAME=value`.
    pub fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.into());
        self
    }

    /// With a label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// With a terminal.
    pub fn tty(mut self) -> Self {
        self.tty = true;
        self
    }
}

/// What goes wrong with one answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// After so many pieces come these bytes, and after them the other pieces.
    BytesAfter(usize, Vec<u8>),
    /// After so many bytes of the body the connection is closed, without the end that HTTP asks for.
    CutAfter(usize),
    /// After so many pieces the answer ends as if that were all.
    EndAfter(usize),
    /// No answer ever comes.
    Hang,
    /// This status, with a message in the Engine's own form.
    Status(u16, String),
}

/// The Engine; dropping it ends it.
#[derive(Debug)]
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    folder: PathBuf,
    socket: PathBuf,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl SimulatedEngine {
    /// Starts an Engine like Docker 20.10.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts an Engine.
    pub async fn start_with(options: Options) -> Self {
        let engine = Self::away(options);
        engine.come_back();
        engine
    }

    /// An Engine whose socket is not there until it [comes back](Self::come_back).
    pub fn away(options: Options) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("simulated-engine-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("docker.sock");
        Self { shared: Arc::new(Shared::new(options)), folder, socket, server: Mutex::new(None) }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Creates a container, which is not running yet.
    pub fn create(&self, options: ContainerOptions) -> Container {
        let id = self.shared.change(|state| state.create(options));
        Container { shared: self.shared.clone(), id }
    }

    /// Every request so far, in the order of their arrival: method and target, such as `GET /v1.41/info`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.look(|state| state.requests.clone())
    }

    /// How many requests have `part` in them.
    pub fn count(&self, part: &str) -> usize {
        self.shared.look(|state| count(state, part))
    }

    /// Waits until at least so many requests with `part` in them have arrived.
    pub async fn wait_for(&self, count_wanted: usize, part: &str) {
        self.shared.wait(|state| count(state, part) >= count_wanted).await;
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        self.shared.wait(|state| state.connections == 0).await;
    }

    /// Sets the clock, in nanoseconds since the Unix epoch. Each thing that happens moves it on by a microsecond.
    pub fn set_clock(&self, nanos: i64) {
        self.shared.change(|state| state.clock = nanos);
    }

    /// Ends all streams of events as a proxy does, in order.
    pub fn end_events(&self) {
        self.shared.change(|state| state.events_ended += 1);
    }

    /// From now on events are lost, or no longer.
    pub fn lose_events(&self, lost: bool) {
        self.shared.change(|state| state.loses_events = lost);
    }

    /// Sends a line on all streams of events, whatever it is; a line end is added.
    pub fn send_event(&self, line: &str) {
        self.shared.change(|state| state.events.push(line.into()));
    }

    /// From now on the list of containers stays as it is, or no longer.
    pub fn freeze_list(&self, frozen: bool) {
        self.shared.change(|state| state.frozen_list = frozen.then(|| state.list()));
    }

    /// The next request for `info` goes wrong.
    pub fn fail_info(&self, fault: Fault) {
        self.shared.change(|state| state.info_faults.push_back(fault));
    }

    /// The next request for the list of containers goes wrong.
    pub fn fail_list(&self, fault: Fault) {
        self.shared.change(|state| state.list_faults.push_back(fault));
    }

    /// Removes the socket and closes every connection, as an Engine that is stopped. The containers go on.
    pub async fn go_away(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            // Its end closes the connections.
            let _ = server.await;
        }
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Listens, again or for the first time.
    pub fn come_back(&self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        let server = tokio::spawn(server::serve(listener, self.shared.clone()));
        *self.server.lock().unwrap() = Some(server);
    }
}

impl Drop for SimulatedEngine {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn count(state: &State, part: &str) -> usize {
    state.requests.iter().filter(|request| request.contains(part)).count()
}

/// A container of a [`SimulatedEngine`].
#[derive(Clone, Debug)]
pub struct Container {
    shared: Arc<Shared>,
    id: String,
}

impl Container {
    /// 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts it, with the event.
    pub fn start(&self) {
        self.shared.change(|state| state.start(&self.id));
    }

    /// Its processes end; the streams that follow its log end after its last line.
    pub fn die(&self) {
        self.shared.change(|state| state.die(&self.id));
    }

    /// Gives it another name, with the event.
    pub fn rename(&self, name: &str) {
        self.shared.change(|state| state.rename(&self.id, name));
    }

    /// Removes it, with the event; it dies before if it still runs. Whoever reads its log goes on to the end.
    pub fn destroy(&self) {
        self.shared.change(|state| state.destroy(&self.id));
    }

    /// Writes a line, in pieces of 16 KiB like Docker if it is long, and returns its stamp.
    pub fn line(&self, stream: Stream, text: impl AsRef<[u8]>) -> i64 {
        self.shared.change(|state| {
            let stamp = state.tick();
            let mut bytes = text.as_ref().to_vec();
            bytes.extend_from_slice(if state.container(&self.id).options.tty { b"\r\n" } else { b"\n" });
            for piece in bytes.chunks(PIECE) {
                state.write(&self.id, stream, stamp, piece);
            }
            stamp
        })
    }

    /// Writes a piece as it is, with this stamp.
    pub fn piece(&self, stream: Stream, stamp: i64, bytes: impl AsRef<[u8]>) {
        self.shared.change(|state| state.write(&self.id, stream, stamp, bytes.as_ref()));
    }

    /// The next request for its log goes wrong; of several faults, one request after the other has one.
    pub fn fail_logs(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).log_faults.push_back(fault));
    }

    /// The next request to inspect it goes wrong.
    pub fn fail_inspect(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).inspect_faults.push_back(fault));
    }

    /// Its log cannot be read, ever: 501.
    pub fn unreadable(&self) {
        self.shared.change(|state| state.container_mut(&self.id).unreadable = true);
    }

    /// The next piece that it writes cannot be decoded. Who reads up to it gets the Engine's message instead, and the end.
    pub fn damage_next(&self) {
        self.shared.change(|state| {
            let container = state.container_mut(&self.id);
            container.damaged = Some(container.log.len());
        });
    }

    /// How many requests for its log have arrived.
    pub fn log_requests(&self) -> usize {
        self.shared.look(|state| count(state, &format!("/{}/logs", self.id)))
    }

    /// Waits until so many requests for its log have arrived.
    pub async fn wait_for_log_requests(&self, count_wanted: usize) {
        let part = format!("/{}/logs", self.id);
        self.shared.wait(|state| count(state, &part) >= count_wanted).await;
    }
}
