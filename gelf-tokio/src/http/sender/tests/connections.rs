//! Tests how connections are made, kept and replaced.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::{HttpError, HttpSender};
use super::server::{ACCEPTED, Server, guarded, post, sender_to};
use crate::endpoint::HttpOptions;
use crate::resolve::{Resolve, Resolving};

/// Returns an address without a listener.
async fn without_listener() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn one_connection_carries_100_requests() {
    let (mut server, mut sender) = Server::with_sender().await;
    let serve = async {
        let mut peer = server.accept().await;
        for _ in 0..100 {
            assert_eq!(peer.request().await.unwrap().body, b"{}");
            assert_eq!(peer.unread(), b"", "a request comes before the answer to the previous request");
            peer.write(ACCEPTED).await;
        }
    };
    let posts = async {
        for _ in 0..100 {
            post(&mut sender).await.unwrap();
        }
    };
    guarded(async { tokio::join!(posts, serve) }).await;
    assert!(!server.has_another().await);
}

#[tokio::test]
async fn a_connection_that_was_closed_between_two_requests_is_replaced() {
    for reset in [false, true] {
        let (mut server, mut sender) = Server::with_sender().await;
        for _ in 0..10 {
            let (result, peer) = server.answer_one(&mut sender, ACCEPTED).await;
            result.unwrap();
            if reset {
                peer.reset();
            }
        }
        assert_eq!(server.connections, 10);
    }
}

#[tokio::test]
async fn a_request_on_a_kept_connection_that_ends_is_sent_again_only_once() {
    for reset in [false, true] {
        let (mut server, mut sender) = Server::with_sender().await;
        let (result, kept) = server.answer_one(&mut sender, ACCEPTED).await;
        result.unwrap();
        let serve = async {
            let mut peer = kept;
            for requests in 1.. {
                assert_eq!(peer.request().await.unwrap().body, b"{}");
                peer.end(reset);
                if requests == 2 {
                    break;
                }
                peer = server.accept().await;
            }
        };
        let (result, ()) = guarded(async { tokio::join!(post(&mut sender), serve) }).await;
        let error = result.unwrap_err();
        assert!(matches!(error, HttpError::Disconnected(_)), "{error:?}");
        assert!(error.is_retriable());
        assert!(!server.has_another().await);
    }
}

/// Runs a server that ends the connection after the first `bytes` bytes of an answer. The server answers the
/// first request of the connection in this way or, with `kept`, the second request. Returns the result of the
/// request, and the number of times that the server received it.
async fn cut_after(bytes: usize, kept: bool, reset: bool) -> (Result<(), HttpError>, usize) {
    let (mut server, mut sender) = Server::with_sender().await;
    let mut first = None;
    if kept {
        let (result, peer) = server.answer_one(&mut sender, ACCEPTED).await;
        result.unwrap();
        first = Some(peer);
    }
    let serve = async {
        let mut peer = match first {
            Some(peer) => peer,
            None => server.accept().await,
        };
        assert!(peer.request().await.is_some());
        peer.write(&ANSWER[..bytes]).await;
        peer.end(reset);
        // Another connection follows, with the same request again or with the next request.
        let mut peer = server.accept().await;
        assert!(peer.request().await.is_some());
        peer.write(ACCEPTED).await;
    };
    let mut seen = 2;
    let posts = async {
        let result = post(&mut sender).await;
        if !(kept && bytes == 0) {
            // The sender stays usable.
            post(&mut sender).await.unwrap();
            seen = 1;
        }
        result
    };
    let (result, ()) = guarded(async { tokio::join!(posts, serve) }).await;
    assert!(!server.has_another().await);
    (result, seen)
}

