//! Tests the connector and the acceptor together.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::{ALWAYS, Authority, Directory, Issued, LONG_AGO, ONE_DAY};
use super::files::{self, Pem};
use super::{Connector, ReceiverTls, config_from_pem, provider};
use crate::endpoint::TlsOptions;

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

pub(super) fn options(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> TlsOptions {
    TlsOptions {
        ca: ca.map(Into::into),
        cert: identity.map(|(cert, _)| cert.into()),
        key: identity.map(|(_, key)| key.into()),
        server_name: None,
    }
}

fn key_of(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
}

/// Returns a server's configuration with the TLS versions `versions`. The configuration asks for no client
/// certificate.
pub(super) fn server_config(
    issued: &Issued,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let (chain, key) = key_of(issued);
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Returns the authorities of a file.
fn roots(ca: &Path) -> RootCertStore {
    let pem = Pem::File(ca.to_owned());
    files::authorities(&pem, &files::certificates(&pem).unwrap()).unwrap()
}

/// Returns a server's configuration that asks for client certificates of the authority in `client_ca`.
fn asking_config(
    issued: &Issued,
    versions: &[&'static SupportedProtocolVersion],
    client_ca: &Path,
    is_optional: bool,
) -> ServerConfig {
    let roots = Arc::new(roots(client_ca));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = if is_optional { verifier.allow_unauthenticated() } else { verifier }.build().unwrap();
    let (chain, key) = key_of(issued);
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
}

pub(super) async fn guard<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("it ends within 30 s")
}

/// Starts a server that echoes the bytes of each connection. Calls `acceptor` for each connection.
pub(super) async fn echo(acceptor: impl Fn() -> TlsAcceptor + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let acceptor = acceptor();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(io).await else { return };
                let mut buffer = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..len]).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    address
}

async fn echo_of(config: impl Into<Arc<ServerConfig>>) -> SocketAddr {
    let acceptor = TlsAcceptor::from(config.into());
    echo(move || acceptor.clone()).await
}

/// Connects, sends, and reads the echo.
pub(super) async fn attempt(
    connector: &mut Connector,
    address: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    guard(async {
        let io = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(io).await?;
        stream.write_all(b"{}\0").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"{}\0");
        Ok(stream)
    })
    .await
}

/// Asserts that the connection is refused, and returns the error.
pub(super) async fn refusal(connector: &mut Connector, address: SocketAddr) -> String {
    attempt(connector, address).await.expect_err("it is refused").to_string()
}

/// Returns a connector for the host `h`, without a client certificate.
fn connector(ca: &Path) -> Connector {
    Connector::new(&options(Some(ca), None), "h").unwrap()
}

/// Returns a directory, an authority, and the file with the authority's certificate.
pub(super) fn authority() -> (Directory, Authority, std::path::PathBuf) {
    let (directory, authority) = (Directory::new(), Authority::new("authority"));
    let ca = directory.write("ca.pem", &authority.pem());
    (directory, authority, ca)
}

