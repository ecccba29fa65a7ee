//! Buffers the lines between a live tail and its client.
//!
//! The tail never waits for the client. Lines for which the buffer has no room are dropped and counted.
//! Before the next line that fits, the client gets a notice with the number of dropped lines.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// The maximum size of the lines that wait for a client, in bytes, with [`OVERHEAD`] for each line. A single line
/// that exceeds the maximum has room if no other line waits; escapes make at most 6 MiB of the longest line.
/// Notices of missed lines, and the line that tells why the tail ends, are added even if they exceed the maximum.
const MAX_BYTES: usize = 1024 * 1024;
/// The estimated memory that a line takes in addition to its text, in bytes.
const OVERHEAD: usize = 64;

/// The lines that wait for a client. Clones share the lines.
#[derive(Clone, Debug, Default)]
pub(super) struct TailBuffer(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// The number of lines for which there was no room since the last line was added.
    missed: u64,
    is_ended: bool,
    reader: Option<Waker>,
}

impl Lines {
    fn has_room(&self, line: &Bytes) -> bool {
        self.lines.is_empty() || self.bytes + line.len() + OVERHEAD <= MAX_BYTES
    }

    fn add(&mut self, line: Bytes) {
        self.bytes += line.len() + OVERHEAD;
        self.lines.push_back(line);
    }
}

impl TailBuffer {
    /// Adds a line, or counts the line as missed if there is no room. `notice` returns the line that tells
    /// the client how many lines it has missed.
    pub(super) fn add(&self, line: Bytes, notice: impl FnOnce(u64) -> Bytes) {
        let mut lines = self.lock();
        if !lines.has_room(&line) {
            lines.missed += 1;
            return;
        }
        match std::mem::take(&mut lines.missed) {
            0 => {}
            missed => lines.add(notice(missed)),
        }
        lines.add(line);
        if let Some(reader) = lines.reader.take() {
            reader.wake();
        }
    }

    /// Ends the tail. The last line, if it is given, is added even if the buffer is full.
    pub(super) fn end(&self, line: Option<Bytes>) {
        let mut lines = self.lock();
        lines.is_ended = true;
        if let Some(line) = line {
            lines.add(line);
        }
        if let Some(reader) = lines.reader.take() {
            reader.wake();
        }
    }

    /// Returns the next line, or `None` after the last line.
    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut lines = self.lock();
        if let Some(line) = lines.lines.pop_front() {
            lines.bytes -= line.len() + OVERHEAD;
            return Poll::Ready(Some(line));
        }
        if lines.is_ended {
            return Poll::Ready(None);
        }
        lines.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn before_the_next_line_a_slow_client_is_told_how_many_lines_it_missed() {
        let buffer = TailBuffer::default();
        let add = |line: String| buffer.add(line.into(), |missed| format!("missed {missed}").into());
        let next = async || {
            let line = poll_fn(|context| buffer.poll_next(context)).await;
            line.map(|line| String::from_utf8(line.to_vec()).unwrap())
        };
        let long = "x".repeat(MAX_BYTES / 4);
        for _ in 0..9 {
            add(long.clone());
        }
        assert_eq!(next().await.unwrap(), long);
        add("y".repeat(MAX_BYTES));
        add("short".to_owned());
        for _ in 0..2 {
            assert_eq!(next().await.unwrap(), long);
        }
        assert_eq!(next().await.unwrap(), "missed 7");
        assert_eq!(next().await.unwrap(), "short");
        buffer.end(Some("end".into()));
        assert_eq!((next().await.unwrap(), next().await), ("end".to_owned(), None));
    }

    #[tokio::test]
    async fn a_line_of_any_length_has_room_in_an_empty_buffer() {
        let buffer = TailBuffer::default();
        buffer.add("x".repeat(6 * MAX_BYTES).into(), |_| Bytes::new());
        buffer.add("y".into(), |_| Bytes::new());
        assert_eq!(poll_fn(|context| buffer.poll_next(context)).await.unwrap().len(), 6 * MAX_BYTES);
        let lines = buffer.lock();
        assert_eq!((lines.missed, lines.bytes), (1, 0));
    }

    #[tokio::test]
    async fn many_short_lines_take_no_more_memory_than_few_long_lines() {
        let buffer = TailBuffer::default();
        for _ in 0..MAX_BYTES {
            buffer.add("x".into(), |_| Bytes::new());
        }
        let lines = buffer.lock();
        assert!(lines.lines.len() <= MAX_BYTES / OVERHEAD && lines.missed > 0);
    }
}
