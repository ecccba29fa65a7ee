//! A reference receiver for HTTP that follows Graylog's rules. A test can make it break one of these rules.
//! Each connection has a thread, and the delivered payloads are sent to a channel.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use gelf_core::wire::{DecompressError, Decompressor, Encoding};
use gelf_spec_tests::LiveHttp;
use gelf_spec_tests::http::{BodyCoding, Request, RequestReader};
use gelf_spec_tests::inspect::bulk_values;

/// A rule that the receiver breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    /// Breaks no rule.
    Nothing,
    /// Accepts every path.
    AnyPath,
    /// Accepts every method.
    AnyMethod,
    /// Answers with status 200 instead of 202.
    Answers200,
    /// Closes the connection after each answer.
    ClosesAlways,
    /// Never closes a connection.
    ClosesNever,
    /// Inflates a body only if the header `Content-Encoding` names gzip or deflate.
    NoMagic,
    /// Recognises compression only by the first bytes, and refuses the header `Content-Encoding`.
    NoEncoding,
    /// Does not apply the body limit of its setup.
    NoLimit,
    /// Checks the limit only before inflating.
    LimitBeforeInflating,
    /// Accepts every value of the required header.
    AnyHeader,
    /// Does not deliver the last of several lines.
    HoldsLastLine,
    /// Splits lines at carriage returns.
    SplitsAtCarriageReturn,
    /// Does not read arrays.
    NoArrays,
    /// Ignores a malformed element of an array and all elements after it.
    GivesArrayUp,
    /// Delivers a message for a truncated request, too.
    TakesHalf,
    /// Reads only the first 4,000 bytes of an uncompressed body.
    FirstPieceOnly,
    /// Answers with a body.
    Talks,
    /// Answers only requests whose messages it accepts.
    Silent,
    /// Refuses chunked bodies.
    NoChunks,
}

/// Starts a receiver that runs until the process ends. Delivered payloads are sent to the channel.
pub(crate) fn start(
    setup: impl FnOnce(SocketAddr) -> LiveHttp,
    broken: Broken,
) -> (LiveHttp, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = setup(listener.local_addr().unwrap());
    let (sender, payloads) = channel();
    let of_thread = http.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let connection = Connection { http: of_thread.clone(), broken, payloads: sender.clone() };
            thread::spawn(move || connection.serve(stream));
        }
    });
    (http, payloads)
}

/// Maximum body size of the reader, in bytes. No vector has a larger body, so the limit of the setup decides.
const READ_BYTES: usize = 1 << 20;

struct Connection {
    http: LiveHttp,
    broken: Broken,
    payloads: Sender<Vec<u8>>,
}

