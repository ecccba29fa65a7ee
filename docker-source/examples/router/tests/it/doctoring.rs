//! Tests of `doctor` as a command. Unit tests beside each check cover the individual findings.

use std::net::UdpSocket;
use std::process::{Command, Output};

use simulated_engine::{ContainerOptions, SimulatedEngine};

async fn doctor(docker_host: String, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.arg("doctor").args(arguments).env_remove("ROUTE_URIS").env("DOCKER_HOST", docker_host);
    let Output { status, stdout, .. } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[track_caller]
fn assert_shows(text: &str, beginnings: &[&str]) {
    for beginning in beginnings {
        assert!(text.lines().any(|line| line.starts_with(beginning)), "{beginning:?} is missing:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_ends_with_exit_status_0_on_a_host_without_failures() {
    let engine = SimulatedEngine::start().await;
    engine.create(ContainerOptions::named("web\u{1b}[2J")).start();
    engine.create(ContainerOptions::named("quiet").env("LOGSPOUT=ignore")).start();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let route = format!("gelf://{}", receiver.local_addr().unwrap());
    let (status, text) = doctor(engine.docker_host(), &[&route]).await;
    assert_eq!(status, Some(0), "{text}");
    let socket = format!("ok    socket {}: ", engine.socket().display());
    let route = format!("ok    route {route}: datagrams of 1420 bytes");
    let shows = [
        &*socket,
        "ok    Engine unix://",
        "ok    descriptors: ",
        "ok    agents: containers with a gelf-router: 0",
        "warn  container web\\u{1b}[2J: its json-file log grows without a limit; ",
        "ok    container quiet: no route ships it",
        &*route,
    ];
    assert_shows(&text, &shows);
    assert_eq!(text.lines().count(), shows.len(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_shown_with_exit_status_1_and_an_invalid_route_causes_exit_status_2() {
    let missing = "unix:///nonexistent/docker.sock".to_owned();
    let (status, text) = doctor(missing, &["--state=/dev/null", "gelf+tcp://host.invalid"]).await;
    assert_eq!(status, Some(1), "{text}");
    let shows = [
        "fail  --state /dev/null: this is not a folder; ",
        "fail  socket /nonexistent/docker.sock: the socket does not exist; start Docker",
        "fail  route gelf+tcp://host.invalid: the name host.invalid has no address",
    ];
    assert_shows(&text, &shows);
    let (status, text) = doctor("unix:///s".to_owned(), &["gelff://h"]).await;
    assert_eq!((status, &*text), (Some(2), ""));
}
