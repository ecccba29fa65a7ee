//! Provides a client, a receiver that checks the client's messages, and a resolver, for tests of outages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gelf_tokio::gelf_core::{Decoder, FieldName, Message};
use gelf_tokio::resolve::{Resolve, Resolving};
use gelf_tokio::stats::ClientStats;
use gelf_tokio::{Client, Driver, DropReason, Endpoint, NotQueued, Outcome, Receipts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::account::assert_account;
pub use super::oracle::text;
use super::oracle::{Report, receipt, receipt_in};

/// The time limit of each step.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Panics if a future takes longer than [`LIMIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("timeout: {what}"))
}

pub fn tcp(address: SocketAddr) -> Endpoint {
    format!("gelf+tcp://{address}").parse().unwrap()
}

pub fn tcp_with(address: SocketAddr, options: &str) -> Endpoint {
    format!("gelf+tcp://{address}?{options}").parse().unwrap()
}

/// Returns the receipt of a payload's message, if the payload is an intact message.
pub fn receipt_of(payload: &[u8]) -> Option<u64> {
    let decoded = Decoder::strict().decode(payload).ok()?;
    receipt_in(decoded.message.short_message())
}

/// Sends the message with this receipt.
pub async fn send(client: &Client<u64>, receipt: u64) -> Result<(), NotQueued<u64>> {
    client.send_with_receipt(&Message::new("h", text(receipt)), receipt).await
}

/// Sends the message with this receipt, with a field of `bytes` bytes.
pub async fn send_padded(client: &Client<u64>, receipt: u64, bytes: usize) -> Result<(), NotQueued<u64>> {
    client.send_with_receipt(&padded(&text(receipt), bytes), receipt).await
}

/// Returns a message with a field of `bytes` bytes.
pub fn padded(text: &str, bytes: usize) -> Message<'_> {
    Message::new("h", text).with_field(FieldName::from_static("padding"), "x".repeat(bytes))
}

/// The outcomes of messages. The receipts of the messages are the keys.
#[derive(Debug, Default)]
pub struct Ledger(pub BTreeMap<u64, Outcome>);

impl Ledger {
    pub fn add(&mut self, (receipt, outcome): (u64, Outcome)) {
        assert_eq!(self.0.insert(receipt, outcome), None, "message {receipt} has two outcomes");
    }

    /// Returns the receipts with this outcome, in order.
    pub fn with(&self, outcome: Outcome) -> Vec<u64> {
        self.0.iter().filter(|(_, known)| **known == outcome).map(|(receipt, _)| *receipt).collect()
    }

    /// Asserts that the counters agree with the outcomes.
    pub fn assert_matches(&self, stats: &ClientStats) {
        let count = |outcome| self.with(outcome).len() as u64;
        let dropped = |reason| count(Outcome::Dropped(reason));
        assert_eq!(self.0.len() as u64, stats.delivered() + stats.dropped.total(), "{stats:?}");
        assert_eq!((count(Outcome::Acknowledged), count(Outcome::Sent)), (stats.acknowledged, stats.sent));
        let counts = (dropped(DropReason::Ended), dropped(DropReason::QueueFull));
        assert_eq!(counts, (stats.dropped.ended, stats.dropped.queue_full));
    }
}

/// A client whose driver runs and whose receipts are read.
pub struct Sending {
    pub client: Client<u64>,
    pub driver: JoinHandle<()>,
    receipts: JoinHandle<Ledger>,
}

impl Sending {
    pub fn start(endpoint: &Endpoint) -> Self {
        Self::run(Client::builder(endpoint).stamp(false).build_with_receipts().unwrap())
    }

    pub fn start_with(endpoint: &Endpoint, resolver: &Arc<ScriptedResolver>) -> Self {
        Self::run(Client::builder(endpoint).resolver(resolver.clone()).build_with_receipts().unwrap())
    }

    pub fn run((client, receipts, driver): (Client<u64>, Receipts<u64>, Driver<u64>)) -> Self {
        Self { client, driver: tokio::spawn(driver.run()), receipts: tokio::spawn(read(receipts)) }
    }

