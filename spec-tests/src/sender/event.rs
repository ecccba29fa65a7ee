//! Events of the sockets that senders send to.

use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;

use crate::http::{Fault, Request};

/// An event of a socket that senders send to.
#[derive(Debug)]
pub enum Event {
    /// A UDP datagram arrived.
    Datagram {
        /// Address of the sender.
        source: SocketAddr,
        /// Content of the datagram.
        bytes: Vec<u8>,
    },
    /// A TCP connection was accepted.
    Opened {
        /// Address of the sender.
        source: SocketAddr,
    },
    /// Bytes were read from a TCP connection.
    Read {
        /// Number of the connection.
        connection: usize,
        /// Address of the sender.
        source: SocketAddr,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A TCP connection was closed.
    Closed {
        /// Number of the connection.
        connection: usize,
    },
    /// This program closed a TCP connection, because Graylog would close it.
    Ended,
    /// This program closed a connection immediately, because too many connections were open.
    Refused,
    /// The kernel of this machine dropped this number of datagrams, because they arrived faster than they
    /// were read.
    Dropped(u64),
    /// An event on an HTTP connection.
    Http(HttpEvent),
}

/// An event on an HTTP connection.
#[derive(Debug)]
pub struct HttpEvent {
    /// Address of the sender.
    pub source: SocketAddr,
    /// Number of bytes read since the previous event.
    pub bytes: usize,
    /// Kind of the event.
    pub kind: HttpEventKind,
}

/// Kind of an event on an HTTP connection.
#[derive(Debug)]
pub enum HttpEventKind {
    /// The connection was accepted.
    Opened,
    /// A request was read.
    Request {
        /// The request.
        request: Box<Request>,
        /// Number of the request on the connection, from 1.
        number: u64,
        /// Sending half of a channel on which the connection waits for the status of the answer.
        answer: SyncSender<u16>,
    },
    /// The bytes that were read violate HTTP or exceed a limit. They are answered with an error, and the connection
    /// is closed.
    Fault(Fault),
    /// The connection was closed.
    Closed {
        /// Number of requests on the connection.
        requests: u64,
        /// True if the sender closed the connection.
        by_sender: bool,
        /// Status of the last answer, if any.
        status: Option<u16>,
        /// Start of an incomplete request, and the received length of its body.
        unfinished: Option<(Vec<u8>, usize)>,
    },
}
