//! Tests of `/health`.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use super::Served;
use crate::common::{TIMEOUT, listen_again, refusing_tcp};
use gelf_tokio::TcpReceiver;
use serde_json::Value;
use simulated_engine::{ContainerOptions, Fault, Stream};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

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
    // If the header `Host` names another site, the answer has only the status, without the problems.
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
    // The router must notice that the destination has gone away even while it has no line to send.
    sleep(Duration::from_secs(2)).await;
    receiver.close(TIMEOUT);
    while timeout(TIMEOUT, receiver.recv()).await.unwrap().is_some() {}
    drop(receiver);
    served.wait_for_health(503).await;
    let (_, metrics) = served.get("/metrics").await;
    let is_down = |line: &str| line.starts_with("gelf_router_route_up{") && line.ends_with(" 0");
    assert!(metrics.lines().any(is_down), "{metrics}");
    let _receiver = listen_again(address).await;
    served.wait_for_health(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_replaces_a_route_whose_destination_is_down_does_not_count_as_down() {
    let (_reserved, closed) = refusing_tcp();
    let receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let served = Served::start(&["gelf://127.0.0.1:9"]).await;
    let json = |address| format!(r#"{{"id": "a1", "adapter": "gelf+tcp", "address": "{address}"}}"#);
    assert_eq!(served.post(&json(closed)).await.0, 201);
    served.wait_for_health(503).await;
    assert_eq!(served.post(&json(receiver.local_addr().unwrap())).await.0, 201);
    let (_, health) = served.get("/health").await;
    assert!(!health.contains("the destination is down"), "{health}");
}

/// The kernel takes some lines for a destination that reads nothing, and then the route stalls.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_names_a_destination_that_takes_no_lines_and_the_stalled_reading_of_logs() {
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
        // The router is writing the file at this moment, so the test tries again.
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    served.web.line(Stream::Stdout, "one");
    timeout(TIMEOUT, receiver.recv()).await.unwrap();
    let unwritable = served.wait_for_health(503).await;
    assert!(unwritable.contains("the state folder cannot be written"), "{unwritable}");
    // The router tries to write again, even though it reads no further line.
    fs::remove_dir(folder.join("positions.new")).unwrap();
    served.wait_for_health(200).await;
    drop(served);
    fs::remove_dir_all(&folder).unwrap();
}
