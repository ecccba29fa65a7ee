//! Tests receivers with TLS.

use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::certificates::Directory;
use crate::tls::config_from_pem;

/// Returns a receiver, and a connector that trusts it.
pub(super) async fn secured(change: impl FnOnce(&mut TcpReceiverOptions)) -> (TcpReceiver, TlsConnector) {
    let (files, authority) = Directory::of_server(&["localhost"]);
    let tls = ReceiverTls::from_pem_files(files.path("server.pem"), files.path("server.key")).unwrap();
    let client = config_from_pem(Some(authority.pem().as_bytes()), None).unwrap();
    let mut options = TcpReceiverOptions::default();
    change(&mut options);
    let receiver = TcpReceiver::bind_tls("127.0.0.1:0", options, tls).await.unwrap();
    (receiver, TlsConnector::from(client))
}

pub(super) async fn shake_hands(connector: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// Connects and shakes hands.
async fn tls_peer(receiver: &mut TcpReceiver, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = connect(receiver).await;
    tokio::select! {
        peer = shake_hands(connector, stream) => peer,
        received = receiver.recv() => panic!("{received:?}"),
    }
}

#[tokio::test]
async fn the_maximum_length_of_a_frame_also_holds_over_tls() {
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
async fn a_receiver_sends_nothing_after_the_handshake_so_a_sender_that_never_reads_loses_nothing() {
    let (mut receiver, connector) = secured(|_| {}).await;
    for _ in 0..5 {
        let mut peer = tls_peer(&mut receiver, &connector).await;
        assert_eq!(peer.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        peer.write_all(b"{}\0").await.unwrap();
        peer.flush().await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{}");
        let unread = peer.get_ref().0.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(unread.kind(), io::ErrorKind::WouldBlock);

        let message = [vec![b'x'; 60_000], vec![0]].concat();
        let sending = tokio::spawn(async move {
            for _ in 0..20 {
                peer.write_all(&message).await.unwrap();
            }
            peer.flush().await.unwrap();
            // The connection is dropped without a close_notify, as many programs do when they end.
        });
        for _ in 0..20 {
            assert_eq!(payload(&mut receiver).await.len(), 60_000);
        }
        sending.await.unwrap();
    }
    assert_adds_up(receiver.stats(), 105);
}

#[tokio::test]
async fn a_reset_breaks_a_connection_but_an_end_without_close_notify_breaks_it_only_within_a_frame() {
    for (sent, reset, broken, cut) in
        [(&b"{}\0"[..], false, 0, 0), (b"{}\0{", false, 1, 1), (b"{}\0", true, 1, 0), (b"{}\0{", true, 1, 1)]
    {
        let (mut receiver, connector) = secured(|_| {}).await;
        let mut peer = tls_peer(&mut receiver, &connector).await;
        peer.write_all(sent).await.unwrap();
        peer.flush().await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{}");
        if reset {
            SockRef::from(peer.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
        } else {
            peer.get_mut().0.shutdown().await.unwrap();
        }
        until(&mut receiver, |stats| stats.open_connections == 0).await;
        assert_eq!((receiver.stats().broken_connections, receiver.stats().cut_frames), (broken, cut));
        assert_adds_up(receiver.stats(), 1);
    }
}

#[tokio::test]
async fn a_handshake_that_fails_or_takes_too_long_ends_its_connection_and_is_counted() {
    let (mut receiver, _) = secured(|options| options.handshake_timeout = Duration::from_millis(200)).await;
    let mut plain = connect(&receiver).await;
    plain.write_all(b"{\"version\":\"1.1\"}\0").await.unwrap();
    let _silent = connect(&receiver).await;
    until(&mut receiver, |stats| stats.failed_handshakes == 2).await;
    assert_adds_up(receiver.stats(), 0);
}
