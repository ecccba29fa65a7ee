//! Tests a client whose connections are reset.
//!
//! A connection that has proven itself settles messages (gives them their outcome) when the receiver's kernel
//! has acknowledged them. All other messages, and all messages of a connection that has not proven itself,
//! are written again as whole frames to the next connection. A message that was settled but never read is
//! lost. No sender can detect this loss, but a counter has the number of messages that may be lost.

use std::collections::BTreeSet;
use std::time::Duration;

use gelf_tokio::Endpoint;
use gelf_tokio::gelf_core::{Encoder, Message};
use gelf_tokio::stats::ClientStats;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::outages::{Sending, send, tcp, tcp_with, text, within};
use crate::support::sink::{cut_segment, drop_all, listen, receipts, reset, unread};

async fn accept(listener: &TcpListener) -> TcpStream {
    within("the connection", listener.accept()).await.unwrap().0
}

fn frame_len(receipt: u64) -> usize {
    let mut frame = bytes::BytesMut::new();
    Encoder::new().encode(&Message::new("h", text(receipt)), &mut frame);
    frame.len() + 1
}

/// Resets a proven connection after each possible number of bytes of two frames. A frame that arrived whole
/// is not sent again. A frame that did not arrive whole is sent again once, from its first byte.
#[tokio::test]
async fn a_reset_at_any_byte_of_two_frames_loses_nothing_and_repeats_no_acknowledged_frame() {
    for first in (0..=frame_len(1) + frame_len(2)).step_by(128) {
        let mut offsets = JoinSet::new();
        for kept in first..(first + 128).min(frame_len(1) + frame_len(2) + 1) {
            offsets.spawn(reset_after(kept));
        }
        offsets.join_all().await;
    }
}

/// Resets a connection after `kept` bytes of two frames.
async fn reset_after(kept: usize) {
    let (first, both) = (frame_len(1), frame_len(1) + frame_len(2));
    let listener = listen();
    let sending = Sending::start(&tcp(listener.local_addr().unwrap()));
    sending.send(0..1).await;
    let mut stream = accept(&listener).await;
    let mut read = Vec::new();
    while read.len() < frame_len(0) {
        within("the first frame", stream.read_buf(&mut read)).await.unwrap();
    }
    sending.wait_for("the proof", |stats| stats.acknowledged == 1).await;
    read.clear();
    cut_segment(&stream, both, kept);
    // Both frames are queued before the driver runs, so both are sent in one segment.
    for receipt in 1..3 {
        sending.client.try_send_with_receipt(&Message::new("h", text(receipt)), receipt).unwrap();
    }
    while read.len() < kept {
        within("the kept bytes", stream.read_buf(&mut read)).await.unwrap();
    }
    let whole = usize::from(kept >= first) + usize::from(kept >= both);
    let is_kept =
        |stats: &ClientStats| stats.acknowledged == 1 + whole as u64 && stats.in_flight == 2 - whole;
    sending.wait_for("the acknowledgements", is_kept).await;
    drop_all(&stream);
    assert_eq!((read.len(), unread(&stream)), (kept, 0));
    reset(stream);

    let mut arrived = receipts(&read);
    assert_eq!(arrived.len(), whole);
    sending.wait_for("the reset", |stats| stats.broken_connections == 1).await;
    let next = tokio::spawn(async move {
        let mut read = Vec::new();
        if whole < 2 {
            accept(&listener).await.read_to_end(&mut read).await.unwrap();
        }
        read
    });
    let stats = sending.end_acknowledged(3).await;
    arrived.extend(receipts(&within("the end of the connection", next).await.unwrap()));
    assert_eq!(arrived, [1, 2], "after {kept} bytes");
    let counts = (stats.resent, stats.possibly_lost);
    assert_eq!(counts, (2 - whole as u64, 1 + whole as u64), "after {kept} bytes");
}

/// The number of resets. Before every second reset, the connection needs up to 0.5 s to prove itself.
const ROUNDS: usize = 16;

/// The effects of resets, each after a random number of bytes.
struct Resets {
    lost: Vec<u64>,
    /// The number of bytes that were acknowledged but not read.
    unread: usize,
    /// The number of bytes that were read from frames whose last bytes were not read.
    in_part: usize,
    stats: ClientStats,
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

