//! A client whose connections are reset.
//!
//! A connection that has proven itself settles messages that the receiver's kernel has acknowledged. All
//! others, and all messages of a connection that has not proven itself, are written again, whole, to the next
//! connection. Messages that were settled and never read are lost, which no sender can detect; a counter says
//! that it is possible.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use gelf_tokio::gelf_core::{Message, encode};
use gelf_tokio::{Client, Endpoint, Outcome};
use message_oracle::{Messages, Oracle};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::account::assert_account;
use crate::support::outages::{LIMIT, within};
use crate::support::sink::{cut_segment, drop_all, listen, reset, texts, unread};

fn endpoint(listener: &TcpListener) -> Endpoint {
    format!("gelf+tcp://{}", listener.local_addr().unwrap()).parse().unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    within("the connection", listener.accept()).await.unwrap().0
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "timeout: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn frame_len(text: &str) -> usize {
    let mut frame = bytes::BytesMut::new();
    encode(&Message::new("h", text), &mut frame);
    frame.len() + 1
}

/// Resets a connection that has proven itself after each number of bytes of two frames: frames that arrived
/// whole are not sent again, the others are, once and whole.
#[tokio::test]
async fn a_reset_at_any_byte_of_two_frames_loses_nothing_and_repeats_no_acknowledged_frame() {
    let both: usize = TWO.map(frame_len).iter().sum();
    let mut offsets = JoinSet::new();
    for kept in 0..=both {
        offsets.spawn(reset_after(kept));
    }
    offsets.join_all().await;
}

const TWO: [&str; 2] = ["the first of two", "and the other one"];

/// Resets a connection after `kept` bytes of two frames.
async fn reset_after(kept: usize) {
    let first = frame_len(TWO[0]);
    let both = first + frame_len(TWO[1]);
    let listener = listen();
    let builder = Client::builder(&endpoint(&listener)).stamp(false);
    let (client, mut receipts, driver) = builder.build_with_receipts().unwrap();
    let observer = client.observer();
    let driver = tokio::spawn(driver.run());
    client.send_with_receipt(&Message::new("h", "proof"), 0).await.unwrap();
    let mut stream = accept(&listener).await;
    let mut read = Vec::new();
    while read.len() < frame_len("proof") {
        within("the first frame", stream.read_buf(&mut read)).await.unwrap();
    }
    until("the connection has proven itself", || client.stats().acknowledged == 1).await;
    read.clear();
    cut_segment(&stream, both, kept);
    // Both are queued before the driver runs, so both are sent in one segment.
    for (receipt, text) in TWO.into_iter().enumerate() {
        client.try_send_with_receipt(&Message::new("h", text), receipt + 1).unwrap();
    }
    while read.len() < kept {
        within("the kept bytes", stream.read_buf(&mut read)).await.unwrap();
    }
    let whole = usize::from(kept >= first) + usize::from(kept >= both);
    until("acknowledged", || client.stats().acknowledged == 1 + whole as u64).await;
    until("written", || client.stats().in_flight == 2 - whole).await;
    drop_all(&stream);
    assert_eq!((read.len(), unread(&stream)), (kept, 0));
    reset(stream);

    let mut arrived = texts(&read);
    assert_eq!(arrived.len(), whole);
    if whole < 2 {
        let mut next = accept(&listener).await;
        drop(client);
        let mut read = Vec::new();
        within("the end of the connection", next.read_to_end(&mut read)).await.unwrap();
        arrived.extend(texts(&read));
    } else {
        until("the reset", || client.stats().broken_connections == 1).await;
        drop(client);
    }
    for receipt in 0..3 {
        assert_eq!(receipts.recv().await, Some((receipt, Outcome::Acknowledged)));
    }
    assert_eq!(arrived, TWO, "after {kept} bytes");
    within("the driver's end", driver).await.unwrap();
    assert_eq!(receipts.recv().await, None);
    let stats = observer.stats();
    assert_account(&stats, 3);
    let counts = (stats.acknowledged, stats.resent, stats.possibly_lost);
    assert_eq!(counts, (3, 2 - whole as u64, 1 + whole as u64), "after {kept} bytes");
}

