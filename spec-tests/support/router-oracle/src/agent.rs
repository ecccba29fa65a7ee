//! Runs the router as a process or as a container.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use real_engine::{RunOptions, RunningContainer};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;

/// Time limit for the router to become ready, to log an expected line, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The router as a process on the host. Dropping the handle kills the process.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    logged: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    /// Starts the router and waits until it is ready.
    pub fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let mut command = Command::new(bench.router());
        command.args(bench.read()).args(arguments);
        let agent = Self::spawn(bench, command);
        agent.wait_for("ready: ");
        agent
    }

    /// Starts the router with this limit of open files, and waits until it is ready.
    pub fn start_with_open_files(bench: &Bench, limit: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
        command.arg(bench.router()).args(bench.read()).args(arguments);
        let agent = Self::spawn(bench, command);
        agent.wait_for("ready: ");
        agent
    }

    /// Starts a command that is, or becomes, the router.
    pub fn spawn(bench: &Bench, mut command: Command) -> Self {
        command.env("DOCKER_HOST", bench.daemon().host()).env_remove("ROUTE_URIS");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the router starts");
        let logged = Arc::default();
        collect(child.stdout.take().expect("piped"), Arc::clone(&logged));
        collect(child.stderr.take().expect("piped"), Arc::clone(&logged));
        Self { child, logged }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns all lines of stdout and stderr so far.
    pub fn logged(&self) -> Vec<String> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line contains the word, and returns the line.
    pub fn wait_for(&self, word: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.logged().into_iter().find(|line| line.contains(word));
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < deadline, "the router never logged {word:?}: {:#?}", self.logged());
            sleep(Duration::from_millis(5));
        }
    }

    /// Kills the router by SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the router by SIGTERM. Returns its exit status and its log.
    pub fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the router lives");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waitable") {
                // The threads that read the pipes end soon after the process.
                sleep(Duration::from_millis(50));
                return (status.code(), self.logged());
            }
            assert!(Instant::now() < deadline, "the router does not end: {:#?}", self.logged());
            sleep(Duration::from_millis(2));
        }
    }

    /// Returns the number of open files and the number of threads.
    pub fn open_files_and_threads(&self) -> (usize, usize) {
        let count =
            |folder: &str| fs::read_dir(format!("/proc/{}/{folder}", self.id())).map_or(0, Iterator::count);
        (count("fd"), count("task"))
    }

    /// Returns a figure of `/proc/PID/status` in KiB, such as `VmRSS`.
    pub fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static, logged: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            logged.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}

/// Starts the router as a container and waits until it is ready. `mount` is the path on the host that is
/// mounted, and `at` its path in the container. `options` are for `docker run`, and `arguments` for the router.
pub fn container(
    bench: &mut Bench,
    mount: &Path,
    at: &str,
    options: &[&str],
    arguments: &[&str],
) -> RunningContainer {
    let image = bench.image();
    let volume = format!("--volume={}:{at}", mount.display());
    let read = bench.read();
    let containers = bench.daemon().containers();
    let logs = format!("--volume={0}:{0}:ro", containers.display());
    let docker = options.iter().copied().chain([volume.as_str()]).chain(read.as_ref().map(|_| logs.as_str()));
    let arguments = read.as_deref().into_iter().chain(arguments.iter().copied());
    let options = RunOptions::new("agent", arguments).image(&image).network("host");
    let agent = bench.engine().run(options.docker_arguments(docker));
    let deadline = Instant::now() + PATIENCE;
    while !agent.logs_with_timestamps().1.contains("ready: ") {
        assert!(Instant::now() < deadline, "{}", agent.logs_with_timestamps().1);
        sleep(Duration::from_millis(50));
    }
    agent
}
