//! A scripted Docker Engine on a unix socket, for tests of situations that a real Engine does not produce on
//! demand.
//!
//! The Engine answers `_ping`, `info`, `events`, `containers/json`, `containers/{id}/json` and
//! `containers/{id}/logs` as Docker does. The test creates, starts and removes the containers, and writes
//! their logs. The Engine has its own clock. It records every request, and injects faults: refusals, invalid
//! frames, cut connections, streams that end too early, lost events, and an Engine that stops.
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
    reason = "test support: a failure ends the test"
)]

mod http;
mod server;
mod stamp;
mod state;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use state::{Shared, State};

/// The time at which an Engine's clock starts, in nanoseconds since the Unix epoch: 2026-11-22T22:44:18Z.
pub const START: i64 = 1_795_387_458_000_000_000;

/// The length at which Docker splits a line into pieces.
pub const PIECE: usize = 16 * 1024;

/// The maximum length of the pieces into which Podman splits a line.
pub const PODMAN_PIECE: usize = 8 * 1024;

/// An output stream of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error. A container with a terminal has none, and writes to standard output instead.
    Stderr,
}

/// An Engine's interpretation of `since`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// As in Docker 20.10: omits every piece with an older stamp, wherever it is in the log.
    EachPiece,
    /// As in Docker 24 and later: sends all pieces from the first one whose stamp is not older.
    UntilFirst,
}

/// Options of an Engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The newest API version that the Engine supports. Default: `1.41`, as in Docker 20.10.
    pub api_version: String,
    /// True if the Engine sends the content type of a log, as Engines do from API version 1.42 on. Default:
    /// false.
    pub names_content_type: bool,
    /// Interpretation of `since`. Default: as in Docker 20.10.
    pub since: Since,
    /// The maximum size of the chunks in which the Engine sends a log. Default: 4,096 bytes.
    pub chunk: usize,
    /// True if the Engine answers as Podman 4.3 does. It then sends Podman's header, stamps of whole seconds,
    /// and lines in pieces of at most 8 KiB, each of which has its own stamp. The filter `since` compares
    /// stamps in nanoseconds. Default: false.
    pub podman: bool,
    /// The host name. Default: `engine-host`.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_version: "1.41".into(),
            names_content_type: false,
            since: Since::EachPiece,
            chunk: 4096,
            podman: false,
            name: "engine-host".into(),
        }
    }
}

/// Options of a container.
#[derive(Clone, Debug, Default)]
pub struct ContainerOptions {
    /// The name, without a slash.
    pub name: String,
    /// The environment, in the form `NAME=value`.
    pub env: Vec<String>,
    /// The labels.
    pub labels: Vec<(String, String)>,
    /// True if the container has a terminal.
    pub tty: bool,
    /// The path of the program; `/bin/sh` if it is absent.
    pub program: Option<String>,
}

impl ContainerOptions {
    /// Returns options with this name and defaults for the rest.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a variable, `NAME=value`, to the environment.
    pub fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.into());
        self
    }

    /// Adds a label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sets the path of the program.
    pub fn program(mut self, path: &str) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Gives the container a terminal.
    pub fn tty(mut self) -> Self {
        self.tty = true;
        self
    }
}

/// A fault of one answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Sends these bytes after a number of pieces, then the remaining pieces.
    BytesAfter(usize, Vec<u8>),
    /// Closes the connection after a number of bytes of the body, without the final chunk.
    CutAfter(usize),
    /// Ends the answer in order after a number of pieces, as if the log had no further piece.
    EndAfter(usize),
    /// Never answers.
    Hang,
    /// Answers after this time.
    Late(Duration),
    /// Sends the headers at once and the body after this time.
    LateBody(Duration),
    /// Answers with this status, and a message in the Engine's form.
    Status(u16, String),
}

