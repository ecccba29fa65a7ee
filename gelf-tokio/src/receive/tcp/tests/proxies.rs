//! Tests connections through proxies with the PROXY protocol. The proxies are 127.0.0.2 and 127.0.0.3.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

use super::*;

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 12201\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x09\x12\x67\x2f\xa9";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const CLIENT: &str = "192.0.2.1:4711";

fn behind_a_proxy(options: &mut TcpReceiverOptions) {
    options.proxy_protocol_from = vec!["127.0.0.2/31".parse().unwrap()];
}

async fn connect_from(receiver: &TcpReceiver, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(receiver.local_addr().unwrap()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn assert_reset(mut peer: TcpStream) {
    let read = tokio::time::timeout(Duration::from_secs(30), peer.read(&mut [0])).await.expect("it ends");
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_sender_of_a_frame_is_the_client_that_the_proxy_header_names() {
    let mut receiver = receiver(behind_a_proxy).await;
    for header in [V1, V2] {
        // The header arrives once in one packet with the first frame, and once byte by byte.
        let mut peer = connect_from(&receiver, "127.0.0.2").await;
        peer.write_all(&[header, b"{}\0{\"a\":"].concat()).await.unwrap();
        let first = received(&mut receiver).await;
        assert_eq!((&first.payload[..], first.from), (&b"{}"[..], CLIENT.parse().unwrap()));
        peer.write_all(b"1}\0").await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{\"a\":1}");
        let mut slow = connect_from(&receiver, "127.0.0.3").await;
        for byte in [header, b"{}\0"].concat() {
            slow.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(received(&mut receiver).await.from, CLIENT.parse().unwrap());
    }
    assert_adds_up(receiver.stats(), 6);
}

#[tokio::test]
async fn a_proxy_that_names_no_client_is_the_sender() {
    let mut receiver = receiver(|options| {
        behind_a_proxy(options);
        options.max_connections_per_peer = 1;
    })
    .await;
    let mut peers = Vec::new();
    for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut peer = connect_from(&receiver, "127.0.0.2").await;
        peer.write_all(&[header, b"{}\0"].concat()).await.unwrap();
        assert_eq!(received(&mut receiver).await.from, peer.local_addr().unwrap());
        peers.push(peer);
    }
    assert_eq!(receiver.stats().open_connections, 2);
}

#[tokio::test]
async fn a_header_from_a_host_that_is_not_a_proxy_is_part_of_the_first_frame() {
    for change in [behind_a_proxy, |_: &mut TcpReceiverOptions| {}] {
        let mut receiver = receiver(change).await;
        let mut peer = connect_from(&receiver, "127.0.0.1").await;
        peer.write_all(&[V1, b"{}\0"].concat()).await.unwrap();
        let received = received(&mut receiver).await;
        assert_eq!((received.from, received.payload.len()), (peer.local_addr().unwrap(), V1.len() + 2));
    }
}

#[tokio::test]
async fn a_connection_of_a_proxy_without_a_valid_header_is_reset_and_counted() {
    let mut receiver = receiver(|options| {
        behind_a_proxy(options);
        options.handshake_timeout = Duration::from_millis(200);
    })
    .await;
    let too_long = [&V2[..14], b"\xff\xff"].concat();
    // The last header stays incomplete, and takes too long.
    let starts = [&b"{}\0{}\0"[..], b"PROXY TCP4 host\r\n{}\0", &too_long[..], b"", b"PROXY "];
    for (number, start) in (1..).zip(starts) {
        let mut peer = connect_from(&receiver, "127.0.0.2").await;
        peer.write_all(start).await.unwrap();
        if start.is_empty() {
            peer.shutdown().await.unwrap();
        }
        until(&mut receiver, |stats| stats.failed_proxy_headers == number).await;
        assert_reset(peer).await;
    }
    assert_adds_up(receiver.stats(), 0);
}

#[tokio::test]
async fn the_limit_of_connections_holds_for_the_clients_behind_a_proxy_and_not_for_the_proxy() {
    let mut receiver = receiver(|options| {
        behind_a_proxy(options);
        options.max_connections_per_peer = 1;
    })
    .await;
    // The client 127.0.0.1 is also connected without a proxy, so its connection through the proxy is refused.
    let mut direct = connect_from(&receiver, "127.0.0.1").await;
    direct.write_all(b"{}\0").await.unwrap();
    payload(&mut receiver).await;
    let mut open = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "127.0.0.1", "192.0.2.1"] {
        let mut peer = connect_from(&receiver, "127.0.0.2").await;
        let sent = format!("PROXY TCP4 {client} 192.0.2.9 1 2\r\n{{}}\0");
        peer.write_all(sent.as_bytes()).await.unwrap();
        if open.len() < 2 {
            let from = received(&mut receiver).await.from;
            assert_eq!(from, SocketAddr::new(client.parse().unwrap(), 1));
            open.push(peer);
        } else {
            assert_reset(peer).await;
        }
    }
    until(&mut receiver, |stats| stats.over_limit_connections == 2).await;
    assert_adds_up(receiver.stats(), 3);
    // The places of the closed connections are free again.
    open.clear();
    until(&mut receiver, |stats| stats.open_connections == 1).await;
    let mut again = connect_from(&receiver, "127.0.0.2").await;
    again.write_all(&[V1, b"{}\0"].concat()).await.unwrap();
    assert_eq!(received(&mut receiver).await.from, CLIENT.parse().unwrap());
}

#[tokio::test]
async fn a_closing_receiver_returns_frames_that_follow_a_header_and_gives_up_an_incomplete_header() {
    let mut receiver = receiver(behind_a_proxy).await;
    let mut whole = connect_from(&receiver, "127.0.0.2").await;
    let mut begun = connect_from(&receiver, "127.0.0.2").await;
    whole.write_all(&[V2, b"{}\0"].concat()).await.unwrap();
    begun.write_all(b"PROXY ").await.unwrap();
    receiver.close(Duration::from_secs(2));
    assert_eq!(received(&mut receiver).await.from, CLIENT.parse().unwrap());
    let end = tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await;
    assert!(end.expect("it ends").is_none());
    let stats = receiver.stats();
    assert_eq!((stats.closed_connections, stats.failed_proxy_headers), (2, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_closing_receiver_returns_the_frames_of_a_proxy_that_is_accepted_after_the_time_for_reading() {
    let mut receiver = receiver(|options| {
        behind_a_proxy(options);
        (options.max_connections, options.max_queued_frames) = (1, 1);
    })
    .await;
    let mut first = connect_from(&receiver, "127.0.0.2").await;
    first.write_all(&[V2, b"[0]\0[1]\0"].concat()).await.unwrap();
    let mut waiting = connect_from(&receiver, "127.0.0.2").await;
    waiting.write_all(&[V2, b"[2]\0"].concat()).await.unwrap();
    while receiver.stats().waiting_frames < 1 {
        tokio::task::yield_now().await;
    }
    receiver.close(Duration::from_secs(30));
    // The second frame waits for room, and it waits longer than a closing receiver reads.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for expected in ["[0]", "[1]", "[2]"] {
        assert_eq!(payload(&mut receiver).await, expected);
    }
    assert!(receiver.recv().await.is_none());
    assert_adds_up(receiver.stats(), 3);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn the_tls_handshake_follows_the_proxy_header() {
    let (mut receiver, connector) = tls::secured(behind_a_proxy).await;
    let mut stream = connect_from(&receiver, "127.0.0.2").await;
    stream.write_all(V2).await.unwrap();
    let mut peer = tls::shake_hands(&connector, stream).await;
    peer.write_all(b"{}\0").await.unwrap();
    assert_eq!(received(&mut receiver).await.from, CLIENT.parse().unwrap());
}
