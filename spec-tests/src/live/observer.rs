//! Reads the output of a receiver: lines from the standard output of a program or from TCP connections, or
//! payloads of a receiver in this process.

use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::line;
use crate::accept::accept;
use crate::builtin::decoded;
use crate::observed::ObservedMessage;
use crate::program::{MAX_LINES, Program, read_lines};

/// Source of a receiver's output.
#[derive(Clone, Debug)]
pub enum Observe {
    /// Standard output of a program, given as a shell command line. The program can be the receiver itself.
    Command(String),
    /// Connections that the receiver opens to this address for its output.
    Listen(SocketAddr),
}

impl fmt::Display for Observe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => f.write_str(command),
            Self::Listen(address) => address.fmt(f),
        }
    }
}

/// An event in the output of a receiver.
#[derive(Debug)]
pub(super) enum OutputEvent {
    /// A message.
    Message(ObservedMessage),
    /// A line or payload that is not a message.
    Other,
    /// The output has ended. For a program, the text is its exit status and its last output.
    Ended(String),
}

/// Maximum number of concurrent connections.
const MAX_CONNECTIONS: usize = 64;

/// Reads the output of a receiver. Separate threads read programs and connections.
#[derive(Debug)]
pub(super) struct Observer {
    source: Source,
    ended: bool,
}

enum Source {
    Program { lines: Receiver<Vec<u8>>, program: Program },
    Listener { lines: Receiver<Vec<u8>>, stop: Arc<AtomicBool> },
    Payloads(Box<dyn FnMut(Duration) -> Option<Vec<u8>>>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program { .. } => "Program",
            Self::Listener { .. } => "Listener",
            Self::Payloads(_) => "Payloads",
        })
    }
}

impl Observer {
    /// Starts the program, or listens for connections.
    pub(super) fn start(observe: &Observe) -> Result<Self, String> {
        let explain = |error: std::io::Error| format!("'{observe}': {error}");
        match observe {
            Observe::Command(command) => Self::program(command).map_err(explain),
            Observe::Listen(address) => Self::listener(*address).map_err(explain),
        }
    }

    /// Creates an observer of payloads that a function returns.
    pub(super) fn payloads(received: impl FnMut(Duration) -> Option<Vec<u8>> + 'static) -> Self {
        Self { source: Source::Payloads(Box::new(received)), ended: false }
    }

    fn program(command: &str) -> std::io::Result<Self> {
        let (program, _, lines) = Program::start(command, false)?;
        Ok(Self { source: Source::Program { lines, program }, ended: false })
    }

    fn listener(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        // The listener does not block its thread, so that the thread sees the stop flag of a dropped
        // observer.
        listener.set_nonblocking(true)?;
        let (sender, lines) = sync_channel(MAX_LINES);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = move |stream: TcpStream, _, _| {
            if stream.set_nonblocking(false).is_ok() {
                read_lines(stream, &sender);
            }
        };
        std::thread::spawn(move || accept(&listener, MAX_CONNECTIONS, &stopped, serve, || true));
        Ok(Self { source: Source::Listener { lines, stop }, ended: false })
    }

    /// Waits at most this long for the next event, and returns it.
    pub(super) fn next(&mut self, within: Duration) -> Option<OutputEvent> {
        if self.ended {
            return None;
        }
        let lines = match &mut self.source {
            Source::Program { lines, .. } | Source::Listener { lines, .. } => lines,
            Source::Payloads(received) => return received(within).map(|payload| of_payload(&payload)),
        };
        match lines.recv_timeout(within) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                Some(line::message(&line).map_or(OutputEvent::Other, OutputEvent::Message))
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Some(OutputEvent::Ended(self.last_output()))
            }
        }
    }

    /// Returns whether the output has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn last_output(&mut self) -> String {
        match &mut self.source {
            Source::Program { program, .. } => program.end(),
            _ => "the listener has ended".to_owned(),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Source::Listener { stop, .. } = &self.source {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Decodes a payload of a receiver in this process. The decoder of gelf-core counts as a part of that
/// receiver. Returns [`OutputEvent::Other`] if the payload is not a message.
fn of_payload(payload: &[u8]) -> OutputEvent {
    let message = decoded(payload).and_then(|text| ObservedMessage::of(&text).ok());
    message.map_or(OutputEvent::Other, OutputEvent::Message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const WAIT: Duration = Duration::from_secs(10);

    fn short_message(heard: Option<OutputEvent>) -> String {
        match heard {
            Some(OutputEvent::Message(message)) => message.short_message.unwrap().text().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_is_read_line_by_line_to_its_end() {
        let command = r#"sh -c 'echo ready; echo "{\"short_message\":\"m\"}"; echo broken >&2; exit 3'"#;
        let mut observer = Observer::start(&Observe::Command(command.to_owned())).unwrap();
        assert!(matches!(observer.next(WAIT), Some(OutputEvent::Other)));
        assert_eq!(short_message(observer.next(WAIT)), "m");
        assert!(
            matches!(observer.next(WAIT), Some(OutputEvent::Ended(words)) if words == "exit status: 3: broken")
        );
        assert!(observer.has_ended());
        assert!(observer.next(WAIT).is_none());
    }

    #[test]
    fn connections_are_split_at_line_feeds_and_null_bytes() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut observer = Observer::start(&Observe::Listen(address)).unwrap();
        assert!(observer.next(Duration::ZERO).is_none());
        let mut first = TcpStream::connect(address).unwrap();
        first.write_all(b"{\"short_message\":\"a\"}\r\n\n").unwrap();
        assert_eq!(short_message(observer.next(WAIT)), "a");
        let mut second = TcpStream::connect(address).unwrap();
        second.write_all(b"{\"short_message\":\"b\"}\0").unwrap();
        assert_eq!(short_message(observer.next(WAIT)), "b");
    }
}
