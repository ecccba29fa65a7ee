//! Tests of sources that read logs from their files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use docker_source::{GapReason, LogFiles, Positions, Progress, Source, Start};
use simulated_engine::{Container, ContainerOptions, RequestKind, SimulatedEngine, Stream};
use tokio::time::sleep;

use crate::support::{Logged, assert_nothing_left, builder, next, ready, text, texts};

async fn connect(engine: &SimulatedEngine, start: Start, reads_files: bool) -> Source {
    let builder = builder(engine).start(start);
    match reads_files {
        true => ready(builder.log_files(LogFiles::default())).await,
        false => ready(builder).await,
    }
}

fn web(engine: &SimulatedEngine, max_size: usize, max_files: usize) -> Container {
    let web = engine.create(ContainerOptions::named("web").rotated(max_size, max_files).in_files());
    web.start();
    web
}

/// Returns the number of requests for the log of a container.
fn log_requests(container: &Container) -> usize {
    [RequestKind::Tail, RequestKind::Follow, RequestKind::Whole]
        .map(|kind| container.count(kind))
        .iter()
        .sum()
}

/// Reads `count` lines, settles all of them except the last `unsettled` lines, and returns the texts and the
/// positions.
async fn read(source: &mut Source, count: usize, unsettled: usize) -> (Vec<String>, Positions) {
    let mut progress = Progress::new(source.start().clone());
    let mut read = Vec::new();
    for number in 0..count {
        let record = next(source).await;
        let ticket = progress.read(record.position());
        if number + unsettled < count {
            progress.settle(ticket);
        }
        read.push(text(&record));
    }
    assert_nothing_left(source).await;
    (read, progress.positions())
}

