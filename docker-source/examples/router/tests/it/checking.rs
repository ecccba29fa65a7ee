//! Tests of `check` with a given address. The module `image` tests how `check` finds the agent of a
//! container.

use std::process::{Command, Output};

use simulated_engine::{ContainerOptions, SimulatedEngine};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use crate::common::{Router, refusing_tcp};

/// Runs `check`, and returns the exit status and the single line that it prints.
async fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.arg("check").args(arguments).env("DOCKER_HOST", "unix:///nonexistent");
    let Output { status, stdout, stderr } = spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    (status.code(), printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_agent_passes_the_check_only_with_liveness_and_an_absent_agent_always_fails_it() {
    let engine = SimulatedEngine::start().await;
    engine.create(ContainerOptions::named("web")).start();
    let (_reserved, down) = refusing_tcp();
    let route = format!("gelf+tcp://{down}");
    for (arguments, full, alive) in [
        (&["--print"][..], (Some(0), "healthy"), (Some(0), "healthy")),
        (&[&*route], (Some(1), "the destination is down: gelf+tcp://"), (Some(0), "alive, but unhealthy: ")),
    ] {
        let arguments = [arguments, &["--http=127.0.0.1:0"]].concat();
        let mut router = Router::start(&engine.docker_host(), &arguments);
        let line = router.wait_for("the HTTP API is at http://");
        let address = line.split("http://").nth(1).unwrap().split(',').next().unwrap();
        router.wait_until_ready();
        let http = format!("--http={address}");
        // The agent notices after a moment that its destination is down.
        let found = loop {
            let found = check(&[&http]).await;
            if found.0 == full.0 {
                break found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert!(found.1.contains(full.1), "{found:?}");
        let (status, line) = check(&[&http, "--liveness"]).await;
        assert!(status == alive.0 && line.starts_with(alive.1), "{status:?} {line}");
        router.terminate();
        for option in ["--liveness", "--within=1"] {
            let (status, line) = check(&[&http, option]).await;
            assert!(status == Some(1) && line.contains("no answer from"), "{status:?} {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_fails_in_time_if_the_agent_does_not_answer_and_fails_for_other_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = format!("--http={}", listener.local_addr().unwrap());
    let (status, line) = check(&[&http, "--within=1"]).await;
    assert!(
        status == Some(1) && line.contains("no answer") && line.contains("within 1 s"),
        "{status:?} {line}"
    );
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let (status, line) = check(&[&http, "--liveness"]).await;
    assert!(status == Some(1) && line.contains("not that of an agent"), "{status:?} {line}");
    serving.abort();
}
