//! Tests with containers on a real Engine: long lines, terminals, short-lived and restarted containers, and
//! the router's own container.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{Router, TIMEOUT};
use gelf_tokio::UdpReceiver;
use real_engine::{Engine, RunOptions, RunningContainer};
use serde_json::Value;
use tokio::time::timeout;

/// Starts a router that prints the lines of containers with this prefix.
fn printing(engine: &Engine, prefix: &str) -> Router {
    let option = format!("--print=filter.name={prefix}-*");
    let mut router = Router::start(engine.docker_host(), &[&option]);
    router.wait_until_ready();
    router
}

fn text(message: &Value) -> &str {
    message["short_message"].as_str().unwrap()
}

#[test]
fn a_line_of_40_kib_arrives_whole_with_the_log_drivers_json_file_and_local() {
    let Some(engine) = Engine::find() else { return };
    for driver in ["json-file", "local"] {
        let prefix = format!("long-{driver}");
        let mut router = printing(&engine, &prefix);
        let script = "head -c 40960 /dev/zero | tr '\\0' x; echo; echo after; head -c 16384 /dev/zero | tr '\\0' y; echo; echo end";
        let options = RunOptions::shell(&prefix, script).docker_arguments(["--log-driver", driver]);
        let _container = engine.run(options);
        let lines: Vec<_> = (0..4).map(|_| router.next_message()).collect();
        let expected = ["x".repeat(40_960), "after".into(), "y".repeat(16_384), "end".into()];
        assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), expected, "{driver}");
        let (rest, _) = router.terminate();
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[test]
fn a_burst_is_printed_whole_and_in_order() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "burst");
    let container = engine.run(RunOptions::shell("burst", "seq 30000"));
    for number in 1..=30_000 {
        assert_eq!(text(&router.next_message()), number.to_string());
    }
    container.wait();
    let (rest, _) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_message_has_dockers_fields_the_stream_and_the_labels_with_the_prefix_gelf() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "fields");
    let options = RunOptions::shell("fields", "echo '{\"json\": \"kept as text\"}'; echo trouble >&2")
        .docker_arguments([
            "--label",
            "gelf_team=blue",
            "--label",
            "gelf_type=forged",
            "--label",
            "other=unsent",
        ]);
    let container = engine.run(options);
    let mut messages = [router.next_message(), router.next_message()];
    messages.sort_by_key(|message| message["level"].as_u64());
    let [stderr, stdout] = &messages;
    assert_eq!((text(stdout), stdout["level"].as_u64()), ("{\"json\": \"kept as text\"}", Some(6)));
    assert_eq!((text(stderr), stderr["level"].as_u64()), ("trouble", Some(3)));
    let host = engine.docker(["info", "--format", "{{.Name}}"]).stdout;
    let host = String::from_utf8(host).unwrap();
    for (message, stream) in [(stdout, "stdout"), (stderr, "stderr")] {
        let fields: BTreeMap<_, _> = message
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.starts_with('_'))
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            .collect();
        let names: Vec<_> = fields.keys().copied().collect();
        assert_eq!(
            names,
            [
                "_command",
                "_container_id",
                "_container_name",
                "_created",
                "_image_id",
                "_image_name",
                "_label_type",
                "_seq",
                "_seq_epoch",
                "_source_stream",
                "_tag",
                "_team",
            ]
        );
        assert_eq!(fields["_container_id"], container.id());
        assert_eq!(fields["_container_name"], container.name());
        assert_eq!(fields["_tag"], &container.id()[..12]);
        assert_eq!(fields["_source_stream"], stream);
        assert_eq!(fields["_team"], "blue");
        assert!(fields["_command"].starts_with("sh -c echo"));
        assert!(fields["_image_id"].starts_with("sha256:"));
        assert_eq!(fields["_image_name"], engine.image());
        assert_eq!(message["version"], "1.1");
        assert_eq!(message["host"], host.trim());
    }
    router.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_variables_and_tags_are_sent_as_dockers_gelf_driver_sends_them() {
    let Some(engine) = Engine::find() else { return };
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let options = [
        ("labels", "com.example.team"),
        ("labels-regex", "^app"),
        ("env", "STAGE"),
        ("env-regex", "_ZONE$"),
        ("tag", "{{.ImageName}}/{{.Name}}/{{.ID}} {{.ImageID}}"),
    ];
    let route: Vec<_> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let print = format!("--print=filter.name=driver-*&{}", route.join("&"));
    let mut router = Router::start(engine.docker_host(), &[&print, "--no-seq"]);
    router.wait_until_ready();
    let address = format!("gelf-address=udp://{}", receiver.local_addr().unwrap());
    let arguments = "--log-driver gelf --label com.example.team=blue --label app.part=api --label other=x \
                     -e STAGE=prod -e AWS_ZONE=a -e PASSWORD=hunter2";
    let mut arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
    arguments.extend(["--log-opt".to_owned(), address]);
    for (name, value) in options {
        arguments.extend(["--log-opt".to_owned(), format!("{name}={value}")]);
    }
    let container =
        engine.run(RunOptions::shell("driver", "echo hello; sleep 60").docker_arguments(arguments));
    let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
    let driver: Value = serde_json::from_slice(&received.payload).unwrap();
    let mut message = router.next_message();
    let docker_host = engine.docker_host().to_owned();
    let explained = tokio::task::spawn_blocking(move || {
        router.terminate();
        let mut explain = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
        explain.args(["explain", "gelf://h?exclude.driver=gelf"]).env("DOCKER_HOST", docker_host);
        String::from_utf8(explain.output().unwrap().stdout).unwrap()
    });
    let explained = explained.await.unwrap();
    assert_eq!(message.as_object_mut().unwrap().remove("_source_stream"), Some("stdout".into()));
    // Docker's GELF driver truncates the time to milliseconds.
    message["timestamp"] = driver["timestamp"].clone();
    assert_eq!(message, driver);
    let line = format!("{} {}: no route", container.name(), &container.id()[..12]);
    let reason = "not route 1: its log driver matches gelf, which is excluded";
    assert!(explained.contains(&line) && explained.contains(reason), "{explained}");
}