#[tokio::test]
async fn a_receiver_with_a_trusted_certificate_is_accepted_under_each_of_its_names_and_addresses() {
    let (directory, authority, _) = authority();
    let both = format!("{}{}", Authority::new("another").pem(), authority.pem());
    let ca = directory.write("ca.pem", &both);
    let issued = authority.issue(&["logs.example", "127.0.0.1", "::1"]);
    let address = echo_of(server_config(&issued, rustls::ALL_VERSIONS)).await;
    for host in ["logs.example", "LOGS.example", "127.0.0.1", "::1", "::1%lo"] {
        let mut connector = Connector::new(&options(Some(&ca), None), host).unwrap();
        let stream = attempt(&mut connector, address).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
    let other_name = TlsOptions { server_name: Some("logs.example".into()), ..options(Some(&ca), None) };
    attempt(&mut Connector::new(&other_name, "10.0.0.1").unwrap(), address).await.unwrap();
}

#[tokio::test]
async fn an_invalid_certificate_is_refused_with_the_reason() {
    let (_directory, authority, ca) = authority();
    let path = ca.display();
    let cases = [
        (authority.issue_for(&["h"], LONG_AGO), "has expired".to_owned()),
        (authority.issue_for(&["h"], ONE_DAY), "is not valid yet, or the clock here is wrong".to_owned()),
        (authority.issue(&["other.example"]), "is not valid for the name h".to_owned()),
        (authority.issue(&["127.0.0.1"]), "is not valid for the name h".to_owned()),
        (
            Authority::new("stranger").issue(&["h"]),
            format!("is not signed by a trusted authority (CA file {path})"),
        ),
        (
            Authority::new("authority").issue(&["h"]),
            format!(
                "is not signed with the key of the trusted authority that it names, or the receiver does not \
                 have the key of its certificate (CA file {path})"
            ),
        ),
        (
            Authority::new("stranger").itself(),
            "is that of an authority: give the receiver its own certificate, signed by the authority or \
             listed in ca"
                .to_owned(),
        ),
    ];
    for versions in [TLS12, TLS13] {
        for (issued, expected) in &cases {
            let address = echo_of(server_config(issued, versions)).await;
            let mut connector = connector(&ca);
            let error = attempt(&mut connector, address).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the receiver's certificate {expected}"));
            let source = error.get_ref().unwrap().source().unwrap();
            let source = source.downcast_ref::<rustls::Error>();
            assert!(matches!(source, Some(rustls::Error::InvalidCertificate(_))), "{source:?}");
        }
    }
}

#[tokio::test]
async fn a_receiver_may_use_a_certificate_of_the_ca_file_if_its_names_and_dates_are_valid() {
    let directory = Directory::new();
    let unnamed = "has no subjectAltName, which TLS needs; a common name does not count";
    let cases = [
        // `openssl req -x509` makes certificates like the first certificate.
        (Issued::self_signed(&["h"], ALWAYS, true), None),
        (Issued::self_signed(&["h"], ALWAYS, false), None),
        (Authority::new("absent").issue(&["h"]), None),
        (Issued::self_signed(&["other.example"], ALWAYS, true), Some("is not valid for the name h")),
        (Issued::self_signed(&["h"], LONG_AGO, true), Some("has expired")),
        (Issued::self_signed(&["h"], ONE_DAY, false), Some("is not valid yet, or the clock here is wrong")),
        (Issued::self_signed(&[], ALWAYS, true), Some(unnamed)),
        (Issued::self_signed(&[], ALWAYS, false), Some(unnamed)),
    ];
    let all: String = cases.iter().map(|(issued, _)| issued.cert_pem.as_str()).collect();
    let ca = directory.write("ca.pem", &all);
    for versions in [TLS12, TLS13] {
        for (issued, expected) in &cases {
            let address = echo_of(server_config(issued, versions)).await;
            let mut connector = connector(&ca);
            let error = attempt(&mut connector, address).await.err().map(|error| error.to_string());
            assert_eq!(error, expected.map(|text| format!("the receiver's certificate {text}")));
        }
        // A certificate with the same names but another key is refused.
        for is_ca in [true, false] {
            let twin = Issued::self_signed(&["h"], ALWAYS, is_ca);
            let address = echo_of(server_config(&twin, versions)).await;
            refusal(&mut connector(&ca), address).await;
        }
    }
}

#[tokio::test]
async fn pem_text_works_like_pem_files_for_a_sender_and_a_receiver() {
    let (authority, clients) = (Authority::new("authority"), Authority::new("clients"));
    let (server, own) = (authority.issue(&["h"]), clients.issue(&["sender"]));
    let receiver = ReceiverTls::from_pem(server.cert_pem.as_bytes(), server.key_pem.as_bytes()).unwrap();
    let receiver = receiver.with_client_ca_pem(clients.pem().as_bytes()).unwrap();
    let address = echo(move || receiver.acceptor(None)).await;

    let ca = authority.pem();
    let identity = (own.cert_pem.as_bytes(), own.key_pem.as_bytes());
    let mut connector = Connector::new(&options(None, None), "h").unwrap();
    connector.set_config(config_from_pem(Some(ca.as_bytes()), Some(identity)).unwrap());
    attempt(&mut connector, address).await.unwrap();
    connector.set_config(config_from_pem(Some(ca.as_bytes()), None).unwrap());
    assert_eq!(refusal(&mut connector, address).await, "the receiver wants a client certificate");

    let error = config_from_pem(Some(b"nothing"), None).unwrap_err();
    assert_eq!(error.to_string(), "no certificate in PEM format found");
    assert!(ReceiverTls::from_pem(server.cert_pem.as_bytes(), own.key_pem.as_bytes()).is_err());
}

#[tokio::test]
async fn without_a_ca_file_a_receiver_with_a_certificate_of_an_unknown_authority_is_refused() {
    let (_directory, authority, _) = authority();
    let address = echo_of(server_config(&authority.issue(&["h"]), TLS13)).await;
    let said = refusal(&mut Connector::new(&options(None, None), "h").unwrap(), address).await;
    let sources = ["(the system's authorities)", "(Mozilla's authorities)"];
    assert!(sources.iter().any(|source| said.ends_with(source)), "{said}");
}

#[tokio::test]
async fn after_the_ca_file_is_replaced_the_next_connect_trusts_only_the_new_authority() {
    let (directory, old, ca) = authority();
    let new = Authority::new("authority");
    let by_old = echo_of(server_config(&old.issue(&["h"]), TLS13)).await;
    let by_new = echo_of(server_config(&new.issue(&["h"]), TLS13)).await;
    let mut connector = connector(&ca);
    attempt(&mut connector, by_old).await.unwrap();
    refusal(&mut connector, by_new).await;

    directory.write("ca.pem", &new.pem());
    attempt(&mut connector, by_new).await.unwrap();
    refusal(&mut connector, by_old).await;

    // The file is overwritten in place, and not replaced.
    std::fs::write(&ca, format!("{}{}", old.pem(), new.pem())).unwrap();
    attempt(&mut connector, by_old).await.unwrap();
    attempt(&mut connector, by_new).await.unwrap();
}

#[tokio::test]
async fn files_that_have_not_changed_are_not_read_again() {
    let (_directory, authority, ca) = authority();
    let address = echo_of(server_config(&authority.issue(&["h"]), TLS13)).await;
    let mut connector = connector(&ca);
    attempt(&mut connector, address).await.unwrap();
    let first = connector.load().await.unwrap();
    attempt(&mut connector, address).await.unwrap();
    assert!(Arc::ptr_eq(&first, &connector.load().await.unwrap()));
    std::fs::write(&ca, format!("# again\n{}", authority.pem())).unwrap();
    assert!(!Arc::ptr_eq(&first, &connector.load().await.unwrap()));
}

#[tokio::test]
async fn connect_fails_while_the_ca_file_is_missing_or_invalid() {
    let (directory, authority, ca) = authority();
    let address = echo_of(server_config(&authority.issue(&["h"]), TLS13)).await;
    let mut connector = connector(&ca);
    attempt(&mut connector, address).await.unwrap();

    let bad = [
        ("not a certificate", "no certificate in PEM format found"),
        ("", "no certificate in PEM format found"),
    ];
    for (content, what) in bad {
        directory.write("ca.pem", content);
        // The second attempt fails in the same way, although the file has not changed.
        for _ in 0..2 {
            let (io, mut peer) = duplex(4096);
            let error = guard(connector.connect(io)).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{}: {what}", ca.display()));
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let mut received = Vec::new();
            guard(peer.read_to_end(&mut received)).await.unwrap();
            assert_eq!(received, b"");
        }
    }
    std::fs::remove_file(&ca).unwrap();
    let error = attempt(&mut connector, address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&format!("{}: cannot be read: ", ca.display())), "{error}");

    directory.write("ca.pem", &authority.pem());
    attempt(&mut connector, address).await.unwrap();
}