/// A simulated Engine. Dropping it stops it.
#[derive(Debug)]
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    folder: PathBuf,
    socket: PathBuf,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl SimulatedEngine {
    /// Starts an Engine with the default options, like Docker 20.10.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts an Engine with these options.
    pub async fn start_with(options: Options) -> Self {
        let engine = Self::away(options);
        engine.come_back();
        engine
    }

    /// Creates an Engine without starting it: its socket does not exist before
    /// [`come_back`](Self::come_back).
    pub fn away(options: Options) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("simulated-engine-{}-{number}", std::process::id()));
        // A killed process with the same id may have left its socket.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("docker.sock");
        Self { shared: Arc::new(Shared::new(options)), folder, socket, server: Mutex::new(None) }
    }

    /// Returns the path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the Engine's address in the form of `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Creates a container without starting it.
    pub fn create(&self, options: ContainerOptions) -> Container {
        let id = self.shared.change(|state| state.create(options));
        Container { shared: self.shared.clone(), id }
    }

    /// Returns all requests in the order of their arrival: method and target, such as `GET /v1.41/info`.
    pub fn requests(&self) -> Vec<String> {
        self.shared.look(|state| state.requests.clone())
    }

    /// Returns the number of requests that contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.shared.look(|state| count(state, part))
    }

    /// Waits until at least `count_wanted` requests that contain `part` have arrived.
    pub async fn wait_for(&self, count_wanted: usize, part: &str) {
        self.shared.wait(|state| count(state, part) >= count_wanted).await;
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        self.shared.wait(|state| state.connections == 0).await;
    }

    /// Sets the clock, in nanoseconds since the Unix epoch. Each event and each line advances it by a
    /// microsecond.
    pub fn set_clock(&self, nanos: i64) {
        self.shared.change(|state| state.clock = nanos);
    }

    /// Ends all event streams in order, as a proxy does.
    pub fn end_events(&self) {
        self.shared.change(|state| state.events_ended += 1);
    }

    /// Sets whether events are lost.
    pub fn lose_events(&self, lost: bool) {
        self.shared.change(|state| state.loses_events = lost);
    }

    /// Sends a line, followed by a line feed, on all event streams. The line need not be an event.
    pub fn send_event(&self, line: &str) {
        self.shared.change(|state| state.events.push(line.into()));
    }

    /// Sets whether the list of containers stays in its current state.
    pub fn freeze_list(&self, frozen: bool) {
        self.shared.change(|state| state.frozen_list = frozen.then(|| state.list()));
    }

    /// Injects a fault into the next answer to `_ping`.
    pub fn fail_ping(&self, fault: Fault) {
        self.shared.change(|state| state.ping_faults.push_back(fault));
    }

    /// Injects a fault into the next answer to `info`.
    pub fn fail_info(&self, fault: Fault) {
        self.shared.change(|state| state.info_faults.push_back(fault));
    }

    /// Injects a fault into the next list of containers.
    pub fn fail_list(&self, fault: Fault) {
        self.shared.change(|state| state.list_faults.push_back(fault));
    }

    /// Removes the socket and closes every connection, like an Engine that stops. The containers keep
    /// running.
    pub async fn go_away(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            // Dropping the server closes the connections.
            let _ = server.await;
        }
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Starts listening, for the first time or again.
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
    /// Returns the id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts the container and sends the event.
    pub fn start(&self) {
        self.shared.change(|state| state.start(&self.id));
    }

    /// Ends the container's processes and sends the event. Streams that follow its log end after its last
    /// line.
    pub fn die(&self) {
        self.shared.change(|state| state.die(&self.id));
    }

    /// Renames the container and sends the event.
    pub fn rename(&self, name: &str) {
        self.shared.change(|state| state.rename(&self.id, name));
    }

    /// Ends the container if it still runs, removes it and sends the event. Open streams of its log continue
    /// to the end.
    pub fn destroy(&self) {
        self.shared.change(|state| state.destroy(&self.id));
    }

    /// Writes a line in pieces, and returns the stamp of the first piece. By default, the pieces have at most
    /// 16 KiB and the same stamp, as in Docker. With the option `podman`, they have at most 8 KiB and
    /// increasing stamps.
    pub fn line(&self, stream: Stream, text: impl AsRef<[u8]>) -> i64 {
        self.shared.change(|state| {
            let stamp = state.tick();
            let mut bytes = text.as_ref().to_vec();
            bytes.extend_from_slice(if state.container(&self.id).options.tty { b"\r\n" } else { b"\n" });
            let length = if state.options.podman { PODMAN_PIECE } else { PIECE };
            for (index, piece) in bytes.chunks(length).enumerate() {
                let stamp = if index > 0 && state.options.podman { state.tick() } else { stamp };
                state.write(&self.id, stream, stamp, piece);
            }
            stamp
        })
    }

    /// Writes a piece unchanged, with this stamp.
    pub fn piece(&self, stream: Stream, stamp: i64, bytes: impl AsRef<[u8]>) {
        self.shared.change(|state| state.write(&self.id, stream, stamp, bytes.as_ref()));
    }

    /// Injects a fault into the next answer with the container's log. Each further call injects a fault into
    /// the answer after that.
    pub fn fail_logs(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).log_faults.push_back(fault));
    }

    /// Injects a fault into the next inspection.
    pub fn fail_inspect(&self, fault: Fault) {
        self.shared.change(|state| state.container_mut(&self.id).inspect_faults.push_back(fault));
    }

    /// Makes the log unreadable: each request for it is answered with status 501.
    pub fn unreadable(&self) {
        self.shared.change(|state| state.container_mut(&self.id).unreadable = true);
    }

    /// Makes the next written piece undecodable. Streams that reach it send the Engine's error message
    /// instead, and end.
    pub fn damage_next(&self) {
        self.shared.change(|state| {
            let container = state.container_mut(&self.id);
            container.damaged = Some(container.log.len());
        });
    }

    /// Returns the number of requests for the container's log.
    pub fn log_requests(&self) -> usize {
        self.shared.look(|state| count(state, &format!("/{}/logs", self.id)))
    }

    /// Waits until at least `count_wanted` requests for the container's log have arrived.
    pub async fn wait_for_log_requests(&self, count_wanted: usize) {
        let part = format!("/{}/logs", self.id);
        self.shared.wait(|state| count(state, &part) >= count_wanted).await;
    }
}