#[test]
fn lines_of_a_terminal_come_without_its_carriage_returns() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "terminal");
    let script = "echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' t; echo; echo three";
    let _container = engine.run(RunOptions::shell("terminal", script).docker_arguments(["--tty"]));
    let lines: Vec<_> = (0..4).map(|_| router.next_message()).collect();
    assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), ["one", "two", &"t".repeat(20_000), "three"]);
    assert!(lines.iter().all(|line| line["_source_stream"] == "stdout"));
    router.terminate();
}

#[test]
fn short_lived_containers_are_read_whole() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "moment");
    for round in 0..10 {
        let script = format!("echo first {round}; echo last {round}");
        let container = engine.run(RunOptions::shell("moment", &script));
        assert_eq!(container.wait(), 0);
        assert_eq!(text(&router.next_message()), format!("first {round}"));
        assert_eq!(text(&router.next_message()), format!("last {round}"));
    }
    router.terminate();
}

#[test]
fn a_container_that_starts_again_loses_no_line_and_repeats_none() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "again");
    // A file in the container has a line for each run. The number of these lines is the number of the run.
    let script = "echo >> /runs; n=$(wc -l < /runs); for i in 1 2 3; do echo run $n line $i; done";
    let container = engine.run(RunOptions::shell("again", script));
    for run in 1..=3 {
        container.wait();
        for line in 1..=3 {
            assert_eq!(text(&router.next_message()), format!("run {run} line {line}"));
        }
        if run < 3 {
            container.start_again();
        }
    }
    let (rest, _) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn ignored_containers_unselected_containers_and_blank_lines_are_skipped() {
    let Some(engine) = Engine::find() else { return };
    let mut router = printing(&engine, "chosen");
    let ignored = RunOptions::shell("chosen", "echo never").docker_arguments(["--env", "LOGSPOUT=ignore"]);
    let _ignored = engine.run(ignored);
    let _other = engine.run(RunOptions::shell("another", "echo never"));
    let container = engine.run(RunOptions::shell("chosen", "echo; echo '   '; echo seen; echo"));
    assert_eq!(text(&router.next_message()), "seen");
    container.wait();
    assert!(router.lines_until_silent(Duration::from_millis(500)).is_empty());
    let (_, logged) = router.terminate();
    let total = logged.iter().find(|line| line.contains("lines read")).unwrap();
    assert!(total.contains(" lines read = 1 routed + 0 of no route + 3 empty + "), "{total}");
}

