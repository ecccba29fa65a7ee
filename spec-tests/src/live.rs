//! Tests a running receiver as a subject. The vectors are sent to the receiver over the network, and the
//! output of the receiver is observed.

mod http;
mod line;
mod observer;
mod wire;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::numbers::Numbers;
use crate::observed::{Answered, JsonText, Observed, ObservedMessage};
use crate::reader::deflated;
use crate::receivers::Transport;
use crate::subject::{Description, Reply, Request, Subject};
use crate::vector::HttpExchange;
use observer::{Observer, OutputEvent};
use wire::{Datagram, Plan};

pub use http::LiveHttp;
pub use observer::Observe;

/// Addresses of a receiver, and options for the vectors sent to it.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Address for datagrams.
    pub udp: Option<SocketAddr>,
    /// Address for TCP connections.
    pub tcp: Option<SocketAddr>,
    /// Address and setup for HTTP requests.
    pub http: Option<LiveHttp>,
    /// Maximum time until the sentinel of a vector is observed, by default 5 s. [`Live`] explains sentinels.
    pub timeout: Duration,
    /// Maximum time until the first sentinel of each transport is observed. The default is 60 s, because some
    /// language runtimes start slowly.
    pub ready_timeout: Duration,
    /// Function that is called if the receiver does not listen yet at a start or restart. Each start calls it at
    /// most once for each transport, with the first error of that transport.
    pub waits: fn(&str),
    /// Delay between a vector and its sentinel, by default 5 ms.
    pub settle: Duration,
    /// True if vectors whose steps are seconds apart are sent, too, unless the times are too close to a limit for a
    /// real clock. Such a vector takes as long as its times say.
    pub slow: bool,
    /// Names and JSON values of members and fields that the receiver fills in if they are missing. The names
    /// of fields are given without their underscore. A `timestamp` that is the time of receipt needs no
    /// entry.
    pub defaults: BTreeMap<String, String>,
    /// Names of fields that the receiver itself adds, without their underscore. A trailing `*` matches all
    /// names with that prefix.
    pub ignored_fields: Vec<String>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            udp: None,
            tcp: None,
            http: None,
            timeout: Duration::from_secs(5),
            ready_timeout: Duration::from_secs(60),
            waits: |_| (),
            settle: Duration::from_millis(5),
            slow: false,
            defaults: BTreeMap::new(),
            ignored_fields: Vec::new(),
        }
    }
}

/// A running receiver as a subject.
///
/// After each vector, a sentinel is sent: a message with a unique `short_message`. The messages that are
/// observed before the sentinel belong to the vector.
///
/// Some receivers inflate datagrams in the background, and deliver compressed messages late. Therefore, a
/// second, compressed sentinel is sent over UDP. Such a receiver delivers it after the messages of the
/// vector, however long inflation takes. A receiver that has not delivered a compressed sentinel at the start
/// gets no further compressed sentinels.
#[derive(Debug)]
pub struct Live {
    options: LiveOptions,
    /// `None` if the receiver runs in this process and cannot be restarted.
    observe: Option<Observe>,
    observer: Observer,
    description: Description,
    /// The socket of each sender name.
    senders: BTreeMap<String, UdpSocket>,
    /// The start of the `short_message` of every sentinel of this run. A number follows it.
    sentinel_prefix: String,
    /// Number of sentinels that have been created.
    sentinels: u64,
    /// True if the receiver delivers compressed sentinels; `None` if this has not been tested yet.
    inflates: Option<bool>,
    /// Last output of the receiver, if it has ended at the first compressed sentinel. The next reply reports
    /// it, or the end of the run if no vector follows.
    end_at_start: Option<String>,
    numbers: Numbers,
    late: usize,
}

/// Interval at which a missing sentinel is sent again, because the network can lose a datagram.
const SENTINEL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time until the first compressed sentinel is observed. After this time, the receiver counts as one
/// that does not inflate.
const INFLATION_WAIT: Duration = Duration::from_secs(3);

/// A message that marks the end of a vector's messages.
#[derive(Debug)]
struct Sentinel {
    short_message: String,
    is_compressed: bool,
}

