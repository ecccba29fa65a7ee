//! Tests of the HTTP API.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Router, TIMEOUT, listen_again, refusing_tcp};
use futures_util::StreamExt;
use gelf_tokio::TcpReceiver;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use simulated_engine::{Container, ContainerOptions, Fault, SimulatedEngine, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A router with an Engine, a container and the API.
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

    /// Returns the status and the body of the answer to a request.
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

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_an_engine_that_hangs_or_is_gone_until_it_answers_again() {
    let served = Served::start(&["--print"]).await;
    let healthy = served.wait_for_health(200).await;
    assert!(healthy.contains("Healthy!"), "{healthy}");
    served.engine.fail_ping(Fault::Hang);
    let hanging = served.wait_for_health(503).await;
    assert!(hanging.contains("the Engine does not answer") && hanging.contains("_ping"), "{hanging}");
    served.wait_for_health(200).await;
    served.engine.go_away().await;
    let gone = served.wait_for_health(503).await;
    assert!(gone.contains("the Engine does not answer") && gone.contains("\"since\": \"20"), "{gone}");
    served.engine.come_back();
    served.wait_for_health(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_a_destination_that_is_down_until_it_is_back() {
    let (reserved, address) = refusing_tcp();
    let served = Served::start(&[&format!("gelf+tcp://{address}#main")]).await;
    let down = served.wait_for_health(503).await;
    let value: Value = serde_json::from_str(&down).unwrap();
    let problem = &value["problems"][0];
    assert_eq!(problem["problem"], "the destination is down");
    assert_eq!(problem["route"]["name"], "main");
    assert_eq!(problem["route"]["destination"], format!("gelf+tcp://{address}"));
    assert!(problem["error"].as_str().unwrap().contains("refused"), "{down}");
    // A page of another site that calls the API by its own host name sees only the status.
    let (status, short) = served.ask("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(
        (status, short.contains("unhealthy"), short.contains("127.0.0.1")),
        (503, true, false),
        "{short}"
    );
    drop(reserved);
    let mut receiver = listen_again(address).await;
    served.wait_for_health(200).await;
    served.web.line(Stream::Stdout, "one");
    timeout(TIMEOUT, receiver.recv()).await.unwrap();
    // The router notices that a destination has gone away before there is a line for the destination.
    sleep(Duration::from_secs(2)).await;
    receiver.close(TIMEOUT);
    while timeout(TIMEOUT, receiver.recv()).await.unwrap().is_some() {}
    drop(receiver);
    served.wait_for_health(503).await;
    let _receiver = listen_again(address).await;
    served.wait_for_health(200).await;
}

/// The kernel takes some lines for a destination that reads nothing, and then the route stalls.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_a_destination_that_takes_no_lines_and_logs_that_are_not_read_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}?queue=4", listener.local_addr().unwrap());
    let served = Served::start(&[&route]).await;
    let (stream, _) = listener.accept().await.unwrap();
    served.wait_for_health(200).await;
    let line = "x".repeat(16 * 1024);
    for _ in 0..2000 {
        served.web.line(Stream::Stdout, &line);
    }
    let started = Instant::now();
    loop {
        let stalled = served.wait_for_health(503).await;
        let names = ["the destination takes no lines", "the reading of logs is stalled"];
        if names.iter().all(|name| stalled.contains(name)) {
            break;
        }
        assert!(started.elapsed() < TIMEOUT, "{stalled}");
        sleep(Duration::from_millis(100)).await;
    }
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_a_container_whose_log_the_engine_does_not_open() {
    let served = Served::start(&["--print"]).await;
    let db = served.engine.create(ContainerOptions::named("db"));
    db.fail_logs(Fault::Hang);
    db.start();
    let closed = served.wait_for_health(503).await;
    let value: Value = serde_json::from_str(&closed).unwrap();
    let problem = &value["problems"][0];
    assert_eq!(problem["problem"], "the Engine does not open the logs of containers");
    assert_eq!(problem["names"], serde_json::json!(["db"]));
    assert!(served.get("/containers").await.1.contains("the Engine has not opened its log yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_a_state_folder_that_cannot_be_written_until_it_can() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let folder = std::env::temp_dir().join(format!("gelf-router-health-{}", std::process::id()));
    let (state, route) = (format!("--state={}", folder.display()), receiver.local_addr().unwrap());
    let served = Served::start(&[&state, &format!("gelf+tcp://{route}")]).await;
    served.wait_for_health(200).await;
    // Not even root can create a file at the path of an existing folder.
    while let Err(error) = fs::create_dir(folder.join("positions.new")) {
        // The router is just writing the file.
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    served.web.line(Stream::Stdout, "one");
    timeout(TIMEOUT, receiver.recv()).await.unwrap();
    let unwritable = served.wait_for_health(503).await;
    assert!(unwritable.contains("the state folder cannot be written"), "{unwritable}");
    // The write is repeated, although no line follows.
    fs::remove_dir(folder.join("positions.new")).unwrap();
    served.wait_for_health(200).await;
    drop(served);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_routes_serves_the_api_of_logspouts_variable_until_a_signal() {
    let engine = SimulatedEngine::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.env("DOCKER_HOST", engine.docker_host()).env("PORT", free.port().to_string());
    let mut router = Router::spawn(command);
    router.wait_for("the HTTP API is at");
    let (status, body) = ask(free, "GET /health HTTP/1.1\r\nHost: any.example\r\n\r\n").await;
    assert!(status == 200 && body.contains("Healthy!"), "{status} {body}");
    // A second router cannot listen at the same port. It ships nevertheless, and logs the reason.
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

/// Returns the value of a sample.
fn sample(metrics: &str, name: &str) -> u64 {
    let line =
        metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Checks metrics with Prometheus's own linter.
fn check_with_promtool(metrics: &str) {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&folders).map(|folder| folder.join("promtool"));
    let program = programs.find(|program| program.is_file()).unwrap_or_else(|| "promtool".into());
    if !real_engine::require_path("promtool", &program) {
        return;
    }
    let mut command = Command::new(program);
    let mut promtool = command.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "{metrics}");
}

/// Compares the metrics with the table of the README, or writes the table if `GELF_UPDATE_DOCS` is set.
fn check_with_readme(metrics: &str) {
    let head = "| metric | type | meaning |\n|---|---|---|\n";
    let mut table = head.to_owned();
    for (help, kind) in metrics.lines().zip(metrics.lines().skip(1)) {
        if let Some((name, help)) = help.strip_prefix("# HELP ").and_then(|help| help.split_once(' ')) {
            let kind = kind.rsplit(' ').next().unwrap();
            table += &format!("| `{name}` | {kind} | {help} |\n");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let mut text = fs::read_to_string(path).unwrap();
    let start = text.find(head).expect("README.md has the table");
    let end = text[start..].find("\n\n").expect("text follows the table") + start + 1;
    if std::env::var_os("GELF_UPDATE_DOCS").is_some() {
        text.replace_range(start..end, &table);
        fs::write(path, text).unwrap();
    } else {
        assert_eq!(&text[start..end], table, "run this test with GELF_UPDATE_DOCS=1 to write it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_counters_of_sources_and_routes_and_no_container() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (_reserved, closed) = refusing_tcp();
    let routes = format!("gelf+tcp://{}#main,gelf+tcp://{closed}", receiver.local_addr().unwrap());
    let served = Served::start(&[&routes]).await;
    for text in ["one", "two", ""] {
        served.web.line(Stream::Stdout, text);
    }
    for _ in 0..2 {
        timeout(TIMEOUT, receiver.recv()).await.unwrap();
    }
    let started = Instant::now();
    let metrics = loop {
        let (status, metrics) = served.get("/metrics").await;
        assert_eq!(status, 200);
        let is_delivered = metrics.contains("reason=\"acknowledged\"} 2\n");
        if is_delivered && sample(&metrics, "gelf_router_lines_skipped_total{reason=\"empty\"}") == 1 {
            break metrics;
        }
        assert!(started.elapsed() < TIMEOUT, "{metrics}");
        sleep(Duration::from_millis(50)).await;
    };
    check_with_promtool(&metrics);
    check_with_readme(&metrics);
    for (name, value) in [
        ("gelf_router_engine_up", 1),
        ("gelf_router_lines_read_total", 3),
        ("gelf_router_lines_yielded_total", 2),
        ("gelf_router_containers_followed", 1),
        ("gelf_router_gaps_total", 0),
    ] {
        assert_eq!(sample(&metrics, name), value, "{name}: {metrics}");
    }
    let up = |destination: &str| format!("destination=\"gelf+tcp://{destination}\"}} ");
    let ups: Vec<_> = metrics.lines().filter(|line| line.starts_with("gelf_router_route_up{")).collect();
    assert_eq!(ups.len(), 2);
    assert!(ups[0].contains("name=\"main\"") && ups[0].ends_with('1'), "{ups:?}");
    assert!(ups[1].contains(&up(&closed.to_string())) && ups[1].ends_with('0'), "{ups:?}");
    assert!(!metrics.contains("web") && !metrics.contains(served.web.id()), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_listed_with_their_routes_or_the_reason_why_they_are_not_read_and_without_secrets() {
    let engine = SimulatedEngine::start().await;
    let create = |options: ContainerOptions| {
        let container = engine.create(options.env("PASSWORD=hunter2").label("token", "hunter2"));
        container.start();
        container
    };
    let web = create(ContainerOptions::named("web"));
    create(ContainerOptions::named("db"));
    create(ContainerOptions::named("quiet").env("LOGSPOUT=ignore"));
    create(ContainerOptions::named("splunk-web")).unreadable();
    let router = Router::start(&engine.docker_host(), &["--print=filter.name=*web", "--http=127.0.0.1:0"]);
    let mut served = Served::of(engine, web, router);
    served.web.line(Stream::Stdout, "one");
    served.router.next_line();
    let started = Instant::now();
    let containers = loop {
        let containers = served.get_json("/containers").await;
        let is_known = containers.as_array().unwrap().iter().all(|container| {
            container["is_followed"] == (container["name"] == "web") && container["log_driver"] != Value::Null
        });
        if is_known && containers.as_array().unwrap().len() == 4 && containers[3]["lines"] == 1 {
            break containers;
        }
        assert!(started.elapsed() < TIMEOUT, "{containers:#}");
        sleep(Duration::from_millis(50)).await;
    };
    let shown = |index: usize| {
        let container = &containers[index];
        let routes = container["routes"].as_array().unwrap().len();
        (container["name"].as_str().unwrap(), container["reason"].as_str(), routes)
    };
    assert_eq!(shown(0), ("db", Some("its name does not match *web"), 0));
    assert_eq!(shown(1).1, Some("LOGSPOUT=ignore is in its environment"));
    assert_eq!(shown(2), ("splunk-web", Some("its log driver does not support reading"), 1));
    assert_eq!(shown(3), ("web", None, 1));
    let web = &containers[3];
    assert_eq!((web["lag_seconds"].as_f64(), web["gaps"].as_u64()), (Some(0.0), Some(0)));
    assert!(web["last_line"].as_str().unwrap().ends_with('Z'), "{web:#}");
    assert_eq!(web["id"], served.web.id());
    assert!(!containers.to_string().contains("hunter2"), "{containers:#}");
}

/// A live tail, read by a client.
struct Tailed {
    body: Incoming,
    text: String,
}

impl Tailed {
    async fn open(served: &Served, path: &str, accept: &str) -> Self {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(path).header("host", served.address.to_string());
        let request = request.header("accept", accept).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: String::new() }
    }

    /// Returns the next line, or `None` after the last line.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            let frame = timeout(TIMEOUT, self.body.frame()).await.expect("timed out")?;
            self.text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_shown_live_as_text_and_json_by_name_id_and_stream() {
    let served = Served::start_with(&["--print"], &[("EXCLUDE_LABEL", "secret")]).await;
    let hidden = served.engine.create(ContainerOptions::named("hidden").label("secret", "true"));
    hidden.start();
    let db = served.engine.create(ContainerOptions::named("db"));
    db.start();
    served.web.wait_for_followers(1).await;
    db.wait_for_followers(1).await;
    let mut text = Tailed::open(&served, "/logs?colors=off", "*/*").await;
    served.web.wait_for_followers(2).await;
    let mut by_name = Tailed::open(&served, "/logs/name:w*b?sources=stderr", "application/json").await;
    served.web.wait_for_followers(3).await;
    let id = format!("/logs/id:{}", &db.id()[..12]);
    let mut by_id = Tailed::open(&served, &id, "*/*").await;
    db.wait_for_followers(3).await;
    hidden.line(Stream::Stdout, "zero");
    served.web.line(Stream::Stdout, "one\u{1b}[2J");
    served.web.line(Stream::Stderr, "two");
    assert_eq!(text.line().await.unwrap(), "             web|one\\u{1b}[2J");
    assert_eq!(text.line().await.unwrap(), "             web|two");
    let line = by_name.line().await.unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["Data"], &value["Source"]), (&"two".into(), &"stderr".into()), "{line}");
    assert_eq!((&value["Container"]["Name"], line.contains("hunter2")), (&"/web".into(), false), "{line}");
    db.line(Stream::Stdout, "three");
    assert!(by_id.line().await.unwrap().contains("db|three"));
    assert_eq!(served.get("/logs/id:ffff").await.0, 404);
    assert_eq!(served.get("/logs/name:[").await.0, 400);
    assert_eq!(served.get("/logs/web").await.0, 404);
    // If a client goes away, its live tail no longer counts, and the source of the live tail ends.
    drop(by_id);
    let started = Instant::now();
    while db.followers() > 2 {
        assert!(started.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
    // The tails end with the router.
    served.router.signal("TERM");
    assert_eq!(text.line().await.unwrap(), "              db|three");
    assert_eq!(text.line().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_shows_each_line_as_a_message_of_json_and_pages_of_other_sites_get_none() {
    let served = Served::start(&["--print"]).await;
    served.web.wait_for_followers(1).await;
    let open = async |origin: &str| {
        let mut request = format!("ws://{}/logs", served.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let stream = TcpStream::connect(served.address).await.unwrap();
        client_async(request, stream).await
    };
    assert!(open("http://evil.example").await.unwrap_err().to_string().contains("403"));
    let (mut socket, _) = open(&format!("http://{}", served.address)).await.unwrap();
    served.web.wait_for_followers(2).await;
    for line in ["one", "two\u{9b}"] {
        served.web.line(Stream::Stdout, line);
        let message = timeout(TIMEOUT, socket.next()).await.unwrap().unwrap().unwrap();
        let text = message.into_text().unwrap();
        assert!(!text.contains('\n') && !text.contains('\u{9b}'), "{text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["Data"], &value["Container"]["Name"]), (&line.into(), &"/web".into()));
    }
    socket.close(None).await.unwrap();
    let started = Instant::now();
    while served.web.followers() > 1 {
        assert!(started.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_misses_lines_and_slows_no_route() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let served = Served::start(&[&route]).await;
    let mut slow = Tailed::open(&served, "/logs?colors=off", "*/*").await;
    served.web.wait_for_followers(2).await;
    // These lines exceed the buffers of the tail, of hyper and of the kernel.
    let line = "x".repeat(16 * 1024);
    for _ in 0..2000 {
        served.web.line(Stream::Stdout, &line);
    }
    for _ in 0..2000 {
        timeout(TIMEOUT, receiver.recv()).await.expect("the route is slowed").unwrap().unwrap();
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < 2000 {
        let line = slow.line().await.unwrap();
        match line.strip_prefix("-- ") {
            Some(notice) => missed += notice.split(' ').next().unwrap().parse::<u32>().unwrap(),
            None => shown += 1,
        }
        // The notice comes with the next line.
        served.web.line(Stream::Stdout, "more");
    }
    assert!(missed > 0, "all lines were shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_four_live_tails_at_most() {
    let served = Served::start(&["--print"]).await;
    let mut tails = Vec::new();
    for _ in 0..4 {
        tails.push(Tailed::open(&served, "/logs", "*/*").await);
    }
    let (status, reason) = served.get("/logs").await;
    assert_eq!((status, reason.trim()), (503, "there are as many live tails as are possible"));
    assert_eq!(sample(&served.get("/metrics").await.1, "gelf_router_live_tails"), 4);
    tails.pop();
    let started = Instant::now();
    while sample(&served.get("/metrics").await.1, "gelf_router_live_tails") == 4 {
        assert!(started.elapsed() < TIMEOUT);
    }
    Tailed::open(&served, "/logs", "*/*").await;
}

impl Served {
    async fn post(&self, route: &str) -> (u16, String) {
        let (host, length) = (self.address, route.len());
        let head = format!("POST /routes HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        self.ask(&format!("{head}{route}")).await
    }

    async fn delete(&self, id: &str) -> u16 {
        self.ask(&format!("DELETE /routes/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await.0
    }
}

/// Returns the text of the next message.
async fn next_text(receiver: &mut TcpReceiver) -> String {
    let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
    let value: Value = serde_json::from_slice(&received.payload).unwrap();
    value["short_message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_added_shown_kept_over_a_restart_replaced_and_removed() {
    let mut first = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let mut second = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let folder = engine.socket().with_file_name("routes");
    fs::create_dir(&folder).unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
        command.arg("--http=127.0.0.1:0").env("DOCKER_HOST", engine.docker_host()).env("ROUTESPATH", &folder);
        let mut router = Router::spawn(command);
        let line = router.wait_for("the HTTP API is at http://");
        let address = line.split("http://").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        (router, address)
    };
    let (router, address) = start();
    let mut served = Served { engine: SimulatedEngine::start().await, web: web.clone(), router, address };
    assert_eq!(served.get_json("/routes").await, serde_json::json!([]));
    let json = |receiver: &TcpReceiver| {
        let address = receiver.local_addr().unwrap();
        format!(r#"{{"id": "a1", "adapter": "gelf+tcp", "address": "{address}", "filter_name": "w*"}}"#)
    };
    let (status, added) = served.post(&json(&first)).await;
    assert_eq!(status, 201, "{added}");
    web.wait_for_followers(1).await;
    web.line(Stream::Stdout, "one");
    assert_eq!(next_text(&mut first).await, "one");
    let shown = served.get_json("/routes/a1").await;
    assert_eq!(shown, serde_json::from_str::<Value>(&json(&first)).unwrap());
    assert_eq!(served.get_json("/routes").await, serde_json::json!([shown]));

    // The kept route runs after a restart.
    served.router.terminate();
    (served.router, served.address) = start();
    served.router.wait_until_ready();
    web.wait_for_followers(1).await;
    web.line(Stream::Stdout, "two");
    // The first router had a short connection, and may have sent its line again.
    while next_text(&mut first).await != "two" {}

    // A route with the same id replaces the kept route. The first destination gets the lines that were read
    // for it.
    assert_eq!(served.post(&json(&second)).await.0, 201);
    let started = Instant::now();
    loop {
        web.line(Stream::Stdout, "three");
        if timeout(Duration::from_millis(200), second.recv()).await.is_ok() {
            break;
        }
        assert!(started.elapsed() < TIMEOUT);
    }
    assert_eq!(served.get_json("/routes").await.as_array().unwrap().len(), 1);

    // A removed route is not kept, and its source ends.
    assert_eq!(served.delete("a1").await, 200);
    assert_eq!(served.delete("a1").await, 404);
    assert_eq!(served.get("/routes/a1").await.0, 404);
    served.router.wait_for("the route is removed");
    let started = Instant::now();
    while web.followers() > 0 {
        assert!(started.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    served.router.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_route_whose_destination_is_down_is_given_up_after_the_grace_period_and_the_others_go_on() {
    let mut alive = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (_reserved, closed) = refusing_tcp();
    let routes = format!("gelf+tcp://{closed}?queue=2#dead,gelf+tcp://{}", alive.local_addr().unwrap());
    let mut served = Served::start(&[&routes]).await;
    for number in 0..20 {
        served.web.line(Stream::Stdout, format!("line {number}"));
    }
    for number in 0..20 {
        assert_eq!(next_text(&mut alive).await, format!("line {number}"));
    }
    let routes = served.get_json("/routes").await;
    let dead = routes.as_array().unwrap().iter().find(|route| route["name"] == "dead").unwrap();
    assert_eq!(served.delete(dead["id"].as_str().unwrap()).await, 200);
    let line = served.router.wait_for("the route is removed");
    assert!(line.contains("dropped") || line.contains("given up"), "{line}");
    served.web.line(Stream::Stdout, "last");
    assert_eq!(next_text(&mut alive).await, "last");
    // The final account of the router contains only the remaining route.
    let ending = tokio::task::spawn_blocking(move || served.router.terminate());
    let _ = timeout(Duration::from_millis(500), alive.recv()).await;
    drop(alive);
    ending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_cannot_run_is_refused_with_the_words_of_the_command_line() {
    let served = Served::start(&["gelf+http://user:secret@127.0.0.1:9/gelf?header=A:secret"]).await;
    for (route, status, says) in [
        ("{", 400, "Bad request: not a JSON object"),
        (r#"{"adapter": "gelf"}"#, 400, "Bad request: address is missing"),
        (r#"{"adapter": "syslog", "address": "h:514"}"#, 400, "Bad route: route \"syslog://h:514\": "),
        (
            r#"{"adapter": "gelf", "address": "h", "options": {"a": "1"}}"#,
            400,
            "Bad route: route \"gelf://h\": ",
        ),
        (r#"{"adapter": "gelf", "address": "h", "filter_name": "["}"#, 400, "filter.name=["),
        (
            r#"{"adapter": "gelf+tls", "address": "h", "options": {"ca": "/none"}}"#,
            400,
            "Bad route: gelf+tls://h:12201",
        ),
        (&"x".repeat(70_000), 413, "at most 65536 bytes"),
    ] {
        let (answered, reason) = served.post(route).await;
        assert_eq!(answered, status, "{route:.80}: {reason}");
        assert!(reason.contains(says) && reason.trim_end().lines().count() == 1, "{reason}");
    }
    let foreign =
        format!("POST /routes HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\n", served.address);
    let (status, _) = served.ask(&format!("{foreign}Content-Length: 2\r\n\r\n{{}}")).await;
    assert_eq!(status, 403);
    let routes = served.get_json("/routes").await;
    assert_eq!(routes.as_array().unwrap().len(), 1);
    assert!(!routes.to_string().contains("secret"), "{routes}");
}