    /// Sends messages of the first stream, all of which must be queued.
    pub async fn send(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            send(&self.client, number).await.unwrap();
        }
    }

    pub fn stats(&self) -> ClientStats {
        self.client.stats()
    }

    /// Waits until the counters meet a condition.
    pub async fn wait_for(&self, what: &str, mut wanted: impl FnMut(&ClientStats) -> bool) -> ClientStats {
        let looking = async {
            loop {
                let stats = self.client.stats();
                if wanted(&stats) {
                    return stats;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match timeout(LIMIT, looking).await {
            Ok(stats) => stats,
            Err(_) => panic!("timeout: {what}: {:?}", self.client.stats()),
        }
    }

    /// Waits until each message has its outcome, then ends the client. Asserts that the counters agree with
    /// the number of offered messages, and that each queued message has one outcome.
    pub async fn end(self, offered: u64) -> (ClientStats, Ledger) {
        if let Err(unflushed) = self.client.flush(LIMIT).await {
            panic!("{unflushed}: {:?}", self.client.stats());
        }
        let stats = self.client.stats();
        assert_account(&stats, offered);
        assert_eq!((stats.waiting, stats.in_flight), (0, 0));
        drop(self.client);
        within("the driver's end", self.driver).await.unwrap();
        let ledger = within("the last receipt", self.receipts).await.unwrap();
        assert_eq!(ledger.0.len() as u64, stats.queued);
        ledger.assert_matches(&stats);
        (stats, ledger)
    }

    /// Ends the client as [`end`](Self::end) does. Asserts that all offered messages were acknowledged.
    pub async fn end_acknowledged(self, offered: u64) -> ClientStats {
        let (stats, ledger) = self.end(offered).await;
        assert_eq!(ledger.with(Outcome::Acknowledged).len() as u64, offered);
        stats
    }

    /// Drops the client while messages may still lack their outcome, and waits for the driver's end and the
    /// last receipt.
    pub async fn drop_client(self) -> Ledger {
        drop(self.client);
        within("the driver's end", self.driver).await.unwrap();
        within("the last receipt", self.receipts).await.unwrap()
    }

    /// Drops the driver, and waits for the last receipt.
    pub async fn drop_driver(self, offered: u64) -> (Client<u64>, Ledger) {
        self.driver.abort();
        let ledger = within("the last receipt", self.receipts).await.unwrap();
        let stats = self.client.stats();
        assert_account(&stats, offered);
        assert_eq!(ledger.0.len() as u64, stats.queued);
        ledger.assert_matches(&stats);
        (self.client, ledger)
    }
}

async fn read(mut receipts: Receipts<u64>) -> Ledger {
    let mut ledger = Ledger::default();
    while let Some(receipt) = receipts.recv().await {
        ledger.add(receipt);
    }
    ledger
}

/// Observations of a [`Sink`] on all of its connections.
#[derive(Clone, Debug)]
pub struct Heard {
    expected: BTreeSet<u64>,
    /// The expected messages that have not arrived.
    missing: BTreeSet<u64>,
    /// The receipts of the messages, in order of arrival.
    pub arrivals: Vec<u64>,
    /// The addresses of all accepted connections.
    pub peers: Vec<SocketAddr>,
    pub open: usize,
    /// The number of connections that the client ended without an error.
    pub ended: u64,
    /// The number of connections that the client reset.
    pub reset: u64,
    /// The number of connections that ended within a frame.
    pub cut_frames: u64,
    /// Frames that are not messages.
    pub bad_frames: Vec<String>,
}

/// Instructions for all connections of a [`Sink`].
#[derive(Clone, Copy)]
struct Instructions {
    /// The first `unread` connections are not read.
    unread: usize,
    /// `true` if the sink closes its side of a connection that the client has ended.
    ends: bool,
    /// The number of calls of [`Sink::hang_up`]. A change closes all connections.
    hang_ups: u64,
}

/// A strict receiver of frames. It shares no code with the code under test except the decoder.
pub struct Sink {
    pub address: SocketAddr,
    heard: watch::Sender<Heard>,
    instructions: watch::Sender<Instructions>,
    accepting: JoinHandle<()>,
}

impl Sink {
    pub async fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let heard = watch::Sender::new(Heard {
            expected: BTreeSet::new(),
            missing: BTreeSet::new(),
            arrivals: Vec::new(),
            peers: Vec::new(),
            open: 0,
            ended: 0,
            reset: 0,
            cut_frames: 0,
            bad_frames: Vec::new(),
        });
        let instructions = watch::Sender::new(Instructions { unread: 0, ends: true, hang_ups: 0 });
        let accepting = tokio::spawn(accept(listener, heard.clone(), instructions.subscribe()));
        Self { address, heard, instructions, accepting }
    }

    /// Stops reading the first `connections` connections, and reads all others.
    pub fn leave_unread(&self, connections: usize) {
        self.instructions.send_modify(|instructions| instructions.unread = connections);
    }

    /// Sets whether the sink closes its side of a connection that the client has ended. The default is
    /// `true`.
    pub fn set_ending(&self, ends: bool) {
        self.instructions.send_modify(|instructions| instructions.ends = ends);
    }

    /// Closes all connections and waits until they are closed. Unread bytes are lost.
    pub async fn hang_up(&self) {
        self.instructions.send_modify(|instructions| instructions.hang_ups += 1);
        self.wait_for("the end of all connections", |heard| heard.open == 0).await;
    }

    /// Expects these messages of a stream.
    pub fn expect(&self, stream: u32, numbers: std::ops::Range<u64>) {
        self.heard.send_modify(|heard| {
            heard.expected.extend(numbers.map(|number| receipt(stream, number)));
            let arrived: BTreeSet<_> = heard.arrivals.iter().copied().collect();
            heard.missing = heard.expected.difference(&arrived).copied().collect();
        });
    }

    pub fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    pub async fn wait_for(&self, what: &str, wanted: impl FnMut(&Heard) -> bool) -> Heard {
        let mut heard = self.heard.subscribe();
        let result = timeout(LIMIT, heard.wait_for(wanted)).await.map(|heard| heard.unwrap().clone());
        match result {
            Ok(heard) => heard,
            Err(_) => panic!("timeout: {what}: {:?}", self.report()),
        }
    }

    /// Waits until all expected messages have arrived.
    pub async fn wait_for_all(&self) {
        self.wait_for("the arrival of all", |heard| heard.missing.is_empty()).await;
    }

    /// Waits until all expected messages have arrived. Asserts that each arrived once and in order, and that
    /// nothing else arrived.
    pub async fn assert_exact(&self) {
        self.wait_for_all().await;
        assert!(self.report().is_exact(), "{:?}", self.report());
    }

    /// Asserts that every frame was a message, and returns the report so far.
    pub fn report(&self) -> Report {
        let heard = self.heard.borrow();
        assert_eq!(heard.bad_frames, [""; 0]);
        Report::new(&heard.expected, &heard.arrivals)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    heard: watch::Sender<Heard>,
    instructions: watch::Receiver<Instructions>,
) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, peer) = listener.accept().await.unwrap();
        heard.send_modify(|heard| {
            heard.peers.push(peer);
            heard.open += 1;
        });
        connections.spawn(hear(number, stream, heard.clone(), instructions.clone()));
    }
}

