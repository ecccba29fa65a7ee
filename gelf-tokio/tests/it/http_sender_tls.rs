//! The HTTP sender over TLS.

use std::sync::Arc;

use crate::support::certificates::{Authority, Directory, Issued};
use crate::support::http_server::{ACCEPTED, Peer, guarded};
use crate::support::polled::polled;
use bytes::Bytes;
use gelf_tokio::{HttpError, HttpSender};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

fn acceptor(issued: &Issued) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A server, and the CA file for senders.
struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    authority: Authority,
    files: Directory,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (files, authority) = Directory::of_server(&["127.0.0.1"]);
        let acceptor = acceptor(&authority.issue(&["127.0.0.1"]));
        Self { listener, acceptor, authority, files }
    }

    fn sender(&self) -> HttpSender {
        let address = self.listener.local_addr().unwrap();
        let ca = self.files.path("ca.pem");
        let uri = format!("gelf+https://{address}?ca={}", ca.to_str().unwrap());
        HttpSender::new(&uri.parse().unwrap()).unwrap()
    }

    async fn accept(&self) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let stream = self.listener.accept().await.unwrap().0;
        self.acceptor.accept(stream).await.map(Peer::new)
    }
}

async fn post(sender: &mut HttpSender) -> Result<(), HttpError> {
    sender.send_payload(b"{}").await
}

#[tokio::test]
async fn requests_go_over_one_connection_to_a_receiver_that_the_ca_file_vouches_for() {
    let server = Server::start().await;
    let mut sender = server.sender();
    let serve = async {
        let mut peer = server.accept().await.unwrap();
        assert_eq!(peer.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        for status in [202, 503, 202] {
            let seen = peer.request().await.unwrap();
            assert_eq!(seen.header("host"), Some(server.listener.local_addr().unwrap().to_string().as_str()));
            assert_eq!(seen.body, b"{}\n");
            peer.write(&format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n")).await;
        }
    };
    let posts = async {
        post(&mut sender).await.unwrap();
        let error = post(&mut sender).await.unwrap_err();
        assert!(matches!(error, HttpError::Status { status: 503, .. }), "{error:?}");
        post(&mut sender).await.unwrap();
    };
    guarded(async { tokio::join!(posts, serve) }).await;
}

#[tokio::test]
async fn a_receiver_of_another_authority_is_refused_until_the_ca_file_has_it() {
    let server = Server::start().await;
    server.files.write("ca.pem", &Authority::new("others").pem());
    let mut sender = server.sender();
    let (result, accepted) = guarded(async { tokio::join!(post(&mut sender), server.accept()) }).await;
    let error = result.unwrap_err();
    assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
    assert!(error.is_retriable());
    assert!(accepted.is_err(), "hands were shaken");

    server.files.write("ca.pem", &server.authority.pem());
    let serve = async {
        let mut peer = server.accept().await.unwrap();
        peer.request().await.unwrap();
        peer.write(ACCEPTED).await;
    };
    let (result, ()) = guarded(async { tokio::join!(post(&mut sender), serve) }).await;
    result.unwrap();
}

#[tokio::test]
async fn a_post_that_is_given_up_anywhere_leaves_the_sender_as_good_as_before() {
    let server = Arc::new(Server::start().await);
    // Longer than what the sockets hold.
    let first = Bytes::from(vec![b'a'; 8 << 20]);
    for polls in 1.. {
        assert!(polls < 1_000);
        let mut sender = server.sender();
        let (serving, whole) = (Arc::clone(&server), first.clone());
        let serve = tokio::spawn(async move {
            loop {
                // After a failed handshake, the next connection comes.
                let Ok(mut peer) = serving.accept().await else { continue };
                while let Some(seen) = peer.request().await {
                    assert!(seen.body == b"{}\n" || seen.body == [&whole[..], b"\n"].concat());
                    peer.write(ACCEPTED).await;
                    if seen.body == b"{}\n" {
                        return;
                    }
                }
                assert!(!peer.unread().windows(2).any(|two| two == b"{}"), "a request follows half of one");
            }
        });
        let result = guarded(polled(sender.send_payload(&first), polls)).await;
        guarded(post(&mut sender)).await.unwrap();
        guarded(serve).await.unwrap();
        if let Some(result) = result {
            result.unwrap();
            assert!(polls > 5, "{polls} polls were all");
            break;
        }
    }
}
