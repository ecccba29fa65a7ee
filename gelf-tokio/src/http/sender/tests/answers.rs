//! Tests valid and invalid answers.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::super::HttpError;
use super::super::observed_io::MAX_ANSWER_BYTES;
use super::server::{ACCEPTED, Server, guarded, piped, post};
use crate::endpoint::HttpOptions;

/// Posts to a server that sends this answer. Returns the result, and whether the next post uses the same
/// connection.
async fn answered(answer: &str) -> (Result<(), HttpError>, bool) {
    let (mut server, mut sender) = Server::with_sender().await;
    let (result, mut peer) = server.answer_one(&mut sender, answer).await;
    let next = async {
        // The next request comes on the same connection or on a new connection.
        tokio::select! {
            biased;
            seen = peer.request() => if seen.is_some() {
                peer.write(ACCEPTED).await;
                return true;
            },
            new = server.accept() => peer = new,
        }
        if server.connections == 1 {
            peer = server.accept().await;
        }
        peer.request().await.unwrap();
        peer.write(ACCEPTED).await;
        false
    };
    let (second, reused) = guarded(async { tokio::join!(post(&mut sender), next) }).await;
    second.unwrap();
    (result, reused)
}

async fn status_of(answer: &str) -> (u16, bool) {
    match answered(answer).await {
        (Err(HttpError::Status { status, .. }), reused) => (status, reused),
        other => panic!("{answer:?}: {other:?}"),
    }
}

