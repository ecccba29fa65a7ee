//! Tests that lines that belong together arrive as one message, and that no line is lost.

use std::time::{Duration, Instant};

use crate::common::{Router, TIMEOUT, new_lines};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use simulated_engine::{Container, ContainerOptions, SimulatedEngine, Stream};
use tokio::time::timeout;

/// Returns all lines of the next message as one text.
async fn next(receiver: &mut TcpReceiver) -> String {
    let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
    let message = Decoder::strict().decode(&received.payload).unwrap().message;
    let first = message.short_message();
    let Some(all) = message.full_message() else { return first.to_owned() };
    assert!(all.starts_with(first) && all.len() > first.len(), "{all}");
    all.to_owned()
}

async fn all<const N: usize>(receiver: &mut TcpReceiver) -> Vec<String> {
    let mut messages = Vec::new();
    for _ in 0..N {
        messages.push(next(receiver).await);
    }
    messages
}

fn write(container: &Container, lines: &[(Stream, &str)]) {
    for (stream, line) in lines {
        container.line(*stream, line);
    }
}

async fn terminate(router: Router) -> Vec<String> {
    tokio::task::spawn_blocking(move || router.terminate().1).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_joined_as_the_route_and_the_container_say_and_every_line_is_counted() {
    let engine = SimulatedEngine::start().await;
    let shop = engine.create(ContainerOptions::named("shop").label("gelf.multiline", "java"));
    let plain = engine.create(ContainerOptions::named("plain").env("LOGSPOUT_MULTILINE=false"));
    let wrong = engine.create(ContainerOptions::named("wrong").label("gelf.multiline", "cobol"));
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    // The ten minutes of `multiline.flush_after` do not pass in this test. An open message is therefore completed by
    // the first line of the next message, or by the end of the router.
    let options = "multiline.flush_after=600000&multiline.match=first&multiline.pattern=%5E%5Ba-z%5D";
    let route = format!("multiline+gelf+tcp://{address}?{options}");
    let mut router = Router::start(&engine.docker_host(), &[&route]);
    router.wait_until_ready();
    shop.start();
    write(
        &shop,
        &[
            (Stream::Stdout, "a.B: java.lang.IllegalStateException: refused"),
            (Stream::Stderr, "java.lang.Error: x"),
            (Stream::Stdout, "\tat a.B.c(B.java:1)"),
            (Stream::Stderr, "\tat d.E.f(E.java:2)"),
            (Stream::Stdout, "Caused by: a.C: y"),
            (Stream::Stdout, "next"),
        ],
    );
    let trace = "a.B: java.lang.IllegalStateException: refused\n\tat a.B.c(B.java:1)\nCaused by: a.C: y";
    assert_eq!(next(&mut receiver).await, trace);
    plain.start();
    write(&plain, &[(Stream::Stdout, "one"), (Stream::Stdout, " two")]);
    assert_eq!(all::<2>(&mut receiver).await, ["one", " two"]);
    wrong.start();
    write(&wrong, &[(Stream::Stdout, "one"), (Stream::Stdout, " two"), (Stream::Stdout, "three")]);
    assert_eq!(next(&mut receiver).await, "one\n two");
    let ending = tokio::spawn(terminate(router));
    let mut rest = all::<3>(&mut receiver).await;
    rest.sort();
    assert_eq!(rest, ["java.lang.Error: x\n\tat d.E.f(E.java:2)", "next", "three"]);
    let logged = ending.await.unwrap();
    for account in ["11 lines routed = 7 delivered + ", " + 4 joined to the line before + 0 in flight"] {
        assert!(logged.iter().any(|line| line.contains(account)), "{logged:#?}");
    }
    assert_eq!(new_lines(&logged), 11);
    let warnings: Vec<_> =
        logged.iter().filter(|line| line.contains("label gelf.multiline: use off, java")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("container=\"wrong\""), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_an_open_message_are_read_again_after_a_kill() {
    let engine = SimulatedEngine::start().await;
    let shop = engine.create(ContainerOptions::named("shop"));
    shop.start();
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let folder = engine.socket().with_file_name("state");
    let state = format!("--state={}", folder.display());
    let address = receiver.local_addr().unwrap();
    let start = |flush_after: u32| {
        let route = format!("gelf+tcp://{address}?multiline=java&multiline.flush_after={flush_after}");
        let mut router = Router::start(&engine.docker_host(), &[&state, &route]);
        router.wait_until_ready();
        router
    };
    let router = start(600_000);
    write(&shop, &[(Stream::Stdout, "first"), (Stream::Stdout, "open"), (Stream::Stdout, "\tat a")]);
    assert_eq!(next(&mut receiver).await, "first");
    let deadline = Instant::now() + TIMEOUT;
    // The position behind the first line has to be saved before the router is killed.
    while !std::fs::read_to_string(folder.join("positions")).is_ok_and(|text| text.contains(shop.id())) {
        assert!(Instant::now() < deadline, "no position is written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(router);
    let router = start(100);
    assert_eq!(next(&mut receiver).await, "open\n\tat a");
    terminate(router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_not_torn_while_its_destination_takes_nothing() {
    let engine = SimulatedEngine::start().await;
    let shop = engine.create(ContainerOptions::named("shop"));
    shop.start();
    let mut alive = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = "multiline=python&multiline.flush_after=300";
    let routes = [
        format!("gelf+tcp://{closed}?queue=5&{options}"),
        format!("gelf+tcp://{}?{options}", alive.local_addr().unwrap()),
    ];
    let mut router = Router::start(&engine.docker_host(), &[&routes[0], &routes[1]]);
    router.wait_until_ready();
    let expected: Vec<_> = (0..50).map(|number| format!("message {number}\n  more\n  last")).collect();
    for line in expected.iter().flat_map(|message| message.lines()) {
        shop.line(Stream::Stdout, line);
    }
    assert_eq!(all::<50>(&mut alive).await, expected);
    router.wait_for("the other routes go on without it");
    // This pause is longer than `flush_after`.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut late = TcpReceiver::bind(closed).await.unwrap();
    assert_eq!(all::<50>(&mut late).await, expected);
    terminate(router).await;
}