#[tokio::test]
async fn connect_fails_if_the_client_certificate_is_refused_or_missing() {
    let (directory, authority, ca) = authority();
    let server = authority.issue(&["h"]);
    let own = directory.write_issued("own", &authority.issue(&["sender"]));
    let strange = directory.write_issued("strange", &Authority::new("stranger").issue(&["sender"]));
    let expired = directory.write_issued("expired", &authority.issue_for(&["sender"], LONG_AGO));
    let refused = |cert: &Path, what: &str| {
        format!("the receiver does not accept the client certificate {}: {what}", cert.display())
    };
    let unknown = "it is not signed by an authority that the receiver trusts";
    for versions in [TLS12, TLS13] {
        let address = echo_of(asking_config(&server, versions, &ca, false)).await;
        let with = |(cert, key): &(std::path::PathBuf, std::path::PathBuf)| {
            Connector::new(&options(Some(&ca), Some((cert, key))), "h").unwrap()
        };
        attempt(&mut with(&own), address).await.unwrap();
        assert_eq!(refusal(&mut with(&strange), address).await, refused(&strange.0, unknown));
        assert_eq!(refusal(&mut with(&expired), address).await, refused(&expired.0, "it has expired"));
        let mut without = connector(&ca);
        assert_eq!(refusal(&mut without, address).await, "the receiver wants a client certificate");
    }
}

