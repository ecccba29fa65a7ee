//! Tests that logs that cannot be read are counted, and that at most one warning a minute reports them.

use std::time::Duration;

use crate::support::{Logged, assert_nothing_left, builder, connect, eventually, next, ready, texts, timing};
use docker_source::{GapReason, UnavailableLogs};
use simulated_engine::{ContainerOptions, Fault, SimulatedEngine, Stream};

#[tokio::test]
async fn each_run_whose_log_cannot_be_read_is_counted_once() {
    let refusal = |status| Fault::Status(status, "dead or marked for removal".into());
    let cases: [(&str, usize, Vec<Fault>); 5] = [
        ("gone", 0, vec![refusal(404)]),
        ("being removed", 0, vec![refusal(409)]),
        ("refused, then gone", 0, vec![refusal(500), refusal(404)]),
        ("cut", 0, vec![Fault::CutAfter(8 + 31 + 5), refusal(404)]),
        (
            "ended by an error",
            1,
            vec![Fault::BytesAfter(1, b"\x03\0\0\0\0\0\0\x05Error".to_vec()), refusal(404)],
        ),
    ];
    for (case, read, faults) in cases {
        let logged = Logged::here();
        let engine = SimulatedEngine::start().await;
        let mut source = connect(&engine).await;
        let job = engine.create(ContainerOptions::named("job"));
        let requests = faults.len();
        for fault in faults {
            job.fail_logs(fault);
        }
        job.start();
        job.line(Stream::Stdout, "line 0");
        job.line(Stream::Stdout, "line 1");
        assert_eq!(texts(&mut source, read).await.len(), read);
        job.wait_for_log_requests(requests).await;
        job.destroy();
        let gap = *next(&mut source).await.gap().unwrap();
        assert_eq!((gap.before, gap.reason), (None, GapReason::Removed), "{case}");
        let stats = source.stats();
        eventually(&stats, |stats| {
            let snapshot = stats.snapshot();
            snapshot.total.requests >= 1 && snapshot.containers.is_empty()
        })
        .await;
        assert_eq!(stats.snapshot().total.unavailable_logs, 1, "{case}");
        assert_eq!(job.log_requests(), requests, "{case}");
        let warnings = logged.matching("WARN");
        assert_eq!(warnings.len(), 1, "{case}: {warnings:?}");
        assert!(warnings[0].contains("removed") && warnings[0].contains("job"), "{case}: {warnings:?}");
        source.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_removed_at_its_end_is_read_or_a_gap_is_announced_whichever_request_is_too_late() {
    let status = |status| Some(Fault::Status(status, "dead or marked for removal".into()));
    let refusals = [None, status(404), status(409), status(500)];
    // Docker 20.10 may end a stream without an error before its first line.
    for first in refusals.iter().cloned().chain([Some(Fault::EndAfter(0))]) {
        for second in &refusals {
            for (inspections, requests) in
                (0..3).flat_map(|refused| (0..4).map(move |requests| (refused, requests)))
            {
                let engine = SimulatedEngine::start().await;
                let mut source = connect(&engine).await;
                let job = engine.create(ContainerOptions::named("job").removed_at_end());
                for fault in [&first, second] {
                    // This fault occurs only after a million pieces, so it changes nothing.
                    job.fail_logs(fault.clone().unwrap_or(Fault::EndAfter(1_000_000)));
                }
                for _ in 0..inspections {
                    job.fail_inspect(Fault::Status(404, "No such container".into()));
                }
                job.start();
                for number in 0..3 {
                    job.line(Stream::Stdout, format!("line {number}"));
                }
                job.die();
                // The container is removed after this number of requests for its log, or after one second.
                let _ =
                    tokio::time::timeout(Duration::from_secs(1), job.wait_for_log_requests(requests)).await;
                job.destroy();
                tokio::time::sleep(Duration::from_secs(60)).await;
                let stats = source.stats();
                source.stop();
                let (mut lines, mut gaps) = (0, 0);
                while let Some(record) = source.next().await.unwrap() {
                    *(if record.gap().is_some() { &mut gaps } else { &mut lines }) += 1;
                }
                let case = format!("{first:?}, {second:?}, {inspections} inspections, {requests} requests");
                assert!(lines == 3 || gaps == 1, "{lines} lines, {gaps} gaps: {case}");
                assert_eq!(stats.snapshot().total.unavailable_logs, gaps, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_log_of_a_log_driver_without_support_for_reading_is_requested_once_per_start() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut fast = timing();
    fast.list_interval = Duration::from_millis(5);
    let mut source = ready(builder(&engine).timing(fast)).await;
    let mute = engine.create(ContainerOptions::named("mute"));
    mute.unreadable();
    mute.start();
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().total.unavailable_logs == 1).await;
    let lists = stats.snapshot().lists;
    eventually(&stats, |stats| stats.snapshot().lists >= lists + 3).await;
    assert_eq!(mute.log_requests(), 1);
    let warnings = logged.matching("cannot be read");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("WARN") && warnings[0].contains("mute"), "{warnings:?}");
    mute.die();
    mute.start();
    mute.wait_for_log_requests(2).await;
    eventually(&stats, |stats| stats.snapshot().total.unavailable_logs == 2).await;
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn sources_that_share_their_unavailable_logs_count_each_run_once() {
    let engine = SimulatedEngine::start().await;
    let mute = engine.create(ContainerOptions::named("mute"));
    mute.unreadable();
    mute.start();
    let shared = UnavailableLogs::default();
    let connect = async || ready(builder(&engine).unavailable_logs(shared.clone())).await;
    let [mut one, mut two] = [connect().await, connect().await];
    let stats = [one.stats(), two.stats()];
    let counted =
        || stats.each_ref().map(|stats| stats.snapshot().total.unavailable_logs).iter().sum::<u64>();
    mute.wait_for_log_requests(2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counted(), 1);
    mute.die();
    mute.start();
    mute.wait_for_log_requests(4).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_nothing_left(&mut one).await;
    assert_nothing_left(&mut two).await;
    assert_eq!(counted(), 2);
}

#[tokio::test]
async fn a_refused_log_is_requested_until_it_is_read_and_is_unavailable_after_7_refusals_but_not_after_3() {
    for (refusals, unavailable) in [(3, 0), (7, 1)] {
        let logged = Logged::here();
        let engine = SimulatedEngine::start().await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        for _ in 0..refusals {
            web.fail_logs(Fault::Status(500, "error getting log reader".into()));
        }
        web.start();
        web.line(Stream::Stdout, "line 0");
        assert_eq!(texts(&mut source, 1).await, ["line 0"]);
        assert_eq!(web.log_requests(), refusals + 1);
        assert_eq!(source.stats().snapshot().total.unavailable_logs, unavailable);
        assert_eq!(logged.matching("the log cannot be read").len() as u64, unavailable);
        // The log was read, so the removal loses nothing.
        web.destroy();
        let stats = source.stats();
        eventually(&stats, |stats| stats.snapshot().containers.is_empty()).await;
        assert_eq!(stats.snapshot().total.unavailable_logs, unavailable);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_lines_that_are_written_while_a_log_is_refused_are_read_later() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.fail_logs(Fault::Status(500, "error getting log reader".into()));
    let mut waits = timing();
    waits.resume_min = Duration::from_secs(1);
    let mut source = ready(builder(&engine).timing(waits)).await;
    web.wait_for_log_requests(1).await;
    for number in 0..1500 {
        web.line(Stream::Stdout, format!("line {number}"));
    }
    assert_eq!(texts(&mut source, 1).await, ["line 0"]);
    assert_eq!(texts(&mut source, 1499).await.last().unwrap(), "line 1499");
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_answered_in_time_counts_as_unavailable_and_is_requested_again() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.fail_logs(Fault::Hang);
    web.start();
    web.line(Stream::Stdout, "line 0");
    let hour = Duration::from_secs(3600);
    let record = tokio::time::timeout(hour, source.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((record.bytes(), web.log_requests()), (&b"line 0"[..], 2));
    assert_eq!(source.stats().snapshot().total.unavailable_logs, 1);
    assert_eq!(logged.matching("the log cannot be read; lines may be missing").len(), 1);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_has_at_most_one_warning_however_many_logs_cannot_be_read() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let stats = source.stats();
    for number in 0..38 {
        let mute = engine.create(ContainerOptions::named(&format!("mute-{number}")));
        mute.unreadable();
        mute.start();
    }
    eventually(&stats, |stats| stats.snapshot().total.unavailable_logs == 38).await;
    assert_eq!(logged.matching("WARN").len(), 1);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let warnings = logged.matching("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let more = |warning: &String| -> u64 {
        let (_, more) = warning.split_once("; and ").unwrap();
        more.split_once(" more").unwrap().0.parse().unwrap()
    };
    let named = warnings.len() as u64;
    assert_eq!(named + warnings.iter().map(more).sum::<u64>(), 38, "{warnings:?}");
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_has_at_most_one_warning_of_gaps_and_each_gap_has_a_record() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    for number in 0..10 {
        let container = engine.create(ContainerOptions::named(&format!("web-{number}")));
        container.fail_logs(Fault::Status(500, "busy".into()));
        container.start();
        container.line(Stream::Stdout, "lost");
        container.wait_for_log_requests(1).await;
        container.destroy();
    }
    for _ in 0..10 {
        let record = source.next().await.unwrap().unwrap();
        assert_eq!(record.gap().unwrap().reason, GapReason::Removed);
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(logged.matching("before its log was read to the end").len(), 1);
    assert_nothing_left(&mut source).await;
}
