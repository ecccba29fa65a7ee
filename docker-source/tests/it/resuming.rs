//! Tests of sources that start where an earlier source ended.

use std::collections::BTreeSet;
use std::time::Duration;

use docker_source::{Positions, Progress, Source, Start};
use simulated_engine::{ContainerOptions, Fault, Options, PIECE, SimulatedEngine, Stream};
use tokio::time::sleep;

use crate::support::{assert_nothing_left, builder, connect, eventually, next, ready, text, texts};

/// Reads `count` lines and settles them.
async fn settle(source: &mut Source, progress: &mut Progress, count: usize) {
    for _ in 0..count {
        let ticket = progress.read(next(source).await.position());
        progress.settle(ticket);
    }
}

async fn resume(engine: &SimulatedEngine, positions: Positions) -> Source {
    ready(builder(engine).start(Start::At(positions))).await
}

#[tokio::test]
async fn a_later_source_reads_unsettled_lines_and_lines_written_meanwhile_once() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let [web, job, short] = ["web", "job", "short"].map(|name| engine.create(ContainerOptions::named(name)));
    web.start();
    web.line(Stream::Stdout, "w1");
    web.line(Stream::Stderr, "w2");
    web.line(Stream::Stdout, "w3");
    let mut progress = Progress::new(source.start().clone());
    settle(&mut source, &mut progress, 2).await;
    let _unsettled = progress.read(next(&mut source).await.position());
    job.start();
    job.line(Stream::Stdout, "j1");
    settle(&mut source, &mut progress, 1).await;
    drop(source);

    web.line(Stream::Stderr, "w4");
    job.line(Stream::Stdout, "j2");
    job.die();
    short.start();
    short.line(Stream::Stdout, "s1");
    short.die();
    let mut source = resume(&engine, progress.positions()).await;
    let mut read = texts(&mut source, 4).await;
    read.sort();
    assert_eq!(read, ["j2", "s1", "w3", "w4"]);
    web.line(Stream::Stdout, "w5");
    assert_eq!(texts(&mut source, 1).await, ["w5"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_line_that_was_open_when_the_earlier_source_ended_is_read_whole() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let stamp = web.line(Stream::Stdout, "before");
    web.piece(Stream::Stdout, stamp + 1, "x".repeat(PIECE));
    for _ in 0..3 {
        // A request begins one second before the last line, and the open line must be older than that.
        // Therefore the clock goes on by two seconds after each line.
        engine.set_clock(web.line(Stream::Stderr, "meanwhile") + 2_000_000_000);
    }
    let mut progress = Progress::new(source.start().clone());
    settle(&mut source, &mut progress, 4).await;
    drop(source);

    web.piece(Stream::Stdout, stamp + 1, "end\n");
    let mut source = resume(&engine, progress.positions()).await;
    assert_eq!(texts(&mut source, 1).await, [format!("{}end", "x".repeat(PIECE))]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn the_unfinished_line_of_an_ended_terminal_does_not_hide_the_next_line() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let shell = engine.create(ContainerOptions::named("shell").tty());
    shell.start();
    let stamp = shell.line(Stream::Stdout, "one");
    shell.piece(Stream::Stdout, stamp + 1, "prompt");
    shell.die();
    let mut progress = Progress::new(source.start().clone());
    settle(&mut source, &mut progress, 2).await;
    drop(source);

    shell.start();
    shell.line(Stream::Stdout, "two");
    let mut source = resume(&engine, progress.positions()).await;
    assert_eq!(texts(&mut source, 1).await, ["two"]);
    assert_nothing_left(&mut source).await;
}

/// Writes lines with these numbers, alternately to stdout and stderr.
fn write(web: &simulated_engine::Container, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        web.line(stream, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_follow_response_omitted_are_read_by_the_next_source() {
    for options in [Options::docker_20_10(), Options::docker_28_5()] {
        let engine = SimulatedEngine::start_with(Options { clock_runs: true, ..options }).await;
        let web = engine.create(ContainerOptions::named("web"));
        let mut source = connect(&engine).await;
        web.start();
        write(&web, 0..10);
        let mut settled = BTreeSet::new();
        // From time to time, a source reads a log again to prove that the response that follows the log omitted
        // no line. The first source ends before its first proof, and each later source ends between two proofs.
        for run in 0..5 {
            let mut progress = Progress::new(source.start().clone());
            let mut settle = async |source: &mut Source, count: usize| {
                for _ in 0..count {
                    let record = next(source).await;
                    assert!(settled.insert(text(&record).parse::<usize>().unwrap()), "a line is repeated");
                    let ticket = progress.read(record.position());
                    progress.settle(ticket);
                }
            };
            let first = 30 * run;
            // The lines that the earlier source did not settle come first.
            settle(&mut source, if run == 0 { 10 } else { 18 }).await;
            sleep(Duration::from_secs(if run == 0 { 0 } else { 40 })).await;
            web.followers_skip(5);
            write(&web, first + 10..first + 20);
            settle(&mut source, 5).await;
            // This sleep is longer than one second, because a request begins one second before the last line.
            sleep(Duration::from_millis(1500)).await;
            write(&web, first + 20..first + 30);
            settle(&mut source, 7).await;
            assert_eq!(source.stats().snapshot().total.gaps, 0);
            let positions = progress.positions();
            write(&web, first + 30..first + 40);
            source = resume(&engine, positions).await;
        }
        let rest = texts(&mut source, 18).await;
        settled.extend(rest.iter().map(|text| text.parse::<usize>().unwrap()));
        assert_eq!(settled.len(), 160, "{settled:?}");
        sleep(Duration::from_secs(40)).await;
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_resuming_source_sends_a_refused_request_again_and_reports_no_gap() {
    let engine = SimulatedEngine::start().await;
    for options in [ContainerOptions::named("web"), ContainerOptions::named("shell").tty()] {
        let web = engine.create(options.rotated(1, 0).compressed());
        let mut progress = Progress::new(connect(&engine).await.start().clone());
        web.start();
        for text in ["one", "two"] {
            // Each line is in a separate file. A request begins one second before the last line. The clock goes
            // on by two seconds after each line, so that the request does not include an earlier line.
            engine.set_clock(web.line(Stream::Stdout, text) + 2_000_000_000);
            let mut source = resume(&engine, progress.positions()).await;
            progress = Progress::new(source.start().clone());
            settle(&mut source, &mut progress, 1).await;
        }
        web.line(Stream::Stdout, "three");
        for _ in 0..3 {
            web.fail_logs(Fault::Status(500, "busy".into()));
        }
        let mut source = resume(&engine, progress.positions()).await;
        assert_eq!(texts(&mut source, 1).await, ["three"]);
        assert_eq!(source.stats().snapshot().total.gaps, 0);
        assert_nothing_left(&mut source).await;
        web.die();
        web.destroy();
    }
}

#[tokio::test]
async fn a_source_can_start_at_the_last_records_of_each_log() {
    for options in [Options::docker_20_10(), Options::docker_28_5(), Options::podman_4_3()] {
        let engine = SimulatedEngine::start_with(Options { clock_runs: true, ..options }).await;
        let [ended, running] = ["ended", "running"].map(|name| engine.create(ContainerOptions::named(name)));
        for container in [&ended, &running] {
            container.start();
            for number in 0..10 {
                engine.set_clock(container.line(Stream::Stdout, number.to_string()) + 1_000_000_000);
            }
        }
        ended.die();
        engine.set_clock(running.line(Stream::Stderr, "10") + 60_000_000_000);
        let start = Start::Tail(3);
        let mut source = ready(builder(&engine).start(start)).await;
        let mut progress = Progress::new(source.start().clone());
        let mut read = Vec::new();
        for _ in 0..6 {
            let record = next(&mut source).await;
            read.push(format!("{} {}", record.container().name(), text(&record)));
            // Only the lines of the ended container are settled.
            let ticket = progress.read(record.position());
            if record.container().name() == "ended" {
                progress.settle(ticket);
            }
        }
        read.sort();
        assert_eq!(read, ["ended 7", "ended 8", "ended 9", "running 10", "running 8", "running 9"]);
        eventually(&source.stats(), |stats| {
            stats.snapshot().total.requests == (ended.log_requests() + running.log_requests()) as u64
        })
        .await;
        let new = engine.create(ContainerOptions::named("new"));
        new.start();
        for number in 0..5 {
            new.line(Stream::Stdout, number.to_string());
        }
        assert_eq!(texts(&mut source, 5).await, ["0", "1", "2", "3", "4"]);
        drop(source);
        // The next source starts at the positions of `progress`, and not at the last few records.
        for number in 11..15 {
            running.line(Stream::Stdout, number.to_string());
        }
        ended.start();
        ended.line(Stream::Stdout, "again");
        let mut source = resume(&engine, progress.positions()).await;
        let mut read = texts(&mut source, 13).await;
        read.sort();
        let expected = ["0", "1", "10", "11", "12", "13", "14", "2", "3", "4", "8", "9", "again"];
        assert_eq!(read, expected);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn a_source_can_start_at_the_beginning_of_the_logs() {
    let engine = SimulatedEngine::start().await;
    let [ended, running] = ["ended", "running"].map(|name| engine.create(ContainerOptions::named(name)));
    for container in [&ended, &running] {
        container.start();
        container.line(Stream::Stdout, "old");
    }
    ended.die();
    let mut source = ready(builder(&engine).start(Start::Beginning)).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let record = next(&mut source).await;
        assert_eq!(text(&record), "old");
        names.push(record.container().name().to_owned());
    }
    names.sort();
    assert_eq!(names, ["ended", "running"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_removed_container_is_no_longer_known() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    let record = next(&mut source).await;
    let id = record.container().id().to_owned();
    assert!(source.stats().knows(&id));
    web.die();
    web.destroy();
    crate::support::within(async {
        while source.stats().knows(&id) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
