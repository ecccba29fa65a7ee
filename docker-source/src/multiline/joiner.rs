//! The state machine that joins lines.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gelf_core::Timestamp;

use super::lines::JoinedLines;
use super::options::JoinOptions;
use super::rule::{Rule, State};
use crate::log::LogStream;
use crate::record::Record;
use crate::timing::LONGEST;

/// The maximum number of open messages: 1,024. This is enough for both streams of 512 containers that write at
/// the same time. If more messages are open, the one that has waited longest for a further line is completed.
const MAX_OPEN: usize = 1024;
/// The maximum memory of all open messages: 8 MiB. If they take more, the one that has waited longest for a
/// further line is completed. A [`Source`](crate::Source) stops reading when the records that its user still
/// holds take 16 MiB, so open messages alone never stop the reading.
const MAX_OPEN_BYTES: usize = 8 * 1024 * 1024;
/// The stamp of a line of a message can be later than that of the line before it by at most
/// [`flush_after`](JoinOptions::flush_after) plus this tolerance. A tolerance is needed because Podman's stamps
/// have whole seconds.
const COARSE_STAMPS: Duration = Duration::from_secs(1);

/// Joins lines into messages, per container and stream.
///
/// A message ends when
///
/// * the rule says that a line begins the next message, or that a line is the last line of the message,
/// * by the caller's clock, no line has continued the message for the time
///   [`flush_after`](JoinOptions::flush_after),
/// * by their stamps, the next line is later than the last line by more than this time plus one second,
/// * the message has the maximum number of lines, or the next line would exceed the maximum number of bytes; the
///   lines that follow become the next message,
/// * a line was cut or is unfinished,
/// * a record announces a [gap](crate::Record::gap); this record is a message by itself,
/// * the caller [flushes](Self::flush),
/// * more than 1,024 messages are open, or the open messages take more than 8 MiB, and the message is the one
///   that has waited longest for a further line.
///
/// No line is ever left out. Completed messages wait in a queue until the caller takes them.
///
/// # Examples
///
/// ```
/// use docker_source::multiline::{JoinOptions, MultilineJoiner, Preset, Rule};
/// use docker_source::{Container, Record};
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
///
/// let container = Arc::new(Container::builder("shop").build());
/// let rule = Rule::preset(Preset::Java);
/// let mut joiner = MultilineJoiner::new(JoinOptions::default());
/// let start = Instant::now();
/// for line in ["java.lang.IllegalStateException: refused", "\tat com.example.Shop.pay(Shop.java:7)"] {
///     let record = Record::builder(container.clone(), line).build();
///     joiner.push(Arc::new(record), (), &rule, start);
/// }
/// assert_eq!(joiner.due(), Some(start + Duration::from_millis(500)));
/// joiner.expire(start + Duration::from_millis(500));
/// let message = joiner.pop().unwrap();
/// assert_eq!(message.lines(), 2);
/// assert!(message.record().bytes().starts_with(b"java.lang."));
/// ```
#[derive(Debug)]
pub struct MultilineJoiner<T> {
    options: JoinOptions,
    open: HashMap<Key, Open<T>>,
    /// The keys of the open messages. With each line, a message gets the highest turn of all, so the message
    /// with the smallest turn is due first.
    turns: BTreeMap<u64, Key>,
    /// The turn that is given next.
    turn: u64,
    /// The memory of all open messages.
    memory: usize,
    completed: VecDeque<JoinedLines<T>>,
}

type Key = (Arc<str>, LogStream);

/// An open message.
#[derive(Debug)]
struct Open<T> {
    message: JoinedLines<T>,
    state: State,
    /// The offset of the last line in the text.
    last_line: usize,
    last_stamp: Timestamp,
    /// The time at which the message is completed if no further line continues it.
    due: Instant,
    turn: u64,
}

impl<T> MultilineJoiner<T> {
    /// Creates a joiner.
    pub fn new(mut options: JoinOptions) -> Self {
        options.flush_after = options.flush_after.min(LONGEST);
        Self {
            options,
            open: HashMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            memory: 0,
            completed: VecDeque::new(),
        }
    }

