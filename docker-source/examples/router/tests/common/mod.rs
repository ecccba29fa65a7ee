//! The router as a process, its two outputs read line by line.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that should take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running router; killed when dropped.
pub(crate) struct Router {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    said: Vec<String>,
}

impl Router {
    /// Starts it with these arguments.
    pub(crate) fn start(docker_host: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
        command.args(arguments).env("DOCKER_HOST", docker_host).env_remove("ROUTE_URIS");
        Self::spawn(command)
    }

    /// Starts a command that is, or becomes, the router.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the router starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr, said: Vec::new() }
    }

    /// Waits until a line on stderr contains the word.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line);
                    if self.said.last().is_some_and(|line| line.contains(word)) {
                        return;
                    }
                }
                Err(error) => panic!("the router never said {word:?} ({error}): {:#?}", self.said),
            }
        }
    }

    /// Waits until it follows the containers that are there.
    #[track_caller]
    pub(crate) fn wait_until_ready(&mut self) {
        self.wait_for("ready");
    }

    /// The next line on stdout.
    #[track_caller]
    pub(crate) fn next_line(&mut self) -> String {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("nothing on stdout ({error}); stderr: {:#?}", self.everything_said()),
        }
    }

    /// The next line on stdout, read as JSON.
    #[track_caller]
    pub(crate) fn next_message(&mut self) -> serde_json::Value {
        let line = self.next_line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The lines on stdout until it is silent for so long.
    pub(crate) fn lines_until_silent(&self, silence: Duration) -> Vec<String> {
        std::iter::from_fn(|| self.stdout.recv_timeout(silence).ok()).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end: the exit status, what was left on stdout, and all that it said on stderr.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("waitable") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                None => panic!("the router does not end: {:#?}", self.everything_said()),
            }
        };
        // The readers end with the pipes.
        let stdout = self.stdout.iter().collect();
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.stderr.iter());
        (status.code(), stdout, said)
    }

    /// SIGTERM, and then as [`wait`](Self::wait); the exit status must be 0.
    #[track_caller]
    pub(crate) fn terminate(self) -> (Vec<String>, Vec<String>) {
        self.signal("TERM");
        let (status, stdout, said) = self.wait();
        assert_eq!(status, Some(0), "{said:#?}");
        (stdout, said)
    }

    pub(crate) fn everything_said(&mut self) -> &[String] {
        self.said.extend(self.stderr.try_iter());
        &self.said
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if line.map(|line| sender.send(line)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The number behind `name=` or before ` name` in what the router said last of it.
#[track_caller]
pub(crate) fn figure(said: &[String], name: &str) -> u64 {
    let before = format!(" {name}");
    let number = said.iter().rev().find_map(|line| {
        let (head, _) = line.split_once(&before)?;
        head.rsplit(' ').next()?.parse().ok()
    });
    number.unwrap_or_else(|| panic!("no figure {name:?} in {said:#?}"))
}
