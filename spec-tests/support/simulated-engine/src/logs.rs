//! Answers requests for the log of a container.

use std::future::pending;
use std::io;
use std::mem;

use serde_json::json;

use crate::http::Connection;
use crate::log::{Record, Step};
use crate::query::{LogQuery, Parameters};
use crate::server::refuse;
use crate::stamp::{rfc3339, rfc3339_of_second};
use crate::state::Shared;
use crate::{DamagedRead, Fault, Options, Since, Stream};

pub(crate) async fn logs(
    connection: &mut Connection,
    shared: &Shared,
    id: &str,
    parameters: &Parameters<'_>,
    accept: &str,
) -> io::Result<()> {
    let query = match LogQuery::new(parameters) {
        Ok(query) => query,
        Err(message) => return refuse(connection, 400, &message).await,
    };
    let mut changes = shared.changes();
    let (fault, unreadable) = shared.change(|state| {
        let container = state.container_mut(id);
        (container.log_faults.pop_front(), container.unreadable)
    });
    if unreadable {
        return refuse(connection, 501, "configured logging driver does not support reading").await;
    }
    match &fault {
        Some(Fault::Status(status, message)) => return refuse(connection, *status, message).await,
        Some(Fault::Hang) => return pending().await,
        Some(Fault::Late(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let (options, tty, must_unpack) = shared.look(|state| {
        let container = state.container(id);
        let must_unpack = query.tail.is_some() && container.log.has_compressed_files();
        (state.options.clone(), container.options.tty, must_unpack)
    });
    if must_unpack {
        tokio::time::sleep(options.unpacking).await;
    }
    let _follower = query.is_following.then(|| Follower { shared, id });
    let (mut reader, cuts, ends) = shared.change(|state| {
        let container = state.container_mut(id);
        container.followers += usize::from(query.is_following);
        // Podman's `tail` counts whole lines, not records. For Podman, the function `joined` applies `tail`.
        let tail = query.tail.filter(|_| !options.podman);
        let since = query.since.filter(|_| options.since == Since::EachPiece);
        let reader = container.log.reader(tail, since, container.runs, query.is_following);
        (reader, container.cuts, container.ends)
    });
    let wants_json = parameters.get("format") == Some(&"json") || accept.contains("ndjson");
    let form = match (wants_json && options.sends_json_logs, tty) {
        (true, _) => Form::Json,
        (false, true) => Form::Terminal,
        (false, false) => Form::Frames,
    };
    let content_type = match (options.names_content_type, form) {
        (_, Form::Json) => "Content-Type: application/x-ndjson\r\n",
        (true, Form::Terminal) => "Content-Type: application/vnd.docker.raw-stream\r\n",
        (true, Form::Frames) => "Content-Type: application/vnd.docker.multiplexed-stream\r\n",
        (false, _) => "",
    };
    connection.start_chunks(content_type).await?;
    if let Some(Fault::LateBody(time)) = &fault {
        tokio::time::sleep(*time).await;
    }
    let mut sender = Sender {
        connection,
        options: &options,
        form,
        query,
        fault,
        pieces: 0,
        has_passed_since: false,
        bytes: 0,
    };
    let mut joined_tail = query.tail.filter(|_| options.podman);
    loop {
        let (mut steps, is_over, is_cut) = shared.look(|state| {
            let container = state.container(id);
            if query.is_following && container.ends != ends {
                return (Vec::new(), true, false);
            }
            let (steps, is_over) = container.log.read(&mut reader, container.is_running, options.damaged);
            (steps, is_over, container.cuts != cuts)
        });
        if let Some(tail) = joined_tail.take() {
            steps = joined(steps, tail);
        }
        for step in steps {
            match sender.step(step).await? {
                Sent::Whole => {}
                Sent::Ended => return sender.connection.end_chunks().await,
                Sent::Cut => {
                    sender.connection.cut();
                    return Ok(());
                }
            }
        }
        if is_over {
            return sender.connection.end_chunks().await;
        }
        if is_cut {
            sender.connection.cut();
            return Ok(());
        }
        sender.connection.wait_for_change(&mut changes).await?;
    }
}

/// Subtracts a follower from the open ones when this value is dropped.
struct Follower<'a> {
    shared: &'a Shared,
    id: &'a str,
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.shared.change(|state| state.container_mut(self.id).followers -= 1);
    }
}

/// Joins the pieces of lines, regardless of their streams. Returns the last `tail` lines, as Podman does.
fn joined(steps: Vec<Step>, tail: usize) -> Vec<Step> {
    let mut lines = Vec::new();
    let mut open = Vec::new();
    for step in steps {
        let Step::Record(record) = step else { continue };
        open.extend_from_slice(&record.bytes);
        if record.bytes.ends_with(b"\n") {
            let bytes = mem::take(&mut open);
            lines.push(Step::Record(record.with_bytes(bytes)));
        }
    }
    lines.split_off(lines.len().saturating_sub(tail))
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Frames,
    Terminal,
    /// One JSON object for each record, followed by a line feed.
    Json,
}

/// Sends records, and injects a fault.
struct Sender<'a> {
    connection: &'a mut Connection,
    options: &'a Options,
    form: Form,
    query: LogQuery,
    fault: Option<Fault>,
    /// True once a record was not older than the parameter `since`.
    has_passed_since: bool,
    /// The number of records that were sent.
    pieces: usize,
    /// The number of bytes that were sent.
    bytes: usize,
}

