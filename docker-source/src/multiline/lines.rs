//! Messages of one or several lines.

use std::iter;
use std::sync::Arc;

use gelf_core::{FieldName, Message};

use crate::gelf::GelfFormatter;
use crate::position::Position;
use crate::record::Record;

/// A message that consists of one line or of several joined lines. Each line has a ticket: a value that the
/// caller attached to the line.
#[derive(Clone, Debug)]
pub struct JoinedLines<T> {
    record: Arc<Record>,
    ticket: T,
    joined: Option<Box<Joined<T>>>,
}

/// All lines of a message of several lines, and the tickets of all lines but the first.
#[derive(Clone, Debug)]
struct Joined<T> {
    text: Vec<u8>,
    tickets: Vec<T>,
    /// The length, in bytes, of all lines with their separators. It is greater than the length of `text` if
    /// the last line was cut.
    length: usize,
    is_whole: bool,
    last: Position,
}

impl<T> JoinedLines<T> {
    /// Creates a message of one line.
    pub fn new(record: Arc<Record>, ticket: T) -> Self {
        Self { record, ticket, joined: None }
    }

    /// Returns the record of the first line.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Returns the number of lines.
    pub fn lines(&self) -> usize {
        1 + self.joined.as_ref().map_or(0, |joined| joined.tickets.len())
    }

    /// Returns all lines, with the separator between them.
    pub fn text(&self) -> &[u8] {
        self.joined.as_ref().map_or_else(|| self.record.bytes(), |joined| &joined.text)
    }

    /// Returns the place of the last line in the log. For the place of the first line, use the
    /// [record](Self::record).
    pub fn last_position(&self) -> Position {
        self.joined.as_ref().map_or_else(|| self.record.position(), |joined| joined.last.clone())
    }

    /// Returns the tickets of all lines, in their order.
    pub fn tickets(&self) -> impl Iterator<Item = &T> {
        iter::once(&self.ticket).chain(self.joined.iter().flat_map(|joined| &joined.tickets))
    }

    /// Returns the tickets of all lines, in their order.
    pub fn into_tickets(self) -> impl Iterator<Item = T> {
        iter::once(self.ticket).chain(self.joined.into_iter().flat_map(|joined| joined.tickets))
    }

    /// Converts the lines to a message. Several lines become the message of the first line, with all lines as
    /// `full_message`. If the last line was cut, the field `_truncated` is the length of all lines with their
    /// separators, in bytes. If the last line is unfinished, the field `_partial` is `true`.
    pub fn message<'a>(&'a self, formatter: &'a mut GelfFormatter) -> Message<'a> {
        let Some(joined) = &self.joined else { return formatter.message(&self.record) };
        let text = formatter.text(&joined.text);
        let mut message = formatter.message(&self.record).with_full_message(text);
        if joined.length > joined.text.len() {
            message.set_field(FieldName::from_static("truncated"), joined.length as u64);
        } else if !joined.is_whole {
            message.set_field(FieldName::from_static("partial"), true);
        }
        message
    }

    /// Returns the approximate memory of the lines in bytes.
    pub(super) fn memory(&self) -> usize {
        /// The memory of a ticket, and of a record besides its bytes.
        const OVERHEAD: usize = 128;
        let joined = self.joined.as_ref().map_or(0, |joined| joined.text.len());
        self.record.bytes().len() + joined + OVERHEAD * self.lines()
    }

    /// Adds a line. Returns the offset of the line in the text.
    pub(super) fn add(&mut self, record: &Record, ticket: T, separator: &str) -> usize {
        let first = &self.record;
        let joined = self.joined.get_or_insert_with(|| {
            Box::new(Joined {
                text: first.bytes().to_vec(),
                tickets: Vec::new(),
                length: first.length(),
                is_whole: first.is_whole(),
                last: first.position(),
            })
        });
        joined.text.extend_from_slice(separator.as_bytes());
        let start = joined.text.len();
        joined.text.extend_from_slice(record.bytes());
        joined.length += separator.len() + record.length();
        joined.is_whole = record.is_whole();
        joined.last = record.position();
        joined.tickets.push(ticket);
        start
    }
}
