//! A subject that runs as a separate program.

use std::fmt;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::program::Program;
use crate::protocol;
use crate::subject::{Description, Reply, Request, Subject};

/// Maximum time for the answer to `hello`. It is long because some language runtimes start slowly.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(60);

/// A program that speaks the protocol of `PROTOCOL.md` on standard input and output.
///
/// A program that does not answer in time is killed. After that, and after a crash, the program is started
/// again for the next request.
#[derive(Debug)]
pub struct Process {
    command: String,
    timeout: Duration,
    description: Description,
    running: Option<Running>,
}

/// A running program, with the channels for its requests and for its lines of output.
#[derive(Debug)]
pub(crate) struct Running {
    program: Program,
    /// `None` after the program's input was closed.
    requests: Option<SyncSender<String>>,
    lines: Receiver<Vec<u8>>,
}

/// Reason why no line arrived.
pub(crate) enum NoLine {
    Ended(String),
    TimedOut,
}

impl Process {
    /// Default time limit for an answer: 5 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Starts a program by a shell command line and asks for its description.
    ///
    /// # Errors
    /// Returns one line with the reason why the program is not usable as a subject.
    pub fn start(command: &str, timeout: Duration) -> Result<Self, String> {
        let explain = |reason: &dyn fmt::Display| format!("subject '{command}': {reason}");
        let mut running = Running::start(command).map_err(|error| explain(&error))?;
        let line = match running.exchange(&protocol::hello()?, HELLO_TIMEOUT) {
            Ok(line) => line,
            Err(NoLine::Ended(words)) => return Err(explain(&format!("it ended immediately: {words}"))),
            Err(NoLine::TimedOut) => return Err(explain(&"no answer to hello")),
        };
        let description = protocol::description(&line).map_err(|error| explain(&error))?;
        Ok(Self { command: command.to_owned(), timeout, description, running: Some(running) })
    }

    fn running(&mut self) -> Result<&mut Running, String> {
        if self.running.is_none() {
            // `start` sends `hello`, which the protocol requires for each process.
            self.running = Self::start(&self.command, self.timeout)?.running.take();
        }
        self.running.as_mut().ok_or_else(|| format!("subject '{}' is not running", self.command))
    }
}

impl Subject for Process {
    fn description(&self) -> &Description {
        &self.description
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        let line = match protocol::line(&request, &self.description)? {
            Ok(line) => line,
            Err(why) => return Ok(Reply::Unsupported(why)),
        };
        let timeout = self.timeout;
        match self.running()?.exchange(&line, timeout) {
            Ok(answer) => protocol::reply(request.id, &answer)
                .map_err(|error| format!("subject '{}': {error}", self.command)),
            Err(NoLine::Ended(words)) => {
                self.running = None;
                Ok(Reply::Crashed(words))
            }
            Err(NoLine::TimedOut) => {
                self.running = None;
                Ok(Reply::NoAnswer(timeout))
            }
        }
    }
}

impl Running {
    pub(crate) fn start(command: &str) -> std::io::Result<Self> {
        let (program, input, lines) = Program::start(command, true)?;
        let mut input = input.ok_or_else(|| std::io::Error::other("no pipe to the program"))?;
        // A separate thread writes the requests: a hanging program does not read them, and thereby blocks the
        // writer. Killing the program ends this thread.
        let (requests, to_write) = sync_channel::<String>(1);
        std::thread::spawn(move || {
            while let Ok(line) = to_write.recv() {
                if writeln!(input, "{line}").and_then(|()| input.flush()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { program, requests: Some(requests), lines })
    }

    /// Writes a request and waits for the answer. Kills the program if there is no answer in time.
    pub(crate) fn exchange(&mut self, line: &str, timeout: Duration) -> Result<String, NoLine> {
        if self.requests.as_ref().is_none_or(|requests| requests.send(line.to_owned()).is_err()) {
            return Err(self.ended());
        }
        match self.lines.recv_timeout(timeout) {
            Ok(line) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.program.kill();
                Err(NoLine::TimedOut)
            }
        }
    }

    /// Writes a last request and closes the program's input. Returns whether the program writes a line in time.
    pub(crate) fn answers_at_end(mut self, line: &str, timeout: Duration) -> bool {
        let Some(requests) = self.requests.take() else { return false };
        let is_written = requests.send(line.to_owned()).is_ok();
        drop(requests);
        is_written && self.lines.recv_timeout(timeout).is_ok()
    }

    /// Returns a line that the program has written without a request, if one arrives within this time.
    pub(crate) fn unasked(&self, time: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(time).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Closes the program's input. Returns whether the program ends by itself in time.
    pub(crate) fn ends(mut self) -> bool {
        self.requests = None;
        self.program.wait(END_TIMEOUT)
    }

    fn ended(&mut self) -> NoLine {
        NoLine::Ended(self.program.end())
    }
}

/// Maximum time from the end of a program's input to the end of the program. Some programs have to stop
/// servers and remove files. After this time, the program is killed.
pub(crate) const END_TIMEOUT: Duration = Duration::from_secs(3);

impl Drop for Running {
    fn drop(&mut self) {
        self.requests = None;
        self.program.wait(END_TIMEOUT);
    }
}