const ANSWER: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_message_is_accepted_once_the_whole_head_of_the_answer_has_arrived() {
    let head = ANSWER.find("hello").unwrap();
    for reset in [false, true] {
        for kept in [false, true] {
            for bytes in 0..=ANSWER.len() {
                let (result, seen) = cut_after(bytes, kept, reset).await;
                let case = format!("{bytes} bytes, kept {kept}, reset {reset}");
                match result {
                    Ok(()) => assert!(bytes >= head || (kept && bytes == 0), "{case}"),
                    Err(error) => {
                        assert!(bytes < head, "{case}: {error}");
                        assert!(matches!(error, HttpError::Disconnected(_)), "{case}: {error:?}");
                        assert!(error.is_retriable());
                    }
                }
                assert_eq!(seen, if kept && bytes == 0 { 2 } else { 1 }, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn addresses_are_tried_in_order_until_one_accepts() {
    let mut server = Server::start().await;
    let (dead, other) = (without_listener().await, without_listener().await);
    let mut sender = sender_to(vec![dead, other, server.address(), dead], &HttpOptions::default());
    server.answer_one(&mut sender, ACCEPTED).await.0.unwrap();

    let mut sender = sender_to(vec![dead, other], &HttpOptions::default());
    let error = post(&mut sender).await.unwrap_err();
    assert!(
        matches!(&error, HttpError::Connect(e) if e.kind() == io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    assert!(error.to_string().starts_with(&format!("cannot connect: {other}: ")), "{error}");
    assert!(error.is_retriable());

    let mut sender = sender_to(Vec::new(), &HttpOptions::default());
    let error = post(&mut sender).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect: the host has no address");
    assert!(error.is_retriable());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_does_not_answer_leaves_time_for_the_next_address_and_the_request() {
    // The backlog becomes full. The kernel then answers no further attempt to connect.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.listen(0).unwrap();
    let address = silent.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        fill.push(connected.unwrap());
        assert!(fill.len() < 100, "the backlog is not full");
    }
    let mut server = Server::start().await;
    let options = HttpOptions { timeout: Duration::from_secs(6), ..HttpOptions::default() };
    let mut sender = sender_to(vec![address, server.address()], &options);
    let started = Instant::now();
    server.answer_one(&mut sender, ACCEPTED).await.0.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(2));

    let options = HttpOptions { timeout: Duration::from_secs(1), ..HttpOptions::default() };
    let error = post(&mut sender_to(vec![address], &options)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect: {address}: the host does not answer"));
    assert!(error.is_retriable());
}

/// A resolver of a host that changes its address. After the prepared answers, the resolver does not answer
/// any more.
#[derive(Debug)]
struct Moves(Mutex<VecDeque<io::Result<SocketAddr>>>);

impl Resolve for Moves {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        assert_eq!((host, port), ("logs.example", 12201));
        Box::pin(async {
            let answer = self.0.lock().unwrap().pop_front();
            match answer {
                Some(answer) => answer.map(|address| vec![address]),
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn the_host_is_looked_up_for_each_connection_and_for_nothing_else() {
    let (mut first, mut second) = (Server::start().await, Server::start().await);
    let answers = [Ok(first.address()), Err(io::Error::other("no such host")), Ok(second.address())];
    let moves = Arc::new(Moves(Mutex::new(answers.into())));
    let mut sender =
        HttpSender::from_options(&HttpOptions::default(), "logs.example", 12201, moves.clone()).unwrap();
    assert_eq!(moves.0.lock().unwrap().len(), 3);
    let (result, mut peer) = first.answer_one(&mut sender, ACCEPTED).await;
    result.unwrap();
    let again = async {
        peer.request().await.unwrap();
        peer.write("HTTP/1.1 202 A\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    };
    let (result, ()) = guarded(async { tokio::join!(post(&mut sender), again) }).await;
    result.unwrap();
    assert_eq!(moves.0.lock().unwrap().len(), 2);
    let error = post(&mut sender).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect: no such host");
    second.answer_one(&mut sender, ACCEPTED).await.0.unwrap();
    assert_eq!(moves.0.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_is_a_time_out() {
    let moves = Moves(Mutex::default());
    let mut sender =
        HttpSender::from_options(&HttpOptions::default(), "logs.example", 12201, Arc::new(moves)).unwrap();
    let started = Instant::now();
    let error = post(&mut sender).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 10s");
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}