#[tokio::test]
async fn the_next_connect_presents_the_new_client_certificate_after_a_replacement() {
    let (directory, authority, ca) = authority();
    let address = echo_of(asking_config(&authority.issue(&["h"]), TLS13, &ca, false)).await;
    let (cert, key) = directory.write_issued("own", &authority.issue_for(&["sender"], LONG_AGO));
    let mut connector = Connector::new(&options(Some(&ca), Some((&cert, &key))), "h").unwrap();
    refusal(&mut connector, address).await;

    // Between the two writes of a rotation, the certificate and the key do not belong together.
    let issued = authority.issue(&["sender"]);
    directory.write("own.pem", &issued.cert_pem);
    let not_yet = format!("{}: not the private key of {}", key.display(), cert.display());
    assert_eq!(refusal(&mut connector, address).await, not_yet);
    directory.write("own.key", &issued.key_pem);
    attempt(&mut connector, address).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connect_waits_up_to_one_second_for_a_verdict_on_the_client_certificate() {
    let (directory, authority, ca) = authority();
    let server = authority.issue(&["h"]);
    let (cert, key) = directory.write_issued("own", &authority.issue(&["sender"]));
    let mut connector = Connector::new(&options(Some(&ca), Some((&cert, &key))), "h").unwrap();
    connector.load().await.unwrap();

    let mut silent = asking_config(&server, TLS13, &ca, false);
    silent.session_storage = Arc::new(NoServerSessionStorage {});
    let (cert, key) = directory.write_issued("server", &server);
    let own = ReceiverTls::from_pem_files(&cert, &key).unwrap().with_client_ca(&ca).unwrap();
    let old = asking_config(&server, TLS12, &ca, false);
    let cases = [(Arc::new(silent).into(), 1), (own.acceptor(None), 0), (Arc::new(old).into(), 0)];
    for (acceptor, seconds) in cases {
        let acceptor: TlsAcceptor = acceptor;
        let (io, peer) = duplex(4096);
        let began = Instant::now();
        let (connected, accepted) = tokio::join!(connector.connect(io), acceptor.accept(peer));
        assert_eq!(began.elapsed().as_secs(), seconds);
        drop((connected.unwrap(), accepted.unwrap()));
    }
}

#[tokio::test]
async fn data_that_comes_with_the_verdict_is_not_lost() {
    let (_directory, authority, ca) = authority();
    for storage in [true, false] {
        let mut config = asking_config(&authority.issue(&["h"]), TLS13, &ca, true);
        if !storage {
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        let mut connector = connector(&ca);
        let (io, peer) = duplex(4096);
        let serve = async {
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(peer).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (connected, ()) = guard(async { tokio::join!(connector.connect(io), serve) }).await;
        let mut read = String::new();
        guard(connected.unwrap().read_to_string(&mut read)).await.unwrap();
        assert_eq!(read, "hello");
    }
}

#[tokio::test]
async fn no_session_is_resumed() {
    let (directory, authority, ca) = authority();
    let (cert, key) = directory.write_issued("server", &authority.issue(&["h"]));
    for versions in [TLS12, TLS13] {
        // The sender resumes no session, although this receiver would resume a session.
        let address = echo_of(server_config(&authority.issue(&["h"]), versions)).await;
        let mut connector = connector(&ca);
        // The receiver resumes no session, although this sender would resume a session.
        let receiver = ReceiverTls::from_pem_files(&cert, &key).unwrap();
        let own = echo(move || receiver.acceptor(None)).await;
        let config =
            ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
        let config = Arc::new(config.with_root_certificates(roots(&ca)).with_no_client_auth());
        for _ in 0..3 {
            let stream = attempt(&mut connector, address).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));

            let io = TcpStream::connect(own).await.unwrap();
            let connect = TlsConnector::from(Arc::clone(&config)).connect("h".try_into().unwrap(), io);
            let mut stream = guard(connect).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            guard(stream.read_u8()).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

#[tokio::test]
async fn a_connector_offers_an_alpn_protocol_only_if_a_protocol_is_set() {
    let (_directory, authority, ca) = authority();
    let mut config = Arc::unwrap_or_clone(server_config(&authority.issue(&["h"]), TLS13));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let address = echo_of(config).await;
    let mut connector = connector(&ca);
    assert_eq!(attempt(&mut connector, address).await.unwrap().get_ref().1.alpn_protocol(), None);
    connector.set_alpn(b"http/1.1");
    let stream = attempt(&mut connector, address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_receiver_without_tls_gets_no_data() {
    let (_directory, _authority, ca) = authority();
    let mut connector = connector(&ca);
    let answers: [(&[u8], &str); 2] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the receiver does not speak TLS"),
        (b"", "the receiver closed the connection during the TLS handshake"),
    ];
    for (answer, expected) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut received = vec![0; 5];
            io.read_exact(&mut received).await.unwrap();
            let len = usize::from(u16::from_be_bytes([received[3], received[4]]));
            received.resize(5 + len, 0);
            io.read_exact(&mut received[5..]).await.unwrap();
            io.write_all(answer).await.unwrap();
            io.shutdown().await.unwrap();
            io.read_to_end(&mut received).await.unwrap();
            received
        });
        let io = TcpStream::connect(address).await.unwrap();
        let error = guard(connector.connect(io)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);

        // The receiver got a handshake record, and at most one alert.
        let received = guard(peer).await.unwrap();
        assert_eq!(received[0], 0x16);
        let mut rest = &received[..];
        let mut kinds = Vec::new();
        while let [kind, 3, _, high, low, after @ ..] = rest {
            kinds.push(*kind);
            rest = &after[usize::from(u16::from_be_bytes([*high, *low]))..];
        }
        assert_eq!(rest, b"");
        assert!(matches!(kinds[..], [0x16] | [0x16, 0x15]), "{kinds:?}");
    }
}

#[test]
fn options_that_cannot_work_are_refused_without_a_file_being_read() {
    let ca = Some(Path::new("/none"));
    let error = |options: &TlsOptions, host| {
        let error = Connector::new(options, host).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        error.to_string()
    };
    let cert = TlsOptions { cert: Some("/c".into()), ..options(ca, None) };
    assert_eq!(error(&cert, "h"), "a client certificate needs its private key");
    let key = TlsOptions { key: Some("/k".into()), ..options(ca, None) };
    assert_eq!(error(&key, "h"), "a private key needs its client certificate");
    assert_eq!(error(&options(ca, None), "a b"), "\"a b\" is not a name that a certificate can have");
    assert!(Connector::new(&options(ca, None), "h").is_ok());
}
