//! Receivers with TLS.

use std::process::Command;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::certificates::{Authority, Directory};

/// A receiver, and a connector that trusts it.
async fn secured(change: impl FnOnce(&mut TcpReceiverOptions)) -> (TcpReceiver, TlsConnector) {
    let authority = Authority::new("tests");
    let directory = Directory::new();
    let (cert, key) = directory.write_issued("server", &authority.issue(&["localhost"]));
    let tls = ReceiverTls::from_pem_files(cert, key).unwrap();
    // What is read stays, with or without its files.
    drop(directory);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut options = TcpReceiverOptions::default();
    change(&mut options);
    let receiver = TcpReceiver::bind_tls("127.0.0.1:0", options, tls).await.unwrap();
    (receiver, TlsConnector::from(Arc::new(client)))
}

async fn shake_hands(connector: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// Shakes hands while the receiver works.
async fn tls_peer(receiver: &mut TcpReceiver, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = connect(receiver).await;
    tokio::select! {
        peer = shake_hands(connector, stream) => peer,
        received = receiver.recv() => panic!("{received:?}"),
    }
}

#[tokio::test]
async fn frames_come_through_tls_with_the_limits_that_hold_without_it() {
    let (mut receiver, connector) = secured(|options| options.max_frame_len = 100_000).await;
    let mut peer = tls_peer(&mut receiver, &connector).await;
    let from = peer.get_ref().0.local_addr().unwrap();
    let longest = vec![b'x'; 100_000];
    let stream = [&longest[..], b"\0", &longest, b"y\0{}\0{\"last\":1}"].concat();
    let sending = tokio::spawn(async move {
        peer.write_all(&stream).await.unwrap();
        peer.shutdown().await.unwrap();
        peer
    });
    assert_eq!(payload(&mut receiver).await, longest);
    assert!(matches!(receiver.recv().await, Some(Err(ReceiveError::Frame { from: who, .. })) if who == from));
    assert_eq!(payload(&mut receiver).await, "{}");
    assert_eq!(payload(&mut receiver).await, "{\"last\":1}");
    let _peer = sending.await.unwrap();
    until(&mut receiver, |stats| stats.ended_connections == 1).await;
    assert_adds_up(receiver.stats(), 4);
}

#[tokio::test]
async fn an_end_that_tls_did_not_announce_cuts_a_frame_and_is_none_between_frames() {
    let (mut receiver, connector) = secured(|_| {}).await;
    for (sent, broken, cut) in [(&b"{}\0"[..], 0, 0), (b"{}\0{", 1, 1)] {
        let mut peer = tls_peer(&mut receiver, &connector).await;
        peer.write_all(sent).await.unwrap();
        peer.flush().await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{}");
        peer.get_mut().0.shutdown().await.unwrap();
        until(&mut receiver, |stats| stats.open_connections == 0).await;
        assert_eq!((receiver.stats().broken_connections, receiver.stats().cut_frames), (broken, cut));
    }
    assert_adds_up(receiver.stats(), 2);
}

#[tokio::test]
async fn a_handshake_that_fails_or_takes_too_long_costs_its_connection_and_is_counted() {
    let (mut receiver, connector) =
        secured(|options| options.handshake_timeout = Duration::from_millis(200)).await;
    let mut plain = connect(&receiver).await;
    plain.write_all(b"{\"version\":\"1.1\"}\0").await.unwrap();
    let _silent = connect(&receiver).await;
    until(&mut receiver, |stats| stats.failed_handshakes == 2).await;
    drop(receiver);

    let (mut receiver, connector2) = secured(|_| {}).await;
    drop(connector);
    let mut peer = tls_peer(&mut receiver, &connector2).await;
    peer.write_all(b"{}\0").await.unwrap();
    assert_eq!(payload(&mut receiver).await, "{}");
    assert_adds_up(receiver.stats(), 1);
}

#[tokio::test]
async fn a_tls_connection_without_a_first_byte_is_reset_in_time() {
    let (mut receiver, connector) =
        secured(|options| options.first_byte_timeout = Some(Duration::from_millis(20))).await;
    let mut peer = tls_peer(&mut receiver, &connector).await;
    until(&mut receiver, |stats| stats.silent_connections == 1).await;
    assert_eq!(peer.get_mut().0.write(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// Resident memory of this process.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Runs in a process of its own, for its memory is measured: that of both sides.
#[cfg(target_os = "linux")]
#[test]
fn five_hundred_half_open_handshakes_take_little_memory_and_keep_nobody_waiting() {
    const ALONE: &str = "GELF_TOKIO_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(half_open_handshakes());
        return;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let name =
        format!("{module}::five_hundred_half_open_handshakes_take_little_memory_and_keep_nobody_waiting");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}");
    assert!(printed.contains("test result: ok. 1 passed"), "it did not run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
async fn half_open_handshakes() {
    let (mut receiver, connector) = secured(|_| {}).await;
    // Whatever is needed once.
    drop(tls_peer(&mut receiver, &connector).await);
    until(&mut receiver, |stats| stats.open_connections == 0).await;

    // The header of a handshake of 64 KiB, the most that is read of one before it is whole, and most of it in records of
    // 16 KiB.
    let record = [&[22, 3, 1, 0x40, 0][..], &[0; 16 * 1024]].concat();
    let mut hello = record.repeat(4);
    hello[5..9].copy_from_slice(&[1, 0, 0xff, 0xff]);
    hello.truncate(65_000);
    for (what, sent) in [("that send nothing", &[][..]), ("that send most of 64 KiB", &hello)] {
        let before = resident_bytes();
        let mut half_open = Vec::new();
        for number in 0..500 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(format!("127.0.0.{}:0", 2 + number % 20).parse().unwrap()).unwrap();
            let mut peer = socket.connect(receiver.local_addr().unwrap()).await.unwrap();
            tokio::select! {
                written = peer.write_all(sent) => written.unwrap(),
                received = receiver.recv() => panic!("{received:?}"),
            }
            half_open.push(peer);
        }
        until(&mut receiver, |stats| stats.open_connections == 500).await;
        for _ in 0..2000 {
            until(&mut receiver, |_| true).await;
            tokio::task::yield_now().await;
        }
        let started = Instant::now();
        let mut peer = tls_peer(&mut receiver, &connector).await;
        peer.write_all(b"{}\0").await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{}");
        let took = started.elapsed();
        let growth = resident_bytes().saturating_sub(before);
        println!(
            "500 half-open handshakes {what}: {:.1} MiB (both sides), a good one in {took:?}",
            growth as f64 / 1048576.0
        );
        assert!(growth <= 40 << 20, "{growth}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(receiver.stats().open_connections, 501);
        drop((half_open, peer));
        until(&mut receiver, |stats| stats.open_connections == 0).await;
    }
    assert_adds_up(receiver.stats(), 2);
}
