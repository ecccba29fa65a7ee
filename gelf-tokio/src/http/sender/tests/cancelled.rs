//! Tests posts whose future is dropped.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};

use super::polled::polled;
use super::server::{Peer, guarded, sender_to};
use crate::endpoint::HttpOptions;

/// One entry for each connection that has ended: the bodies of its complete requests, and the bytes after the
/// last complete request.
type Log = Arc<Mutex<Vec<(Vec<Bytes>, Vec<u8>)>>>;

/// Answers all requests on all connections. Writes the answers one byte at a time.
async fn serve(listener: TcpListener, log: Log) {
    let mut connections = JoinSet::new();
    loop {
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        peer.stream.set_nodelay(true).unwrap();
        let log = Arc::clone(&log);
        connections.spawn(async move {
            let mut bodies = Vec::new();
            while let Some(seen) = peer.request().await {
                bodies.push(Bytes::from(seen.body));
                for byte in b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok" {
                    let _ = peer.stream.write_all(&[*byte]).await;
                    yield_now().await;
                }
            }
            log.lock().unwrap().push((bodies, peer.unread().to_vec()));
        });
    }
}

/// Returns a body of one repeated byte.
fn body(byte: u8, len: usize) -> Bytes {
    vec![byte; len].into()
}

/// If `kept` is true, posts body `a`. Then polls a post of body `b` up to `polls` times, drops this post, and posts
/// body `c`. Returns whether the post of `b` was ready before it was dropped, and whether a connection ended within
/// a request.
async fn given_up(polls: usize, kept: bool, len: usize) -> (bool, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Accepted connections inherit the buffer size from the listener.
    SockRef::from(&listener).set_recv_buffer_size(128 * 1024).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let server = tokio::spawn(serve(listener, Arc::clone(&log)));
    let mut sender = sender_to(vec![address], &HttpOptions::default());
    let (a, b, c) = (body(b'a', 3), body(b'b', len), body(b'c', 5));
    if kept {
        sender.post(a.clone()).await.unwrap();
    }
    let done = match polled(sender.post(b.clone()), polls).await {
        Some(result) => {
            result.unwrap();
            true
        }
        None => {
            assert_eq!(sender.connection.is_some(), kept && polls == 0, "a connection outlives its request");
            false
        }
    };
    sender.post(c.clone()).await.unwrap();
    drop(sender);
    // The server may see nothing of a connection on which nothing was sent.
    let connections = if kept && !done && polls > 0 { 2 } else { 1 };
    while log.lock().unwrap().len() < connections
        || !log.lock().unwrap().iter().any(|(bodies, _)| bodies.contains(&c))
    {
        yield_now().await;
    }
    server.abort();
    let _ = server.await;
    let mut is_cut = false;
    for (bodies, rest) in log.lock().unwrap().iter() {
        for whole in bodies {
            assert!([&a, &b, &c].contains(&whole), "a request mixes several bodies");
        }
        let is_last = bodies.last() == Some(&c);
        assert_eq!(bodies.contains(&c), is_last);
        if is_last {
            assert!(rest.is_empty());
            assert!(done || polls == 0 || bodies.as_slice() == [c.clone()]);
        }
        is_cut |= !rest.is_empty();
        // Only the request with body `b` may be incomplete.
        let head = rest.windows(4).position(|four| four == b"\r\n\r\n").map_or(rest.len(), |at| at + 4);
        let started = &rest[head..];
        assert!(started.len() < b.len() && *started == b[..started.len()]);
    }
    (done, is_cut)
}

#[tokio::test]
async fn no_request_follows_a_part_of_a_dropped_post_on_its_connection() {
    for len in [1_000, 8 << 20] {
        for kept in [false, true] {
            let (mut polls, mut cuts) = (0, 0);
            loop {
                let (done, is_cut) = guarded(given_up(polls, kept, len)).await;
                cuts += usize::from(is_cut);
                if done {
                    break;
                }
                polls += 1;
                assert!(polls < 10_000);
            }
            // Reading the answer takes many polls, and writing a long request takes several.
            assert!(polls > 10, "the post was ready after only {polls} polls");
            assert!(len < 1 << 20 || cuts > 1, "only {cuts} requests were cut");
        }
    }
}
