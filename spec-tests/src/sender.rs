//! Judges the messages of any sender by the events of the sockets that receive them.
//!
//! A [`Judge`] handles [`Event`]s with their times, reassembles the messages and [inspects](crate::inspect)
//! each message. Its [`Tally`] counts the violations, and the messages that each known
//! [receiver](crate::receivers) would accept. [`report::sender_text`](crate::report::sender_text) and
//! [`report::sender_json`](crate::report::sender_json) write the tally as text and as JSON.

mod event;
mod gather;
mod graylog;
mod http_tally;
mod judged;
mod requests;
mod streams;
mod tally;

use std::time::Instant;

use crate::receivers::Receiver;
pub use event::{Event, HttpEvent, HttpEventKind};
use gather::Gatherer;
pub use graylog::GraylogConnection;
pub(crate) use http_tally::HttpTally;
use judged::Judged;
use requests::Requests;
use streams::Streams;
pub use tally::Tally;
pub(crate) use tally::{Example, Figures, Kind, ReceiverTally, Violations};

/// Setup of the HTTP receiver that the sender sends to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HttpSetup {
    /// True if the receiver accepts several messages in a body, one per line.
    pub bulk: bool,
    /// Status of the answer to the first delivery of each message. If this status is not from 200 to 299, a
    /// request with only repeated messages is answered with 202.
    pub status: u16,
    /// True if a request that Graylog refuses is answered with Graylog's status: 413 for a body above 65,536
    /// bytes after inflation, 405 for a method other than POST and OPTIONS, and 404 for a POST with a target
    /// other than `/gelf`.
    pub as_graylog: bool,
}

/// Judges the messages of senders.
#[derive(Debug)]
pub struct Judge<'r> {
    gatherer: Gatherer,
    streams: Streams,
    requests: Requests,
    has_http: bool,
    tally: Tally<'r>,
    max_messages: u64,
}

impl<'r> Judge<'r> {
    /// Creates a judge that judges at most `max_messages` messages, or all messages without a maximum. `http` is
    /// the setup of the HTTP receiver, if there is one.
    pub fn new(receivers: &'r [Receiver], max_messages: Option<u64>, http: Option<HttpSetup>) -> Self {
        Self {
            gatherer: Gatherer::default(),
            streams: Streams::default(),
            requests: Requests::new(http.unwrap_or(HttpSetup {
                bulk: false,
                status: 202,
                as_graylog: false,
            })),
            has_http: http.is_some(),
            tally: Tally::new(receivers),
            max_messages: max_messages.unwrap_or(u64::MAX),
        }
    }

    /// Returns whether the maximum number of messages was reached.
    pub fn is_done(&self) -> bool {
        self.tally.messages >= self.max_messages
    }

    /// Returns the number of messages that were judged.
    pub fn messages(&self) -> u64 {
        self.tally.messages
    }

    /// Handles an event that occurred at this time. After the maximum number of messages, messages are received
    /// and counted, but not judged.
    pub fn handle(&mut self, at: Instant, event: Event) {
        self.tally.received(&event);
        let judged = match event {
            Event::Datagram { source, bytes } => self.gatherer.datagram(at, source, bytes),
            Event::Read { connection, source, bytes } => self.streams.read(connection, source, &bytes),
            Event::Closed { connection } => self.streams.close(connection),
            Event::Opened { .. } | Event::Refused | Event::Ended | Event::Dropped(_) => Vec::new(),
            Event::Http(event) => self.requests.handle(at, event),
        };
        for judged in judged {
            self.count(&judged);
        }
    }

    /// Ends and counts the messages that have been incomplete for too long.
    pub fn expire(&mut self, now: Instant) {
        for judged in self.gatherer.expire(now) {
            self.count(&judged);
        }
    }

    /// Judges the incomplete messages and returns the statistics.
    pub fn finish(mut self, now: Instant) -> Tally<'r> {
        let unfinished = [self.gatherer.finish(), self.streams.finish(), self.requests.finish(now)];
        for judged in unfinished.iter().flatten() {
            self.count(judged);
        }
        self.tally.left += self.requests.left;
        self.tally.not_judged = self.gatherer.evicted() + self.requests.not_judged;
        self.tally.http = self.has_http.then_some(self.requests.tally);
        self.tally
    }

    /// Counts a message as judged, or as left if the maximum number of messages was reached before.
    fn count(&mut self, judged: &Judged) {
        if self.is_done() {
            self.tally.left += u64::from(judged.is_message);
        } else {
            self.tally.judged(judged);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn losses_and_further_messages_are_counted_after_the_maximum_number_of_messages() {
        let receivers = crate::receivers().unwrap();
        let mut judge = Judge::new(&receivers, Some(2), None);
        let now = Instant::now();
        let source = SocketAddr::from(([127, 0, 0, 1], 1000));
        let chunk = |number| [&b"\x1e\x0f12345678"[..], &[number, 2], b"{"].concat();
        for datagram in [&b"{}"[..], b"{}", b"{}", &chunk(0), b"[]"] {
            judge.handle(now, Event::Datagram { source, bytes: datagram.to_vec() });
        }
        judge.handle(now, Event::Dropped(7));
        let tally = judge.finish(now);
        assert_eq!((tally.messages, tally.left, tally.dropped_datagrams), (2, 3, 7));
        assert_eq!(tally.datagrams, 5);
    }
}
