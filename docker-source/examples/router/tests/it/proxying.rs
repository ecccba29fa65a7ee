//! Tests of the proxies between an agent and the Engine: `proxy`, and HAProxy with the configuration of
//! `deploy/socket-proxy`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use simulated_engine::{Container, ContainerOptions, RequestKind, SimulatedEngine, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::common::{Router, TIMEOUT};

/// A folder that is removed when this value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gelf-router-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a proxy in front of the Engine. Returns the proxy and the path of the proxy's unix socket.
fn proxy(engine: &SimulatedEngine, folder: &Folder) -> (Router, PathBuf) {
    let socket = folder.0.join("docker.sock");
    let listen = format!("--listen=unix://{}", socket.display());
    let mut proxy = Router::start(&engine.docker_host(), &["proxy", &listen]);
    proxy.wait_for("passing GET requests");
    (proxy, socket)
}

/// Sends a request without a body, and returns the status and the answer's body.
async fn ask(socket: &Path, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asserts that an agent behind a proxy ships the lines of old and new containers, and that the Engine sees
/// only the requests that SECURITY.md lists.
async fn assert_an_agent_works_behind(docker_host: &str, engine: &SimulatedEngine, web: &Container) {
    let mut agent = Router::start(docker_host, &["--print"]);
    agent.wait_until_ready();
    web.line(Stream::Stdout, "one");
    assert_eq!(agent.next_message()["short_message"], "one");
    // The proxy passes on events and lines of logs as they arrive.
    let new = engine.create(ContainerOptions::named("new"));
    new.start();
    new.line(Stream::Stderr, "two");
    assert_eq!(agent.next_message()["short_message"], "two");
    web.line(Stream::Stdout, "x".repeat(100_000));
    assert_eq!(agent.next_message()["short_message"].as_str().map(str::len), Some(100_000));
    agent.terminate();
    let requests = engine.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET /")), "{requests:#?}");
    assert_eq!(engine.count_kind(RequestKind::Other), 0, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_listed_get_requests_reach_the_engine_and_no_password_is_shown() {
    let engine = SimulatedEngine::start().await;
    let options = ContainerOptions::named("web").env("PASSWORD=hunter2").env("LOGSPOUT=ignored");
    let web = engine.create(options);
    web.start();
    let folder = Folder::new("proxy-rules");
    let (proxy, socket) = proxy(&engine, &folder);
    let id = web.id();
    for (request, status) in [
        ("GET /_ping", 200),
        ("GET /v1.41/info", 200),
        ("GET /v1.41/containers/json?all=1", 200),
        (&format!("GET /v1.41/containers/{id}/json"), 200),
        (&format!("GET /v1.41/containers/{}/json", "0".repeat(64)), 404),
        (&format!("GET /v1.41/containers/{id}/logs?stdout=1"), 200),
        ("HEAD /_ping", 403),
        ("GET /version", 403),
        ("GET /v1.41/images/json", 403),
        (&format!("GET /v1.41/containers/{id}/archive?path=/"), 403),
        (&format!("POST /v1.41/containers/{id}/json"), 403),
        (&format!("DELETE /v1.41/containers/{id}"), 403),
        ("POST /v1.41/containers/create", 403),
        (&format!("POST /v1.41/containers/{id}/exec"), 403),
    ] {
        let before = engine.requests().len();
        let (found, body) = ask(&socket, request).await;
        assert_eq!((found, body.contains("hunter2")), (status, false), "{request}: {body}");
        assert_eq!(engine.requests().len() - before, usize::from(status != 403), "{request}");
    }
    let (_, inspection) = ask(&socket, &format!("GET /containers/{id}/json")).await;
    assert!(inspection.contains("PASSWORD=***") && inspection.contains("LOGSPOUT=ignored"), "{inspection}");
    let (_, logged) = proxy.terminate();
    assert!(logged.iter().any(|line| line.contains("7 passed, 8 refused")), "{logged:#?}");
    assert!(!socket.exists(), "the socket is removed at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_behind_the_proxy_ships_lines_and_each_side_notices_the_end_of_the_other() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let folder = Folder::new("proxy-agent");
    // A socket at which nobody listens is replaced.
    drop(std::os::unix::net::UnixListener::bind(folder.0.join("docker.sock")).unwrap());
    let (proxy, socket) = proxy(&engine, &folder);
    let docker_host = format!("unix://{}", socket.display());
    assert_an_agent_works_behind(&docker_host, &engine, &web).await;
    // The agent is gone, so the proxy ends the requests to the Engine that it made for the agent.
    timeout(TIMEOUT, web.wait_for_followers(0)).await.expect("the proxy ends the requests for the log");
    engine.wait_until_idle().await;

    engine.set_clock(simulated_engine::START + 3_600_000_000_000);
    // If the Engine goes away in the middle of a log, the agent notices it, and goes on once the Engine is
    // back.
    let mut agent = Router::start(&docker_host, &["--print"]);
    agent.wait_until_ready();
    web.line(Stream::Stdout, "before");
    assert_eq!(agent.next_message()["short_message"], "before");
    engine.go_away().await;
    agent.wait_for("Engine");
    engine.come_back();
    web.line(Stream::Stdout, "three");
    assert_eq!(agent.next_message()["short_message"], "three");
    agent.terminate();
    proxy.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_behind_haproxy_needs_only_the_listed_get_requests() {
    let program = Path::new("/usr/sbin/haproxy");
    if !real_engine::require_path("haproxy", program) {
        return;
    }
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let folder = Folder::new("haproxy");
    let configuration = include_str!("../../../../../deploy/socket-proxy/haproxy.cfg")
        .replace("/var/run/docker.sock", &engine.socket().display().to_string())
        .replace("bind :2375", &format!("bind {free}"));
    let file = folder.0.join("haproxy.cfg");
    std::fs::write(&file, configuration).unwrap();
    let mut haproxy = Command::new(program);
    let mut haproxy = haproxy.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).spawn().unwrap();
    wait_for_port(free).await;
    assert_an_agent_works_behind(&format!("tcp://{free}"), &engine, &web).await;
    haproxy.kill().unwrap();
    haproxy.wait().unwrap();
}

async fn wait_for_port(address: SocketAddr) {
    let connected = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, connected).await.expect("the server listens");
}