#[tokio::test(start_paused = true)]
async fn a_log_is_read_from_its_files_up_to_the_end_of_each_run_without_a_request_for_the_log() {
    let engine = SimulatedEngine::start().await;
    let web = web(&engine, 300, 9);
    let mut source = connect(&engine, Start::Now, true).await;
    for run in 0..3 {
        for line in 0..200 {
            web.line(if line % 3 == 0 { Stream::Stderr } else { Stream::Stdout }, format!("{run} {line}"));
            sleep(Duration::from_millis(line % 7)).await;
        }
        web.line(Stream::Stdout, "long".repeat(10_000));
        web.piece(Stream::Stdout, web.line(Stream::Stdout, "") + 1, "unfinished");
        web.die();
        let read = texts(&mut source, 202).await;
        assert!(read.iter().take(200).enumerate().all(|(line, text)| *text == format!("{run} {line}")));
        assert_eq!((read[200].len(), &*read[201]), (40_000, "unfinished"));
        web.start();
    }
    assert_eq!(log_requests(&web), 0);
    let late = engine.create(ContainerOptions::named("late").in_files());
    late.start();
    late.line(Stream::Stdout, "late");
    assert_eq!(texts(&mut source, 1).await, ["late"]);
    late.wait_for_followers(0).await;
    assert_eq!(
        late.count(RequestKind::Follow),
        1,
        "a new log is followed through the Engine until its files are known"
    );
    assert_nothing_left(&mut source).await;
    assert_eq!(source.stats().snapshot().total.gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_with_files_goes_on_behind_the_positions_of_a_source_without_files_and_vice_versa() {
    let engine = SimulatedEngine::start().await;
    let web = web(&engine, 100, 9);
    let (mut start, mut written, mut unsettled) = (Start::Now, 0, 0);
    for reads_files in [true, false, true, true, false] {
        let mut source = connect(&engine, start, reads_files).await;
        for _ in 0..40 {
            let stream = if written % 2 == 0 { Stream::Stderr } else { Stream::Stdout };
            web.line(stream, written.to_string());
            written += 1;
            sleep(Duration::from_millis(100)).await;
        }
        let count = 40 + unsettled;
        unsettled = 2;
        let (read, positions) = read(&mut source, count, unsettled).await;
        let expected = (written - count..written).map(|number| number.to_string());
        assert_eq!(read, expected.collect::<Vec<_>>());
        start = Start::At(positions);
    }
}

#[tokio::test(start_paused = true)]
async fn damaged_records_are_announced_and_the_records_around_them_are_read() {
    let engine = SimulatedEngine::start().await;
    let web = web(&engine, 10_000, 3);
    let mut source = connect(&engine, Start::Now, true).await;
    web.line(Stream::Stdout, "before");
    assert_eq!(texts(&mut source, 1).await, ["before"]);
    let mut file = OpenOptions::new().append(true).open(web.log_path().unwrap()).unwrap();
    file.write_all(b"{\"log\":\"half\0\0\0\0").unwrap();
    web.line(Stream::Stderr, "behind");
    let gap = next(&mut source).await;
    assert_eq!(gap.gap().unwrap().reason, GapReason::Damaged);
    assert_eq!(texts(&mut source, 1).await, ["behind"]);
    let counts = source.stats().snapshot().total;
    assert_eq!((counts.bad_frames, counts.gaps), (1, 1));
    web.line(Stream::Stdout, "later");
    assert_eq!(texts(&mut source, 1).await, ["later"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_rotated_away_before_their_file_is_opened_are_announced_as_one_gap() {
    for is_clock_set_back in [false, true] {
        let engine = SimulatedEngine::start().await;
        let web = web(&engine, 100, 3);
        let mut source = connect(&engine, Start::Now, true).await;
        web.line(Stream::Stdout, "first");
        assert_eq!(texts(&mut source, 1).await, ["first"]);
        if is_clock_set_back {
            web.rotate();
            engine.set_clock(simulated_engine::START - 3_600_000_000_000);
        }
        // The source does not look at the files meanwhile.
        for number in 0..1000 {
            web.line(Stream::Stdout, format!("line {number}"));
        }
        let kept: Vec<_> = web.written().into_iter().filter(|line| line.is_kept).collect();
        // The file that was open is read to its end.
        while next(&mut source).await.gap().is_none() {}
        for line in kept {
            assert_eq!(text(&next(&mut source).await).as_bytes(), line.bytes);
        }
        web.line(Stream::Stdout, "last");
        assert_eq!(texts(&mut source, 1).await, ["last"]);
        assert_nothing_left(&mut source).await;
        assert_eq!((source.stats().snapshot().total.gaps, log_requests(&web)), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn lines_in_compressed_files_and_later_lines_are_read_once_each() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web").rotated(100, 0).compressed().in_files());
    web.start();
    for number in 0..100 {
        web.line(Stream::Stdout, number.to_string());
    }
    sleep(Duration::from_secs(5)).await;
    let mut source = connect(&engine, Start::Beginning, true).await;
    let mut expected = 0;
    for until in [100, 400] {
        for number in expected.max(100)..until {
            web.line(Stream::Stdout, number.to_string());
            sleep(Duration::from_millis(10)).await;
        }
        let read = texts(&mut source, until - expected).await;
        assert_eq!(read, (expected..until).map(|number| number.to_string()).collect::<Vec<_>>());
        expected = until;
    }
    assert_nothing_left(&mut source).await;
    assert_eq!(source.stats().snapshot().total.gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_files_cannot_be_opened_is_read_through_the_engine_with_one_warning() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let web = web(&engine, 1000, 3);
    let path = web.log_path().unwrap();
    let hidden = path.with_extension("hidden");
    fs::rename(&path, &hidden).unwrap();
    std::os::unix::fs::symlink(&hidden, &path).unwrap();
    let mut source = connect(&engine, Start::Now, true).await;
    for run in ["first", "second"] {
        web.line(Stream::Stdout, run);
        assert_eq!(texts(&mut source, 1).await, [run]);
        web.die();
        web.start();
    }
    assert_eq!(logged.matching("not a regular file").len(), 1);
    assert_nothing_left(&mut source).await;
}
