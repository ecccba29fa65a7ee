//! Tests of `/routes`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::Served;
use crate::common::{Router, TIMEOUT, refusing_tcp};
use gelf_tokio::TcpReceiver;
use serde_json::Value;
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

impl Served {
    pub(super) async fn post(&self, route: &str) -> (u16, String) {
        let (host, length) = (self.address, route.len());
        let head = format!("POST /routes HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        self.ask(&format!("{head}{route}")).await
    }

    async fn delete(&self, id: &str) -> u16 {
        self.ask(&format!("DELETE /routes/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await.0
    }
}

/// A route of the command line.
const OTHER: &str = "gelf://127.0.0.1:9";

/// Creates an empty folder for `ROUTESPATH`.
fn routes_folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gelf-router-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
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

    // The route was stored, so it runs again after a restart.
    served.router.terminate();
    (served.router, served.address) = start();
    served.router.wait_until_ready();
    web.wait_for_followers(1).await;
    web.line(Stream::Stdout, "two");
    // A client sends a message over TCP again if the connection breaks within the first 500 ms. The connection
    // of the first router may have lasted for less than that, so the line "one" may arrive twice.
    while next_text(&mut first).await != "two" {}

    // A new route with the same id replaces the stored route. The first destination still gets the lines that
    // the router has already read for the replaced route.
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

    // After the removal of a route, its file is deleted, and the router stops following its container.
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
async fn a_route_is_kept_even_if_its_client_disconnects_after_it_has_sent_the_body() {
    let folder = routes_folder("disconnected");
    let served = Served::start_with(&[OTHER], &[("ROUTESPATH", folder.to_str().unwrap())]).await;
    let route = r#"{"id": "a1", "adapter": "gelf+tcp", "address": "127.0.0.1:9"}"#;
    let (host, length) = (served.address, route.len());
    let head = format!("POST /routes HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
    let started = Instant::now();
    while served.get("/routes/a1").await.0 == 404 {
        assert!(started.elapsed() < TIMEOUT);
        // On a busy machine, the server can notice the end of the connection before it has read the body. Then it drops
        // the request.
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(format!("{head}{route}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    // The file is written before the route runs.
    assert!(folder.join("a1.json").exists());
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_keeps_running_if_its_replacement_cannot_be_saved() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let folder = routes_folder("unsaved");
    let served = Served::start_with(&[OTHER], &[("ROUTESPATH", folder.to_str().unwrap())]).await;
    let address = receiver.local_addr().unwrap();
    let json = |address: &str| format!(r#"{{"id": "a1", "adapter": "gelf+tcp", "address": "{address}"}}"#);
    assert_eq!(served.post(&json(&address.to_string())).await.0, 201);
    served.web.wait_for_followers(2).await;
    let kept = fs::read(folder.join("a1.json")).unwrap();
    // A folder in place of the new file makes the save fail, also for root.
    fs::create_dir(folder.join("a1.new")).unwrap();
    let (status, reason) = served.post(&json("127.0.0.1:9")).await;
    assert!(status == 500 && reason.contains("the route is not added"), "{status} {reason}");
    assert_eq!(served.get_json("/routes/a1").await["address"], address.to_string());
    assert_eq!(fs::read(folder.join("a1.json")).unwrap(), kept);
    served.web.line(Stream::Stdout, "one");
    assert_eq!(next_text(&mut receiver).await, "one");
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_route_whose_destination_is_down_is_given_up_after_the_grace_period_and_the_other_goes_on()
{
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
    // At its end, the router counts only the undelivered lines of the remaining route. Therefore the exit
    // status is 0, which `terminate` asserts.
    let ending = tokio::task::spawn_blocking(move || served.router.terminate());
    let _ = timeout(Duration::from_millis(500), alive.recv()).await;
    drop(alive);
    ending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_cannot_run_is_refused_with_one_line_that_names_the_mistake() {
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
