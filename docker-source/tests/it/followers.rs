//! Tests with Engines whose streams omit or repeat lines of the log that they follow. The log files of these
//! Engines have each line once, except lines that rotation has deleted.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use docker_source::{Source, Start};
use simulated_engine::{Container, ContainerOptions, Options, PIECE, RequestKind, SimulatedEngine, Stream};

use crate::support::{Logged, assert_nothing_left, builder, connect, eventually, ready, texts};

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

fn write(container: &Container, range: Range<usize>) {
    for number in range {
        let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        container.line(stream, format!("line {number}"));
    }
}

/// Starts an Engine, a container and a source that has read the container's first two lines.
async fn following(options: Options, container: ContainerOptions) -> (SimulatedEngine, Container, Source) {
    let engine = SimulatedEngine::start_with(options).await;
    let mut source = connect(&engine).await;
    let web = engine.create(container);
    web.start();
    write(&web, 0..2);
    assert_eq!(texts(&mut source, 2).await, numbers(0..2));
    (engine, web, source)
}

fn versions() -> [Options; 4] {
    [Options::docker_20_10(), Options::docker_26_1(), Options::docker_28_5(), Options::docker_29()]
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_stream_omits_at_rotations_are_read() {
    for options in versions() {
        let log = ContainerOptions::named("web").rotated(1000, 3).compressed().followers_skip_files();
        let (_engine, web, mut source) = following(options, log).await;
        for second in 0..20 {
            write(&web, 2 + 10 * second..12 + 10 * second);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(texts(&mut source, 200).await, numbers(2..202));
        assert_eq!(source.stats().snapshot().total.gaps, 0);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn files_between_missed_rotations_are_read() {
    for options in versions() {
        let (_engine, web, mut source) = following(options, ContainerOptions::named("web")).await;
        for file in 0..4 {
            write(&web, 2 + 10 * file..12 + 10 * file);
            web.rotate();
        }
        write(&web, 42..50);
        // Lines that the stream has omitted are read after later lines, so the order varies.
        let read: BTreeSet<_> = texts(&mut source, 48).await.into_iter().collect();
        assert_eq!(read, numbers(2..50).into_iter().collect());
        assert_eq!(source.stats().snapshot().total.gaps, 0);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_sends_nothing_more_is_noticed_while_its_container_writes() {
    let (_engine, web, mut source) = following(Options::docker_26_1(), ContainerOptions::named("web")).await;
    web.followers_skip(usize::MAX);
    for second in 0..120 {
        write(&web, 2 + second..3 + second);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(texts(&mut source, 120).await, numbers(2..122));
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn records_that_a_stream_repeats_are_yielded_once() {
    let (_engine, web, mut source) = following(Options::docker_20_10(), ContainerOptions::named("web")).await;
    for block in 0..5 {
        let lines = 2 + 100 * block..102 + 100 * block;
        write(&web, lines.clone());
        web.rotate();
        web.followers_repeat(20 * block);
        assert_eq!(texts(&mut source, 100).await, numbers(lines));
    }
    web.line(Stream::Stdout, "end");
    assert_eq!(texts(&mut source, 1).await, ["end"]);
    assert!(source.stats().snapshot().total.skipped_repeated >= 200);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn records_that_a_stream_repeats_from_the_middle_of_a_line_do_not_become_a_line() {
    for repeated in 1..8 {
        for log in [ContainerOptions::named("web"), ContainerOptions::named("web").tty()] {
            let (_engine, web, mut source) = following(Options::docker_20_10(), log.clone()).await;
            let stamp = web.line(Stream::Stdout, "before") + 1;
            let long = format!("{}{}end", "x".repeat(PIECE), "y".repeat(PIECE));
            let mut rest = &long[..];
            while let Some((piece, behind)) = rest.split_at_checked(PIECE) {
                web.piece(Stream::Stdout, stamp, piece);
                // A terminal has one stream. A line between the pieces would end the long line.
                if !log.tty {
                    web.line(Stream::Stderr, "between");
                }
                rest = behind;
            }
            web.piece(Stream::Stdout, stamp, "end\n");
            let lines = if log.tty { 2 } else { 4 };
            assert_eq!(texts(&mut source, lines).await.last(), Some(&long));
            web.rotate();
            web.followers_repeat(repeated);
            web.line(Stream::Stdout, "after");
            assert_eq!(texts(&mut source, 1).await, ["after"], "{repeated}");
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_nothing_left(&mut source).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_is_read_as_it_was_written_although_a_stream_repeats_records_within_it() {
    for (repeated, log) in (1..6).flat_map(|repeated| {
        let log = ContainerOptions::named("web");
        [(repeated, log.clone()), (repeated, log.clone().removed_at_end()), (repeated, log.tty())]
    }) {
        let (_engine, web, mut source) = following(Options::docker_20_10(), log).await;
        let stamp = web.line(Stream::Stdout, "before") + 1;
        assert_eq!(texts(&mut source, 1).await, ["before"]);
        for piece in ["x", "y"] {
            web.piece(Stream::Stdout, stamp, piece.repeat(PIECE));
        }
        web.rotate();
        web.followers_repeat(repeated);
        web.piece(Stream::Stdout, stamp, "end\n");
        web.line(Stream::Stdout, "after");
        let long = format!("{}{}end", "x".repeat(PIECE), "y".repeat(PIECE));
        assert_eq!(texts(&mut source, 2).await, [&long, "after"], "{repeated}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_rotated_away_before_they_are_read_are_a_gap_that_is_logged() {
    for options in versions() {
        let logged = Logged::here();
        let log = ContainerOptions::named("web").rotated(100, 2);
        let (_engine, web, mut source) = following(options, log).await;
        write(&web, 2..100);
        let kept = web.written().into_iter().filter(|line| line.is_kept);
        let mut missing: BTreeSet<_> = kept.map(|line| String::from_utf8(line.bytes).unwrap()).collect();
        while !missing.is_empty() {
            missing.remove(&texts(&mut source, 1).await[0]);
        }
        eventually(&source.stats(), |stats| stats.snapshot().total.gaps > 0).await;
        assert_eq!(logged.matching("WARN").len(), 1, "{:?}", logged.matching("WARN"));
    }
}

#[tokio::test(start_paused = true)]
async fn newer_files_are_read_after_an_interruption_although_the_parameter_since_skips_a_compressed_file() {
    let log = ContainerOptions::named("web").rotated(usize::MAX, 5).compressed();
    let options = Options { clock_runs: true, ..Options::docker_20_10() };
    let (engine, web, mut source) = following(options, log).await;
    web.rotate();
    tokio::time::sleep(Duration::from_secs(5)).await;
    write(&web, 2..4);
    assert_eq!(texts(&mut source, 2).await, numbers(2..4));
    engine.go_away().await;
    write(&web, 4..6);
    web.rotate();
    write(&web, 6..8);
    engine.come_back();
    assert_eq!(texts(&mut source, 4).await, numbers(4..8));
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn lines_behind_the_end_of_a_stream_are_read_although_the_parameter_since_skips_a_compressed_file() {
    let log = ContainerOptions::named("web").rotated(usize::MAX, 5).compressed();
    for (log, is_restarted) in [(log.clone(), false), (log.clone(), true), (log.tty(), false)] {
        let options = Options { clock_runs: true, ..Options::docker_20_10() };
        let (_engine, web, mut source) = following(options, log).await;
        web.rotate();
        // A request with `since=` would begin behind the oldest file. No window has proved a line yet.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        write(&web, 2..4);
        assert_eq!(texts(&mut source, 2).await, numbers(2..4));
        assert_eq!(web.count(RequestKind::Tail), 0);
        match is_restarted {
            true => {
                web.die();
                web.start();
            }
            false => web.end_followers(),
        }
        write(&web, 4..6);
        web.rotate();
        write(&web, 6..8);
        assert_eq!(texts(&mut source, 4).await, numbers(4..8), "{is_restarted}");
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_line_whose_pieces_are_in_two_files_is_read_whole() {
    for options in versions() {
        let (_engine, web, mut source) = following(options, ContainerOptions::named("web")).await;
        let stamp = web.line(Stream::Stdout, "before") + 1;
        web.piece(Stream::Stdout, stamp, "x".repeat(PIECE));
        assert_eq!(texts(&mut source, 1).await, ["before"]);
        web.rotate();
        web.piece(Stream::Stderr, stamp + 1, "between\n");
        web.piece(Stream::Stdout, stamp, "end\n");
        web.line(Stream::Stdout, "after");
        let long = format!("{}end", "x".repeat(PIECE));
        assert_eq!(texts(&mut source, 3).await, ["between", &long, "after"]);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn the_rest_of_a_line_whose_beginning_was_rotated_away_changes_no_other_line() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions {
        log: simulated_engine::LogFiles { max_files: 1, ..Default::default() },
        ..ContainerOptions::named("web")
    });
    web.start();
    let stamp = web.line(Stream::Stdout, "before") + 1;
    web.piece(Stream::Stdout, stamp, "x".repeat(PIECE));
    web.rotate();
    web.piece(Stream::Stdout, stamp, "end\n");
    web.line(Stream::Stdout, "after");
    let mut source = ready(builder(&engine).start(Start::Beginning)).await;
    assert_eq!(texts(&mut source, 2).await, ["end", "after"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn lines_with_the_same_stamp_are_read_once_each_across_interruptions() {
    for options in versions() {
        // The log driver `journald` has stamps in whole microseconds, so lines can have the same stamp.
        let log = ContainerOptions::named("web").log_driver("journald");
        let (engine, web, mut source) = following(options, log).await;
        let stamp = web.line(Stream::Stdout, "before") + 1000;
        assert_eq!(texts(&mut source, 1).await, ["before"]);
        for number in 2..6 {
            web.piece(Stream::Stdout, stamp, format!("line {number}\n"));
        }
        assert_eq!(texts(&mut source, 4).await, numbers(2..6));
        engine.go_away().await;
        for number in 6..10 {
            web.piece(Stream::Stdout, stamp, format!("line {number}\n"));
        }
        engine.come_back();
        assert_eq!(texts(&mut source, 4).await, numbers(6..10));
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_after_a_clock_step_back_are_read_across_an_interruption() {
    for options in versions() {
        let (engine, web, mut source) = following(options, ContainerOptions::named("web")).await;
        engine.set_clock(simulated_engine::START - 3_600_000_000_000);
        write(&web, 2..4);
        engine.go_away().await;
        write(&web, 4..10);
        engine.come_back();
        assert_eq!(texts(&mut source, 8).await, numbers(2..10));
        assert_nothing_left(&mut source).await;
    }
}