/// Returns the arguments for a container that runs the host's `gelf-router` as `/app/reader`, with the
/// libraries that the binary is linked to. The binary is not named `gelf-router` in the container, because
/// the router would recognize its own container by that name. Returns `None` if the Engine has no Unix
/// socket.
fn as_reader(engine: &Engine) -> Option<Vec<String>> {
    let socket = Path::new(engine.docker_host().strip_prefix("unix://")?);
    let (folder, name) = (socket.parent()?.display(), socket.file_name()?.to_str()?);
    let mut mounts =
        vec![format!("{folder}:/engine"), format!("{}:/app/reader:ro", env!("CARGO_BIN_EXE_gelf-router"))];
    for libraries in ["/lib", "/lib64", "/usr/lib"] {
        if Path::new(libraries).exists() {
            mounts.push(format!("{libraries}:{libraries}:ro"));
        }
    }
    let mut arguments = vec!["--env".into(), format!("DOCKER_HOST=unix:///engine/{name}")];
    for mount in mounts {
        arguments.extend(["--volume".into(), mount]);
    }
    Some(arguments)
}

/// Waits until a container has logged the text on either stream.
#[track_caller]
fn wait_until_logged(container: &RunningContainer, text: &str) {
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        let (stdout, stderr) = container.logs_with_timestamps();
        if stdout.contains(text) || stderr.contains(text) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no {text:?}: {stdout}\n{stderr}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// This router runs in a container, so each line that it prints is also a line of that container's log. If
/// the router followed its own container, each printed line would cause a further line.
#[test]
fn the_routers_own_container_is_not_followed() {
    let Some(engine) = Engine::find() else { return };
    let Some(arguments) = as_reader(&engine) else { return };
    let own = engine.run(
        RunOptions::new("own-router", ["/app/reader", "--print=filter.name=own-*", "--log-level=debug"])
            .docker_arguments(arguments)
            .network("host"),
    );
    wait_until_logged(&own, "ready");
    let _other = engine.run(RunOptions::shell("own-other", "echo hello"));
    wait_until_logged(&own, "\"short_message\":\"hello\"");
    std::thread::sleep(Duration::from_secs(1));
    let (stdout, stderr) = own.logs_with_timestamps();
    assert_eq!(stdout.lines().count(), 1, "{stdout}\n{stderr}");
}

/// A router that shares the network of another container also has the `/etc/hostname` and `/etc/hosts` of
/// that container.
#[test]
fn the_container_whose_network_the_router_shares_is_followed() {
    let Some(engine) = Engine::find() else { return };
    let Some(arguments) = as_reader(&engine) else { return };
    let script = "until [ -e /go ]; do sleep 0.1; done; echo hello; sleep 600";
    let neighbour = engine.run(RunOptions::shell("shared-vpn", script));
    let own = engine.run(
        RunOptions::new("shared-router", ["/app/reader", "--print=filter.name=shared-*"])
            .docker_arguments(arguments)
            .network(&format!("container:{}", neighbour.id())),
    );
    wait_until_logged(&own, "ready");
    assert!(engine.docker(["exec", neighbour.id(), "touch", "/go"]).status.success());
    wait_until_logged(&own, "\"short_message\":\"hello\"");
    std::thread::sleep(Duration::from_secs(1));
    let (stdout, stderr) = own.logs_with_timestamps();
    assert_eq!(stdout.lines().count(), 1, "{stdout}\n{stderr}");
}
