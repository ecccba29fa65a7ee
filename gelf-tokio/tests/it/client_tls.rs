//! Tests a client over TLS with rotated certificates, invalid files, and several hosts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gelf_tokio::gelf_core::Message;
use gelf_tokio::options::TcpReceiverOptions;
use gelf_tokio::resolve::{Resolve, Resolving};
use gelf_tokio::{Client, ReceiverTls, TcpReceiver, TcpSender, TlsConfigError};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::account::assert_account;
use crate::support::certificates::{Authority, Directory};
use crate::support::outages::{LIMIT, Sending, receipt_of, within};

/// Returns a receiver with the certificate of the file `server.pem`. If the file `clients.pem` exists, the
/// receiver requires client certificates.
async fn receiver(files: &Directory) -> TcpReceiver {
    let mut tls = ReceiverTls::from_pem_files(files.path("server.pem"), files.path("server.key")).unwrap();
    let clients = files.path("clients.pem");
    if clients.exists() {
        tls = tls.with_client_ca(clients).unwrap();
    }
    TcpReceiver::bind_tls("127.0.0.1:0", Default::default(), tls).await.unwrap()
}

#[tokio::test]
async fn nothing_is_sent_to_a_receiver_of_an_unknown_authority_until_the_file_has_the_authority() {
    let (files, _) = Directory::of_server(&["127.0.0.1"]);
    let new = Authority::new("new");
    files.write_issued("server", &new.issue(&["127.0.0.1"]));
    let mut receiver = receiver(&files).await;
    let ca = files.path("ca.pem");
    let uri = format!("gelf+tls://{}?ca={}", receiver.local_addr().unwrap(), ca.display());
    let sending = Sending::start(&uri.parse().unwrap());
    sending.send(0..10).await;
    let stats = sending.wait_for("three attempts", |stats| stats.failed_connects >= 3).await;
    assert_account(&stats, 10);
    assert_eq!((stats.delivered(), stats.connections, stats.is_connected), (0, 0, false));
    assert_eq!(receiver.stats().frames, 0);
    files.write("ca.pem", &new.pem());
    for number in 0..10 {
        let received = within("a message", receiver.recv()).await.unwrap().unwrap();
        assert_eq!(receipt_of(&received.payload), Some(number));
    }
    let stats = sending.end_acknowledged(10).await;
    assert_eq!((stats.connections, receiver.stats().frames), (1, 10));
}

#[tokio::test]
async fn a_flush_that_found_the_socket_full_goes_on_when_the_receiver_reads() {
    let (files, _) = Directory::of_server(&["127.0.0.1"]);
    let tls = ReceiverTls::from_pem_files(files.path("server.pem"), files.path("server.key")).unwrap();
    let mut options = TcpReceiverOptions::default();
    options.max_queued_frames = 1;
    let mut receiver = TcpReceiver::bind_tls("127.0.0.1:0", options, tls).await.unwrap();
    let ca = files.path("ca.pem");
    let uri = format!("gelf+tls://{}?ca={}", receiver.local_addr().unwrap(), ca.display());
    let mut sender = TcpSender::connect(&uri.parse().unwrap()).await.unwrap();
    // The receiver stops reading when its queue is full, so the buffers of both sockets fill up. The last
    // message is then in the TLS stream, and the sender's own buffer is empty.
    let text = "x".repeat(10_000);
    let mut sent = 1;
    while timeout(Duration::from_millis(200), sender.send(&Message::new("h", &*text))).await.is_ok() {
        sent += 1;
        assert!(sent < 10_000, "the sockets take everything");
    }
    let flushing = tokio::spawn(async move {
        sender.flush().await.unwrap();
        sender
    });
    for _ in 0..sent {
        within("a message", receiver.recv()).await.unwrap().unwrap();
    }
    within("the flush", flushing).await.unwrap();
}

#[tokio::test]
async fn a_missing_or_invalid_file_is_an_error_of_the_constructor() {
    let directory = Directory::new();
    let invalid = directory.write("ca.pem", "no certificate");
    let mut schemes = vec!["gelf+tls"];
    schemes.extend(cfg!(feature = "http").then_some("gelf+https"));
    for scheme in schemes {
        for (ca, expected) in
            [("/nope.pem", "/nope.pem: "), (invalid.to_str().unwrap(), "no certificate in PEM format found")]
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

/// The clock is paused. Without `connect_timeout`, the limit would be 10 s over TCP. Over HTTP, it would be 30 s,
/// which is half of `timeout`.
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
async fn certificates_as_text_are_used_over_tls_and_are_an_error_for_an_endpoint_without_tls() {
    let (files, authority) = Directory::of_server(&["127.0.0.1"]);
    files.write("clients.pem", &authority.pem());
    let mut receiver = receiver(&files).await;
    let own = authority.issue(&["client"]);
    let identity = (own.cert_pem.as_bytes(), own.key_pem.as_bytes());
    let ca = authority.pem();
    let with_pem = |uri: &str| {
        let builder = Client::builder(&uri.parse().unwrap());
        builder.tls_pem(Some(ca.as_bytes()), Some(identity)).unwrap()
    };
    let client = with_pem(&format!("gelf+tls://{}", receiver.local_addr().unwrap())).connect().unwrap();
    client.send(&Message::new("h", "m")).await.unwrap();
    within("the message", receiver.recv()).await.unwrap().unwrap();
    client.close(LIMIT).await.unwrap();

    for uri in ["gelf://127.0.0.1", "gelf+tcp://127.0.0.1"] {
        let error = with_pem(uri).build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{uri}");
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
    let (files, _) = Directory::of_server(&["b.example"]);
    let mut receiver = receiver(&files).await;
    let everywhere = Arc::new(Everywhere(receiver.local_addr().unwrap()));
    let start = |failover: &str| {
        let ca = files.path("ca.pem");
        let uri = format!("gelf+tls://a.example?ca={}&failover={failover}", ca.display());
        let builder = Client::builder(&uri.parse().unwrap()).stamp(false).resolver(everywhere.clone());
        Sending::run(builder.build_with_receipts().unwrap())
    };
    let sending = start("b.example");
    sending.send(0..10).await;
    for number in 0..10 {
        let received = within("a message", receiver.recv()).await.unwrap().unwrap();
        assert_eq!(receipt_of(&received.payload), Some(number));
    }
    let stats = sending.end_acknowledged(10).await;
    assert_eq!((stats.connections, stats.failed_connects), (1, 0));

    // The certificate of one host is not valid for another host.
    let sending = start("c.example");
    sending.wait_for("an attempt", |stats| stats.failed_connects > 0).await;
    let error = sending.client.last_error().unwrap();
    for host in ["a.example port 12201: ", "; c.example port 12201: "] {
        assert!(error.contains(host), "{error}");
    }
}