/// Maximum wait for the receiver to close a finished connection. A receiver that keeps the connection open
/// longer is assumed to have read all bytes.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// Minimum delay between a vector that is sent again and its sentinel.
const MIN_SETTLE_AGAIN: Duration = Duration::from_millis(600);

/// Number of bytes sent in datagrams before a pause. The pause lets a receiver with a small buffer keep up.
const BURST_BYTES: usize = 64 << 10;

/// A timestamp that differs from the present by less than this counts as the time of receipt.
const RECEIPT_TIME_SLACK: Duration = Duration::from_secs(60);

/// Maximum number of messages kept for one vector. No vector yields more than 100 messages.
const MAX_KEPT: usize = 4096;

impl Live {
    /// Starts to observe the receiver's output, and waits until a sentinel of each transport is observed.
    ///
    /// # Errors
    /// Returns one line with the reason: no address was given, the output cannot be observed, or a transport
    /// delivered no sentinel.
    pub fn start(options: LiveOptions, observe: Observe) -> Result<Self, String> {
        let observer = Observer::start(&observe)?;
        Self::observed_by(observer, Some(observe), options)
    }

    /// Starts as [`start`](Self::start) does, for a receiver in this process. `received` waits up to the
    /// given time for the next payload that the receiver delivers, and returns that payload uncompressed.
    ///
    /// # Errors
    /// Returns one line with the reason: no address was given, or a transport delivered no sentinel.
    pub fn within(
        options: LiveOptions,
        received: impl FnMut(Duration) -> Option<Vec<u8>> + 'static,
    ) -> Result<Self, String> {
        Self::observed_by(Observer::payloads(received), None, options)
    }

    fn observed_by(
        observer: Observer,
        observe: Option<Observe>,
        options: LiveOptions,
    ) -> Result<Self, String> {
        let http = options.http.as_ref().map(|http| http.address);
        let places: Vec<String> = [("udp", options.udp), ("tcp", options.tcp), ("http", http)]
            .iter()
            .filter_map(|(name, address)| Some(format!("{name} {}", (*address)?)))
            .collect();
        if places.is_empty() {
            return Err("the receiver needs an address for UDP, TCP or HTTP".to_owned());
        }
        let notes =
            "A running receiver. The vectors are sent over the network, and its output lines are observed.";
        let name = format!("receiver at {}", places.join(" and "));
        let description = Description {
            defaults: options.defaults.clone(),
            ..Description::new(&name, "live", &["payload", "datagrams", "stream", "clock"], notes)
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let run = since.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32);
        let mut live = Self {
            observer,
            observe,
            description,
            senders: BTreeMap::new(),
            sentinel_prefix: format!("gelf-conformance sentinel {run:016x}-"),
            sentinels: 0,
            inflates: None,
            end_at_start: None,
            numbers: Numbers::new(run, 0),
            late: 0,
            options,
        };
        live.wait_until_ready()?;
        Ok(live)
    }