/// The number of resets, each of which costs up to 0.5 s for the proof of a connection.
const ROUNDS: usize = 16;

/// The effects of resets, each after a random number of bytes.
struct Resets {
    oracle: Oracle,
    arrived: HashSet<u64>,
    /// Number of bytes that were acknowledged and not read, and number of bytes of partly read frames.
    unread: usize,
    in_part: usize,
    stats: gelf_tokio::stats::ClientStats,
    sent: u64,
}

/// The sink's side of a connection, with TLS or without.
struct Session {
    stream: Box<dyn AsyncRead + Unpin>,
    socket: socket2::Socket,
}

impl Session {
    fn new(stream: impl AsyncRead + Unpin + 'static, socket: socket2::Socket) -> Self {
        Self { stream: Box::new(stream), socket }
    }

    async fn read(&mut self, read: &mut Vec<u8>) -> std::io::Result<usize> {
        self.stream.read_buf(read).await
    }

    /// Reads all bytes that have arrived, except an incomplete TLS record. No bytes may arrive meanwhile.
    async fn drain(&mut self, read: &mut Vec<u8>) {
        while tokio::time::timeout(Duration::from_millis(2), self.read(read)).await.is_ok() {}
    }
}

/// A listener, with TLS or without.
struct Sink {
    listener: TcpListener,
    #[cfg(feature = "tls")]
    tls: Option<(tokio_rustls::TlsAcceptor, crate::support::certificates::Directory)>,
}

