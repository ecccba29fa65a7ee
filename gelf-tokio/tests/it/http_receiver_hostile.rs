//! Tests the HTTP receiver with hostile clients and clients of other protocols: an invalid request affects no
//! other request.

use std::net::SocketAddr;

use crate::support::http_client::{Client, M, during, exchange, post, receiver, request, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes and returns everything that is received until the connection ends.
async fn answered(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A failure to write is not a failure of the test: only the answer counts.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn invalid_requests_affect_no_others_and_are_answered_with_400_except_those_of_http_2() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let mut other = Client::connect(address).await;
    let junk = [
        ("TLS", &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..]),
        ("GELF over TCP", b"{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"m\"}\0"),
        ("a chunk", b"\x1e\x0fabcdefgh\0\x02{}"),
        ("HTTP/0.9", b"GET\r\n\r\n"),
        ("HTTP/7.3", b"POST /gelf HTTP/7.3\r\n\r\n"),
        ("no colon", b"POST /gelf HTTP/1.1\r\nno colon\r\n\r\n"),
        ("length -1", b"POST /gelf HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}"),
        ("no chunks", b"POST /gelf HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n{}"),
        ("overflow", b"POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"),
        ("no text", b"\xff\xfe\xfd\xfc\r\n\r\n"),
        // This request is counted like the other requests, but is not answered.
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ];
    for (name, bytes) in junk {
        let (answer, items) = during(&mut receiver, answered(address, bytes)).await;
        let is_400 = answer.starts_with("HTTP/1.1 400 ");
        assert!(if name == "HTTP/2" { answer.is_empty() } else { is_400 }, "{name}: {answer:?}");
        assert_eq!(items, []);
        let (status, _) = during(&mut receiver, async {
            other.send(post("", M)).await;
            other.answer().await.status
        })
        .await;
        assert_eq!(status, 202);
    }
    drop(other);
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    let (stats, count) = (receiver.stats(), junk.len() as u64);
    assert_eq!((stats.rejected.bad_request, stats.rejected.total(), stats.accepted), (count, count, count));
}

#[tokio::test]
async fn a_huge_head_is_answered_with_431_whichever_part_is_huge() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let headers = |count: usize, len: usize| {
        (0..count).map(|number| format!("x-{number}: {}\r\n", "y".repeat(len))).collect::<String>()
    };
    for head in [
        request("POST /gelf", &headers(1, 1_000_000), M),
        request("POST /gelf", &headers(101, 1), M),
        request("POST /gelf", &headers(1000, 1000), M),
        request(&format!("POST /{}", "g".repeat(100_000)), "", M),
        [&b"POST /gelf HTTP/1.1\r\nx: "[..], &[b'y'; 1_000_000]].concat(),
    ] {
        let (answer, items) = during(&mut receiver, answered(address, &head)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
        assert_eq!(items, []);
    }
    let (statuses, items) = exchange(&mut receiver, &[post(&headers(90, 100), M)]).await;
    assert_eq!((statuses, items.len()), (vec![202], 1));
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    assert_eq!((receiver.stats().rejected.head_too_large, receiver.stats().rejected.total()), (5, 5));
}

#[tokio::test]
async fn a_broken_connection_loses_only_its_own_request() {
    for (bulk, received) in [(false, 0), (true, 1)] {
        let mut receiver = receiver(|options| options.bulk = bulk).await;
        let whole = post("", format!("{M}\n{M}"));
        let mut stream = TcpStream::connect(receiver.local_addr().unwrap()).await.unwrap();
        stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
        drop(stream);
        let items =
            until(&mut receiver, |stats| stats.broken_requests == 1 && stats.open_connections == 0).await;
        let stats = receiver.stats();
        assert_eq!((items.len() as u64, stats.requests), (received, 1));
        assert_eq!((stats.values, stats.dropped.cut), (2 * received, received));
        assert_eq!(exchange(&mut receiver, &[post("", M)]).await, (vec![202], vec![Ok(M.to_owned())]));
    }
}

#[tokio::test]
async fn a_rejected_request_with_a_body_of_any_length_is_answered() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    // The receiver reads on after its answer. If it closed the connection instead, the unread bytes would reset
    // the connection, and the answer would be lost.
    for len in [0, 1, 60_000, 80_000, 10_000_000] {
        for (line, status) in [("POST /wrong", 404), ("GET /gelf", 405), ("POST /gelf", 413)] {
            if status == 413 && len <= 65_536 {
                continue;
            }
            let (answer, _) =
                during(&mut receiver, answered(address, &request(line, "", vec![b'x'; len]))).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?} to {line}, {len}");
        }
    }
    until(&mut receiver, |stats| stats.open_connections == 0).await;
}
