//! Tests the limits of the HTTP receiver's connections, and the counters of ended connections.

use std::io::ErrorKind;
use std::time::Duration;

use crate::support::http_client::{Client, M, assert_adds_up, during, post, receiver, until};
use gelf_tokio::HttpReceiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a message on a connection, and returns the status of the answer.
async fn send(receiver: &mut HttpReceiver, client: &mut Client) -> u16 {
    let (status, items) = during(receiver, async {
        client.send(post("", M)).await;
        client.answer().await.status
    })
    .await;
    assert_eq!(items, [Ok(M.to_owned())]);
    status
}

/// Receives until a connection ends. Returns the result of reading it to its end.
async fn end(receiver: &mut HttpReceiver, stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let mut rest = Vec::new();
    let read = during(receiver, stream.read_to_end(&mut rest)).await.0;
    read.map_err(|error| error.kind())
}

#[tokio::test]
async fn a_slow_head_ends_a_connection_with_a_reset_and_idleness_ends_it_without_one() {
    let mut receiver = receiver(|options| {
        options.head_timeout = Duration::from_secs(2);
        options.idle_timeout = Duration::from_secs(1);
    })
    .await;
    let address = receiver.local_addr().unwrap();
    for begun in ["", "POST /gelf HTTP"] {
        let mut client = Client::connect(address).await;
        client.send(begun).await;
        assert_eq!(end(&mut receiver, &mut client.stream).await, Err(ErrorKind::ConnectionReset), "{begun}");
    }
    let mut client = Client::connect(address).await;
    assert_eq!(send(&mut receiver, &mut client).await, 202);
    assert_eq!(end(&mut receiver, &mut client.stream).await, Ok(0));
    // The connection stays open until the client closes its side, too, but for 2 s at most.
    client.stream.shutdown().await.unwrap();
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    let stats = receiver.stats();
    assert_eq!((stats.slow_heads, stats.idle_connections, stats.ended_connections), (2, 1, 0));
    assert_adds_up(&stats);
}

#[tokio::test]
async fn a_connection_with_unread_answers_is_reset() {
    let mut receiver = receiver(|options| {
        options.idle_timeout = Duration::from_secs(1);
        options.request_timeout = Duration::from_secs(1);
    })
    .await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let request = post("", M);
    let (error, items) = during(&mut receiver, async {
        loop {
            if let Err(error) = client.stream.write_all(&request).await {
                break error.kind();
            }
        }
    })
    .await;
    assert_eq!(error, ErrorKind::ConnectionReset);
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    let stats = receiver.stats();
    assert_eq!((stats.idle_connections, stats.broken_connections, stats.ended_connections), (1, 0, 0));
    assert_eq!(stats.payloads, items.len() as u64);
    assert_adds_up(&stats);
}

#[tokio::test]
async fn a_connection_that_its_client_ends_is_counted_once_as_ended_or_broken() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let half = post("", M);
    for (sent, ended, broken) in [
        (&b""[..], 1, 0),
        // The receiver answers text that is not HTTP with 400, and does not answer HTTP/2. It ends both
        // connections.
        (b"nothing of HTTP\r\n\r\n", 2, 0),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 3, 0),
        // An incomplete head counts as a broken connection. An incomplete body counts as a broken request,
        // and is answered.
        (&half[..10], 3, 1),
        (&half[..half.len() - 1], 4, 1),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let counted = ended + broken;
        until(&mut receiver, |stats| stats.connections == counted && stats.open_connections == 0).await;
        let stats = receiver.stats();
        let sent = String::from_utf8_lossy(sent);
        assert_eq!((stats.ended_connections, stats.broken_connections), (ended, broken), "{sent}");
    }
    assert_eq!(receiver.stats().broken_requests, 1);
}

#[tokio::test]
async fn a_connection_that_is_reset_between_requests_or_within_a_head_counts_as_broken() {
    let mut receiver = receiver(|_| {}).await;
    for (begun, broken) in [("", 1), ("POST", 2)] {
        let mut client = Client::connect(receiver.local_addr().unwrap()).await;
        assert_eq!(send(&mut receiver, &mut client).await, 202);
        client.send(begun).await;
        client.stream.set_zero_linger().unwrap();
        drop(client);
        until(&mut receiver, |stats| stats.open_connections == 0).await;
        let stats = receiver.stats();
        assert_eq!((stats.ended_connections, stats.broken_connections), (0, broken));
    }
}