impl Sink {
    fn plain() -> Self {
        Self {
            listener: listen(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls() -> Self {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let authority = crate::support::certificates::Authority::new("tests");
        let issued = authority.issue(&["127.0.0.1"]);
        let directory = crate::support::certificates::Directory::new();
        directory.write("ca.pem", &authority.pem());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        Self { listener: listen(), tls: Some((std::sync::Arc::new(config).into(), directory)) }
    }

    fn endpoint(&self) -> Endpoint {
        #[cfg(feature = "tls")]
        if let Some((_, directory)) = &self.tls {
            let ca = directory.path("ca.pem");
            let address = self.listener.local_addr().unwrap();
            return format!("gelf+tls://{address}?ca={}", ca.display()).parse().unwrap();
        }
        endpoint(&self.listener)
    }

    async fn accept(&self) -> Session {
        let stream = accept(&self.listener).await;
        let socket = SockRef::from(&stream).try_clone().unwrap();
        #[cfg(feature = "tls")]
        if let Some((tls, _)) = &self.tls {
            return Session::new(within("the handshake", tls.accept(stream)).await.unwrap(), socket);
        }
        Session::new(stream, socket)
    }
}

/// Sends numbered messages while a sink resets the connection, `rounds` times, then lets the rest arrive.
async fn reset_again_and_again(sink: Sink, rounds: usize, seed: u64, drained: bool) -> Resets {
    let (client, mut receipts, driver) =
        Client::builder(&sink.endpoint()).stamp(false).build_with_receipts().unwrap();
    let driver = tokio::spawn(driver.run());

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sending = {
        let client = client.clone();
        tokio::spawn(async move {
            let messages = Messages::new(seed).lengths(30..=300);
            let mut number = 0;
            while !*stopped.borrow() {
                client.send_with_receipt(&Message::new("h", messages.text(0, number)), number).await.unwrap();
                number += 1;
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            number
        })
    };
    let reading = tokio::spawn(async move {
        let mut outcomes = Vec::new();
        while let Some((number, outcome)) = receipts.recv().await {
            assert_eq!(number, outcomes.len() as u64);
            outcomes.push(outcome);
        }
        outcomes
    });

    let mut oracle = Oracle::new(seed);
    let mut arrived = HashSet::new();
    let mut arrive = |text: &str| {
        oracle.arrived(text);
        arrived.insert(message_oracle::Message::parse(text).unwrap().number);
    };
    let (mut unread_bytes, mut in_part) = (0, 0);
    let mut random = seed;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = (random >> 33) as usize % 40_000;
        let mut session = sink.accept().await;
        let mut read = Vec::new();
        // Every other connection proves itself before the reset.
        let settled = client.stats().acknowledged;
        while read.len() < wanted || (round % 2 == 0 && client.stats().acknowledged == settled) {
            within("bytes", session.read(&mut read)).await.unwrap();
        }
        drop_all(&session.socket);
        // Bytes that are written from now on stay in the sender's kernel and never arrive.
        tokio::time::sleep(Duration::from_millis(2)).await;
        if drained {
            session.drain(&mut read).await;
        }
        let rest = unread(&session.socket);
        if rest > 0 {
            let end = read.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
            in_part += read.len() - end;
        }
        unread_bytes += rest;
        session.socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(session);
        for text in texts(&read) {
            arrive(&text);
        }
    }
    // The client reconnects while it has messages to send.
    let mut session = sink.accept().await;
    stop.send(true).unwrap();
    let finish = async {
        let sent = sending.await.unwrap();
        let stats = {
            let client = client;
            client.flush(LIMIT).await.unwrap();
            client.stats()
        };
        (sent, stats)
    };
    let mut read = Vec::new();
    let to_its_end = async { while session.read(&mut read).await.unwrap() > 0 {} };
    let ((sent, stats), ()) = tokio::join!(finish, within("the end of the connection", to_its_end));
    drop(session);
    for text in texts(&read) {
        arrive(&text);
    }
    within("the driver's end", driver).await.unwrap();
    let outcomes = reading.await.unwrap();
    assert_eq!(outcomes.len() as u64, sent);
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Acknowledged));
    assert_account(&stats, sent);
    assert_eq!((stats.acknowledged, stats.in_flight, stats.waiting), (sent, 0, 0));
    assert_eq!(stats.broken_connections, rounds as u64);
    oracle.expect(0, 0..sent);
    Resets { oracle, arrived, unread: unread_bytes, in_part, stats, sent }
}

fn assert_nothing_lost(resets: &Resets) {
    let report = resets.oracle.report();
    assert_eq!(resets.unread, 0);
    assert_eq!((report.lost, report.altered, report.unexpected), (0, 0, 0), "{report}");
    assert!(report.duplicated <= resets.stats.resent, "{report}");
    assert!(resets.stats.resent > 0, "no message was in flight at any reset");
}

#[tokio::test]
async fn resets_without_unread_data_lose_nothing() {
    assert_nothing_lost(&reset_again_and_again(Sink::plain(), ROUNDS, 1, true).await);
}

/// TCP acknowledges TLS records, not frames, so receipts must map records to frames.
#[cfg(feature = "tls")]
#[tokio::test]
async fn resets_under_tls_lose_nothing() {
    assert_nothing_lost(&reset_again_and_again(Sink::with_tls(), ROUNDS, 3, true).await);
}

#[tokio::test]
async fn resets_with_unread_data_lose_only_messages_that_were_acknowledged_and_unread() {
    let resets = reset_again_and_again(Sink::plain(), ROUNDS, 2, false).await;
    let report = resets.oracle.report();
    let messages = Messages::new(2).lengths(30..=300);
    let lost = (0..resets.sent).filter(|number| !resets.arrived.contains(number));
    let lost_bytes: usize = lost.map(|number| frame_len(&messages.text(0, number))).sum();
    assert!(resets.stats.possibly_lost >= report.lost, "{report}");
    assert!(resets.unread > 0, "no reset discarded unread data");
    assert!(lost_bytes <= resets.unread + resets.in_part, "{report}");
    assert_eq!((report.altered, report.unexpected), (0, 0), "{report}");
    assert!(report.duplicated <= resets.stats.resent, "{report}");
}
