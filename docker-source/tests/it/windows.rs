//! Tests windows, which are responses with the last records of a log. Windows replace a stream, which is a
//! response that follows the log, or prove that a stream has omitted no line.

use std::ops::Range;
use std::time::Duration;

use docker_source::{GapReason, Positions, Progress, Source, Start};
use gelf_core::Timestamp;
use simulated_engine::{
    Container, ContainerOptions, DamagedRead, Fault, Options, RequestKind, SimulatedEngine, Stream,
};
use tokio::time::sleep;

use crate::support::{assert_nothing_left, builder, next, ready, text, texts, timing};

const LATENCY: Duration = Duration::from_millis(200);

async fn polling(engine: &SimulatedEngine) -> Source {
    let mut timing = timing();
    timing.latency = LATENCY;
    ready(builder(engine).timing(timing)).await
}

async fn engine(options: Options) -> SimulatedEngine {
    SimulatedEngine::start_with(Options { clock_runs: true, ..options }).await
}

fn write(container: &Container, range: Range<usize>) {
    for number in range {
        let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        container.line(stream, format!("line {number}"));
    }
}

/// Reads and settles this number of lines, stops the source, and returns the positions behind the lines.
async fn settled(source: &mut Source, lines: usize) -> Positions {
    let mut progress = Progress::new(Positions::from_time(Timestamp::UNIX_EPOCH));
    for _ in 0..lines {
        let ticket = progress.read(next(source).await.position());
        progress.settle(ticket);
    }
    assert_nothing_left(source).await;
    progress.positions()
}

