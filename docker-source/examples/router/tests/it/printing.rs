//! Tests that `--print` prints no messages of other programs, and that the router's log escapes and shortens
//! the text of the Engine and of labels.

use std::net::{SocketAddr, UdpSocket};

use crate::common::{Router, figure};
use simulated_engine::{ContainerOptions, Options, SimulatedEngine, Stream};

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_other_programs_are_counted_and_not_printed() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    let line = router.wait_for(" to gelf://");
    let receiver = line.rsplit("gelf://").next().unwrap().split(['?', ' ']).next().unwrap();
    let receiver: SocketAddr = receiver.parse().unwrap();
    router.wait_until_ready();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let forged = br#"{"version":"1.1","host":"engine-host","short_message":"forged"}"#;
    for datagram in [&forged[..], b"not GELF"] {
        other.send_to(datagram, receiver).unwrap();
    }
    router.wait_for("ignores messages of other programs");
    for number in 0..100 {
        web.line(Stream::Stdout, number.to_string());
        assert_eq!(router.next_message()["short_message"], number.to_string());
        other.send_to(forged, receiver).unwrap();
    }
    let (rest, logged) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(figure(&logged, "messages of other programs"), 102, "{logged:#?}");
    assert_eq!(logged.iter().filter(|line| line.contains("WARN")).count(), 1, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_no_raw_or_endless_text_of_the_engine_or_of_labels() {
    let options = Options { name: "h\nforged\u{9b}\u{202e}".into(), ..Options::default() };
    let engine = SimulatedEngine::start_with(options).await;
    let label = |length| format!("gelf_{}", "\n".repeat(length));
    let value = "x".repeat(12_000);
    let options = ContainerOptions::named("web").label(&label(6000), &value).label(&label(6001), &value);
    let web = engine.create(options);
    let cut = engine.create(ContainerOptions::named("cut").label(&label(500_000), "x"));
    web.start();
    cut.start();
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_until_ready();
    web.line(Stream::Stdout, "hello");
    assert_eq!(router.next_message()["short_message"], "hello");
    let (_, logged) = router.terminate();
    for warning in ["dropping the label", "labels, arguments or environment of this container"] {
        assert!(logged.iter().any(|line| line.contains(warning)), "{logged:#?}");
    }
    for line in &logged {
        let is_entry = line.starts_with("20") && line.len() < 1000 && !line.contains(char::is_control);
        assert!(is_entry, "{line:?}");
    }
}
