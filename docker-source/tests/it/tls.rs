//! Tests with an Engine behind TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use docker_source::{EngineAddress, EngineCertificates, EngineError, InvalidEngineAddress, Source};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Logged, text, timing, within};
use certificates::{Authority, Directory, Issued, LONG_AGO};

#[path = "../../../gelf-tokio/tests/support/certificates.rs"]
mod certificates;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Starts a TLS server in front of the Engine, and returns the port of the server. The server demands a
/// client certificate from the authority `clients`.
async fn serve(
    engine: &SimulatedEngine,
    own: &Issued,
    clients: &Authority,
    version: &'static SupportedProtocolVersion,
) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            CertificateDer::pem_slice_iter(own.cert_pem.as_bytes()).map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = engine.socket().to_owned();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut engine = UnixStream::connect(socket).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    port
}

/// Writes the files of a client to a new folder: the certificate of the authority `ca`, and, unless `own` is
/// `None`, the client's certificate and key.
fn client(ca: &Authority, own: Option<&Issued>) -> Directory {
    let folder = Directory::new();
    folder.write("ca.pem", &ca.pem());
    if let Some(own) = own {
        folder.write("cert.pem", &own.cert_pem);
        folder.write("key.pem", &own.key_pem);
    }
    folder
}

async fn connect(host: &str, port: u16, folder: &Directory) -> Result<Source, EngineError> {
    let certificates = EngineCertificates::from_folder(folder.as_ref()).unwrap();
    let address = EngineAddress::Tls { host: host.into(), port, certificates };
    within(Source::builder().address(address).timing(timing()).connect()).await
}

#[tokio::test]
async fn an_engine_that_demands_a_client_certificate_is_read_over_tls() {
    let authority = Authority::new("docker");
    for version in VERSIONS {
        let engine = SimulatedEngine::start().await;
        let port = serve(&engine, &authority.issue(&["localhost", "127.0.0.1"]), &authority, version).await;
        let folder = client(&authority, Some(&authority.issue(&["client"])));
        for (name, host) in ["localhost", "127.0.0.1"].into_iter().enumerate() {
            let mut source = connect(host, port, &folder).await.unwrap();
            let web = engine.create(ContainerOptions::named(&format!("web-{name}")));
            web.start();
            let long = "x".repeat(100_000);
            web.line(Stream::Stdout, &long);
            web.line(Stream::Stderr, "last");
            let mut lines = Vec::new();
            for _ in 0..2 {
                lines.push(text(&within(source.next()).await.unwrap().unwrap()));
            }
            lines.sort();
            assert_eq!(lines, ["last".to_owned(), long]);
        }
    }
}

