//! Runs programs that a shell command line starts.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of bytes that are kept from the end of standard error.
const LAST_OUTPUT_BYTES: usize = 2000;

/// Maximum length of a line: 64 MiB. A longer line is split into several lines.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Maximum number of lines in the queue of a program or listener. While the queue is full, the output is not
/// read, so the program blocks.
pub(crate) const MAX_LINES: usize = 1024;

/// A running program. Dropping this value kills the program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    last_output: Arc<Mutex<Vec<u8>>>,
}

impl Program {
    /// Starts a program with or without a pipe to its standard input. Returns the pipe, if any, and the lines
    /// of the program's standard output.
    pub(crate) fn start(
        command: &str,
        has_input: bool,
    ) -> std::io::Result<(Self, Option<ChildStdin>, Receiver<Vec<u8>>)> {
        // The shell replaces itself with the program, so killing the child kills the program.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(if has_input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let no_pipe = || std::io::Error::other("no pipe to the program");
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(no_pipe)?;
        let errors = child.stderr.take().ok_or_else(no_pipe)?;
        let last_output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&last_output);
        std::thread::spawn(move || keep_last(errors, &kept));
        let (sender, lines) = sync_channel(MAX_LINES);
        std::thread::spawn(move || read_lines(output, &sender));
        Ok((Self { child, last_output }, input, lines))
    }

    /// Kills the program.
    pub(crate) fn kill(&mut self) {
        // An error is ignored, because it means that the program has already ended.
        let _ = self.child.kill();
    }

    /// Waits up to this time for the program to end. Returns whether it has ended.
    pub(crate) fn wait(&mut self, timeout: Duration) -> bool {
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() >= timeout {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends a program whose pipes are closed. Returns its exit status and the last line of its standard
    /// error.
    pub(crate) fn end(&mut self) -> String {
        // A program that has closed its pipes cannot answer any more. It has this long to end by itself.
        std::thread::sleep(Duration::from_millis(50));
        self.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let output = self.last_output.lock().unwrap_or_else(PoisonError::into_inner);
        let output = String::from_utf8_lossy(&output);
        match output.lines().rfind(|line| !line.trim().is_empty()) {
            Some(last) => format!("{status}: {last}"),
            None => status,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn keep_last(mut errors: ChildStderr, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(len @ 1..) = errors.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(buffer.split_at(len).0);
        let excess = kept.len().saturating_sub(LAST_OUTPUT_BYTES);
        kept.drain(..excess);
    }
}

/// Sends each line of the source to the channel `to`, until the source ends or the channel's receiver is
/// dropped. Blank lines are left out.
pub(crate) fn read_lines(source: impl Read, to: &SyncSender<Vec<u8>>) {
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        line.clear();
        if !matches!(read_line(&mut source, &mut line), Ok(true)) {
            return;
        }
        let text = line.trim_ascii();
        if !text.is_empty() && to.send(text.to_vec()).is_err() {
            return;
        }
    }
}

/// Reads up to a line feed, or to a null byte as in GELF over TCP. Returns false at the end of the source.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    while line.len() < MAX_LINE_BYTES {
        let available = match source.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = available.iter().position(|byte| matches!(byte, b'\n' | 0));
        line.extend_from_slice(available.split_at(end.unwrap_or(available.len())).0);
        let taken = end.map_or(available.len(), |end| end + 1);
        source.consume(taken);
        if end.is_some() {
            break;
        }
    }
    Ok(true)
}
