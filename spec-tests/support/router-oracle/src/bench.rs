//! Provides everything that a row (a measurement) needs: the Engine, the router's program and image, and
//! writers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::message::Message;
use real_engine::{Engine, RunOptions, RunningContainer};

use crate::daemon::Daemon;
use crate::tally::Written;

/// Folder of the writer inside of containers.
const MOUNTED: &str = "/oracle";

/// The Engine, the programs and the folder that all rows use.
#[derive(Debug)]
pub struct Bench {
    daemon: Daemon,
    engine: Engine,
    repository: PathBuf,
    router: PathBuf,
    read: Option<String>,
    image: Option<String>,
    /// Folder that is mounted into the containers of writers. It has the writer program, and files that are
    /// signals to writers.
    folder: PathBuf,
    amount: Amount,
    /// The next number of a stream, or of a path.
    streams: AtomicU32,
}

/// The programs and folders of a bench.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Path of the Engine program, `dockerd` or `podman`.
    pub engine: PathBuf,
    /// A folder for the data of Engines and containers.
    pub data: PathBuf,
    /// A folder for the Engine's sockets, with a short path.
    pub run: PathBuf,
    /// The router, as a static program.
    pub router: PathBuf,
    /// The writer, as a static program.
    pub writer: PathBuf,
    /// The root of the repository.
    pub repository: PathBuf,
    /// The way in which routers read logs, `files` or `auto`. Without it, they read through the Engine.
    pub read: Option<String>,
}

/// The amount of work of a row, as far as the command line sets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Number of repetitions.
    pub runs: Option<u32>,
    /// Duration of a long row, in hours.
    pub hours: Option<f64>,
    /// Seed of the random choices of a long row.
    pub seed: Option<u64>,
}

impl Bench {
    /// Starts the Engine.
    ///
    /// # Errors
    /// Returns the reason if the Engine does not start, or if the writer program cannot be copied.
    pub fn start(programs: &Programs, amount: Amount) -> Result<Self, String> {
        let folder = programs.data.join("mounted");
        let describe = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(describe)?;
        fs::copy(&programs.writer, folder.join("writer")).map_err(describe)?;
        let daemon = Daemon::start(&programs.engine, &programs.data.join("engine"), &programs.run)?;
        let engine = Engine::at(&daemon.host())?;
        Ok(Self {
            daemon,
            engine,
            repository: programs.repository.clone(),
            router: programs.router.clone(),
            read: programs.read.clone(),
            image: None,
            folder,
            amount,
            streams: AtomicU32::new(0),
        })
    }

    /// Returns the number of repetitions from the command line, or this default.
    pub fn runs(&self, default: u32) -> u32 {
        self.amount.runs.unwrap_or(default)
    }

    /// Returns the duration of a long row in hours, from the command line.
    pub fn hours(&self) -> Option<f64> {
        self.amount.hours
    }

    /// Returns the seed of the random choices from the command line.
    pub fn seed(&self) -> Option<u64> {
        self.amount.seed
    }

    /// Returns the Engine's process.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Returns the Engine's process for a restart.
    pub fn daemon_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Returns the Engine as a target of `docker` commands.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the path of the router.
    pub fn router(&self) -> &Path {
        &self.router
    }

    /// Returns the option of the router for the way of reading, if it is not the default.
    pub fn read(&self) -> Option<String> {
        let read = self.read.as_ref()?;
        Some(format!("--read={read}={}", self.daemon.containers().display()))
    }

    /// Returns the name of the router's image, which is built at the first call.
    pub fn image(&mut self) -> String {
        if let Some(image) = &self.image {
            return image.clone();
        }
        let script = self.repository.join("scripts/image");
        let output = Command::new(script).env("DOCKER_HOST", self.daemon.host()).output();
        let output = output.expect("scripts/image runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let image = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        self.image.insert(image).clone()
    }

    /// Returns a path for a new folder or file on the host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{}", self.streams.fetch_add(1, Ordering::Relaxed)))
    }

    /// Starts a writer in a container.
    pub fn write(&self, writing: Writing) -> Writer {
        let first = self.streams.fetch_add(2, Ordering::Relaxed);
        let file = |name: &str| format!("{name}-{first}");
        let mut command = vec![
            format!("{MOUNTED}/writer"),
            first.to_string(),
            writing.lines.to_string(),
            writing.rate.to_string(),
            format!("stay={}", writing.stay),
            format!("until={MOUNTED}/{}", file("until")),
        ];
        if writing.both {
            command.push("both".to_owned());
        }
        if writing.waits {
            command.push(format!("after={MOUNTED}/{}", file("after")));
        }
        let volume = format!("--volume={}:{MOUNTED}:ro", self.folder.display());
        let options = RunOptions::new(&writing.name, command)
            .docker_arguments([volume.as_str(), "--stop-timeout=0"])
            .docker_arguments(writing.docker.iter().copied());
        let container = self.engine.run(options);
        let signal = |name: &str| self.folder.join(file(name));
        Writer { container, first, writing, go: signal("after"), end: signal("until") }
    }

