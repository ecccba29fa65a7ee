//! The HTTP receiver with hostile clients and clients of other protocols: an invalid request affects no other
//! request.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::http_client::{
    Client, M, adds_up, during, exchange, gzip, post, post_chunked, receiver, request, until,
};
use gelf_tokio::HttpReceiver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes and returns everything that is received until the connection ends.
async fn answered(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The receiver may close the connection before everything is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn is_served(receiver: &mut HttpReceiver) {
    let (statuses, items) = exchange(receiver, &[post("", M)]).await;
    assert_eq!((statuses, items), (vec![202], vec![Ok(M.to_owned())]));
}

#[tokio::test]
async fn invalid_requests_are_answered_with_400_and_affect_no_others() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let mut other = Client::connect(address).await;
    let junk = [
        &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..],
        b"{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"m\"}\0",
        b"\x1e\x0fabcdefgh\0\x02{}",
        b"GET\r\n\r\n",
        b"POST /gelf HTTP/7.3\r\n\r\n",
        b"POST /gelf HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /gelf HTTP/1.1\r\ncontent-length: 1, 2\r\n\r\n{}",
        b"POST /gelf HTTP/1.1\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /gelf HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n{}",
        b"POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{}",
        b"POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        b"\xff\xfe\xfd\xfc\r\n\r\n",
    ];
    for bytes in junk {
        let (answer, items) = during(&mut receiver, answered(address, bytes)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?} to {:?}", String::from_utf8_lossy(bytes));
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
    let stats = receiver.stats();
    assert_eq!((stats.rejected.bad_request, stats.rejected.total()), (junk.len() as u64, junk.len() as u64));
    assert_eq!((stats.requests, stats.accepted), (2 * junk.len() as u64, junk.len() as u64));
}

#[tokio::test]
async fn http_2_is_not_supported() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let (answer, items) = during(&mut receiver, answered(address, preface)).await;
    assert_eq!((answer.as_str(), items), ("", vec![]));
    until(&mut receiver, |stats| stats.open_connections == 0 && stats.connections == 1).await;
    assert_eq!(receiver.stats().rejected.bad_request, 1);
    is_served(&mut receiver).await;
}

#[tokio::test]
async fn a_huge_head_is_431_whichever_part_is_huge() {
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
async fn slow_clients_are_closed_and_do_not_delay_others() {
    let mut receiver = receiver(|options| {
        options.max_connections_per_peer = 101;
        options.head_timeout = Duration::from_secs(2);
        options.request_timeout = Duration::from_secs(2);
    })
    .await;
    let address = receiver.local_addr().unwrap();
    let request = post("", "x".repeat(1000));
    let head_len = request.len() - 1000;
    let mut slow = Vec::new();
    for number in 0..100 {
        // Half of the clients are slow in the head, the others in the body.
        let begun = if number % 2 == 0 { &request[..1] } else { &request[..head_len] };
        slow.push(tokio::spawn({
            let (begun, rest) = (begun.to_vec(), request[begun.len()..].to_vec());
            async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(&begun).await.unwrap();
                let (mut reading, mut writing) = stream.into_split();
                let sending = async {
                    for byte in rest {
                        if writing.write_all(&[byte]).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    std::future::pending::<()>().await;
                };
                let mut answer = Vec::new();
                tokio::select! {
                    _ = reading.read_to_end(&mut answer) => {}
                    () = sending => {}
                }
                String::from_utf8(answer).unwrap()
            }
        }));
    }
    let (accepted, items) = during(&mut receiver, async {
        let mut client = Client::connect(address).await;
        let mut accepted = 0;
        while slow.iter().any(|slow| !slow.is_finished()) {
            client.send(post("", M)).await;
            assert_eq!(client.answer().await.status, 202);
            accepted += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        accepted
    })
    .await;
    assert_eq!(items.len(), accepted);
    let mut answers = Vec::new();
    for slow in slow {
        answers.push(slow.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| answer.is_empty()).count(), 50);
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408 ")).count(), 50);
    until(&mut receiver, |stats| stats.open_connections == 0).await;
    let stats = receiver.stats();
    assert_eq!((stats.slow_heads, stats.rejected.too_slow), (50, 50));
    assert_eq!((stats.accepted, stats.requests), (accepted as u64, accepted as u64 + 50));
    // The served client, and the clients that were answered with 408.
    assert_eq!((stats.connections, stats.ended_connections), (101, 51));
}

#[tokio::test]
async fn a_request_may_be_cut_at_every_byte() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let request = post_chunked("content-encoding: gzip\r\nte: trailers\r\n", gzip(M.as_bytes()), 5);
    for at in 1..request.len() {
        let (status, items) = during(&mut receiver, async {
            let (first, second) = request.split_at(at);
            client.send(first).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            client.send(second).await;
            client.answer().await.status
        })
        .await;
        assert_eq!((status, items), (202, vec![Ok(M.to_owned())]), "{at}");
    }
    let (status, items) = during(&mut receiver, async {
        for byte in &request {
            client.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        client.answer().await.status
    })
    .await;
    assert_eq!((status, items), (202, vec![Ok(M.to_owned())]));
    assert_eq!((receiver.stats().connections, receiver.stats().accepted), (1, request.len() as u64));
}

#[tokio::test]
async fn a_broken_connection_loses_only_its_own_request() {
    for (bulk, received) in [(false, 0), (true, 1)] {
        let mut receiver = receiver(|options| options.bulk = bulk).await;
        let address = receiver.local_addr().unwrap();
        let whole = post("", format!("{M}\n{M}"));
        let (_, items) = during(&mut receiver, async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
        })
        .await;
        let more =
            until(&mut receiver, |stats| stats.broken_requests == 1 && stats.open_connections == 0).await;
        assert_eq!(items.len() + more.len(), received);
        let stats = receiver.stats();
        assert_eq!(
            (stats.requests, stats.values, stats.dropped.cut),
            (1, 2 * received as u64, received as u64)
        );
        is_served(&mut receiver).await;
    }
}

#[tokio::test]
async fn a_flood_of_bombs_is_rejected_one_by_one() {
    let mut receiver = receiver(|_| {}).await;
    let bomb = gzip(&vec![b' '; 16 * 1024 * 1024]);
    assert!(bomb.len() < 20 * 1024, "{}", bomb.len());
    for headers in ["content-encoding: gzip\r\n", ""] {
        for _ in 0..20 {
            let (statuses, items) = exchange(&mut receiver, &[post(headers, &bomb)]).await;
            assert_eq!((statuses, items), (vec![413], vec![]));
        }
    }
    is_served(&mut receiver).await;
    assert_eq!(receiver.stats().rejected.body_too_large, 40);
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn a_rejected_request_with_a_body_of_any_length_is_answered() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    // Closing the connection while the client still sends would reset it and lose the answer.
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
