//! Tests the HTTP receiver over TLS: with our own senders, other clients, and clients that do not shake
//! hands.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::certificates::{Authority, Directory};
use crate::support::http_client::{Client, M, assert_adds_up, connect_from, during, post, until};
use crate::support::outages::{Sending, receipt_of};
use gelf_tokio::options::HttpReceiverOptions;
use gelf_tokio::{HttpReceiver, HttpSender, Outcome, ReceiverTls};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A receiver, and the certificates for its clients.
struct Secured {
    receiver: HttpReceiver,
    address: SocketAddr,
    authority: Authority,
    files: Directory,
}

impl Secured {
    async fn start(change: impl FnOnce(&mut HttpReceiverOptions)) -> Self {
        Self::start_with(change, |tls, _| tls).await
    }

    async fn start_with(
        change: impl FnOnce(&mut HttpReceiverOptions),
        more: impl FnOnce(ReceiverTls, &Directory) -> ReceiverTls,
    ) -> Self {
        let (files, authority) = Directory::of_server(&["127.0.0.1"]);
        let tls = ReceiverTls::from_pem_files(files.path("server.pem"), files.path("server.key")).unwrap();
        let tls = more(tls, &files);
        let mut options = HttpReceiverOptions::default();
        change(&mut options);
        let receiver = HttpReceiver::bind_tls("127.0.0.1:0", options, tls).await.unwrap();
        Self { address: receiver.local_addr().unwrap(), receiver, authority, files }
    }

    /// Returns the endpoint for our own senders, with more options.
    fn endpoint(&self, more: &str) -> gelf_tokio::Endpoint {
        let ca = self.files.path("ca.pem");
        format!("gelf+https://{}?ca={}{more}", self.address, ca.display()).parse().unwrap()
    }

    fn connector(&self, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// Shakes hands as a client that offers these ALPN protocols.
    async fn shake_hands(&mut self, protocols: &[&str]) -> io::Result<Client<TlsStream<TcpStream>>> {
        let connector = self.connector(protocols);
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let address = self.address;
        let shaking = async { connector.connect(name, connect_from(1, address)).await };
        during(&mut self.receiver, shaking).await.0.map(Client::over)
    }

    async fn send(&mut self, client: &mut Client<TlsStream<TcpStream>>) {
        let (status, items) = during(&mut self.receiver, async {
            client.send(post("", M)).await;
            client.answer().await.status
        })
        .await;
        assert_eq!((status, items), (202, vec![Ok(M.to_owned())]));
    }
}

#[tokio::test]
async fn the_client_gets_a_receipt_for_each_message() {
    for more in ["", "&bulk=true", "&compression=gzip"] {
        let mut secured = Secured::start(|options| options.bulk = more.contains("bulk")).await;
        let sending = Sending::start(&secured.endpoint(more));
        let ((stats, ledger), items) = during(&mut secured.receiver, async {
            sending.send(0..500).await;
            sending.end(500).await
        })
        .await;
        let received = items.iter().map(|item| receipt_of(item.as_ref().unwrap().as_bytes()).unwrap());
        assert_eq!(received.collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
        assert_eq!(ledger.with(Outcome::Accepted).len(), 500);
        assert_eq!((stats.accepted, stats.connections), (500, 1));
        assert_adds_up(&secured.receiver.stats());
    }
}

#[tokio::test]
async fn the_sender_offers_http_1_1_and_no_other_alpn_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf+https://{}", listener.local_addr().unwrap());
    let mut sender = HttpSender::new(&uri.parse().unwrap()).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = Vec::with_capacity(4096);
        stream.read_buf(&mut hello).await.unwrap();
        hello
    };
    let (_, hello) = tokio::join!(sender.send_payload(b"{}"), serve);
    // This is the extension of RFC 7301: its number, its length, and a list of one name.
    let list = b"\0\x10\0\x0b\0\x09\x08http/1.1";
    assert!(hello.windows(list.len()).any(|bytes| bytes == list), "{hello:?}");
}