    /// Describes a writer for a container that the caller starts. Returns the volume to mount, the command of
    /// the writer, and the lines that the writer writes.
    pub fn command(&self, lines: u64, rate: u64, stay: f64) -> (String, Vec<String>, Written) {
        let first = self.streams.fetch_add(2, Ordering::Relaxed);
        let mount = format!("{}:{MOUNTED}:ro", self.folder.display());
        let command = vec![
            format!("{MOUNTED}/writer"),
            first.to_string(),
            lines.to_string(),
            rate.to_string(),
            format!("stay={stay}"),
        ];
        (mount, command, Written::from([(first, lines)]))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The lines that a writer writes.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Prefix of the container's name.
    pub name: String,
    /// Number of lines.
    pub lines: u64,
    /// Lines per second; 0 is full speed.
    pub rate: u64,
    /// Indicates that every second line goes to stderr.
    pub both: bool,
    /// Indicates that the writer waits for [`Writer::go`] after its first line.
    pub waits: bool,
    /// Seconds that the container lives after its last line.
    pub stay: f64,
    /// Arguments of `docker run`.
    pub docker: Vec<&'static str>,
}

impl Writing {
    /// Creates a description of lines on both streams. The container lives on for ten minutes after its last
    /// line.
    pub fn new(name: &str, lines: u64, rate: u64) -> Self {
        Self { name: name.to_owned(), lines, rate, both: true, waits: false, stay: 600.0, docker: Vec::new() }
    }

    /// Creates a description of endless lines on both streams. [`Writer::end`] ends the lines.
    pub fn endless(name: &str, rate: u64) -> Self {
        Self::new(name, u64::MAX >> 1, rate)
    }

    /// Adds arguments of `docker run`.
    pub fn docker(mut self, arguments: impl IntoIterator<Item = &'static str>) -> Self {
        self.docker.extend(arguments);
        self
    }
}

/// A container with a writer. Dropping the handle removes the container.
#[derive(Debug)]
pub struct Writer {
    /// The container.
    pub container: RunningContainer,
    first: u32,
    writing: Writing,
    go: PathBuf,
    end: PathBuf,
}

impl Writer {
    /// Lets a waiting writer continue after its first line.
    pub fn go(&self) {
        fs::write(&self.go, "").expect("a file can be created");
    }

    /// Returns the number of the writer's first stream.
    pub fn stream(&self) -> u32 {
        self.first
    }

    /// Returns the written lines of a writer that has a known number of lines.
    pub fn written(&self) -> Written {
        let lines = self.writing.lines;
        match self.writing.both {
            true => Written::from([(self.first, lines.div_ceil(2)), (self.first + 1, lines / 2)]),
            false => Written::from([(self.first, lines)]),
        }
    }

    /// Ends an endless writer. Returns the numbers of lines that it has written, according to the last lines of
    /// the log.
    pub fn end(&self, engine: &Engine) -> Written {
        fs::write(&self.end, "").expect("a file can be created");
        let mut last = None;
        loop {
            sleep(Duration::from_millis(300));
            let output = engine.docker(["logs", "--tail", "8", self.container.id()]);
            let numbers =
                numbered(&output.stdout).chain(numbered(&output.stderr)).map(|message| message.number);
            let end = numbers.max().map(|number| number + 1);
            if let Some(end) = end.filter(|_| end == last) {
                // An endless writer writes the same number of lines to both streams. The Engine can store one of
                // the streams later than the other, so the larger number of lines counts for both.
                return Written::from([(self.first, end), (self.first + 1, end)]);
            }
            last = end;
        }
    }

    /// Returns the number of missing lines that the Engine's log still has.
    pub fn still_there(&self, engine: &Engine, missing: &BTreeSet<(u32, u64)>) -> u64 {
        if missing.is_empty() {
            return 0;
        }
        let output = engine.docker(["logs", self.container.id()]);
        let messages = numbered(&output.stdout).chain(numbered(&output.stderr));
        messages.filter(|message| missing.contains(&(message.stream, message.number))).count() as u64
    }
}

/// Returns the numbered lines of a text.
fn numbered(text: &[u8]) -> impl Iterator<Item = Message> + '_ {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| Message::parse(std::str::from_utf8(line).ok()?.trim_end()))
}
