//! Runs programs that are given as shell command lines.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of bytes that are kept from the end of standard error.
const LAST_OUTPUT_BYTES: usize = 8 << 10;

/// Maximum length of a line: 64 MiB. A longer line is split into several lines.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Maximum number of lines in the queue of a program or listener. While the queue is full, the output is not
/// read, so the program blocks.
pub(crate) const MAX_LINES: usize = 1024;

/// Maximum time to read the rest of standard error after the program has ended.
const ERRORS_WAIT: Duration = Duration::from_secs(2);

/// A running program. Dropping this value kills the program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    last_output: Arc<Mutex<Vec<u8>>>,
    /// Is disconnected when standard error has been read to its end.
    errors_read: Receiver<()>,
}

impl Program {
    /// Starts a program with or without a pipe to its standard input. Returns the pipe, if any, and the lines
    /// of the program's standard output.
    pub(crate) fn start(
        command: &str,
        has_input: bool,
    ) -> std::io::Result<(Self, Option<ChildStdin>, Receiver<Vec<u8>>)> {
        // For a single command, the shell replaces itself with the program, so killing the child kills the program.
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
        let (reading, errors_read) = sync_channel(0);
        std::thread::spawn(move || {
            keep_last(errors, &kept);
            drop(reading);
        });
        let (sender, lines) = sync_channel(MAX_LINES);
        std::thread::spawn(move || read_lines(output, &sender));
        Ok((Self { child, last_output, errors_read }, input, lines))
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

    /// Ends a program whose pipes are closed. Returns its exit status, and the reason that its standard error gives.
    pub(crate) fn end(&mut self) -> String {
        // A program that has closed its pipes cannot answer any more. It gets 50 ms to end by itself.
        std::thread::sleep(Duration::from_millis(50));
        self.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        // The wait has a limit, because a child of the program can keep standard error open.
        let _ = self.errors_read.recv_timeout(ERRORS_WAIT);
        let output = self.last_output.lock().unwrap_or_else(PoisonError::into_inner);
        match reason(&String::from_utf8_lossy(&output)) {
            Some(reason) => format!("{status}: {reason}"),
            None => status,
        }
    }
}

/// Returns the last line of a program's output that names an exception or a panic, because some language
/// runtimes write a stack trace or their version after that line. If no line names one, returns the last line.
fn reason(output: &str) -> Option<String> {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let named = lines.iter().rposition(|line| names_error(line)).and_then(|at| lines.get(at..));
    match named.or_else(|| lines.last().map(std::slice::from_ref))? {
        // Rust writes the message of a panic on the next line.
        [panicked, message, ..] if panicked.contains(PANICKED) => Some(format!("{panicked} {message}")),
        [line, ..] => Some((*line).to_owned()),
        [] => None,
    }
}

/// The words that Rust's runtime writes before the location of a panic.
const PANICKED: &str = " panicked at ";

/// Returns whether a line has the form of an uncaught exception or a panic, such as `java.lang.Error: text`.
fn names_error(line: &str) -> bool {
    let name = line.split(':').next().and_then(|start| start.split(' ').next_back()).unwrap_or(line);
    // Ruby writes the class after the text.
    let is_exception =
        ["Error", "Exception"].iter().any(|end| name.ends_with(end)) || line.ends_with("Error)");
    is_exception || name == "panic" || line.contains(PANICKED)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_exception_and_not_the_end_of_its_trace() {
        for (output, expected) in [
            (
                "<anonymous_script>:1\n{\n\nSyntaxError: Expected '}' in JSON\n    at JSON.parse (<anonymous>)\n\nNode.js v20\n",
                "SyntaxError: Expected '}' in JSON",
            ),
            (
                "Traceback:\n  File \"a.py\", line 1\njson.decoder.JSONDecodeError: Expecting value\n",
                "json.decoder.JSONDecodeError: Expecting value",
            ),
            (
                "Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat A.main(A.java:3)\nCaused by: x\n",
                "Exception in thread \"main\" java.lang.IllegalStateException: no",
            ),
            (
                "panic: index out of range\n\ngoroutine 1 [running]:\nmain.main()\nexit status 2\n",
                "panic: index out of range",
            ),
            (
                "thread 'main' panicked at src/main.rs:2:5:\nno memory\nnote: run with RUST_BACKTRACE=1\n",
                "thread 'main' panicked at src/main.rs:2:5: no memory",
            ),
            (
                "a.rb:1:in `x': no (RuntimeError)\n\tfrom a.rb:3:in `<main>'\n",
                "a.rb:1:in `x': no (RuntimeError)",
            ),
            ("starting\nno memory left\n\n", "no memory left"),
        ] {
            assert_eq!(reason(output).as_deref(), Some(expected));
        }
        assert_eq!(reason("\n"), None);
    }
}
