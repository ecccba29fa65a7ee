//! With TLS.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::connection::Connection;
use super::super::{HttpError, HttpSender};
use super::server::{ACCEPTED, Addresses, Peer, Server, guarded, post};
use crate::endpoint::{HttpOptions, TlsOptions};

/// A receiver's side for `logs.example`, and a sender's side that trusts it.
fn configs() -> (TlsAcceptor, TlsConnector) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["logs.example".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

fn options() -> HttpOptions {
    HttpOptions { tls: Some(TlsOptions::default()), ..HttpOptions::default() }
}

/// A sender that has a connection with TLS, and the server's side of it.
async fn connected(server: &mut Server) -> (HttpSender, Peer<tokio_rustls::server::TlsStream<TcpStream>>) {
    let (acceptor, connector) = configs();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("logs.example").unwrap();
    let accept = async { acceptor.accept(server.accept().await.stream).await };
    let (ours, theirs) = tokio::join!(connector.connect(name, stream), accept);
    let mut sender = server.sender(&options());
    sender.connection = Some(Connection::new(Box::new(ours.unwrap())).await.unwrap());
    // It is ready when it has been driven once.
    assert!(sender.connection.as_mut().unwrap().is_ready().await);
    (sender, Peer::new(theirs.unwrap()))
}

#[tokio::test]
async fn requests_and_answers_go_over_tls_and_the_connection_is_kept() {
    let mut server = Server::start().await;
    let (mut sender, mut peer) = guarded(connected(&mut server)).await;
    for status in ["202 Accepted", "503 Busy", "202 Accepted"] {
        let serve = async {
            let seen = peer.request().await.unwrap();
            peer.write(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
            seen
        };
        let (result, seen) = guarded(async { tokio::join!(post(&mut sender), serve) }).await;
        assert_eq!(seen.body, b"{}");
        match result {
            Ok(()) => assert_eq!(status, "202 Accepted"),
            Err(error) => assert!(matches!(error, HttpError::Status { status: 503, .. }), "{error:?}"),
        }
    }
    assert_eq!(server.connections, 1);
}

#[tokio::test]
async fn a_long_request_goes_over_tls_whole() {
    let mut server = Server::start().await;
    let (mut sender, mut peer) = guarded(connected(&mut server)).await;
    let body: bytes::Bytes = (0..3_000_000).map(|at| (at % 251) as u8).collect();
    let serve = async {
        let seen = peer.request().await.unwrap();
        peer.write(ACCEPTED).await;
        seen
    };
    let (result, seen) = guarded(async { tokio::join!(sender.post(body.clone()), serve) }).await;
    result.unwrap();
    assert!(seen.body == body);
}

#[tokio::test]
async fn a_receiver_that_nobody_vouches_for_is_refused_and_gets_no_request() {
    let mut server = Server::start().await;
    let (acceptor, _) = configs();
    let mut sender = server.sender(&options());
    let serve = async {
        let stream = server.accept().await.stream;
        acceptor.accept(stream).await.map(|_| ()).unwrap_err()
    };
    let (result, _) = guarded(async { tokio::join!(post(&mut sender), serve) }).await;
    let error = result.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
    assert!(error.is_retriable());
}

#[tokio::test]
async fn a_receiver_without_tls_is_refused_and_gets_no_request() {
    let mut server = Server::start().await;
    let mut sender = server.sender(&options());
    let serve = async {
        let mut stream = server.accept().await.stream;
        let mut read = vec![0; 5];
        stream.read_exact(&mut read).await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        [read, rest].concat()
    };
    let (result, read) = guarded(async { tokio::join!(post(&mut sender), serve) }).await;
    assert!(matches!(result, Err(HttpError::Connect(_))), "{result:?}");
    // A handshake (RFC 8446, section 5.1), and no word of HTTP.
    assert_eq!(read[0], 22);
    assert!(!read.windows(4).any(|four| four == b"POST"));
}

#[test]
fn a_name_that_no_certificate_can_have_is_refused_at_once() {
    let tls = TlsOptions { server_name: Some("not a name".to_owned()), ..TlsOptions::default() };
    let options = HttpOptions { tls: Some(tls), ..HttpOptions::default() };
    assert!(HttpSender::from_options(&options, "h", 1, Arc::new(Addresses(Vec::new()))).is_err());
}
