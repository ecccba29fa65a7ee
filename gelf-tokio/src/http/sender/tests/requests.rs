//! Tests the bytes of requests on the wire.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use gelf_core::{CompressionLevel, Message, wire::Decompressor};

use super::super::{BulkBody, HttpSender};
use super::server::{ACCEPTED, Addresses, Seen, Server, guarded};
use crate::endpoint::{Endpoint, HttpOptions};

const PAYLOAD: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;
/// The body of a request with [`PAYLOAD`].
const BODY: &str = "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"m\"}\n";

/// Returns the request that the server receives from `send`.
async fn seen(options: &HttpOptions, send: impl AsyncFnOnce(&mut HttpSender)) -> Seen {
    let mut server = Server::start().await;
    let mut sender = server.sender(options);
    let serve = async {
        let mut peer = server.accept().await;
        let seen = peer.request().await.unwrap();
        peer.write(ACCEPTED).await;
        assert_eq!(peer.unread(), b"");
        seen
    };
    guarded(async { tokio::join!(send(&mut sender), serve) }).await.1
}

async fn send(sender: &mut HttpSender) {
    sender.send(&Message::new("h", "m")).await.unwrap();
}

#[tokio::test]
async fn the_head_of_a_request_has_the_path_and_headers_of_the_endpoint() {
    let options = HttpOptions {
        path: "/in/gelf?a=b".to_owned(),
        headers: vec![("Authorization".to_owned(), "Bearer sesame".to_owned())],
        gzip: Some(CompressionLevel::DEFAULT),
        ..HttpOptions::default()
    };
    let own = "authorization: Bearer sesame\r\ncontent-encoding: gzip\r\n";
    for (options, path, own) in [(HttpOptions::default(), "/gelf", ""), (options, "/in/gelf?a=b", own)] {
        let seen = seen(&options, send).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\n\
             host: logs.example:12201\r\n\
             user-agent: gelf-tokio/{}\r\n\
             content-type: application/json\r\n\
             {own}content-length: {}\r\n\
             \r\n",
            env!("CARGO_PKG_VERSION"),
            seen.body.len()
        );
        assert_eq!(seen.head, head);
    }
}

#[tokio::test]
async fn a_gzip_body_inflates_to_the_payload_and_a_line_feed() {
    let long = format!(r#"{{"version":"1.1","host":"h","short_message":"{}"}}"#, "x".repeat(1 << 20));
    for level in [1, 2, 9] {
        for payload in [PAYLOAD, &long, ""] {
            let options = HttpOptions { gzip: CompressionLevel::new(level), ..HttpOptions::default() };
            let seen =
                seen(&options, async |sender| sender.send_payload(payload.as_bytes()).await.unwrap()).await;
            assert_eq!(seen.header("content-encoding"), Some("gzip"));
            assert_eq!(seen.body[..2], [0x1f, 0x8b]);
            let inflated = Decompressor::default().decompress(&seen.body).unwrap().to_vec();
            assert_eq!(inflated, format!("{payload}\n").as_bytes());
        }
    }
}

#[tokio::test]
async fn each_payload_is_one_line_of_the_body_with_bulk_and_without() {
    for bulk in [false, true] {
        let options = HttpOptions { bulk, ..HttpOptions::default() };
        assert_eq!(seen(&options, send).await.body, BODY.as_bytes());
        let pretty =
            seen(&options, async |sender| sender.send_payload(b"{\n\"a\":1\r\n}").await.unwrap()).await;
        assert_eq!(pretty.body, b"{ \"a\":1\r }\n");
    }
    let mut bulk = BulkBody::new();
    assert!(bulk.push(PAYLOAD.as_bytes()) && bulk.push(PAYLOAD.as_bytes()));
    let sent = seen(&HttpOptions::default(), async |sender| sender.post(bulk.take()).await.unwrap()).await;
    assert_eq!(sent.body, format!("{BODY}{BODY}").as_bytes());
}

#[test]
fn an_endpoint_of_another_transport_is_refused() {
    for uri in ["gelf://127.0.0.1", "gelf+tcp://127.0.0.1"] {
        let endpoint: Endpoint = uri.parse().unwrap();
        let error = HttpSender::new(&endpoint).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "the endpoint is not HTTP");
    }
}

#[test]
fn a_sender_does_not_show_its_header_and_can_move_between_threads() {
    fn can_move<T: Send>(_: &T) {}
    let options = HttpOptions {
        headers: vec![("authorization".to_owned(), "sesame".to_owned())],
        ..HttpOptions::default()
    };
    let mut sender = HttpSender::from_options(&options, "h", 1, Arc::new(Addresses(Vec::new()))).unwrap();
    assert_eq!(
        format!("{sender:?}"),
        r#"HttpSender { destination: Destination { host: "h", port: 1, .. }, timeout: 10s, is_connected: false, .. }"#
    );
    can_move(&sender);
    can_move(&sender.post(Bytes::new()));
}

#[test]
fn a_huge_message_does_not_pin_its_buffer() {
    let mut buffer = bytes::BytesMut::from(&vec![b'x'; 4 << 20][..]);
    assert_eq!(super::super::take(&mut buffer).len(), 4 << 20);
    buffer.reserve(1);
    assert!(buffer.capacity() <= super::super::RETAINED_BYTES);
}
