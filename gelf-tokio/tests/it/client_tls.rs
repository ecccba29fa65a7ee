//! A client over TLS: expired, wrong-name and rotated certificates, and invalid files.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::resolve::{Resolve, Resolving};
use gelf_tokio::{Client, Driver, Outcome, Receipts, TcpSender, TlsConfigError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::support::account::assert_account;
use crate::support::certificates::{ALWAYS, Authority, Directory, Issued, LONG_AGO};
use crate::support::outages::{LIMIT, within};

/// Returns the configuration of a receiver. With `client_authority` it requires client certificates.
fn config(issued: &Issued, client_authority: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

struct Server {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    /// Texts of the whole frames of all connections.
    texts: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(config));
        let (sender, texts) = mpsc::unbounded_channel();
        let current = Arc::clone(&config);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(Arc::clone(&current.lock().unwrap()));
                let sender = sender.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut read = Vec::new();
                    while let Ok(1..) = stream.read_buf(&mut read).await {
                        while let Some(end) = read.iter().position(|byte| *byte == 0) {
                            let frame: Vec<_> = read.drain(..=end).collect();
                            let message =
                                Decoder::strict().decode(&frame[..end]).unwrap().message.into_owned();
                            sender.send(message.short_message().to_owned()).unwrap();
                        }
                    }
                });
            }
        });
        Self { address, config, texts }
    }

    fn show(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap() = config;
    }

    fn client(&self, options: &str) -> (Client<u64>, Receipts<u64>, Driver<u64>) {
        Client::builder(&format!("gelf+tls://{}?{options}", self.address).parse().unwrap())
            .build_with_receipts()
            .unwrap()
    }
}

/// Sends ten messages and checks that none is sent while three handshakes fail, and that all arrive once and
/// in order after `repair`. Returns the time between the repair and the last arrival.
async fn nothing_is_sent_until_the_repair(
    server: &mut Server,
    options: &str,
    repair: impl FnOnce(&Server),
) -> Duration {
    let (client, mut receipts, driver) = server.client(options);
    let driver = tokio::spawn(driver.run());
    for number in 0..10 {
        client.send_with_receipt(&Message::new("h", number.to_string()), number).await.unwrap();
    }
    let started = Instant::now();
    while client.stats().failed_connects < 3 {
        assert!(started.elapsed() < LIMIT, "{:?}", client.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stats = client.stats();
    assert_account(&stats, 10);
    assert_eq!((stats.delivered(), stats.connections, stats.is_connected), (0, 0, false));
    assert!(server.texts.try_recv().is_err(), "a message was sent");
    repair(server);
    let repaired = Instant::now();
    for number in 0..10 {
        let text = within("a message", server.texts.recv()).await.unwrap();
        assert_eq!(text, number.to_string());
        assert_eq!(receipts.recv().await, Some((number, Outcome::Acknowledged)));
    }
    let took = repaired.elapsed();
    let stats = client.stats();
    assert_account(&stats, 10);
    assert_eq!((stats.acknowledged, stats.connections, stats.is_connected), (10, 1, true));
    drop(client);
    within("the driver's end", driver).await.unwrap();
    assert!(server.texts.try_recv().is_err(), "a message arrived twice");
    took
}

#[tokio::test]
async fn an_expired_certificate_is_refused_until_it_is_renewed() {
    let authority = Authority::new("tests");
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &authority.pem());
    let mut server = Server::start(config(&authority.issue_for(&["127.0.0.1"], LONG_AGO), None)).await;
    let took = nothing_is_sent_until_the_repair(&mut server, &format!("ca={}", ca.display()), |server| {
        server.show(config(&authority.issue_for(&["127.0.0.1"], ALWAYS), None));
    })
    .await;
    println!("recovered after {took:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_until_it_is_replaced() {
    let authority = Authority::new("tests");
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &authority.pem());
    let options = format!("ca={}&server_name=logs.example", ca.display());
    let mut server = Server::start(config(&authority.issue(&["other.example"]), None)).await;
    let took = nothing_is_sent_until_the_repair(&mut server, &options, |server| {
        server.show(config(&authority.issue(&["logs.example"]), None));
    })
    .await;
    println!("recovered after {took:?}");
}

#[tokio::test]
async fn a_rotated_authority_is_trusted_without_a_restart_once_the_file_contains_it() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &old.pem());
    let mut server = Server::start(config(&new.issue(&["127.0.0.1"]), None)).await;
    let took = nothing_is_sent_until_the_repair(&mut server, &format!("ca={}", ca.display()), |_| {
        directory.write("ca.pem", &new.pem());
    })
    .await;
    println!("recovered after {took:?}");
}

#[tokio::test]
async fn nothing_is_sent_with_a_client_certificate_of_an_unknown_authority() {
    let (authority, stranger) = (Authority::new("tests"), Authority::new("stranger"));
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &authority.pem());
    let (cert, key) = directory.write_issued("client", &stranger.issue(&["client"]));
    let options = format!("ca={}&cert={}&key={}", ca.display(), cert.display(), key.display());
    let mut server = Server::start(config(&authority.issue(&["127.0.0.1"]), Some(&authority))).await;
    let took = nothing_is_sent_until_the_repair(&mut server, &options, |_| {
        directory.write_issued("client", &authority.issue(&["client"]));
    })
    .await;
    println!("recovered after {took:?}");
}