#[tokio::test]
async fn a_client_that_offers_alpn_protocols_gets_http_1_1_or_a_failed_handshake() {
    let mut secured = Secured::start(|_| {}).await;
    for (named, spoken) in
        [(&[][..], None), (&["http/1.1"], Some("http/1.1")), (&["h2", "http/1.1"], Some("http/1.1"))]
    {
        let mut client = secured.shake_hands(named).await.unwrap();
        assert_eq!(client.stream.get_ref().1.alpn_protocol(), spoken.map(str::as_bytes));
        secured.send(&mut client).await;
    }
    let error = secured.shake_hands(&["h2"]).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    until(&mut secured.receiver, |stats| stats.failed_handshakes == 1).await;
    assert_eq!(secured.receiver.stats().connections, 4);
}

#[tokio::test]
async fn a_client_without_tls_loses_only_its_own_connection() {
    let mut secured = Secured::start(|_| {}).await;
    let mut good = secured.shake_hands(&[]).await.unwrap();
    let junk = [post("", M), post("", "x".repeat(60_000)), b"\x16\x03\x01\xff\xff".to_vec()];
    for (failed, bytes) in (1..).zip(&junk) {
        let mut plain = connect_from(1, secured.address);
        let (answer, items) = during(&mut secured.receiver, async {
            // The receiver may close the connection before everything is sent.
            let _ = plain.write_all(bytes).await;
            let _ = plain.shutdown().await;
            let mut answer = Vec::new();
            let _ = plain.read_to_end(&mut answer).await;
            answer
        })
        .await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        assert_eq!(items, []);
        until(&mut secured.receiver, |stats| stats.failed_handshakes == failed).await;
        secured.send(&mut good).await;
    }
    let stats = secured.receiver.stats();
    assert_eq!((stats.connections, stats.requests), (1 + junk.len() as u64, junk.len() as u64));
    assert_adds_up(&stats);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_is_disconnected_after_10_s() {
    let mut secured = Secured::start(|_| {}).await;
    let started = Instant::now();
    let mut silent = connect_from(1, secured.address);
    let read = during(&mut secured.receiver, silent.read(&mut [0])).await.0.unwrap();
    assert_eq!((read, started.elapsed()), (0, Duration::from_secs(10)));
    until(&mut secured.receiver, |stats| stats.failed_handshakes == 1).await;
}

#[tokio::test]
async fn half_open_handshakes_end_in_time_and_keep_nobody_waiting() {
    let mut secured = Secured::start(|_| {}).await;
    // These bytes are the header of a record, and the beginning of a handshake message.
    let hello = b"\x16\x03\x01\x02\0\x01\0";
    let _silent = connect_from(2, secured.address);
    let mut half = connect_from(2, secured.address);
    half.write_all(hello).await.unwrap();
    until(&mut secured.receiver, |stats| stats.open_connections == 2).await;
    let mut good = secured.shake_hands(&["http/1.1"]).await.unwrap();
    secured.send(&mut good).await;
    assert_eq!(secured.receiver.stats().failed_handshakes, 0);
    until(&mut secured.receiver, |stats| stats.failed_handshakes == 2).await;
    secured.send(&mut good).await;
    assert_adds_up(&secured.receiver.stats());
}

#[tokio::test]
async fn an_end_without_close_notify_breaks_a_request_but_is_a_normal_end_between_requests() {
    let mut secured = Secured::start(|_| {}).await;
    let mut client = secured.shake_hands(&[]).await.unwrap();
    secured.send(&mut client).await;
    client.stream.get_mut().0.shutdown().await.unwrap();
    until(&mut secured.receiver, |stats| stats.open_connections == 0).await;
    assert_eq!(secured.receiver.stats().ended_connections, 1);

    // A body without a stated length ends with its last chunk, not with the connection.
    let mut client = secured.shake_hands(&[]).await.unwrap();
    client.send(format!("POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n30\r\n{M}\r\n")).await;
    client.stream.get_mut().0.shutdown().await.unwrap();
    let items = until(&mut secured.receiver, |stats| stats.open_connections == 0).await;
    assert_eq!((items, secured.receiver.stats().broken_requests), (vec![], 1));
}
