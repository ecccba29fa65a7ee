//! Tests of `/metrics` and `/containers`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Served, sample};
use crate::common::{Router, TIMEOUT, refusing_tcp};
use gelf_tokio::TcpReceiver;
use serde_json::Value;
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::time::{Instant, sleep, timeout};

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
        assert_eq!(&text[start..end], table, "run this test with GELF_UPDATE_DOCS=1 to write the table");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_counters_of_sources_and_routes_and_do_not_identify_containers() {
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