#[tokio::test]
async fn nothing_is_sent_without_a_required_client_certificate() {
    let authority = Authority::new("tests");
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &authority.pem());
    let mut server = Server::start(config(&authority.issue(&["127.0.0.1"]), Some(&authority))).await;
    let took = nothing_is_sent_until_the_repair(&mut server, &format!("ca={}", ca.display()), |server| {
        server.show(config(&authority.issue(&["127.0.0.1"]), None));
    })
    .await;
    println!("recovered after {took:?}");
}

#[tokio::test]
async fn a_missing_or_invalid_file_is_an_error_of_the_constructor() {
    let directory = Directory::new();
    let invalid = directory.write("ca.pem", "no certificate");
    let mut schemes = vec!["gelf+tls"];
    schemes.extend(cfg!(feature = "http").then_some("gelf+https"));
    for scheme in schemes {
        for (ca, expected) in
            [("/nope.pem", "/nope.pem: "), (invalid.to_str().unwrap(), "there is no certificate")]
        {
            let endpoint = format!("{scheme}://127.0.0.1?ca={ca}").parse().unwrap();
            let connect = Client::connect(&endpoint).map(|_| ());
            let build = Client::builder(&endpoint).build().map(|_| ());
            for result in [connect, build] {
                let error = result.unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
                assert!(error.get_ref().unwrap().is::<TlsConfigError>(), "{error:?}");
            }
        }
    }
}

/// On a paused clock. The default limits are 10 s over TCP and 30 s over HTTP.
#[tokio::test(start_paused = true)]
async fn an_unanswered_handshake_is_given_up_after_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &Authority::new("tests").pem());
    let options = format!("ca={}&connect_timeout=2", ca.display());

    let started = tokio::time::Instant::now();
    let endpoint = format!("gelf+tls://{address}?{options}").parse().unwrap();
    let error = TcpSender::connect(&endpoint).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!((2..=4).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());

    #[cfg(feature = "http")]
    {
        let started = tokio::time::Instant::now();
        let endpoint = format!("gelf+https://{address}?{options}&timeout=60").parse().unwrap();
        let mut sender = gelf_tokio::HttpSender::new(&endpoint).unwrap();
        let error = sender.send(&Message::new("h", "m")).await.unwrap_err();
        assert!(matches!(error, gelf_tokio::HttpError::Connect(_)), "{error:?}");
        assert_eq!(started.elapsed().as_secs(), 2);
    }
}

#[tokio::test]
async fn a_custom_rustls_configuration_replaces_the_files() {
    let (authority, clients) = (Authority::new("tests"), Authority::new("clients"));
    let mut server = Server::start(config(&authority.issue(&["127.0.0.1"]), Some(&clients))).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let own = clients.issue(&["client"]);
    let chain = vec![CertificateDer::from_pem_slice(own.cert_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let tls = Arc::new(tls);

    let endpoint = format!("gelf+tls://{}", server.address).parse().unwrap();
    let client = Client::builder(&endpoint).tls_config(Arc::clone(&tls)).connect().unwrap();
    client.send(&Message::new("h", "m")).await.unwrap();
    assert_eq!(within("the message", server.texts.recv()).await.unwrap(), "m");
    client.close(LIMIT).await.unwrap();

    for uri in ["gelf://127.0.0.1", "gelf+tcp://127.0.0.1"] {
        let builder = Client::builder(&uri.parse().unwrap()).tls_config(Arc::clone(&tls));
        assert_eq!(builder.build().unwrap_err().kind(), std::io::ErrorKind::InvalidInput, "{uri}");
    }
}

/// A resolver that returns the same address for every host.
#[derive(Debug)]
struct Everywhere(SocketAddr);

impl Resolve for Everywhere {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
        Box::pin(async { Ok(vec![self.0]) })
    }
}

#[tokio::test]
async fn each_host_must_have_a_certificate_of_its_own_name() {
    let directory = Directory::new();
    let authority = Authority::new("authority");
    let ca = directory.write("ca.pem", authority.pem().as_str());
    let mut server = Server::start(config(&authority.issue(&["b.example"]), None)).await;
    let uri = format!("gelf+tls://a.example?ca={}&failover=b.example", ca.display());
    let (client, mut receipts, driver) = Client::builder(&uri.parse().unwrap())
        .resolver(Arc::new(Everywhere(server.address)))
        .build_with_receipts()
        .unwrap();
    let driver = tokio::spawn(driver.run());
    client.send_with_receipt(&Message::new("h", "m"), 7).await.unwrap();
    assert_eq!(within("the message", server.texts.recv()).await.as_deref(), Some("m"));
    assert_eq!(within("the receipt", receipts.recv()).await, Some((7, Outcome::Acknowledged)));
    assert_eq!((client.stats().connections, client.stats().failed_connects), (1, 0));
    drop(client);
    within("the driver's end", driver).await.unwrap();

    // The certificate of one host does not stand for another.
    let uri = format!("gelf+tls://a.example?ca={}&failover=c.example", ca.display());
    let (client, driver) = Client::builder(&uri.parse().unwrap())
        .resolver(Arc::new(Everywhere(server.address)))
        .build()
        .unwrap();
    let driver = tokio::spawn(driver.run());
    let error = within("an error", async {
        loop {
            match client.last_error() {
                Some(error) => break error,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    });
    let error = error.await.to_string();
    assert!(
        error.contains("a.example port 12201: ") && error.contains("; c.example port 12201: "),
        "{error}"
    );
    driver.abort();
}