async fn hear(
    number: usize,
    mut stream: TcpStream,
    heard: watch::Sender<Heard>,
    mut instructions: watch::Receiver<Instructions>,
) {
    let hang_ups = instructions.borrow().hang_ups;
    let mut bytes = Vec::new();
    loop {
        let now = *instructions.borrow_and_update();
        if now.hang_ups != hang_ups {
            stream.shutdown().await.unwrap();
            break;
        }
        tokio::select! {
            changed = instructions.changed() => {
                if changed.is_err() {
                    // The test has ended.
                    break;
                }
            }
            read = stream.read_buf(&mut bytes), if number >= now.unread => match read {
                Ok(0) => {
                    heard.send_modify(|heard| heard.ended += 1);
                    if !now.ends {
                        std::future::pending::<()>().await;
                    }
                    break;
                }
                Ok(count) => {
                    if bytes[bytes.len() - count..].contains(&0) {
                        heard.send_modify(|heard| take_frames(&mut bytes, heard));
                    }
                }
                Err(_) => {
                    heard.send_modify(|heard| heard.reset += 1);
                    break;
                }
            },
        }
    }
    drop(stream);
    heard.send_modify(|heard| {
        heard.open -= 1;
        heard.cut_frames += u64::from(!bytes.is_empty());
    });
}

fn take_frames(bytes: &mut Vec<u8>, heard: &mut Heard) {
    let mut frames = bytes.split(|byte| *byte == 0);
    let rest = frames.next_back().unwrap_or_default().len();
    for frame in frames {
        hear_payload(frame, heard);
    }
    bytes.drain(..bytes.len() - rest);
}

/// Notes the arrival of one payload, which is a message or a bad frame.
fn hear_payload(payload: &[u8], heard: &mut Heard) {
    match receipt_of(payload) {
        Some(receipt) => {
            heard.arrivals.push(receipt);
            heard.missing.remove(&receipt);
        }
        None => heard.bad_frames.push(String::from_utf8_lossy(payload).into_owned()),
    }
}

/// The result of a lookup.
#[derive(Clone, Debug)]
pub enum Answer {
    Addresses(Vec<SocketAddr>),
    /// The system gives no thread for the lookup.
    NoThread,
    Panic,
    Unknown,
    /// The lookup does not end.
    Hangs,
}

/// A resolver that returns its answers in order, and repeats the last answer.
#[derive(Debug)]
pub struct ScriptedResolver {
    answers: Mutex<VecDeque<Answer>>,
    lookups: AtomicU64,
}

impl ScriptedResolver {
    pub fn new(answers: impl Into<VecDeque<Answer>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into()), lookups: AtomicU64::new(0) })
    }

    pub fn set(&self, answers: impl Into<VecDeque<Answer>>) {
        *self.answers.lock().unwrap() = answers.into();
    }

    pub fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Resolve for ScriptedResolver {
    fn resolve<'a>(&'a self, host: &'a str, _port: u16) -> Resolving<'a> {
        assert_eq!(host, "logs.example");
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move {
            match answer {
                Some(Answer::Addresses(addresses)) => Ok(addresses),
                Some(Answer::NoThread) => Err(io::ErrorKind::WouldBlock.into()),
                Some(Answer::Panic) => panic!("on purpose"),
                Some(Answer::Hangs) => std::future::pending().await,
                Some(Answer::Unknown) | None => Err(io::Error::other("no such name")),
            }
        })
    }
}