#[tokio::test]
async fn any_2xx_is_success_even_if_the_connection_cannot_be_kept() {
    let chunked = |body| format!("HTTP/1.1 202 A\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    for (answer, kept) in [
        (ACCEPTED, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
        ("HTTP/1.1 202 \r\ncontent-length:0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 299 x\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", true),
        (&chunked("0\r\n\r\n"), true),
        (&chunked("5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n"), true),
        (&chunked("1\r\nx\r\n0\r\ntrailer: x\r\n\r\n"), true),
        (&chunked("x\r\n"), false),
        ("HTTP/1.1 202 A\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 202 A\r\nConnection: Close\r\ncontent-length: 5\r\n\r\nhello", false),
        ("HTTP/1.0 202 A\r\ncontent-length: 0\r\n\r\n", false),
        // A body without a length ends with the connection, and the sender does not wait for that end.
        ("HTTP/1.1 202 A\r\n\r\n", false),
        ("HTTP/1.1 202 A\r\n\r\nhello", false),
        // The server sends more bytes than announced, or a second answer.
        ("HTTP/1.1 202 A\r\ncontent-length: 0\r\n\r\nhello", false),
        ("HTTP/1.1 202 A\r\ncontent-length: 0\r\n\r\nHTTP/1.1 503 A\r\ncontent-length: 0\r\n\r\n", false),
    ] {
        let (result, reused) = answered(answer).await;
        result.unwrap();
        assert_eq!(reused, kept, "{answer:?}");
    }
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    for status in [100, 102, 103, 199] {
        let interim = format!("HTTP/1.1 {status} x\r\nlink: x\r\n\r\n");
        let (result, reused) = answered(&format!("{interim}{interim}{ACCEPTED}")).await;
        result.unwrap();
        assert!(reused);
        assert_eq!(
            status_of(&format!("{interim}HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n")).await,
            (503, true)
        );
    }
    // The request does not ask for another protocol, so the status 101 is an error.
    let switching = "HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(status_of(switching).await, (101, false));
}

#[tokio::test]
async fn an_answer_of_300_or_more_is_an_error_and_keeps_the_connection_unless_it_says_close() {
    for status in [300, 308, 400, 401, 408, 413, 503] {
        let answer = format!(
            "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\noops"
        );
        let (result, reused) = answered(&answer).await;
        let error = result.unwrap_err();
        assert!(matches!(error, HttpError::Status { status: s, .. } if s == status), "{error:?}");
        assert!(reused, "{status}");
    }
    assert_eq!(status_of("HTTP/1.1 304 x\r\n\r\n").await, (304, true));
    assert_eq!(
        status_of("HTTP/1.1 503 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await,
        (503, false)
    );
}

#[tokio::test]
async fn an_answer_that_is_invalid_or_too_long_is_a_retriable_error() {
    let long = |len| format!("HTTP/1.1 202 A\r\nx: {}\r\n\r\n", "y".repeat(len));
    let many = |count| format!("HTTP/1.1 204 A\r\n{}\r\n", "x: y\r\n".repeat(count));
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "HTTP/2 202\r\n\r\n".to_owned(),
        "HTTP/1.1 20 A\r\n\r\n".to_owned(),
        "HTTP/1.1 099 A\r\n\r\n".to_owned(),
        "HTTP/1.1 202 A\r\ncontent-length: x\r\n\r\n".to_owned(),
        "HTTP/1.1 202 A\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(),
        "HTTP/1.1 202 A\r\nx\0y: z\r\n\r\n".to_owned(),
        "\0\0\0".to_owned(),
        long(MAX_ANSWER_BYTES + 8_192),
        many(101),
    ] {
        let start = &answer[..answer.len().min(40)];
        let (result, reused) = answered(&answer).await;
        let Err(error) = result else { panic!("{start:?}") };
        assert!(matches!(error, HttpError::Answer(_)), "{start:?}: {error:?}");
        assert!(error.is_retriable() && !reused);
    }
    for answer in [long(60_000), many(100)] {
        answered(&answer).await.0.unwrap();
    }
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_ends_the_connection_but_the_status_counts() {
    let (result, reused) = answered("HTTP/1.1 202 A\r\ncontent-length: 18446744073709551000\r\n\r\nx").await;
    result.unwrap();
    assert!(!reused);
    let chunked = |len| {
        format!(
            "HTTP/1.1 503 A\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(len)
        )
    };
    assert_eq!(status_of(&chunked(65_536)).await, (503, true));
    assert_eq!(status_of(&chunked(65_537)).await, (503, false));
    let sized = |len| format!("HTTP/1.1 202 A\r\ncontent-length: {len}\r\n\r\n{}", "x".repeat(len));
    assert!(answered(&sized(65_536)).await.1);
    assert!(!answered(&sized(65_537)).await.1);
}

/// Posts to a server that answers without end. Returns the result, and how many bytes the server could write
/// until the sender closed the connection.
async fn flooded(start: &str, again: &str) -> (Result<(), HttpError>, usize) {
    let (mut server, mut sender) = Server::with_sender().await;
    let serve = async {
        let mut peer = server.accept().await;
        peer.request().await.unwrap();
        let mut written = 0;
        let mut next = start.to_owned();
        while peer.stream.write_all(next.as_bytes()).await.is_ok() {
            written += next.len();
            next = again.repeat(8_192 / again.len() + 1);
            assert!(written < 1 << 30, "the server is read without end");
        }
        written
    };
    guarded(async { tokio::join!(post(&mut sender), serve) }).await
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    // The sender reads a bounded number of bytes. The buffers of the two sockets take about 6 MB more on
    // loopback, for which the test leaves ample room.
    const MAX_WRITTEN: usize = MAX_ANSWER_BYTES + (32 << 20);
    let chunked = "HTTP/1.1 202 A\r\ntransfer-encoding: chunked\r\n\r\n";
    for (start, again, accepted) in [
        ("HTTP/1.1 202 A\r\n", "x: y\r\n", false),
        ("HTTP/1.1 202 A\r\nx: ", "y", false),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", false),
        ("", "\r\n", false),
        (chunked, "1\r\nx\r\n", true),
        (chunked, "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nx\r\n", true),
        ("HTTP/1.1 202 A\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n", true),
        ("HTTP/1.1 202 A\r\n\r\n", "x", true),
    ] {
        let (result, written) = flooded(start, again).await;
        assert!(written < MAX_WRITTEN, "{again:?}: {written}");
        match result {
            Ok(()) => assert!(accepted, "{start:?} {again:?}"),
            Err(error) => {
                assert!(matches!(error, HttpError::Answer(_)), "{error:?}");
                assert!(!accepted, "{start:?} {again:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_times_out_without_the_whole_head_of_a_final_answer() {
    for start in ["", "HTTP/1.1 202 Accepted\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let (mut sender, mut peer) = piped(&HttpOptions::default()).await;
        let started = Instant::now();
        let (result, ()) = tokio::join!(post(&mut sender), peer.write(start));
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        let error = result.unwrap_err();
        assert!(matches!(error, HttpError::TimedOut { after } if after.as_secs() == 10), "{error:?}");
        assert!(error.is_retriable());
        // Nothing more is sent on that connection.
        assert!(peer.request().await.is_some() && peer.request().await.is_none());
        assert_eq!(peer.unread(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_2xx_status_a_post_waits_at_most_one_second_for_the_body() {
    for (rest, limit, waits) in [
        ("content-length: 5\r\n\r\nhell", 10_000, 1_000),
        ("content-length: 5\r\n\r\nhell", 300, 300),
        ("transfer-encoding: chunked\r\n\r\n", 10_000, 1_000),
        // The sender does not wait for these bodies: the first one ends only with its connection, and the
        // second one is too long.
        ("\r\nhell", 10_000, 0),
        ("content-length: 65537\r\n\r\nhell", 10_000, 0),
    ] {
        let options = HttpOptions { timeout: Duration::from_millis(limit), ..HttpOptions::default() };
        let (mut sender, mut peer) = piped(&options).await;
        let started = Instant::now();
        let answer = format!("HTTP/1.1 202 Accepted\r\n{rest}");
        let (result, ()) = tokio::join!(post(&mut sender), peer.write(&answer));
        result.unwrap();
        assert_eq!(started.elapsed().as_millis(), waits, "{rest:?}");
        assert!(peer.request().await.is_some() && peer.request().await.is_none());
    }
}

#[tokio::test]
async fn a_receiver_that_answers_before_it_has_read_all_gets_the_next_request_on_a_new_connection() {
    let (mut server, mut sender) = Server::with_sender().await;
    let serve = async {
        let mut peer = server.accept().await;
        peer.read().await.unwrap();
        peer.write(ACCEPTED).await;
        peer
    };
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let (result, mut peer) = guarded(async { tokio::join!(sender.post(body.clone()), serve) }).await;
    result.unwrap();
    // The receiver has a part of the first request, and nothing follows.
    peer.closed().await;
    assert!(peer.request().await.is_none());
    let head = peer.unread().windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let part = &peer.unread()[head..];
    assert!(part.len() < body.len() && *part == body[..part.len()]);
    server.answer_one(&mut sender, ACCEPTED).await.0.unwrap();
}
