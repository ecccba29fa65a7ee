//! An Engine or a destination that is away is said once and waited for; what the Engine refuses ends the router.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

mod common;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::{PATIENCE, Router, figure};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use simulated_engine::{Container, ContainerOptions, Fault, Options, SimulatedEngine, Stream};
use tokio::time::timeout;

async fn engine_with(name: &str) -> (SimulatedEngine, Container) {
    let engine = SimulatedEngine::start().await;
    let container = engine.create(ContainerOptions::named(name));
    container.start();
    (engine, container)
}

fn how_many(said: &[String], word: &str) -> usize {
    said.iter().filter(|line| line.contains(word)).count()
}

/// The numbers of the next lines, which are `line N` each.
async fn numbers(receiver: &mut TcpReceiver, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let received = timeout(PATIENCE, receiver.recv()).await.expect("it takes too long").unwrap().unwrap();
        let decoded = Decoder::strict().decode(&received.payload).unwrap();
        numbers.push(decoded.message.short_message().strip_prefix("line ").unwrap().parse().unwrap());
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_not_there_yet_is_said_once_and_waited_for() {
    let engine = SimulatedEngine::away(Options::default());
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_for("no Engine's socket");
    tokio::time::sleep(Duration::from_millis(500)).await;
    engine.come_back();
    router.wait_until_ready();
    let container = engine.create(ContainerOptions::named("web"));
    container.start();
    container.line(Stream::Stdout, "hello");
    assert_eq!(router.next_message()["short_message"], "hello");
    let (_, said) = router.terminate();
    assert_eq!(how_many(&said, "no Engine's socket"), 1, "{said:#?}");
    assert_eq!(how_many(&said, "the Engine answers again"), 1, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_costs_no_line() {
    let (engine, container) = engine_with("web").await;
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_until_ready();
    container.line(Stream::Stdout, "before");
    assert_eq!(router.next_message()["short_message"], "before");
    engine.go_away().await;
    router.wait_for("trying until it works");
    container.line(Stream::Stdout, "meanwhile");
    engine.come_back();
    assert_eq!(router.next_message()["short_message"], "meanwhile");
    container.line(Stream::Stdout, "after");
    assert_eq!(router.next_message()["short_message"], "after");
    let (rest, said) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(how_many(&said, "trying until it works"), 1, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_costs_no_line() {
    let (engine, container) = engine_with("web").await;
    container.fail_logs(Fault::BytesAfter(2, b"\x07\x00\x00\x00\x00\x00\x00\x05abcde".to_vec()));
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_until_ready();
    for number in 0..5 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    for number in 0..5 {
        assert_eq!(router.next_message()["short_message"], format!("line {number}"));
    }
    let (rest, _) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
    assert!(container.log_requests() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_too_old_is_told_in_one_line_and_exit_status_1() {
    let engine =
        SimulatedEngine::start_with(Options { api_version: "1.39".into(), ..Options::default() }).await;
    let (status, stdout, said) =
        Router::start(&engine.docker_host(), &["--log-level=error", "--print"]).wait();
    assert_eq!((status, stdout.len(), said.len()), (Some(1), 0, 1), "{said:#?}");
    assert!(said[0].starts_with("gelf-router: ") && said[0].contains("1.39"), "{said:#?}");
}

/// As another user, where the tests run as root, whom no permission stops.
#[tokio::test(flavor = "multi_thread")]
async fn permission_denied_on_the_socket_is_told_in_one_line_and_exit_status_1() {
    let engine = SimulatedEngine::start().await;
    fs::set_permissions(engine.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    // A place from which everybody may run it.
    let binary = engine.socket().with_file_name("gelf-router");
    fs::copy(env!("CARGO_BIN_EXE_gelf-router"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(binary.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&binary);
    command.args(["--log-level=error", "--print"]).env("DOCKER_HOST", engine.docker_host());
    let root =
        String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0";
    if root {
        command.uid(65_534).gid(65_534);
    }
    let (status, _, said) = Router::spawn(command).wait();
    assert_eq!((status, said.len()), (Some(1), 1), "{said:#?}");
    assert!(said[0].starts_with("gelf-router: permission denied"), "{said:#?}");
    assert!(said[0].contains("group"), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_destination_that_is_down_at_the_start_gets_every_line_when_it_comes() {
    let (engine, container) = engine_with("web").await;
    // A port that is free, most likely for the next second too.
    let address: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf+tcp://{address}")]);
    router.wait_for("the destination is down");
    router.wait_until_ready();
    for number in 0..100 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    let mut receiver = TcpReceiver::bind(address).await.unwrap();
    assert_eq!(numbers(&mut receiver, 100).await, (0..100).collect::<Vec<_>>());
    // It goes away, and comes back.
    drop(receiver);
    let mut receiver = TcpReceiver::bind(address).await.unwrap();
    for number in 100..200 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    assert_eq!(numbers(&mut receiver, 100).await, (100..200).collect::<Vec<_>>());
    let ending = tokio::task::spawn_blocking(move || router.terminate());
    // Its end is seen, and answered, by a receiver that reads.
    let _ = timeout(Duration::from_millis(500), receiver.recv()).await;
    drop(receiver);
    let (_, said) = ending.await.unwrap();
    assert_eq!((figure(&said, "delivered"), figure(&said, "in flight")), (200, 0), "{said:#?}");
    assert_eq!(how_many(&said, "the destination is down"), how_many(&said, "the destination is back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_udp_destination_refuses_is_counted_and_said_once() {
    let (engine, container) = engine_with("web").await;
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf://{closed}")]);
    router.wait_until_ready();
    for number in 0..20 {
        container.line(Stream::Stdout, format!("line {number}"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    router.wait_for("the destination is down");
    let (_, said) = router.terminate();
    let (routed, delivered, refused) =
        (figure(&said, "lines routed"), figure(&said, "delivered"), figure(&said, "dropped as refused"));
    assert_eq!((routed, figure(&said, "in flight")), (20, 0), "{said:#?}");
    assert_eq!(routed, delivered + refused, "{said:#?}");
    assert!(refused >= 15, "{said:#?}");
    assert_eq!(how_many(&said, "the destination is down"), 1, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_delivers_what_was_read_and_the_figures_add_up() {
    let (engine, container) = engine_with("web").await;
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let mut router = Router::start(&engine.docker_host(), &[&route]);
    router.wait_until_ready();
    for number in 0..20_000 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    let first = numbers(&mut receiver, 1).await;
    router.signal("TERM");
    let ending = tokio::task::spawn_blocking(move || router.wait());
    let mut received = first.len();
    while let Ok(Some(Ok(_))) = timeout(Duration::from_millis(500), receiver.recv()).await {
        received += 1;
    }
    let (status, _, said) = ending.await.unwrap();
    assert_eq!(status, Some(0), "{said:#?}");
    assert_eq!(figure(&said, "delivered"), received as u64, "{said:#?}");
    assert_eq!(figure(&said, "lines routed"), received as u64, "{said:#?}");
    assert_eq!(figure(&said, "in flight"), 0, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_router_whose_destination_is_down_and_says_what_is_lost() {
    let (engine, container) = engine_with("web").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf+tcp://{closed}")]);
    router.wait_until_ready();
    for number in 0..10 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    container.wait_for_log_requests(1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, said) = router.terminate();
    assert_eq!((figure(&said, "delivered"), figure(&said, "in flight")), (0, 10), "{said:#?}");
    assert_eq!(how_many(&said, "10 lines were not delivered"), 1, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_stdout_that_has_seen_enough_ends_the_router() {
    let (engine, container) = engine_with("web").await;
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" --print | head -n 1", env!("CARGO_BIN_EXE_gelf-router")]);
    command.env("DOCKER_HOST", engine.docker_host());
    let mut router = Router::spawn(command);
    router.wait_until_ready();
    for number in 0..10 {
        container.line(Stream::Stdout, format!("line {number}"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, stdout, _) = router.wait();
    assert_eq!((status, stdout.len()), (Some(0), 1));
}
