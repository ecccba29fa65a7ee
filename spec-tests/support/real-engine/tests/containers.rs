//! Tests of the package with a real Engine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use real_engine::{Engine, RunOptions};

/// Returns the line without its timestamp, which must have nine decimals.
fn without_timestamp(line: &str) -> &str {
    let (stamp, text) = line.split_once(' ').unwrap();
    assert_eq!((stamp.len(), &stamp[19..20], &stamp[29..]), (30, ".", "Z"), "{stamp}");
    text
}

fn is_known(engine: &Engine, container: &str) -> bool {
    let filter = format!("name=^/{container}$");
    let output = engine.docker(["ps", "--all", "--quiet", "--filter", &filter]);
    !output.stdout.is_empty()
}

#[test]
fn plain_lines_of_both_streams_arrive_in_docker_logs() {
    let Some(engine) = Engine::find() else { return };
    let container = engine.run(RunOptions::shell("plain", "echo one; echo two >&2; echo three; exit 7"));
    assert_eq!(container.wait(), 7);
    assert_eq!(container.id().len(), 64);
    let (stdout, stderr) = container.logs_with_timestamps();
    assert_eq!(stdout.lines().map(without_timestamp).collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(stderr.lines().map(without_timestamp).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn a_container_started_again_keeps_its_log() {
    let Some(engine) = Engine::find() else { return };
    let container = engine.run(RunOptions::new("again", ["echo", "run"]).docker_arguments([
        "--log-driver",
        "local",
        "--tty",
    ]));
    assert_eq!(container.wait(), 0);
    container.start_again();
    assert_eq!(container.wait(), 0);
    let (stdout, stderr) = container.logs_with_timestamps();
    assert_eq!(stdout.lines().map(without_timestamp).collect::<Vec<_>>(), ["run", "run"]);
    assert_eq!(stderr, "");
}

#[test]
fn a_killed_container_stays_until_its_handle_is_dropped() {
    let Some(engine) = Engine::find() else { return };
    let container = engine.run(RunOptions::new("killed", ["sleep", "600"]));
    let name = container.name().to_owned();
    container.kill();
    assert_eq!(container.wait(), 137);
    assert!(is_known(&engine, &name));
    drop(container);
    assert!(!is_known(&engine, &name));
}

#[test]
fn a_container_that_cannot_start_is_removed_too() {
    let Some(engine) = Engine::find() else { return };
    // The number at the end of the name is unknown, so the filter has only the beginning of the name.
    let prefix = format!("broken-{}", std::process::id());
    let failed = std::panic::catch_unwind(|| engine.run(RunOptions::new("broken", ["/no/such/program"])));
    assert!(failed.is_err());
    let filter = format!("name={prefix}");
    assert!(engine.docker(["ps", "--all", "--quiet", "--filter", &filter]).stdout.is_empty());
}
