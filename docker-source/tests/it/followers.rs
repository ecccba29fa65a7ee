//! Losses and repetitions of follow requests. The Engine's files have each line once, unless they were
//! rotated away.

use std::ops::Range;

use docker_source::{Source, Start};
use simulated_engine::{Container, ContainerOptions, Options, PIECE, SimulatedEngine, Stream};

use crate::support::{assert_nothing_left, builder, connect, ready, texts};

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
async fn records_that_followers_are_sent_again_are_yielded_once() {
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
        let (engine, web, mut source) = following(options, ContainerOptions::named("web")).await;
        // The driver `journald` stamps lines with microseconds.
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