    /// Takes a line of a container. `rule` is the rule for the lines of this container. `now` must not be
    /// before the `now` of an earlier call.
    ///
    /// The rule of a container must stay the same while a message of the container is open.
    pub fn push(&mut self, record: Arc<Record>, ticket: T, rule: &Rule, now: Instant) {
        let due = now + self.options.flush_after;
        let ends = rule.ends(record.bytes()) || !record.is_whole() || record.gap().is_some();
        let key = (record.container().shared_id(), record.stream());
        let mut entry = match self.open.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => {
                let open = Open::new(record, ticket, rule, due, self.turn);
                if ends || open.is_full(&self.options) {
                    self.completed.push_back(open.message);
                    return;
                }
                self.memory += open.message.memory();
                self.turns.insert(self.turn, entry.key().clone());
                self.turn += 1;
                entry.insert(open);
                self.make_room();
                return;
            }
        };
        let open = entry.get_mut();
        self.memory -= open.message.memory();
        let had_last_turn = open.turn + 1 == self.turn;
        if open.is_idle(&record, &self.options, now) || !open.continues(&record, rule, &self.options) {
            let next = Open::new(record, ticket, rule, due, open.turn);
            self.completed.push_back(std::mem::replace(open, next).message);
        } else {
            open.last_line = open.message.add(&record, ticket, &self.options.separator);
            (open.last_stamp, open.due) = (record.time(), due);
        }
        if ends || open.is_full(&self.options) {
            self.turns.remove(&open.turn);
            self.completed.push_back(entry.remove().message);
            return;
        }
        self.memory += open.message.memory();
        if !had_last_turn {
            if let Some(key) = self.turns.remove(&open.turn) {
                self.turns.insert(self.turn, key);
            }
            open.turn = self.turn;
            self.turn += 1;
        }
        self.make_room();
    }

    /// Takes a line that is a message by itself, such as a line of a container without a rule.
    pub fn pass(&mut self, record: Arc<Record>, ticket: T) {
        self.completed.push_back(JoinedLines::new(record, ticket));
    }

    /// Returns the time at which an open message is to be completed next, if a message is open.
    pub fn due(&self) -> Option<Instant> {
        let (_, key) = self.turns.first_key_value()?;
        self.open.get(key).map(|open| open.due)
    }

    /// Completes the messages that are due.
    pub fn expire(&mut self, now: Instant) {
        while self.due().is_some_and(|due| due <= now) {
            self.complete_oldest();
        }
    }

    /// Postpones the completion of all open messages by `pause`. Call this method after a time in which the
    /// caller took no lines, since lines that continue the messages may have waited.
    pub fn delay(&mut self, pause: Duration) {
        for open in self.open.values_mut() {
            open.due = open.due.checked_add(pause.min(LONGEST)).unwrap_or(open.due);
        }
    }

    /// Completes all messages, in the order of their last lines.
    pub fn flush(&mut self) {
        while !self.turns.is_empty() {
            self.complete_oldest();
        }
    }

    /// Returns the first completed message, which stays in the queue.
    pub fn peek(&self) -> Option<&JoinedLines<T>> {
        self.completed.front()
    }

    /// Removes the first completed message and returns it.
    pub fn pop(&mut self) -> Option<JoinedLines<T>> {
        self.completed.pop_front()
    }

    /// Completes messages until the open messages are within the limits.
    fn make_room(&mut self) {
        while self.open.len() > MAX_OPEN || self.memory > MAX_OPEN_BYTES {
            self.complete_oldest();
        }
    }

    fn complete_oldest(&mut self) {
        if let Some((turn, _)) = self.turns.first_key_value() {
            self.complete(*turn);
        }
    }

    fn complete(&mut self, turn: u64) {
        let Some(open) = self.turns.remove(&turn).and_then(|key| self.open.remove(&key)) else { return };
        self.memory -= open.message.memory();
        self.completed.push_back(open.message);
    }
}

impl<T> Open<T> {
    fn new(record: Arc<Record>, ticket: T, rule: &Rule, due: Instant, turn: u64) -> Self {
        let state = rule.first(record.bytes());
        let last_stamp = record.time();
        Self { message: JoinedLines::new(record, ticket), state, last_line: 0, last_stamp, due, turn }
    }

    /// Returns whether the message was idle for long enough to end before this line.
    fn is_idle(&self, record: &Record, options: &JoinOptions, now: Instant) -> bool {
        let longest = options.flush_after.saturating_add(COARSE_STAMPS);
        now >= self.due || record.time().saturating_sub(longest) > self.last_stamp
    }

    /// Returns whether the line continues the message and fits into it. If so, also updates the state.
    fn continues(&mut self, record: &Record, rule: &Rule, options: &JoinOptions) -> bool {
        let text = self.message.text();
        if record.gap().is_some()
            || text.len() + options.separator.len() + record.bytes().len() > options.max_bytes
        {
            return false;
        }
        let last = text.get(self.last_line..).unwrap_or_default();
        match rule.next(record.bytes(), self.state, last) {
            Some(state) => {
                self.state = state;
                true
            }
            None => false,
        }
    }

    /// Returns whether no further line fits.
    fn is_full(&self, options: &JoinOptions) -> bool {
        self.message.lines() >= options.max_lines || self.message.text().len() >= options.max_bytes
    }
}
