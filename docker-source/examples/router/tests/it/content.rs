//! Tests that the router parses the content of lines. Options of the route and labels of the container select
//! the kinds of content.

use crate::common::{Router, TIMEOUT};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::{Decoder, Level, Message};
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::time::timeout;

async fn next(receiver: &mut TcpReceiver) -> Message<'static> {
    let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
    Decoder::strict().decode(&received.payload).unwrap().message.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_parsed_as_the_route_and_the_labels_of_the_container_say() {
    let engine = SimulatedEngine::start().await;
    let shop = engine.create(ContainerOptions::named("shop").label("gelf.multiline", "java"));
    let raw = engine.create(ContainerOptions::named("raw").label("gelf.content", "off"));
    let wrong = engine.create(
        ContainerOptions::named("wrong").label("gelf.strip_ansi", "maybe").label("gelf.multiline", "cobol"),
    );
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let route = format!("gelf+tcp://{address}?content=json&content=level&redact=tokens");
    let mut router = Router::start(&engine.docker_host(), &[&route]);
    router.wait_until_ready();
    let json = r#"{"level":40,"msg":"slow","order":4711,"auth":"Bearer 0123456789abcdef0123"}"#;
    shop.start();
    shop.line(Stream::Stdout, json);
    shop.line(Stream::Stdout, "[main] ERROR payment failed");
    shop.line(Stream::Stdout, "\tat shop.Orders.pay(Orders.java:17)");
    let message = next(&mut receiver).await;
    assert_eq!((message.short_message(), message.level()), ("slow", Some(Level::Warning)));
    assert_eq!(message.field("order").and_then(|value| value.as_i64()), Some(4711));
    assert_eq!(message.field("auth").and_then(|value| value.as_str()), Some("Bearer ***"));
    let message = next(&mut receiver).await;
    assert_eq!(
        (message.level(), message.full_message().map(|text| text.lines().count())),
        (Some(Level::Error), Some(2))
    );
    // The invalid labels of `wrong` are ignored, so the options of the route apply to this container.
    for container in [&raw, &wrong] {
        container.start();
        container.line(Stream::Stdout, r#"{"level":40,"msg":"slow"}"#);
        let message = next(&mut receiver).await;
        let is_read = message.short_message() == "slow";
        assert_eq!(
            is_read,
            message.field("container_name").and_then(|value| value.as_str()) == Some("wrong")
        );
    }
    let warning = router.wait_for("label gelf.strip_ansi: use true or false");
    assert!(warning.contains("container=\"wrong\""), "{warning}");
    assert!(warning.contains("label gelf.multiline: use off, java"), "{warning}");
    tokio::task::spawn_blocking(move || router.terminate()).await.unwrap();
}