    /// Returns the number of messages that were observed after the sentinel of their vector. If the number is
    /// above 0, the receiver reorders messages, and a longer [`settle`](LiveOptions::settle) can help.
    pub fn late(&self) -> usize {
        self.late
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let transports = [
            self.options.udp.map(|_| Transport::Udp),
            self.options.tcp.map(|_| Transport::Tcp),
            self.options.http.as_ref().map(|_| Transport::Http),
        ];
        let output =
            self.observe.as_ref().map_or_else(|| "its output".to_owned(), |observe| format!("'{observe}'"));
        for transport in transports.into_iter().flatten() {
            let deadline = Instant::now() + self.options.ready_timeout;
            let sentinel = self.next_sentinel(false);
            let mut refused = None;
            'sending: loop {
                // An error is not final, because the receiver may not listen yet.
                let connection = match self.send_sentinel(transport, &sentinel) {
                    Ok(connection) => connection,
                    Err(error) => {
                        if refused.is_none() {
                            (self.options.waits)(&error);
                        }
                        refused = Some(error);
                        None
                    }
                };
                let again = Instant::now() + Duration::from_millis(200);
                while Instant::now() < again {
                    match self.observer.next(again.saturating_duration_since(Instant::now())) {
                        Some(OutputEvent::Message(message)) if self.is_sentinel(&message, &sentinel) => {
                            break 'sending;
                        }
                        Some(OutputEvent::Ended(words)) => {
                            return Err(format!("{output} ended: {words}"));
                        }
                        _ => {}
                    }
                }
                drop(connection);
                if Instant::now() > deadline {
                    if let Some(error) = refused {
                        return Err(error);
                    }
                    return Err(format!(
                        "no message sent to the {} was observed in {output} within {:?}",
                        self.description.name, self.options.ready_timeout
                    ));
                }
            }
        }
        if self.options.udp.is_some() && self.inflates.is_none() {
            self.inflates = Some(self.delivers_compressed_sentinel()?);
        }
        Ok(())
    }

    fn delivers_compressed_sentinel(&mut self) -> Result<bool, String> {
        let sentinel = self.next_sentinel(true);
        let deadline = Instant::now() + INFLATION_WAIT;
        while Instant::now() < deadline {
            self.send_sentinel(Transport::Udp, &sentinel)?;
            let again = Instant::now() + SENTINEL_INTERVAL;
            while Instant::now() < again {
                match self.observer.next(again.saturating_duration_since(Instant::now())) {
                    Some(OutputEvent::Message(message)) if self.is_sentinel(&message, &sentinel) => {
                        return Ok(true);
                    }
                    // The next reply reports the end, and the request after it starts a new observer.
                    Some(OutputEvent::Ended(words)) => {
                        self.end_at_start = Some(words);
                        return Ok(false);
                    }
                    _ => {}
                }
            }
        }
        Ok(false)
    }

    fn next_sentinel(&mut self, is_compressed: bool) -> Sentinel {
        self.sentinels += 1;
        Sentinel { short_message: format!("{}{}", self.sentinel_prefix, self.sentinels), is_compressed }
    }

    fn is_sentinel(&self, message: &ObservedMessage, sentinel: &Sentinel) -> bool {
        short_message(message).as_ref() == Some(&sentinel.short_message)
    }

    /// Sends a sentinel. Returns the connection, if the transport has one. The caller keeps the connection
    /// open until the sentinel is observed.
    fn send_sentinel(
        &mut self,
        transport: Transport,
        Sentinel { short_message, is_compressed }: &Sentinel,
    ) -> Result<Option<TcpStream>, String> {
        let payload = format!(
            "{{\"version\":\"1.1\",\"host\":\"gelf-conformance\",\"short_message\":\"{short_message}\",\"level\":7}}"
        );
        match transport {
            Transport::Udp => {
                let payload = payload.into_bytes();
                let datagram = if *is_compressed { deflated(&payload, true) } else { payload };
                self.send_datagram("sentinel", &datagram)?;
                Ok(None)
            }
            Transport::Tcp => {
                let mut stream = self.connect()?;
                let sent = stream.write_all(&[payload.as_bytes(), b"\0"].concat());
                sent.and_then(|()| stream.flush()).map_err(|error| error.to_string())?;
                Ok(Some(stream))
            }
            Transport::Http => {
                let http = self.options.http.as_ref().ok_or("no address for HTTP")?;
                let line = if http.bulk { format!("{payload}\n") } else { payload };
                http::post(http, line.as_bytes(), self.options.timeout).map(Some)
            }
        }
    }

    fn connect(&self) -> Result<TcpStream, String> {
        connect(self.options.tcp.ok_or("no address for TCP")?, self.options.timeout)
    }

    /// Sends a datagram. Each sender name has one socket for all vectors.
    fn send_datagram(&mut self, from: &str, datagram: &[u8]) -> Result<(), String> {
        let address = self.options.udp.ok_or("no address for UDP")?;
        if !self.senders.contains_key(from) {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0)).map_err(|error| format!("a local socket: {error}"))?;
            self.senders.insert(from.to_owned(), socket);
        }
        let socket = self.senders.get(from).ok_or("no local socket")?;
        let mut tries = 0;
        loop {
            match socket.send_to(datagram, address) {
                Ok(_) => return Ok(()),
                // The error refers to an earlier datagram. This datagram was not sent, and is sent again.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && tries < 3 => tries += 1,
                Err(error) => return Err(format!("{address}: {error}")),
            }
        }
    }

    fn send_datagrams(&mut self, datagrams: &[Datagram]) -> Result<(), String> {
        let start = Instant::now();
        let mut burst = 0;
        for Datagram { at, from, bytes } in datagrams {
            sleep((start + *at).saturating_duration_since(Instant::now()));
            let Some(bytes) = bytes else { continue };
            burst += bytes.len();
            if burst > BURST_BYTES {
                sleep(Duration::from_millis(5));
                burst = bytes.len();
            }
            self.send_datagram(from, bytes)?;
        }
        Ok(())
    }

    fn send_stream(&self, pieces: &[Vec<u8>]) -> Result<(), String> {
        let mut stream = self.connect()?;
        for piece in pieces {
            // The receiver is allowed to close the connection early. Its output shows whether that was right.
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                return Ok(());
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(CLOSE_WAIT));
        let mut rest = [0; 1024];
        while matches!(stream.read(&mut rest), Ok(1..)) {}
        Ok(())
    }

    /// Sends a payload in a `POST` request and ignores the answer.
    fn post(&self, payload: &[u8]) -> Result<(), String> {
        let http = self.options.http.as_ref().ok_or("no address for HTTP")?;
        http::post(http, payload, self.options.timeout).map(drop)
    }

    fn exchange(&self, exchange: &HttpExchange) -> Result<Answered, String> {
        let http = self.options.http.as_ref().ok_or("no address for HTTP")?;
        http::exchange(http, exchange, self.options.timeout)
    }

    /// Sends the sentinels of a vector, and collects the messages up to the last of these sentinels.
    fn observe_up_to_sentinel(
        &mut self,
        transport: Transport,
        answered: Option<Answered>,
    ) -> Result<Reply, String> {
        sleep(self.options.settle);
        let mut sentinels = vec![self.next_sentinel(false)];
        if transport == Transport::Udp && self.inflates == Some(true) {
            sentinels.push(self.next_sentinel(true));
        }
        let mut observed = Observed { answered, ..Default::default() };
        let deadline = Instant::now() + self.options.timeout;
        let mut connection = Ok(None);
        let mut again = Instant::now();
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Ok(match connection {
                    Ok(_) => Reply::NoAnswer(self.options.timeout),
                    Err(error) => Reply::Crashed(error),
                });
            }
            if now >= again {
                for sentinel in &sentinels {
                    connection = self.send_sentinel(transport, sentinel);
                }
                again = now + SENTINEL_INTERVAL;
            }
            match self.observer.next(again.min(deadline).saturating_duration_since(now)) {
                // A sentinel that was sent again can arrive twice. The second one is ignored.
                Some(OutputEvent::Message(message)) if self.is_any_sentinel(&message) => {
                    sentinels.retain(|sentinel| !self.is_sentinel(&message, sentinel));
                    if sentinels.is_empty() {
                        return Ok(Reply::Observed(observed));
                    }
                }
                Some(OutputEvent::Message(message)) if observed.messages.len() < MAX_KEPT => {
                    observed.messages.push(self.without_own_members(message));
                }
                Some(OutputEvent::Ended(words)) => return Ok(Reply::Crashed(words)),
                Some(OutputEvent::Message(_) | OutputEvent::Other) | None => {}
            }
        }
    }

    fn is_any_sentinel(&self, message: &ObservedMessage) -> bool {
        short_message(message).is_some_and(|text| text.starts_with(&self.sentinel_prefix))
    }

    /// Removes the fields that the receiver adds, and a `timestamp` that is the time of receipt.
    fn without_own_members(&self, mut message: ObservedMessage) -> ObservedMessage {
        message.timestamp = message.timestamp.filter(|timestamp| !is_now(timestamp));
        message.fields.retain(|name, _| {
            !self.options.ignored_fields.iter().any(|ignored| match ignored.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == ignored,
            })
        });
        message
    }

    /// Delay before the sentinel of a vector that is sent again.
    fn longer_settle(&self) -> Duration {
        (4 * self.options.settle).max(MIN_SETTLE_AGAIN)
    }

    /// Waits until nothing has been observed for the time `quiet`, or until the timeout of a vector has passed.
    /// Counts the messages that arrive meanwhile as late. If the receiver ends, returns its last output.
    fn wait_until_quiet(&mut self, quiet: Duration) -> Option<String> {
        let deadline = Instant::now() + self.options.timeout;
        while Instant::now() < deadline {
            match self.observer.next(quiet)? {
                OutputEvent::Message(message) if !self.is_any_sentinel(&message) => self.late += 1,
                OutputEvent::Message(_) | OutputEvent::Other => {}
                OutputEvent::Ended(words) => return Some(words),
            }
        }
        None
    }
}