fn numbers(range: Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_busy_log_is_read_by_windows_and_followed_again_once_it_is_quiet() {
    for options in [Options::docker_20_10(), Options::docker_28_5()] {
        let engine = engine(options).await;
        let mut source = polling(&engine).await;
        // After a rotation, a stream of this log omits all records of each file except the first record.
        let web = engine.create(ContainerOptions::named("web").rotated(5000, 3).followers_skip_files());
        web.start();
        let writing = async {
            for block in 0..60 {
                write(&web, 100 * block..100 * (block + 1));
                sleep(LATENCY / 2).await;
            }
        };
        let (read, ()) = tokio::join!(texts(&mut source, 6000), writing);
        assert_eq!(read, numbers(0..6000));
        assert_eq!(web.count(RequestKind::Follow), 1);
        assert!((20..60).contains(&web.count(RequestKind::Tail)), "{}", web.count(RequestKind::Tail));
        sleep(LATENCY * 10).await;
        assert!((2..5).contains(&web.count(RequestKind::Follow)), "{}", web.count(RequestKind::Follow));
        web.line(Stream::Stdout, "end");
        assert_eq!(texts(&mut source, 1).await, ["end"]);
        assert_eq!(source.stats().snapshot().total.gaps, 0);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_a_stream_omits_are_read_within_31_s() {
    let engine = engine(Options::docker_28_5()).await;
    let mut source = polling(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    write(&web, 0..2);
    assert_eq!(texts(&mut source, 2).await, numbers(0..2));
    for block in 1..10 {
        let start = 10 * block;
        web.followers_skip(4);
        write(&web, start..start + 5);
        let written = tokio::time::Instant::now();
        let mut read = texts(&mut source, 5).await;
        assert!(written.elapsed() <= Duration::from_secs(31));
        read.sort();
        assert_eq!(read, numbers(start..start + 5));
    }
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_were_rotated_away_while_nothing_was_read_are_a_gap() {
    let engine = engine(Options::docker_20_10()).await;
    let web = engine.create(ContainerOptions::named("web").rotated(5000, 2).compressed());
    let mut source = polling(&engine).await;
    web.start();
    write(&web, 0..100);
    let positions = settled(&mut source, 100).await;
    write(&web, 100..2000);
    let kept = web.written().iter().filter(|line| line.is_kept).count();
    let mut source = ready(builder(&engine).start(Start::At(positions))).await;
    let mut gaps = Vec::new();
    let mut read = Vec::new();
    while read.len() < kept {
        let record = next(&mut source).await;
        match record.gap() {
            Some(gap) => gaps.push(*gap),
            None => read.push(text(&record)),
        }
    }
    assert_eq!(read, numbers(2000 - kept..2000));
    // Both stdout and stderr have a gap.
    assert_eq!(gaps.len(), 2);
    for gap in gaps {
        assert!(gap.after < gap.before && gap.reason == GapReason::Rotated, "{gap:?}");
    }
    assert_eq!(source.stats().snapshot().total.gaps, 2);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn lines_behind_a_gap_are_read_although_the_clock_was_set_back() {
    for options in [Options::docker_20_10(), Options::docker_28_5()] {
        let engine = engine(options).await;
        let mut source = polling(&engine).await;
        let web = engine.create(ContainerOptions::named("web").rotated(20_000, 2));
        web.start();
        let writing = async {
            for block in 0..100 {
                write(&web, 100 * block..100 * (block + 1));
                sleep(LATENCY / 2).await;
            }
        };
        let (read, ()) = tokio::join!(texts(&mut source, 10_000), writing);
        assert_eq!(read, numbers(0..10_000));
        engine.set_clock(simulated_engine::START - 3_600_000_000_000);
        write(&web, 10_000..16_000);
        let kept = web.written().iter().filter(|line| line.is_kept).count();
        let gap = next(&mut source).await;
        assert_eq!(gap.gap().map(|gap| gap.reason), Some(GapReason::Rotated), "{}", text(&gap));
        assert!((1025..6000).contains(&kept), "{kept}");
        assert_eq!(texts(&mut source, kept).await, numbers(16_000 - kept..16_000));
        write(&web, 16_000..16_010);
        assert_eq!(texts(&mut source, 10).await, numbers(16_000..16_010));
        assert_eq!(source.stats().snapshot().total.gaps, 1);
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test(start_paused = true)]
async fn positions_are_resumed_without_the_parameter_since_which_skips_compressed_files() {
    let engine = engine(Options::docker_20_10()).await;
    let web = engine.create(ContainerOptions::named("web").rotated(1000, 9).compressed());
    let mut source = polling(&engine).await;
    web.start();
    write(&web, 0..100);
    let positions = settled(&mut source, 100).await;
    sleep(Duration::from_secs(5)).await;
    write(&web, 100..400);
    let mut source = ready(builder(&engine).start(Start::At(positions))).await;
    assert_eq!(texts(&mut source, 300).await, numbers(100..400));
    assert_nothing_left(&mut source).await;
}

/// The options of Engines that handle damaged records differently.
fn damaged() -> [Options; 4] {
    let skips_records = Options { damaged: DamagedRead::SkipsRecords(200), ..Options::docker_20_10() };
    [Options::docker_20_10(), skips_records, Options::docker_26_1(), Options::docker_28_5()]
}

/// Reads records up to the line with the text `last`. Returns the number of gaps and the lines.
async fn read_with_gaps(source: &mut Source, last: &str) -> (usize, Vec<String>) {
    let (mut gaps, mut read) = (0, Vec::new());
    while read.last().is_none_or(|line| line != last) {
        let record = next(source).await;
        match record.gap() {
            Some(gap) => {
                assert_eq!(gap.reason, GapReason::Damaged);
                gaps += 1;
            }
            None => read.push(text(&record)),
        }
    }
    (gaps, read)
}

#[tokio::test(start_paused = true)]
async fn all_lines_of_a_busy_log_behind_a_damaged_record_are_read() {
    for options in damaged() {
        let engine = engine(options).await;
        let mut source = polling(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        let writing = async {
            for block in 0..60 {
                if block == 20 {
                    web.damage_next();
                    web.line(Stream::Stdout, "damaged");
                }
                write(&web, 100 * block..100 * (block + 1));
                sleep(LATENCY / 2).await;
            }
        };
        let ((gaps, mut read), ()) = tokio::join!(read_with_gaps(&mut source, "line 5999"), writing);
        // Docker 20.10 passes over some lines at first, and the source reads them after later lines.
        read.sort_by_key(|line| line.trim_start_matches("line ").parse::<u32>().ok());
        assert_eq!((gaps, read), (1, numbers(0..6000)));
    }
}

#[tokio::test(start_paused = true)]
async fn all_lines_of_a_quiet_log_behind_a_damaged_record_are_read() {
    for (options, is_set_back) in
        damaged().into_iter().flat_map(|options| [(options.clone(), false), (options, true)])
    {
        let engine = engine(options).await;
        let mut source = polling(&engine).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        write(&web, 0..3);
        assert_eq!(texts(&mut source, 3).await, numbers(0..3));
        sleep(Duration::from_secs(5)).await;
        web.damage_next();
        let damaged_at = web.line(Stream::Stdout, "damaged");
        if is_set_back {
            engine.set_clock(damaged_at - 3_600_000_000_000);
        }
        let writing = async {
            for line in 3..23 {
                write(&web, line..line + 1);
                sleep(Duration::from_secs(2)).await;
            }
        };
        let (read, ()) = tokio::join!(read_with_gaps(&mut source, "line 22"), writing);
        assert_eq!(read, (1, numbers(3..23)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_damaged_before_the_source_started_is_no_gap_and_delays_no_line() {
    for options in damaged() {
        for is_set_back in [false, true] {
            let engine = engine(options.clone()).await;
            let web = engine.create(ContainerOptions::named("web"));
            web.start();
            write(&web, 0..5);
            web.damage_next();
            let damaged_at = web.line(Stream::Stdout, "damaged");
            if is_set_back {
                engine.set_clock(damaged_at - 10_000_000_000);
            }
            write(&web, 5..10);
            sleep(Duration::from_secs(60)).await;
            let mut source = polling(&engine).await;
            sleep(Duration::from_secs(60)).await;
            for line in 10..30 {
                write(&web, line..line + 1);
                assert_eq!(texts(&mut source, 1).await, numbers(line..line + 1));
                sleep(Duration::from_secs(2)).await;
            }
            assert_eq!(source.stats().snapshot().total.gaps, 0);
            assert_nothing_left(&mut source).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_lines_of_a_resumed_log_behind_a_damaged_record_are_read() {
    for options in damaged() {
        for runs in [true, false] {
            let engine = engine(options.clone()).await;
            let mut source = polling(&engine).await;
            let web = engine.create(ContainerOptions::named("web"));
            web.start();
            write(&web, 0..30);
            let positions = settled(&mut source, 30).await;
            drop(source);
            web.damage_next();
            web.line(Stream::Stdout, "damaged");
            write(&web, 30..35);
            if !runs {
                web.die();
            }
            let mut source = ready(builder(&engine).timing(timing()).start(Start::At(positions))).await;
            assert_eq!(read_with_gaps(&mut source, "line 34").await, (1, numbers(30..35)));
            assert_nothing_left(&mut source).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_container_that_ends_and_starts_again_loses_no_line() {
    let engine = engine(Options::docker_20_10()).await;
    let mut source = polling(&engine).await;
    let web = engine.create(ContainerOptions::named("web").rotated(10_000, 3));
    let blocks = |run: usize| run % 5;
    let total = 150 * (0..20).map(blocks).sum::<usize>();
    let writing = async {
        let mut written = 0;
        for run in 0..20 {
            web.start();
            for _ in 0..blocks(run) {
                write(&web, written..written + 150);
                written += 150;
                sleep(LATENCY / 3).await;
            }
            web.die();
            if run % 3 == 0 {
                sleep(LATENCY * 3).await;
            }
        }
    };
    let (read, ()) = tokio::join!(texts(&mut source, total), writing);
    assert_eq!(read, numbers(0..total));
    assert_eq!(source.stats().snapshot().total.gaps, 0);
    web.destroy();
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_lines_of_a_container_that_has_ended_are_read() {
    let engine = engine(Options::docker_20_10()).await;
    let web = engine.create(ContainerOptions::named("web"));
    // The container has run before, so the source cannot know that its log has no earlier lines. The source
    // finds the lines of the next run by their time.
    web.start();
    web.die();
    sleep(Duration::from_secs(5)).await;
    let mut source = polling(&engine).await;
    web.start();
    let writing = async {
        write(&web, 0..20);
        sleep(LATENCY / 100).await;
        write(&web, 20..9000);
        web.die();
    };
    let (read, ()) = tokio::join!(texts(&mut source, 9000), writing);
    assert_eq!(read, numbers(0..9000));
    assert_eq!(source.stats().snapshot().total.gaps, 0);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_stopped_reads_busy_logs_up_to_the_present() {
    let engine = engine(Options::docker_20_10()).await;
    let mut source = polling(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let writing = async {
        for block in 0..10 {
            write(&web, 50 * block..50 * (block + 1));
            sleep(LATENCY / 2).await;
        }
    };
    let (read, ()) = tokio::join!(texts(&mut source, 400), writing);
    assert_eq!(read, numbers(0..400));
    write(&web, 500..510);
    source.stop();
    assert_eq!(texts(&mut source, 110).await, numbers(400..510));
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_stopped_reads_the_lines_that_a_stream_has_omitted_or_not_sent_yet() {
    for options in [Options::docker_20_10(), Options::docker_28_5()] {
        let engine = engine(options).await;
        let mut source = polling(&engine).await;
        let logs = ["web", "other", "quiet"].map(|name| engine.create(ContainerOptions::named(name)));
        for log in &logs {
            log.start();
            write(log, 0..2);
        }
        assert_eq!(texts(&mut source, 6).await.len(), 6);
        // Within these 10 s, a window proves that the stream of the quiet log has omitted no line. Therefore,
        // the stop causes no request for this log.
        sleep(Duration::from_secs(10)).await;
        let [web, other, quiet] = &logs;
        web.followers_skip(3);
        write(web, 2..7);
        write(other, 2..4);
        assert_eq!(texts(&mut source, 4).await.len(), 4);
        let windows = [other, quiet].map(|log| log.count(RequestKind::Tail));
        write(web, 7..9);
        source.stop();
        let mut rest = texts(&mut source, 5).await;
        rest.sort();
        assert_eq!(rest, [numbers(2..5), numbers(7..9)].concat());
        assert!(source.next().await.unwrap().is_none());
        let windows_after = [other, quiet].map(|log| log.count(RequestKind::Tail));
        // Since the first count, the log `other` has had two windows: the first was requested before the
        // stop, and the stop caused the second. The log is shorter than a window, so for each window, another
        // request shows that no damaged record has ended the window.
        assert_eq!([windows_after[0] - windows[0], windows_after[1] - windows[1]], [4, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_stopped_before_it_has_caught_up_reads_up_to_the_present() {
    for options in [Options::docker_20_10(), Options::docker_28_5(), Options::podman_4_3()] {
        let engine = engine(options).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        let start = Start::At(Positions::from_time(Timestamp::from_unix_nanos(simulated_engine::START)));
        write(&web, 0..5000);
        for read in [0, 1, 2000] {
            // If nothing was read, the first list of the containers has not arrived yet.
            let mut source = builder(&engine).start(start.clone()).connect().await.unwrap();
            let mut lines = texts(&mut source, read).await;
            source.stop();
            lines.extend(texts(&mut source, 5000 - read).await);
            assert_eq!(lines, numbers(0..5000));
            assert_nothing_left(&mut source).await;
        }
        // The container goes on writing while the source reads the lines from before its connection.
        let mut source = builder(&engine).start(start.clone()).connect().await.unwrap();
        let mut lines = texts(&mut source, 1).await;
        sleep(Duration::from_secs(2)).await;
        write(&web, 5000..5100);
        lines.extend(texts(&mut source, 4999).await);
        source.stop();
        lines.extend(texts(&mut source, 100).await);
        assert_eq!(lines, numbers(0..5100));
        assert_nothing_left(&mut source).await;
        assert_eq!(source.stats().snapshot().total.unread_logs, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn logs_that_are_not_read_up_to_the_present_within_4_s_of_the_stop_are_counted() {
    let engine = engine(Options::docker_20_10()).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let start = Start::At(Positions::from_time(Timestamp::from_unix_nanos(simulated_engine::START)));
    write(&web, 0..5000);
    let mut source = builder(&engine).start(start).connect().await.unwrap();
    assert_eq!(texts(&mut source, 1).await, numbers(0..1));
    let stats = source.stats();
    source.stop();
    // The program takes no lines meanwhile, so the source cannot read on.
    sleep(Duration::from_secs(5)).await;
    let mut read = 1;
    while source.next().await.unwrap().is_some() {
        read += 1;
    }
    assert!(read < 5000, "{read}");
    assert_eq!(stats.snapshot().total.unread_logs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_starts_at_a_time_reads_no_earlier_line_of_a_busy_log() {
    let engine = engine(Options::docker_20_10()).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    write(&web, 0..500);
    sleep(Duration::from_secs(5)).await;
    let first = web.line(Stream::Stdout, "line 500");
    let start = Timestamp::from_unix_nanos(first);
    let mut timing = timing();
    timing.latency = LATENCY;
    let start = Start::At(Positions::from_time(start));
    let mut source = ready(builder(&engine).timing(timing).start(start)).await;
    let writing = async {
        for block in 0..10 {
            write(&web, 501 + 50 * block..551 + 50 * block);
            sleep(LATENCY / 2).await;
        }
    };
    let (read, ()) = tokio::join!(texts(&mut source, 501), writing);
    assert_eq!(read, numbers(500..1001));
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_stopped_waits_up_to_4_s_for_the_first_answer_of_a_slow_engine() {
    for (delay, read, unread) in [(3, 10, 0), (60, 0, 1)] {
        let engine = engine(Options::docker_20_10()).await;
        let mut source = polling(&engine).await;
        let stats = source.stats();
        let web = engine.create(ContainerOptions::named("web"));
        web.fail_logs(Fault::Late(Duration::from_secs(delay)));
        web.start();
        write(&web, 0..10);
        sleep(Duration::from_millis(100)).await;
        source.stop();
        assert_eq!(texts(&mut source, read).await, numbers(0..read));
        assert_nothing_left(&mut source).await;
        assert_eq!(stats.snapshot().total.unread_logs, unread);
    }
}