enum Sent {
    Cut,
    Ended,
    Whole,
}

impl Sender<'_> {
    async fn step(&mut self, step: Step) -> io::Result<Sent> {
        let record = match step {
            Step::Record(record) => record,
            Step::Damage if self.options.damaged == DamagedRead::Error => {
                self.connection.chunk(b"\x03\0\0\0\0\0\0\x19Error grabbing logs: EOF\n").await?;
                return Ok(Sent::Ended);
            }
            Step::Damage => return Ok(Sent::Ended),
        };
        let is_older = self.query.since.is_some_and(|since| record.stamp < since);
        if is_older && (self.options.since == Since::EachPiece || !self.has_passed_since) {
            return Ok(Sent::Whole);
        }
        self.has_passed_since = true;
        if self.query.until.is_some_and(|until| record.stamp > until) {
            return Ok(Sent::Ended);
        }
        let is_requested = match record.stream {
            Stream::Stdout => self.query.has_stdout,
            Stream::Stderr => self.query.has_stderr,
        };
        match is_requested {
            true => self.send(&record).await,
            false => Ok(Sent::Whole),
        }
    }

    async fn send(&mut self, record: &Record) -> io::Result<Sent> {
        match &self.fault {
            Some(Fault::EndAfter(count)) if *count == self.pieces => return Ok(Sent::Ended),
            Some(Fault::BytesAfter(count, bytes)) if *count == self.pieces => {
                let bytes = bytes.clone();
                self.fault = None;
                self.connection.chunk(&bytes).await?;
            }
            _ => {}
        }
        let bytes = self.encode(record);
        self.pieces += 1;
        for part in bytes.chunks(self.options.chunk) {
            let left = match self.fault {
                Some(Fault::CutAfter(count)) => count.saturating_sub(self.bytes),
                _ => usize::MAX,
            };
            self.bytes += part.len();
            self.connection.chunk(&part[..part.len().min(left)]).await?;
            if part.len() > left {
                return Ok(Sent::Cut);
            }
        }
        Ok(Sent::Whole)
    }

    fn encode(&self, record: &Record) -> Vec<u8> {
        let stamp = match self.options.podman {
            true => rfc3339_of_second(record.stamp),
            false => rfc3339(record.stamp),
        };
        if self.form == Form::Json {
            let source = if record.stream == Stream::Stdout { "stdout" } else { "stderr" };
            let line = String::from_utf8_lossy(&record.bytes);
            let text = json!({"Line": line, "Source": source, "Timestamp": stamp}).to_string();
            return (text + "\n").into_bytes();
        }
        let mut text = if self.query.has_stamps { format!("{stamp} ").into_bytes() } else { Vec::new() };
        text.extend_from_slice(&record.bytes);
        if self.form == Form::Terminal {
            return text;
        }
        let kind = if record.stream == Stream::Stdout { 1 } else { 2 };
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend_from_slice(&(text.len() as u32).to_be_bytes());
        frame.extend_from_slice(&text);
        frame
    }
}
