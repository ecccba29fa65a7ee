//! Tests with an Engine that answers as Podman does, with stamps of whole seconds and lines in short pieces.

use docker_source::{Progress, Start};
use simulated_engine::{Container, ContainerOptions, Options, PODMAN_PIECE, SimulatedEngine, Stream};

use crate::support::{assert_nothing_left, builder, connect, next, ready, text, texts};

async fn podman() -> SimulatedEngine {
    SimulatedEngine::start_with(Options { podman: true, ..Options::default() }).await
}

fn write_equal_lines(container: &Container, count: usize) {
    for _ in 0..count {
        container.line(Stream::Stdout, "same");
        container.line(Stream::Stderr, "same");
    }
}

#[tokio::test]
async fn equal_lines_of_one_second_are_read_once_each_across_requests_and_sources() {
    let engine = podman().await;
    let mut source = connect(&engine).await;
    let mut progress = Progress::new(source.start().clone());
    let web = engine.create(ContainerOptions::named("web"));
    for _ in 0..2 {
        web.start();
        write_equal_lines(&web, 500);
        for _ in 0..1000 {
            let record = next(&mut source).await;
            assert_eq!(text(&record), "same");
            let ticket = progress.read(record.position());
            progress.settle(ticket);
        }
        web.die();
    }
    assert_nothing_left(&mut source).await;

    web.start();
    write_equal_lines(&web, 500);
    let mut source = ready(builder(&engine).start(Start::At(progress.positions()))).await;
    assert_eq!(texts(&mut source, 1000).await, vec!["same"; 1000]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn lines_that_the_stream_omits_before_the_end_of_a_container_are_read_at_the_end() {
    let engine = podman().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "first");
    assert_eq!(texts(&mut source, 1).await, ["first"]);
    let write = |from: usize, to: usize| {
        for number in from..to {
            web.line(Stream::Stdout, format!("line {number}"));
        }
    };
    write(0, 300);
    web.followers_skip(100);
    write(300, 1000);
    web.die();
    let mut read = texts(&mut source, 1000).await;
    read.sort_by_key(|text| text[5..].parse::<usize>().unwrap());
    assert_eq!(read, (0..1000).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_line_in_short_pieces_is_read_whole() {
    let engine = podman().await;
    let mut source = connect(&engine).await;
    let long = "=".repeat(5 * PODMAN_PIECE - 7);
    for options in [ContainerOptions::named("web"), ContainerOptions::named("shell").tty()] {
        let container = engine.create(options);
        container.start();
        container.line(Stream::Stdout, &long);
        // Three seconds pass between the two pieces of the third line.
        let stamp = container.line(Stream::Stdout, "next");
        container.piece(Stream::Stdout, stamp + 1, "name: ");
        container.piece(Stream::Stdout, stamp + 3_000_000_000, "root\n");
        assert_eq!(texts(&mut source, 3).await, [long.as_str(), "next", "name: root"]);
    }
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn podman_gets_no_request_with_a_tail_because_a_tail_joins_the_pieces_of_both_streams() {
    let engine = podman().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    engine.set_clock(web.line(Stream::Stdout, "before") + 1_000_000_000);
    let mut source = connect(&engine).await;
    web.line(Stream::Stdout, "after");
    assert_eq!(texts(&mut source, 1).await, ["after"]);
    web.die();
    web.wait_for_log_requests(2).await;
    assert_eq!(engine.count("tail="), 0, "{:?}", engine.requests());
    assert_nothing_left(&mut source).await;
}
