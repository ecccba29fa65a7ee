//! `HttpSender` with options of its URI.

use std::time::Duration;

use crate::support::http_server::{ACCEPTED, Peer, Seen, guarded};
use gelf_tokio::gelf_core::wire::Decompressor;
use gelf_tokio::{HttpError, HttpSender};
use tokio::net::TcpListener;

const PAYLOAD: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

/// Returns a listener, and a sender whose URI has `user` before host and port, and `rest` behind them.
async fn connected(user: &str, rest: &str) -> (TcpListener, HttpSender) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+http://{user}{}{rest}", listener.local_addr().unwrap());
    (listener, HttpSender::new(&uri.parse().unwrap()).unwrap())
}

/// Answers one request on a connection of its own.
async fn answer(listener: &TcpListener, answer: &str) -> Seen {
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let seen = peer.request().await.unwrap();
    peer.write(answer).await;
    seen
}

#[tokio::test]
async fn the_uri_sets_user_path_headers_and_compression() {
    let rest = "/in/gelf?compression=gzip&level=9&header=X-One:1&header=X-Two:2+3";
    let (listener, mut sender) = connected("me:open%20sesame@", rest).await;
    let post = sender.send_payload(PAYLOAD.as_bytes());
    let (result, seen) = guarded(async { tokio::join!(post, answer(&listener, ACCEPTED)) }).await;
    result.unwrap();
    assert!(seen.head.starts_with("POST /in/gelf HTTP/1.1\r\n"), "{}", seen.head);
    // The Base64 of "me:open sesame".
    assert_eq!(seen.header("authorization"), Some("Basic bWU6b3BlbiBzZXNhbWU="));
    assert_eq!((seen.header("x-one"), seen.header("x-two")), (Some("1"), Some("2 3")));
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert_eq!(
        Decompressor::default().decompress(&seen.body).unwrap().bytes,
        format!("{PAYLOAD}\n").as_bytes()
    );
}

#[tokio::test]
async fn a_request_that_failed_is_sent_again_by_the_caller_with_the_same_body() {
    let (listener, mut sender) = connected("", "").await;
    let serve = async {
        let busy = "HTTP/1.1 503 Busy\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        [answer(&listener, busy).await, answer(&listener, ACCEPTED).await]
    };
    let posts = async {
        let error = sender.send_payload(PAYLOAD.as_bytes()).await.unwrap_err();
        assert!(matches!(error, HttpError::Status { status: 503, .. }), "{error:?}");
        assert!(error.is_retriable());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        sender.send_payload(PAYLOAD.as_bytes()).await.unwrap();
    };
    let ((), [first, second]) = guarded(async { tokio::join!(posts, serve) }).await;
    assert_eq!(first, second);
}
