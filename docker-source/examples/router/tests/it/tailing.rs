//! Tests of `tail`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use simulated_engine::{ContainerOptions, Options, SimulatedEngine, Stream};

use crate::common::{Router, TIMEOUT};

#[tokio::test(flavor = "multi_thread")]
async fn tail_prints_the_lines_of_matching_containers_and_ends_with_status_0() {
    let engine = SimulatedEngine::start().await;
    let [web, db] = ["web-1", "db"].map(|name| engine.create(ContainerOptions::named(name)));
    web.start();
    db.start();
    let mut tail = Router::start(&engine.docker_host(), &["tail", "web-*"]);
    tail.wait_until_ready();
    db.line(Stream::Stdout, "not shown");
    web.line(Stream::Stdout, "one\u{1b}[2J");
    assert_eq!(tail.next_line(), "web-1 | one\\u{1b}[2J");
    web.line(Stream::Stderr, "two");
    assert_eq!(tail.next_line(), "web-1 ! two");
    tail.signal("INT");
    let (status, rest, logged) = tail.wait();
    assert_eq!((status, rest.len()), (Some(0), 0), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_waits_for_an_engine_that_is_away() {
    let engine = SimulatedEngine::away(Options::default());
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let mut tail = Router::start(&engine.docker_host(), &["tail"]);
    tail.wait_for("retrying");
    engine.come_back();
    tail.wait_until_ready();
    web.line(Stream::Stdout, "back");
    assert_eq!(tail.next_line(), "web | back");
    tail.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_ends_quietly_if_the_reader_of_its_output_ends() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.arg("tail").env("DOCKER_HOST", engine.docker_host()).stdout(writer);
    command.stderr(Stdio::piped());
    let mut tail = command.spawn().unwrap();
    drop((command, reader));
    let ended = tokio::time::timeout(TIMEOUT, async {
        loop {
            web.line(Stream::Stdout, "x");
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Some(status) = tail.try_wait().unwrap() {
                break status;
            }
        }
    });
    let ended = ended.await.expect("tail ends");
    let logged = std::io::read_to_string(tail.stderr.take().unwrap()).unwrap();
    assert!(ended.success() && !logged.contains("failed"), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_writes_the_lines_that_it_has_begun_to_write_before_it_ends() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.arg("tail").env("DOCKER_HOST", engine.docker_host()).stdout(writer);
    let mut tail = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let mut logged = BufReader::new(tail.stderr.take().unwrap()).lines();
    assert!(logged.any(|line| line.unwrap().contains("ready: following")));
    for _ in 0..2000 {
        web.line(Stream::Stdout, "x".repeat(101));
    }
    // The lines have more than 200 KiB, of which the pipe takes 64 KiB.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let signal = Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap();
    assert!(signal.success() && logged.any(|line| line.unwrap().contains("shutting down")));
    // A program that does not write its last lines would end now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let printed = std::io::read_to_string(reader).unwrap();
    assert!(tail.wait().unwrap().success());
    let is_whole = |line: &str| line.strip_prefix("web | ").is_some_and(|text| text.len() == 101);
    assert!(printed.ends_with('\n') && printed.lines().all(is_whole), "{:?}", printed.lines().last());
}