impl Connection {
    fn serve(self, mut stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut reader = RequestReader::new(READ_BYTES);
        let mut buffer = [0; 4096];
        loop {
            while let Some(request) = reader.next() {
                let (status, keeps_alive) = match request {
                    Ok(request) => (self.request(&request), request.keeps_alive()),
                    Err(fault) => (fault.status, false),
                };
                if self.broken == Broken::Silent && status != 202 {
                    continue;
                }
                let keeps_alive = match self.broken {
                    Broken::ClosesAlways => false,
                    Broken::ClosesNever => true,
                    _ => keeps_alive,
                };
                self.answer(&mut stream, status, keeps_alive);
                if !keeps_alive {
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                    while matches!(stream.read(&mut buffer), Ok(1..)) {}
                    return;
                }
            }
            if reader.wants_continue() {
                let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            match stream.read(&mut buffer) {
                Ok(len @ 1..) => reader.push(&buffer[..len]),
                _ => break,
            }
        }
        if self.broken == Broken::TakesHalf && reader.unfinished().is_some() {
            let _ = self.payloads.send(b"{\"short_message\":\"half\"}".to_vec());
        }
    }

    fn answer(&self, stream: &mut TcpStream, status: u16, keeps_alive: bool) {
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        let words = if self.broken == Broken::Talks { "thanks" } else { "" };
        let len = words.len();
        let answer =
            format!("HTTP/1.1 {status} \r\nContent-Length: {len}\r\nConnection: {connection}\r\n\r\n{words}");
        let _ = stream.write_all(answer.as_bytes());
    }

    fn request(&self, request: &Request) -> u16 {
        let has_header = self.http.header.as_ref().is_none_or(|(name, value)| {
            let mut values = request.headers(name);
            if self.broken == Broken::AnyHeader {
                values.next().is_some()
            } else {
                values.any(|own| own == value)
            }
        });
        if request.method == "OPTIONS" {
            return 200;
        }
        // The order is that of Graylog's HttpHandler: header, method, target.
        if !has_header {
            return 401;
        }
        if request.method != "POST" && self.broken != Broken::AnyMethod {
            return 405;
        }
        if request.target != self.http.path && self.broken != Broken::AnyPath {
            return 404;
        }
        if matches!(request.coding, BodyCoding::Chunked(_)) && self.broken == Broken::NoChunks {
            return 501;
        }
        match self.body(request) {
            Ok(body) => {
                self.deliver(&body);
                if self.broken == Broken::Answers200 { 200 } else { 202 }
            }
            Err(status) => status,
        }
    }

    /// Returns the inflated body, or the status of an answer without delivery. The limit of the setup applies to
    /// the body as it arrived. After inflation, the same limit applies if a header declares the compression, and
    /// 8 MiB if only the first bytes show it.
    fn body(&self, request: &Request) -> Result<Vec<u8>, u16> {
        let body = &request.body;
        let most = if self.broken == Broken::NoLimit { usize::MAX } else { self.http.max_body.unwrap() };
        if body.len() > most {
            return Err(413);
        }
        let coding: Vec<_> = request.headers("content-encoding").collect();
        let coding = coding.join(",").to_ascii_lowercase();
        let is_declared = matches!(coding.as_str(), "gzip" | "x-gzip" | "deflate");
        if self.broken == Broken::NoEncoding && is_declared {
            return Err(415);
        }
        // `beyond` is the status for a body that exceeds the limit `most` after inflation. Like Graylog, this
        // receiver answers 202 to damaged compressed data.
        let inflate = |most: usize, beyond: u16| match Decompressor::new(most.min(32 << 20)).decompress(body)
        {
            Ok(inflated) => Ok(inflated.to_vec()),
            Err(DecompressError::LimitExceeded { .. }) => Err(beyond),
            Err(_) => Err(202),
        };
        let is_compressed = matches!(Encoding::sniff(body), Encoding::Gzip | Encoding::Zlib);
        match (is_declared, is_compressed) {
            (true, true) if self.broken == Broken::LimitBeforeInflating => inflate(32 << 20, 202),
            (true, true) => inflate(most, 413),
            (true, false) => Err(400),
            (false, true) if self.broken != Broken::NoMagic => inflate(8 << 20, 202),
            _ if self.broken == Broken::FirstPieceOnly => Ok(body[..body.len().min(4000)].to_vec()),
            _ => Ok(body.clone()),
        }
    }

    fn deliver(&self, body: &[u8]) {
        let body = body.trim_ascii();
        if !self.http.bulk {
            // The decoder reads the first value and ignores the rest.
            return self.send(body);
        }
        let is_array = body.starts_with(b"[");
        let mut values: Vec<&[u8]> = match self.broken {
            Broken::SplitsAtCarriageReturn => body.split(|byte| *byte == b'\r').collect(),
            Broken::NoArrays => body.split(|byte| *byte == b'\n').collect(),
            _ => bulk_values(body),
        };
        if self.broken == Broken::HoldsLastLine && values.len() > 1 && !is_array {
            values.pop();
        }
        let is_malformed = |value: &&[u8]| serde_json::from_slice::<serde_json::Value>(value).is_err();
        match values.iter().position(is_malformed) {
            Some(at) if self.broken == Broken::GivesArrayUp && is_array => values.truncate(at),
            _ => {}
        }
        for value in values {
            self.send(value.trim_ascii());
        }
    }

    fn send(&self, payload: &[u8]) {
        let is_too_long = self.http.bulk && self.http.max_message.is_some_and(|most| payload.len() > most);
        if !payload.is_empty() && !is_too_long {
            let _ = self.payloads.send(payload.to_vec());
        }
    }
}
