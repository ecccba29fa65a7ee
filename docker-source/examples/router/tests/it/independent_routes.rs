//! Tests that a destination that is down does not hold up another destination.

use std::time::Duration;

use crate::common::{Router, TIMEOUT, figure, listen_again, refusing_tcp};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::time::timeout;

const LINES: usize = 500;

/// Receives `count` lines, and then further lines until no line arrives for a second. Returns their numbers.
async fn numbers(receiver: &mut TcpReceiver, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    loop {
        let limit = if numbers.len() < count { TIMEOUT } else { Duration::from_secs(1) };
        let Ok(received) = timeout(limit, receiver.recv()).await else { return numbers };
        let payload = received.unwrap().unwrap().payload;
        let message = Decoder::strict().decode(&payload).unwrap().message;
        numbers.push(message.short_message().strip_prefix("line ").unwrap().parse().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_gets_every_line_later_and_holds_up_no_other() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let mut alive = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (reserved, closed) = refusing_tcp();
    let folder = engine.socket().with_file_name("state");
    let state = format!("--state={}", folder.display());
    let routes = format!("gelf+tcp://{closed}?queue=10,gelf+tcp://{}", alive.local_addr().unwrap());
    let start = || {
        let mut router = Router::start(&engine.docker_host(), &[&state, &routes]);
        router.wait_until_ready();
        router
    };
    let mut router = start();
    for number in 0..LINES {
        web.line(Stream::Stdout, format!("line {number}"));
    }
    assert_eq!(numbers(&mut alive, LINES).await, (0..LINES).collect::<Vec<_>>());
    router.wait_for("the other routes go on without it");

    // After the restart, each route reads on behind the last line that it delivered before the restart.
    let (_, logged) = router.terminate();
    assert!(logged.iter().any(|line| line.contains("the next start reads them again")), "{logged:#?}");
    let router = start();
    web.line(Stream::Stdout, format!("line {LINES}"));
    assert_eq!(numbers(&mut alive, 1).await, [LINES]);
    drop(reserved);
    let mut dead = listen_again(closed).await;
    assert_eq!(numbers(&mut dead, LINES + 1).await, (0..=LINES).collect::<Vec<_>>());
    let ending = tokio::task::spawn_blocking(move || router.terminate());
    for receiver in [&mut alive, &mut dead] {
        let _ = timeout(Duration::from_millis(500), receiver.recv()).await;
    }
    drop((alive, dead));
    let (_, logged) = ending.await.unwrap();
    // The second router routed all lines to the destination that was down, and only the new line to the other
    // destination.
    assert_eq!(figure(&logged, "routed +"), (LINES + 1) as u64 + 1, "{logged:#?}");
}