/// Returns whether a timestamp is near the present. It is then the time of receipt, because no vector has such
/// a timestamp.
fn is_now(timestamp: &JsonText) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds: Option<f64> = timestamp.text().unwrap_or_else(|| timestamp.json().to_owned()).parse().ok();
    seconds.is_some_and(|seconds| (now.as_secs_f64() - seconds).abs() < RECEIPT_TIME_SLACK.as_secs_f64())
}

/// Connects to an address. The time limit applies to connecting and to each write.
fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, String> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    };
    connect().map_err(|error: std::io::Error| format!("{address}: {error}"))
}

fn short_message(message: &ObservedMessage) -> Option<String> {
    message.short_message.as_ref()?.text()
}

impl Subject for Live {
    fn description(&self) -> &Description {
        &self.description
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Reply, String> {
        // The key makes the chunk ids unique, so that a receiver does not combine chunks of different vectors
        // or runs.
        let key = (self.numbers.next() as u32).to_be_bytes();
        let plan = match wire::plan(&request, &self.options, key)? {
            Ok(plan) => plan,
            Err(why) => return Ok(Reply::Unsupported(why)),
        };
        if let Some(words) = self.end_at_start.take() {
            return Ok(Reply::Crashed(format!("before this vector: {words}")));
        }
        if self.observer.has_ended() {
            let Some(observe) = &self.observe else {
                return Ok(Reply::Crashed("the receiver has ended".to_owned()));
            };
            self.observer = Observer::start(observe)?;
            self.wait_until_ready()?;
        }
        // Messages that have arrived after the last sentinel are late.
        if let Some(words) = self.wait_until_quiet(Duration::ZERO) {
            // The crash must be reported, although the earlier vector that caused it is unknown.
            return Ok(Reply::Crashed(format!("before this vector: {words}")));
        }
        let (transport, sent) = match &plan {
            Plan::Datagrams(datagrams) => (Transport::Udp, self.send_datagrams(datagrams).map(|()| None)),
            Plan::Stream(pieces) => (Transport::Tcp, self.send_stream(pieces).map(|()| None)),
            Plan::Post(payload) => (Transport::Http, self.post(payload).map(|()| None)),
            Plan::Requests(exchange) => (Transport::Http, self.exchange(exchange).map(Some)),
        };
        match sent {
            Ok(answered) => self.observe_up_to_sentinel(transport, answered),
            Err(words) => Ok(Reply::Crashed(words)),
        }
    }

    /// Waits until the receiver's output is quiet, and sends the vector again with a longer delay before its
    /// sentinel. The first reply may be wrong, because a receiver that decodes in the background can deliver
    /// a message after a later sentinel.
    fn ask_again(&mut self, request: Request<'_>) -> Result<Option<Reply>, String> {
        let settle = self.options.settle;
        let longer = self.longer_settle();
        if let Some(words) = self.wait_until_quiet(longer) {
            return Ok(Some(Reply::Crashed(words)));
        }
        self.options.settle = longer;
        let reply = self.ask(request);
        self.options.settle = settle;
        reply.map(Some)
    }

    fn finish(&mut self) -> Option<String> {
        self.end_at_start.take().or_else(|| self.wait_until_quiet(self.longer_settle()))
    }
}

#[cfg(test)]
mod tests;