#[tokio::test]
async fn a_wrong_or_missing_certificate_is_a_permanent_error_that_names_the_cause() {
    let (authority, other) = (Authority::new("docker"), Authority::new("docker"));
    let own = authority.issue(&["client"]);
    for version in VERSIONS {
        let engine = SimulatedEngine::start().await;
        let port = serve(&engine, &authority.issue(&["localhost"]), &authority, version).await;
        let [wrong_ca, foreign, without, good] = [
            client(&other, Some(&own)),
            client(&authority, Some(&other.issue(&["client"]))),
            client(&authority, None),
            client(&authority, Some(&own)),
        ];
        for (host, folder, cause, file) in [
            ("localhost", &wrong_ca, "its certificate is not signed by an authority of ", "ca.pem"),
            ("127.0.0.1", &good, "its certificate is not valid for the name 127.0.0.1", ""),
            ("localhost", &foreign, "it refuses the client certificate ", "cert.pem"),
            ("localhost", &without, "it requires a client certificate, and ", "cert.pem"),
        ] {
            let error = connect(host, port, folder).await.unwrap_err();
            assert!(error.is_permanent() && matches!(error, EngineError::Tls { .. }), "{error:?}");
            let said = error.to_string();
            let path = if file.is_empty() { String::new() } else { folder.path(file).display().to_string() };
            let expected =
                format!("cannot connect to the Engine at tcp://{host}:{port} (TLS): {cause}{path}");
            assert!(said.starts_with(&expected), "{said}");
        }
        assert_eq!(engine.requests(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_expired_certificate_and_an_engine_without_tls_are_not_permanent_errors() {
    let authority = Authority::new("docker");
    let folder = client(&authority, Some(&authority.issue(&["client"])));
    let engine = SimulatedEngine::start().await;
    let expired =
        serve(&engine, &authority.issue_for(&["localhost"], LONG_AGO), &authority, VERSIONS[1]).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let without_tls = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = plain.accept().await.unwrap();
            let _ = client.writable().await;
            let _ = client.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    for (port, cause) in [(expired, "expired"), (without_tls, "the Engine does not speak TLS")] {
        let logged = Logged::here();
        let certificates = EngineCertificates::from_folder(folder.as_ref()).unwrap();
        let address = EngineAddress::Tls { host: "localhost".into(), port, certificates };
        let connecting = tokio::spawn(Source::builder().address(address).timing(timing()).connect());
        let warned = async {
            while logged.matching("WARN").is_empty() {
                tokio::task::yield_now().await;
            }
        };
        within(warned).await;
        assert!(logged.matching("WARN")[0].contains(cause), "{:?}", logged.matching("WARN"));
        assert!(!connecting.is_finished());
        connecting.abort();
    }
}

#[test]
fn a_certificate_file_that_is_missing_or_invalid_is_an_error_that_names_the_file() {
    let authority = Authority::new("docker");
    let own = authority.issue(&["client"]);
    let other_key = authority.issue(&["client"]).key_pem;
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let long = "\n".repeat(4 * 1024 * 1024 + 1);
    // `None` removes the file.
    for (file, content, reason) in [
        ("ca.pem", None, "No such file or directory"),
        ("ca.pem", Some(""), "there is no certificate in PEM in it"),
        ("ca.pem", Some(not_der), "a certificate is malformed"),
        ("ca.pem", Some(&own.cert_pem[..80]), "not well-formed PEM"),
        ("ca.pem", Some(&long), "longer than 4 MiB"),
        ("cert.pem", None, "No such file or directory"),
        ("cert.pem", Some(&own.key_pem), "there is no certificate in PEM in it"),
        ("key.pem", None, "No such file or directory"),
        ("key.pem", Some(&own.cert_pem), "there is no private key in PEM in it"),
        ("key.pem", Some(encrypted), "the private key is encrypted"),
        ("key.pem", Some(not_key), ""),
        ("key.pem", Some(&other_key), "not the key of cert.pem"),
    ] {
        let folder = client(&authority, Some(&own));
        match content {
            Some(content) => drop(folder.write(file, content)),
            None => fs::remove_file(folder.path(file)).unwrap(),
        }
        let error = EngineCertificates::from_folder(folder.as_ref()).unwrap_err();
        assert!(
            matches!(&error, InvalidEngineAddress::Certificates { path, .. } if *path == folder.path(file)),
            "{error:?}"
        );
        let expected = format!("DOCKER_CERT_PATH: {}: {reason}", folder.path(file).display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(EngineError::from(error).is_permanent());
    }
    let error = EngineCertificates::from_folder(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().starts_with("DOCKER_CERT_PATH: /dev/zero/ca.pem: "), "{error}");
}

#[test]
fn the_debug_text_of_certificates_has_no_key() {
    let authority = Authority::new("docker");
    let folder = client(&authority, Some(&authority.issue(&["client"])));
    let certificates = EngineCertificates::from_folder(folder.as_ref()).unwrap();
    let expected = format!("EngineCertificates {{ folder: {:?}, .. }}", folder.as_ref() as &Path);
    assert_eq!(format!("{certificates:?}"), expected);
}
