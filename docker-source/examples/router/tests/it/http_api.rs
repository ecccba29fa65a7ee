//! Tests of the HTTP API. This file tests the server, and has the helpers for all tests of the API. The tests
//! of the endpoints are in modules.

mod health;
mod logs;
mod metrics;
mod routes;
mod status;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::common::{Router, TIMEOUT};
use serde_json::Value;
use simulated_engine::{Container, ContainerOptions, SimulatedEngine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// A router that serves the HTTP API, with its Engine and the container `web`.
struct Served {
    engine: SimulatedEngine,
    web: Container,
    router: Router,
    address: SocketAddr,
}

impl Served {
    async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    async fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let engine = SimulatedEngine::start().await;
        let web = engine.create(ContainerOptions::named("web").env("PASSWORD=hunter2"));
        web.start();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
        command.args(arguments).arg("--http=127.0.0.1:0").env("DOCKER_HOST", engine.docker_host());
        command.envs(environment.iter().copied());
        Self::of(engine, web, Router::spawn(command))
    }

    fn of(engine: SimulatedEngine, web: Container, mut router: Router) -> Self {
        let line = router.wait_for("the HTTP API is at http://");
        let address = line.split("http://").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        router.wait_until_ready();
        Self { engine, web, router, address }
    }

    /// Sends a request to the router. Returns the status and the body of the answer.
    async fn ask(&self, request: &str) -> (u16, String) {
        ask(self.address, request).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await
    }

    async fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until the health check has this status, and returns its answer.
    async fn wait_for_health(&self, status: u16) -> String {
        let started = Instant::now();
        loop {
            let (now, body) = self.get("/health").await;
            if now == status {
                return body;
            }
            assert!(started.elapsed() < TIMEOUT, "the health check has the status {now}: {body}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Sends a request on a new connection, and returns the status and the body of the answer.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut answer)).await.expect("timed out").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Returns the value of the metric `name` from the text of `/metrics`.
fn sample(metrics: &str, name: &str) -> u64 {
    let line =
        metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_routes_serves_the_api_at_the_port_of_logspouts_variable_until_a_signal() {
    let engine = SimulatedEngine::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.env("DOCKER_HOST", engine.docker_host()).env("PORT", free.port().to_string());
    let mut router = Router::spawn(command);
    router.wait_for("the HTTP API is at");
    let (status, body) = ask(free, "GET /health HTTP/1.1\r\nHost: any.example\r\n\r\n").await;
    assert!(status == 200 && body.contains("Healthy!"), "{status} {body}");
    // A second router cannot listen at the same port. The second router logs the reason, nevertheless follows the
    // containers, and listens once the port is free.
    let mut second = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    second.arg("--print").env("DOCKER_HOST", engine.docker_host()).env("PORT", free.port().to_string());
    let mut second = Router::spawn(second);
    second.wait_for("the HTTP API cannot listen");
    second.wait_until_ready();
    router.terminate();
    second.wait_for("the HTTP API is at");
    second.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_sites_wrong_methods_and_large_heads_are_refused() {
    let served = Served::start(&["--print"]).await;
    let host = served.address;
    for (request, status) in [
        (format!("GET /none HTTP/1.1\r\nHost: {host}\r\n\r\n"), 404),
        (format!("POST /health HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"), 405),
        ("GET /none HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 403),
        (format!("GET /none HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\n\r\n"), 403),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let (answered, body) = served.ask(&request).await;
        assert_eq!(answered, status, "{request:.80}: {body}");
    }
    served.router.terminate();
}
