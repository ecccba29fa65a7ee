//! A scripted Docker Engine on a unix socket, for tests of situations that a real Engine does not produce on
//! demand.
//!
//! The Engine answers `_ping`, `version`, `info`, `events`, `containers/json`, `containers/{id}/json` and
//! `containers/{id}/logs` as Docker or [Podman](Options::podman_4_3) does. The test creates, starts and
//! removes the containers, and writes their logs. The Engine has its own
//! [clock](SimulatedEngine::set_clock), and records every request.
//!
//! # Faults
//!
//! - A log is rotated, and its oldest file removed: [`ContainerOptions::rotated`], [`Container::rotate`].
//! - A follower is more than one rotation behind, and goes on with the newest file. A test causes this fault
//!   by writing the lines of several files without an `await` between them.
//! - A follower skips lines that the Engine has: [`Container::followers_skip`],
//!   [`LogFiles::followers_skip_files`].
//! - A follower is sent lines twice: [`Container::followers_repeat`].
//! - A stream ends before the log does: [`Container::end_followers`], [`Fault::EndAfter`].
//! - A connection is cut: [`Container::cut_followers`], [`Fault::CutAfter`].
//! - An answer has invalid bytes or an error message: [`Fault::BytesAfter`].
//! - An answer is late, refused, or never comes: [`Fault::Late`], [`Fault::LateBody`], [`Fault::Status`],
//!   [`Fault::Hang`].
//! - A record cannot be decoded: [`Container::damage_next`], [`Options::damaged`].
//! - `since` skips compressed files that have requested lines, and `tail` is slow:
//!   [`ContainerOptions::compressed`], [`Options::since`], [`Options::unpacking`].
//! - Events are lost, invalid or repeated: [`SimulatedEngine::lose_events`],
//!   [`SimulatedEngine::send_event`]. Lists are outdated: [`SimulatedEngine::freeze_list`].
//! - The Engine stops and starts again: [`SimulatedEngine::go_away`], [`SimulatedEngine::come_back`].
//! - The clock is set back: [`SimulatedEngine::set_clock`].
//!
//! # The oracle
//!
//! [`Container::written`] returns all lines that a container wrote, and whether the Engine has kept each
//! line. A correct log source delivers each kept line exactly once, unless the line is damaged.
//! [`Container::count`] returns how many requests of each [kind](RequestKind) the source needed.
//!
//! # Examples
//!
//! This example tests a log source. The source is a plain request for a log. It delivers an incomplete log,
//! because the follower skips a line:
//!
//! ```
//! use simulated_engine::{ContainerOptions, Options, SimulatedEngine, Stream};
//! # use std::{io::{Read, Write}, os::unix::net::UnixStream};
//!
//! /// Reads the log of the container `web` to its end.
//! fn read_log(docker_host: &str) -> String {
//!     // ...
//! #   let mut socket = UnixStream::connect(docker_host.strip_prefix("unix://").unwrap()).unwrap();
//! #   let target = "/containers/web/logs?follow=1&stdout=1&stderr=1";
//! #   write!(socket, "GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
//! #   let mut answer = Vec::new();
//! #   socket.read_to_end(&mut answer).unwrap();
//! #   String::from_utf8_lossy(&answer).into_owned()
//! }
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let engine = SimulatedEngine::start_with(Options::docker_20_10()).await;
//! let web = engine.create(ContainerOptions::named("web"));
//! web.start();
//! let docker_host = engine.docker_host();
//! let reading = tokio::task::spawn_blocking(move || read_log(&docker_host));
//! web.wait_for_followers(1).await;
//! web.line(Stream::Stdout, "first");
//! web.followers_skip(1);
//! web.line(Stream::Stdout, "second");
//! web.line(Stream::Stderr, "third");
//! web.die();
//!
//! let read = reading.await.unwrap();
//! let written = web.written();
//! let missing = written.iter().filter(|line| !read.contains(std::str::from_utf8(&line.bytes).unwrap()));
//! let missing: Vec<_> = missing.map(|line| (&line.bytes[..], line.is_kept)).collect();
//! assert_eq!(missing, [(&b"second"[..], true)]);
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod container;
mod files;
mod http;
mod log;
mod logs;
mod options;
mod query;
mod request;
mod server;
mod stamp;
mod state;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

pub use container::{Container, WrittenLine};
pub use options::{ContainerOptions, DamagedRead, Fault, LogFiles, Options, Since, Stream};
pub use request::RequestKind;
use state::{Shared, State};

/// The time at which an Engine's clock starts, in nanoseconds since the Unix epoch: 2026-11-22T22:44:18Z.
pub const START: i64 = 1_795_387_458_000_000_000;

/// The length at which Docker splits a line into pieces, in bytes.
pub const PIECE: usize = 16 * 1024;

/// The maximum length of the pieces into which Podman splits a line, in bytes.
pub const PODMAN_PIECE: usize = 8 * 1024;

/// A simulated Engine. It stops when it is dropped.
#[derive(Debug)]
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    folder: PathBuf,
    socket: PathBuf,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl SimulatedEngine {
    /// Starts an Engine with the default options, which are the options of Docker 20.10.
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
        // An earlier process with the same id was possibly killed, and left its socket behind.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("docker.sock");
        Self {
            shared: Arc::new(Shared::new(options, folder.join("containers"))),
            folder,
            socket,
            server: Mutex::new(None),
        }
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
        self.shared.look(|state| state.requests.iter().map(|request| request.line.clone()).collect())
    }

    /// Returns the number of requests of this kind.
    pub fn count_kind(&self, kind: RequestKind) -> usize {
        self.shared.look(|state| state.count_kind(kind, None))
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

    /// Sets the clock forward or back, to a time in nanoseconds since the Unix epoch. Each line, and each
    /// creation or event of a container, advances the clock by a microsecond. With the option
    /// [`podman`](Options::podman), each piece of a line does so.
    pub fn set_clock(&self, nanos: i64) {
        self.shared.change(|state| state.set_clock(nanos));
    }

    /// Ends all event streams with their final chunk, as a proxy does.
    pub fn end_events(&self) {
        self.shared.change(|state| state.events_ended += 1);
    }

    /// Sets whether events are lost.
    pub fn lose_events(&self, lost: bool) {
        self.shared.change(|state| state.loses_events = lost);
    }

    /// Sends a line, followed by a line feed, on all event streams. The line need not be an event.
    pub fn send_event(&self, line: &str) {
        self.shared.change(|state| state.push_event(line.into()));
    }

    /// Sets whether the list of containers stays in its current state.
    pub fn freeze_list(&self, frozen: bool) {
        self.shared.change(|state| {
            state.frozen_lists =
                frozen.then(|| [false, true].map(|has_ended_ones| state.list(has_ended_ones)));
        });
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
    state.requests.iter().filter(|request| request.line.contains(part)).count()
}
