//! Tests slow answers of the Engine, and the time limits of a source.

use std::time::Duration;

use crate::support::{assert_nothing_left, builder, connect, eventually, ready, text, texts, timing};
use docker_source::Timing;
use simulated_engine::{Container, ContainerOptions, Fault, PIECE, SimulatedEngine, Stream};
use tokio::time::{Instant, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// Runs a container that writes `lines` lines and ends. The first answer to a request for the container's log
/// ends without a line, so the source must read the log again after the end of the container.
async fn run_to_be_caught_up(engine: &SimulatedEngine, name: &str, lines: usize) -> Container {
    let job = engine.create(ContainerOptions::named(name));
    job.fail_logs(Fault::EndAfter(0));
    job.start();
    job.wait_for_log_requests(1).await;
    for number in 0..lines {
        job.line(Stream::Stdout, format!("{name} {number}"));
    }
    job.die();
    job
}

#[tokio::test]
async fn a_log_that_is_answered_after_the_time_limit_of_other_requests_is_read() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.headers = Duration::from_millis(300);
    let mut source = ready(builder(&engine).timing(timing)).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.fail_logs(Fault::Late(Duration::from_secs(1)));
    job.start();
    job.line(Stream::Stdout, "late");
    assert_eq!(texts(&mut source, 1).await, ["late"]);
    assert_eq!(job.log_requests(), 1);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn the_open_log_of_a_removed_container_is_read_however_late_its_first_byte_arrives() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.fail_logs(Fault::LateBody(HOUR));
    job.start();
    job.line(Stream::Stdout, "late");
    job.wait_for_log_requests(1).await;
    job.destroy();
    let record = timeout(2 * HOUR, source.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(text(&record), "late");
    assert_eq!(source.stats().snapshot().total.unavailable_logs, 0);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_does_not_abort_a_log_request_that_has_no_answer_yet() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.fail_logs(Fault::Late(Duration::from_secs(200)));
    job.start();
    job.line(Stream::Stdout, "late");
    job.wait_for_log_requests(1).await;
    let (start, removal) = ("start", "destroy");
    for action in [start, start, removal] {
        let event = format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{}"}}}}"#, job.id());
        engine.send_event(&event);
    }
    let record = timeout(HOUR, source.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((text(&record).as_str(), job.log_requests()), ("late", 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_followed_immediately_while_the_previous_run_still_has_to_be_read() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    // A source reads at most two logs to their end at the same time. The reads of these two logs take
    // minutes.
    for number in 0..2 {
        let busy = run_to_be_caught_up(&engine, &format!("busy-{number}"), 0).await;
        busy.fail_logs(Fault::Hang);
        busy.wait_for_log_requests(2).await;
    }
    let job = run_to_be_caught_up(&engine, "job", 1).await;
    // The read of the log of `job` waits for its turn.
    tokio::time::sleep(Duration::from_secs(1)).await;
    job.start();
    job.line(Stream::Stdout, "next run");
    let started = Instant::now();
    assert_eq!(texts(&mut source, 2).await, ["job 0", "next run"]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_while_a_long_line_waits_for_the_queue_loses_no_line_and_repeats_none() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.fail_logs(Fault::EndAfter(0));
    job.start();
    job.wait_for_log_requests(1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let stamp = simulated_engine::START + 1_000_000;
    let long = "u".repeat(PIECE + 10);
    job.piece(Stream::Stdout, stamp, &long[..PIECE]);
    engine.set_clock(stamp + 10_000_000_000);
    for number in 0..1024 {
        job.line(Stream::Stderr, format!("line {number}"));
    }
    job.piece(Stream::Stdout, stamp, format!("{}\n", &long[PIECE..]));
    job.die();
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().total.in_flight == 1024).await;
    job.start();
    job.line(Stream::Stdout, "next run");
    timeout(HOUR, job.wait_for_log_requests(3)).await.expect("the next run is followed");
    let read = texts(&mut source, 1026).await;
    assert_eq!((read[0].as_str(), read[1023].as_str()), ("line 0", "line 1023"));
    assert_eq!((&read[1024], read[1025].as_str()), (&long, "next run"));
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_waits_for_the_queue_keeps_its_turn_for_five_minutes() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let mut fills = Vec::new();
    for number in 0..2 {
        fills.push(run_to_be_caught_up(&engine, &format!("fill-{number}"), 2000).await);
    }
    for fill in &fills {
        fill.wait_for_log_requests(2).await;
    }
    let job = run_to_be_caught_up(&engine, "job", 1).await;
    assert!(timeout(Duration::from_secs(290), job.wait_for_log_requests(2)).await.is_err());
    timeout(HOUR, job.wait_for_log_requests(2)).await.expect("a turn is given back");
    assert_eq!(texts(&mut source, 4001).await.len(), 4001);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_silent_stream_of_a_removed_container_is_closed() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.removed = Duration::from_millis(50);
    let mut source = ready(builder(&engine).timing(timing)).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    // The Engine reports the removal of the container, but the stream stays open without further data.
    let event = format!(r#"{{"Type":"container","Action":"destroy","Actor":{{"ID":"{}"}}}}"#, web.id());
    web.fail_inspect(Fault::Status(404, "No such container".into()));
    web.fail_logs(Fault::Status(404, "No such container".into()));
    engine.send_event(&event);
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().containers.is_empty()).await;
    assert_eq!(web.log_requests(), 2);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn the_longest_times_do_not_overflow() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let mut timing = Timing::default();
    for time in [
        &mut timing.headers,
        &mut timing.answer,
        &mut timing.catch_up,
        &mut timing.removed,
        &mut timing.latency,
        &mut timing.list_interval,
        &mut timing.reconnect_min,
        &mut timing.reconnect_max,
        &mut timing.resume_min,
        &mut timing.resume_max,
    ] {
        *time = Duration::MAX;
    }
    timing.stale_socket = Some(Duration::MAX);
    let mut source = ready(builder(&engine).timing(timing)).await;
    web.wait_for_followers(1).await;
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    assert_eq!(source.stats().snapshot().follower_restarts, 0);
}