    /// Reads all bytes that have arrived, except an incomplete TLS record. The caller ensures that no bytes
    /// arrive meanwhile.
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
        let (files, _) = crate::support::certificates::Directory::of_server(&["127.0.0.1"]);
        let cert = rustls::pki_types::CertificateDer::from_pem_file(files.path("server.pem")).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(files.path("server.key")).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        Self { listener: listen(), tls: Some((std::sync::Arc::new(config).into(), files)) }
    }

    fn endpoint(&self) -> Endpoint {
        #[cfg(feature = "tls")]
        if let Some((_, directory)) = &self.tls {
            let ca = directory.path("ca.pem");
            let address = self.listener.local_addr().unwrap();
            return format!("gelf+tls://{address}?queue=2000&ca={}", ca.display()).parse().unwrap();
        }
        // With this small queue, the messages that are left at the end arrive in time even on a busy machine.
        tcp_with(self.listener.local_addr().unwrap(), "queue=2000")
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

/// Sends messages while a sink resets the connection again and again, then lets the rest arrive.
async fn resets(sink: Sink, seed: u64, drained: bool) -> Resets {
    let sending = Sending::start(&sink.endpoint());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let client = sending.client.clone();
    let feeding = tokio::spawn(async move {
        let mut number = 0;
        while !*stopped.borrow() {
            send(&client, number).await.unwrap();
            number += 1;
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        number
    });
    let (mut arrived, mut unread_bytes, mut in_part) = (Vec::new(), 0, 0);
    let mut random = seed;
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = (random >> 33) as usize % 40_000;
        let mut session = sink.accept().await;
        let mut read = Vec::new();
        // Each second connection proves itself before the reset.
        let settled = sending.stats().acknowledged;
        while read.len() < wanted || (round % 2 == 0 && sending.stats().acknowledged == settled) {
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
        arrived.extend(receipts(&read));
    }
    // The client reconnects while it has messages to send.
    let mut session = sink.accept().await;
    stop.send(true).unwrap();
    let mut read = Vec::new();
    let to_its_end = async { while session.read(&mut read).await.unwrap() > 0 {} };
    let end = async {
        let sent = feeding.await.unwrap();
        sending.end_acknowledged(sent).await
    };
    let (stats, ()) = tokio::join!(end, within("the end of the connection", to_its_end));
    arrived.extend(receipts(&read));
    assert_eq!(stats.broken_connections, ROUNDS as u64);
    let once: BTreeSet<_> = arrived.iter().copied().collect();
    let lost = (0..stats.queued).filter(|receipt| !once.contains(receipt)).collect();
    let duplicated = (arrived.len() - once.len()) as u64;
    assert!(duplicated <= stats.resent, "{duplicated} duplicated, {stats:?}");
    Resets { lost, unread: unread_bytes, in_part, stats }
}

/// TCP acknowledges bytes of TLS records, not frames, so the client must map records to frames.
#[tokio::test]
async fn resets_without_unread_data_lose_nothing_with_and_without_tls() {
    for sink in [
        Sink::plain(),
        #[cfg(feature = "tls")]
        Sink::with_tls(),
    ] {
        let resets = resets(sink, 1, true).await;
        assert_eq!((resets.unread, &resets.lost[..]), (0, &[][..]));
        assert!(resets.stats.resent > 0, "no message was in flight at any reset");
    }
}

#[tokio::test]
async fn resets_with_unread_data_lose_no_more_bytes_than_arrived_of_frames_that_were_not_read_to_their_end() {
    let resets = resets(Sink::plain(), 2, false).await;
    let lost_bytes: usize = resets.lost.iter().map(|receipt| frame_len(*receipt)).sum();
    assert!(resets.stats.possibly_lost >= resets.lost.len() as u64, "{:?}", resets.stats);
    assert!(resets.unread > 0, "no reset discarded unread data");
    assert!(lost_bytes <= resets.unread + resets.in_part, "{lost_bytes} bytes of {}", resets.unread);
}
