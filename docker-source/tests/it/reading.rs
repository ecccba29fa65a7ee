//! Tests that the source yields every line of a container once, even if responses are damaged, cut, or repeat
//! lines.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{
    Logged, assert_balanced, assert_nothing_left, connect, eventually, next, text, texts, within,
};
use docker_source::{GapReason, LogStream, Record};
use simulated_engine::{ContainerOptions, Fault, Options, PIECE, SimulatedEngine, Stream};

/// Returns the options of three Engines: an old Engine, a new Engine, and an Engine that sends few bytes at a
/// time.
///
/// The old and the new Engine differ in the meaning of `since`, in content types and in the members of
/// events. The new Engine can send logs as JSON.
fn engines() -> [Options; 3] {
    [Options::docker_20_10(), Options::docker_29(), Options { chunk: 7, ..Options::docker_20_10() }]
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

#[tokio::test]
async fn a_line_has_its_container_its_stream_and_its_stamp() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        assert_eq!(source.engine_host(), "engine-host");
        let web = engine.create(ContainerOptions::named("web").label("team", "a").env("A=1"));
        web.start();
        let out = web.line(Stream::Stdout, "to stdout");
        let err = web.line(Stream::Stderr, [0xff, 0x00, b'x']);
        let first = next(&mut source).await;
        let second = next(&mut source).await;
        assert_eq!((first.stream(), first.bytes()), (LogStream::Stdout, &b"to stdout"[..]));
        assert_eq!((second.stream(), second.bytes()), (LogStream::Stderr, &b"\xff\0x"[..]));
        for (record, stamp) in [(&first, out), (&second, err)] {
            assert_eq!(record.time(), gelf_core::Timestamp::from_unix_nanos(stamp));
            assert!(record.is_whole());
            assert_eq!(record.length(), record.bytes().len());
        }
        assert!(Arc::ptr_eq(first.container(), second.container()));
        let container = first.container();
        assert_eq!((container.id(), container.name()), (web.id(), "web"));
        assert_eq!((container.image(), container.image_id()), ("busybox:1", "sha256:abcd"));
        assert_eq!((container.command(), container.engine_host()), ("/bin/sh -c true", "engine-host"));
        assert_eq!(container.created(), "2026-11-22T22:44:18.000001000Z");
        assert_eq!(container.labels()["team"], "a");
        assert_eq!(container.env(), ["A=1"]);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn only_later_lines_of_a_container_that_ran_before_are_read() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    for number in 0..50 {
        web.line(Stream::Stdout, format!("line {number}"));
    }
    // The Engine's clock decides which lines are later. The test sets this clock to a nanosecond after the
    // last line.
    engine.set_clock(web.line(Stream::Stdout, "last before") + 1);
    let mut source = connect(&engine).await;
    web.line(Stream::Stdout, "first after");
    assert_eq!(texts(&mut source, 1).await, ["first after"]);
    let logs: Vec<_> = engine.requests().into_iter().filter(|request| request.contains("/logs?")).collect();
    assert_eq!(logs.len(), 1);
    assert!(logs[0].contains("&tail=1024") && logs[0].contains("&since=1795387458."), "{logs:?}");
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn an_invalid_frame_is_counted_and_no_line_is_lost_or_repeated() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.fail_logs(Fault::BytesAfter(5, b"\x09 these are no frame".to_vec()));
        web.fail_logs(Fault::BytesAfter(12, b"\x03\0\0\0\0\0\0\x05Error".to_vec()));
        web.start();
        for number in 0..20 {
            web.line(if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, format!("line {number}"));
        }
        assert_eq!(texts(&mut source, 20).await, numbers(0..20));
        let total = source.stats().snapshot().total;
        assert_eq!((total.bad_frames, total.yielded), (2, 20));
        assert_eq!((total.requests, total.resumes), (3, 2));
        assert!(total.skipped_repeated >= 5, "{total:?}");
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn an_unreadable_part_of_the_log_is_skipped() {
    for is_running in [true, false] {
        let logged = Logged::here();
        let engine = SimulatedEngine::start_with(Options::docker_26_1()).await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        web.line(Stream::Stdout, "before");
        assert_eq!(texts(&mut source, 1).await, ["before"]);
        web.damage_next();
        web.line(Stream::Stdout, "damaged");
        for number in 0..2000 {
            web.line(Stream::Stdout, format!("line {number}"));
        }
        if !is_running {
            web.die();
        }
        let record = next(&mut source).await;
        let gap = record.gap().unwrap();
        assert!(gap.after < gap.before && gap.reason == GapReason::Damaged, "{gap:?}");
        // The source requests as many records as there are behind the damaged record.
        assert_eq!(texts(&mut source, 2000).await, numbers(0..2000));
        if is_running {
            web.line(Stream::Stdout, "and on");
            assert_eq!(texts(&mut source, 1).await, ["and on"]);
        }
        let total = source.stats().snapshot().total;
        assert!(total.bad_frames >= 2, "{total:?}");
        assert_eq!(logged.matching("unreadable and skipped; lines may be missing").len(), 1);
        assert_eq!(total.gaps, 1);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_connection_cut_at_many_places_loses_no_line_and_repeats_none() {
    let long = "x".repeat(2 * PIECE + 100);
    for cut in (0..3 * PIECE).step_by(2111) {
        let engine = SimulatedEngine::start_with(Options { chunk: 1000, ..engines()[cut % 2].clone() }).await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.fail_logs(Fault::CutAfter(cut));
        web.fail_logs(Fault::CutAfter(cut / 2));
        web.start();
        web.line(Stream::Stdout, "before");
        // A line of the other stream stands between the pieces of the long line.
        let stamp = web.line(Stream::Stderr, "stderr") + 1;
        web.piece(Stream::Stdout, stamp, &long[..PIECE]);
        web.piece(Stream::Stderr, stamp + 10, "in between\n");
        web.piece(Stream::Stdout, stamp, &long[PIECE..2 * PIECE]);
        web.piece(Stream::Stdout, stamp, format!("{}\n", &long[2 * PIECE..]));
        engine.set_clock(stamp + 10);
        web.line(Stream::Stdout, "after");
        assert_eq!(
            texts(&mut source, 5).await,
            ["before", "stderr", "in between", &long, "after"],
            "cut at {cut}"
        );
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn last_lines_that_a_stream_omits_are_read_afterwards() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let job = engine.create(ContainerOptions::named("job"));
        // The first two answers end too early, but without an error.
        job.fail_logs(Fault::EndAfter(3));
        job.fail_logs(Fault::EndAfter(10));
        engine.freeze_list(true);
        job.start();
        for number in 0..30 {
            job.line(Stream::Stdout, format!("line {number}"));
        }
        job.die();
        assert_eq!(texts(&mut source, 30).await, numbers(0..30));
        // The source reads the log again until a read brings nothing new, since only this shows that the log
        // is read to its end.
        job.wait_for_log_requests(4).await;
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn the_log_of_a_container_that_ended_is_read_until_nothing_new_comes() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    job.line(Stream::Stdout, "only");
    assert_eq!(texts(&mut source, 1).await, ["only"]);
    job.die();
    job.wait_for_log_requests(2).await;
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().total.skipped_repeated == 1).await;
    let total = stats.snapshot().total;
    assert_eq!((total.requests, total.read, total.yielded), (2, 2, 1));
    let logs: Vec<_> = engine.requests().into_iter().filter(|request| request.contains("/logs?")).collect();
    assert!(logs[0].contains("?follow=1&") && logs[1].contains("?follow=0&"), "{logs:?}");
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn reading_goes_on_behind_the_last_line_after_a_restart_of_the_container() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        for run in 0..5 {
            web.start();
            for number in 10 * run..10 * (run + 1) {
                web.line(Stream::Stdout, format!("line {number}"));
            }
            web.die();
        }
        assert_eq!(texts(&mut source, 50).await, numbers(0..50));
        web.start();
        web.line(Stream::Stdout, "line 50");
        assert_eq!(texts(&mut source, 1).await, ["line 50"]);
        assert_eq!(source.stats().snapshot().containers.len(), 1);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_terminals_log_is_read_with_and_without_a_content_type() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let shell = engine.create(ContainerOptions::named("shell").tty());
        // The first two answers are cut in the middle of the long line.
        shell.fail_logs(Fault::CutAfter(PIECE + 100));
        shell.fail_logs(Fault::CutAfter(PIECE + 40));
        shell.start();
        let long = "y".repeat(PIECE + 50);
        shell.line(Stream::Stdout, "prompt");
        shell.line(Stream::Stderr, &long);
        shell.line(Stream::Stdout, "2026-11-22T22:44:18.000000000Z not a stamp");
        let first = next(&mut source).await;
        assert_eq!((first.stream(), text(&first).as_str()), (LogStream::Stdout, "prompt"));
        assert_eq!(first.container().tty(), Some(true));
        assert_eq!(
            texts(&mut source, 2).await,
            [long.as_str(), "2026-11-22T22:44:18.000000000Z not a stamp"]
        );
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_terminals_log_is_recognized_by_its_first_byte_alone() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let shell = engine.create(ContainerOptions::named("shell").tty());
    for _ in 0..2 {
        shell.fail_inspect(Fault::Status(404, "No such container".into()));
    }
    shell.start();
    shell.line(Stream::Stdout, "prompt");
    let record = next(&mut source).await;
    assert_eq!((text(&record).as_str(), record.container().tty()), ("prompt", None));
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn an_unfinished_line_is_yielded_when_the_container_has_ended() {
    for tty in [false, true] {
        let engine = SimulatedEngine::start().await;
        let mut source = connect(&engine).await;
        let options = ContainerOptions::named("job");
        let job = engine.create(if tty { options.tty() } else { options });
        job.start();
        let stamp = job.line(Stream::Stdout, "whole");
        let rest = "z".repeat(PIECE);
        job.piece(Stream::Stdout, stamp + 1, &rest);
        assert_eq!(texts(&mut source, 1).await, ["whole"]);
        job.die();
        let record = next(&mut source).await;
        assert_eq!(text(&record), rest);
        assert!(!record.is_whole());
        assert_eq!(record.length(), PIECE);
        job.start();
        job.line(Stream::Stdout, "of the next run");
        assert_eq!(texts(&mut source, 1).await, ["of the next run"], "tty: {tty}");
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_last_line_without_an_end_survives_the_removal_of_its_container() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job").tty());
    job.start();
    let stamp = job.line(Stream::Stdout, "whole");
    job.piece(Stream::Stdout, stamp + 1, "no end");
    assert_eq!(texts(&mut source, 1).await, ["whole"]);
    job.destroy();
    let record = next(&mut source).await;
    assert_eq!((text(&record).as_str(), record.is_whole()), ("no end", false));
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn blank_lines_are_skipped_and_counted() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    for line in ["a", "", "  \t", "b", "\r", " c "] {
        web.line(Stream::Stdout, line);
    }
    assert_eq!(texts(&mut source, 3).await, ["a", "b", " c "]);
    let total = source.stats().snapshot().total;
    assert_eq!((total.read, total.yielded, total.skipped_empty), (6, 3, 3));
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_line_over_1_mebibyte_keeps_its_beginning_and_its_length() {
    let engine = SimulatedEngine::start_with(Options { chunk: 60_000, ..Options::default() }).await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let mebibyte = 1024 * 1024;
    web.line(Stream::Stdout, "w".repeat(mebibyte + 5));
    web.line(Stream::Stdout, "next");
    let record = next(&mut source).await;
    assert_eq!((record.bytes().len(), record.length()), (mebibyte, mebibyte + 5));
    assert!(!record.is_whole());
    assert_eq!(texts(&mut source, 1).await, ["next"]);
    assert_eq!(source.stats().snapshot().total.truncated, 1);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn lines_that_the_engine_repeats_are_counted_and_skipped() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let stamps: Vec<_> = (0..10).map(|number| web.line(Stream::Stdout, format!("line {number}"))).collect();
    for (number, stamp) in stamps.iter().enumerate().skip(6) {
        web.piece(Stream::Stdout, *stamp, format!("line {number}\n"));
    }
    web.line(Stream::Stdout, "line 10");
    assert_eq!(texts(&mut source, 11).await, numbers(0..11));
    assert_eq!(source.stats().snapshot().total.skipped_repeated, 4);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_loses_nothing_of_a_live_stream() {
    // An old Engine would omit the lines after the step back, because they are older than the request's
    // `since`.
    let [_, new, _] = engines();
    let engine = SimulatedEngine::start_with(new).await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "before");
    assert_eq!(texts(&mut source, 1).await, ["before"]);
    engine.set_clock(simulated_engine::START - 3_600_000_000_000);
    web.line(Stream::Stdout, "after");
    web.line(Stream::Stdout, "and on");
    assert_eq!(texts(&mut source, 2).await, ["after", "and on"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn without_an_inspection_the_metadata_of_the_event_are_used() {
    for status in [404, 409] {
        let engine = SimulatedEngine::start().await;
        let mut source = connect(&engine).await;
        let job = engine.create(ContainerOptions::named("job").label("team", "b"));
        for _ in 0..2 {
            job.fail_inspect(Fault::Status(status, "dead or marked for removal".into()));
        }
        job.start();
        job.line(Stream::Stdout, "hi");
        let record = next(&mut source).await;
        let container = record.container();
        assert_eq!((text(&record).as_str(), container.id(), container.name()), ("hi", job.id(), "job"));
        assert_eq!((container.image(), container.command()), ("busybox:1", ""));
        assert_eq!(container.labels()["team"], "b");
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_every_line_and_lines_in_flight_are_bounded() {
    let engine = SimulatedEngine::start_with(Options { chunk: 60_000, ..Options::default() }).await;
    let mut source = connect(&engine).await;
    let stats = source.stats();
    let (flood, web) =
        (engine.create(ContainerOptions::named("flood")), engine.create(ContainerOptions::named("web")));
    flood.start();
    for number in 0..10_000 {
        flood.line(if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, format!("line {number}"));
    }
    eventually(&stats, |stats| stats.snapshot().total.in_flight == 1024).await;
    web.start();
    flood.die();
    let mut expected = numbers(0..10_000).into_iter();
    for number in 0..10_000 {
        assert_eq!(Some(text(&next(&mut source).await)), expected.next());
        if number % 500 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let total = stats.snapshot().total;
        // The queue holds 1,024 lines. Up to 64 further lines were taken out of the queue together.
        assert!(total.in_flight <= 1024 + 64, "{total:?}");
        assert_eq!(total.yielded, number + 1);
        assert_balanced(&stats);
    }
    web.line(Stream::Stdout, "still here");
    assert_eq!(texts(&mut source, 1).await, ["still here"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn kept_records_pause_reading_at_16_mebibytes_but_their_parts_do_not() {
    let engine = SimulatedEngine::start_with(Options { chunk: 60_000, ..Options::default() }).await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let line = "v".repeat(1024 * 1024);
    for _ in 0..20 {
        web.line(Stream::Stdout, &line);
    }
    let mut kept = Vec::new();
    for _ in 0..15 {
        kept.push(next(&mut source).await);
    }
    let stats = source.stats();
    let waited = tokio::time::timeout(Duration::from_millis(200), source.next()).await;
    assert!(waited.is_err(), "16 lines of a mebibyte exceed the budget because of their overhead");
    assert_eq!(stats.snapshot().total.read, 15);
    let mut parts: Vec<_> = kept.into_iter().map(Record::into_parts).collect();
    for _ in 15..20 {
        parts.push(next(&mut source).await.into_parts());
    }
    for part in parts {
        assert_eq!((part.container.name(), part.stream, part.is_whole), ("web", LogStream::Stdout, true));
        assert!(part.bytes == line && part.length == line.len());
    }
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn after_a_stop_the_source_yields_the_lines_that_were_read_and_then_ends() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    for number in 0..100 {
        web.line(Stream::Stdout, format!("line {number}"));
    }
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().total.in_flight == 100).await;
    source.stop();
    assert_eq!(texts(&mut source, 100).await, numbers(0..100));
    assert!(within(source.next()).await.unwrap().is_none());
    assert!(within(source.next()).await.unwrap().is_none());
    assert_balanced(&stats);
    drop(source);
    assert_eq!(stats.snapshot().total.yielded, 100);
}

#[tokio::test]
async fn a_source_that_is_dropped_closes_its_connections() {
    let engine = SimulatedEngine::start().await;
    let source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.wait_for_log_requests(1).await;
    let stats = source.stats();
    drop(source);
    within(engine.wait_until_idle()).await;
    assert_balanced(&stats);
}

#[tokio::test]
async fn a_line_that_was_open_when_the_connection_was_cut_is_read_whole() {
    for options in engines() {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        // A frame has a header of 8 bytes and a stamp of 31 bytes. The cut is in the third frame.
        web.fail_logs(Fault::CutAfter((8 + 31 + PIECE) + (8 + 31 + "later\n".len()) + 20));
        web.start();
        let stamp = simulated_engine::START + 1_000_000;
        let five_seconds = 5_000_000_000;
        let long = "u".repeat(PIECE + 10);
        web.piece(Stream::Stdout, stamp, &long[..PIECE]);
        web.piece(Stream::Stderr, stamp + five_seconds, "later\n");
        web.piece(Stream::Stdout, stamp, format!("{}\n", &long[PIECE..]));
        engine.set_clock(stamp + five_seconds);
        web.line(Stream::Stdout, "end");
        assert_eq!(texts(&mut source, 3).await, ["later", &long, "end"]);
        assert_nothing_left(&mut source).await;
    }
}
