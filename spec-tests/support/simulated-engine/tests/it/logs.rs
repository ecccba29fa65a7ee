//! Tests of the answers to requests for a log.

use simulated_engine::{
    Container, ContainerOptions, DamagedRead, Options, PODMAN_PIECE, RequestKind, SimulatedEngine, Stream,
};

use crate::client::{get_logs, texts};

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

/// Writes a line `line NUMBER` for each number of the range, on both streams in turn. Returns the stamps of
/// the lines.
fn write(container: &Container, range: std::ops::Range<usize>) -> Vec<i64> {
    let stream = |number| if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
    range.map(|number| container.line(stream(number), format!("line {number}"))).collect()
}

fn seconds(stamp: i64) -> String {
    format!("{}.{:09}", stamp / 1_000_000_000, stamp % 1_000_000_000)
}

fn running(engine: &SimulatedEngine, options: ContainerOptions) -> Container {
    let container = engine.create(options);
    container.start();
    container
}

#[tokio::test]
async fn tail_counts_the_records_of_both_streams_and_until_stops_at_the_first_later_stamp() {
    let engine = SimulatedEngine::start().await;
    let web = running(&engine, ContainerOptions::named("web"));
    let stamps = write(&web, 0..10);
    assert_eq!(texts(&engine, &web, "tail=3").await, numbers(7..10));
    assert_eq!(texts(&engine, &web, "tail=all").await, numbers(0..10));
    assert_eq!(texts(&engine, &web, "tail=0").await, Vec::<String>::new());
    let until = format!("tail=8&until={}", seconds(stamps[5]));
    assert_eq!(texts(&engine, &web, &until).await, numbers(2..6));
    // The answer ends at the first record whose stamp is after `until`. Thus a later record is not sent, even
    // if its stamp is not after `until`.
    web.piece(Stream::Stderr, stamps[9] + 2_000, "late\n");
    web.piece(Stream::Stdout, stamps[9] + 1_000, "early\n");
    let until = format!("tail=3&until={}", seconds(stamps[9] + 1_000));
    assert_eq!(texts(&engine, &web, &until).await, ["line 9"]);
    let since = format!("since={}&tail=4", seconds(stamps[9]));
    assert_eq!(texts(&engine, &web, &since).await, ["line 9", "late", "early"]);
}

#[tokio::test]
async fn a_follower_with_tail_begins_with_the_last_records_and_goes_on() {
    let engine = SimulatedEngine::start().await;
    let web = running(&engine, ContainerOptions::named("web"));
    write(&web, 0..5);
    let following = get_logs(&engine, &web, "follow=1&tail=1").await;
    web.wait_for_followers(1).await;
    write(&web, 5..8);
    web.die();
    web.start();
    write(&web, 8..9);
    assert_eq!(
        following.texts().await,
        numbers(4..8),
        "the lines of the next run do not belong to this request"
    );
    let kinds = [RequestKind::Follow, RequestKind::Tail, RequestKind::TailUntil, RequestKind::Whole];
    texts(&engine, &web, "tail=1").await;
    texts(&engine, &web, "follow=0&tail=1&until=5").await;
    texts(&engine, &web, "follow=0").await;
    assert_eq!(kinds.map(|kind| (web.count(kind), engine.count_kind(kind))), [(1, 1); 4]);
}

#[tokio::test]
async fn rotation_removes_the_oldest_file_and_written_tells_which_lines_are_kept() {
    let engine = SimulatedEngine::start().await;
    // Each line has 7 bytes, so a file has three lines.
    let web = running(&engine, ContainerOptions::named("web").rotated(20, 2));
    write(&web, 0..8);
    assert_eq!(texts(&engine, &web, "").await, numbers(3..8));
    assert_eq!(texts(&engine, &web, "tail=100").await, numbers(3..8));
    let written = web.written();
    assert_eq!(written.len(), 8);
    assert_eq!(written.iter().filter(|line| line.is_kept).count(), 5);
    web.rotate();
    write(&web, 8..9);
    web.rotate();
    write(&web, 9..10);
    assert_eq!(texts(&engine, &web, "tail=100").await, numbers(8..10));
}

#[tokio::test]
async fn a_log_of_one_file_keeps_the_records_since_the_last_rotation_and_an_empty_file_is_not_rotated() {
    let engine = SimulatedEngine::start().await;
    let web = running(&engine, ContainerOptions::named("web").rotated(1000, 1).compressed().in_files());
    web.rotate();
    write(&web, 0..3);
    assert_eq!(texts(&engine, &web, "").await, numbers(0..3));
    web.rotate();
    write(&web, 3..5);
    assert_eq!(texts(&engine, &web, "").await, numbers(3..5));
    let path = web.log_path().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_follower_more_than_one_rotation_behind_goes_on_with_the_newest_file() {
    for (rotations, expected) in [(1, numbers(0..9)), (2, numbers((0..6).chain(9..12)))] {
        let engine = SimulatedEngine::start().await;
        let web = running(&engine, ContainerOptions::named("web"));
        write(&web, 0..3);
        let mut following = get_logs(&engine, &web, "follow=1").await;
        following.has_received("line 2").await;
        write(&web, 3..6);
        for rotation in 0..rotations {
            web.rotate();
            write(&web, 6 + 3 * rotation..9 + 3 * rotation);
        }
        web.die();
        assert_eq!(following.texts().await, expected);
        assert_eq!(texts(&engine, &web, "").await.len(), 6 + 3 * rotations, "the Engine has all lines");
    }
}

#[tokio::test]
async fn followers_skip_and_repeat_records_and_other_requests_are_sent_each_record_once() {
    let engine = SimulatedEngine::start().await;
    let web = running(&engine, ContainerOptions::named("web"));
    write(&web, 0..2);
    let following = get_logs(&engine, &web, "follow=1").await;
    web.wait_for_followers(1).await;
    web.followers_skip(2);
    write(&web, 2..6);
    web.followers_repeat(3);
    write(&web, 6..7);
    let later = get_logs(&engine, &web, "follow=1").await;
    web.wait_for_followers(2).await;
    assert_eq!(texts(&engine, &web, "tail=4").await, numbers(3..7));
    web.die();
    assert_eq!(following.texts().await, numbers((0..2).chain(4..6).chain(3..7)));
    assert_eq!(later.texts().await, numbers(0..7));
    assert_eq!(web.written().len(), 7);
}

#[tokio::test]
async fn a_follower_of_compressed_files_has_only_the_first_record_of_each_later_file() {
    let engine = SimulatedEngine::start().await;
    let web =
        running(&engine, ContainerOptions::named("web").rotated(20, 3).compressed().followers_skip_files());
    let following = get_logs(&engine, &web, "follow=1").await;
    web.wait_for_followers(1).await;
    for first in [0, 3, 6] {
        write(&web, first..first + 3);
        // The follower gets the time to keep up.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    web.die();
    assert_eq!(following.texts().await, numbers((0..3).chain(3..4).chain(6..7)));
    assert_eq!(texts(&engine, &web, "tail=9").await, numbers(0..9));
}

#[tokio::test(start_paused = true)]
async fn compressed_files_delay_tail_and_hide_newer_files_from_since_in_old_engines() {
    for (options, delay, since_lines) in [
        (Options::docker_20_10(), 30, numbers(6..8)),
        (Options::docker_26_1(), 30, numbers(3..8)),
        (Options::docker_28_5(), 0, numbers(3..8)),
    ] {
        let engine = SimulatedEngine::start_with(options).await;
        let web = running(&engine, ContainerOptions::named("web").rotated(20, 3).compressed());
        let stamps = write(&web, 0..8);
        let begun = tokio::time::Instant::now();
        assert_eq!(texts(&engine, &web, "tail=1").await, numbers(7..8));
        assert_eq!(begun.elapsed().as_millis(), delay);
        let since = format!("since={}", seconds(stamps[3]));
        assert_eq!(texts(&engine, &web, &since).await, since_lines);
        let whole = format!("since={}", seconds(stamps[2]));
        assert_eq!(texts(&engine, &web, &whole).await, numbers(2..8));
    }
}

#[tokio::test]
async fn a_damaged_record_affects_only_requests_that_begin_before_it() {
    for (damaged, error) in [(DamagedRead::Error, 1), (DamagedRead::Ends, 0), (DamagedRead::SkipsFile, 0)] {
        let engine = SimulatedEngine::start_with(Options { damaged, ..Options::default() }).await;
        let web = running(&engine, ContainerOptions::named("web"));
        let following = get_logs(&engine, &web, "follow=1").await;
        web.wait_for_followers(1).await;
        write(&web, 0..17);
        web.damage_next();
        let stamps = write(&web, 17..50);
        let lines = |records: usize| records + error;
        let since = format!("since={}", seconds(stamps[4]));
        for (more, expected) in
            [("", lines(17)), ("tail=5", 5), ("tail=32", 32), ("tail=40", lines(7)), (&since, lines(0))]
        {
            let (_, body, _) = get_logs(&engine, &web, more).await.whole().await;
            assert_eq!(crate::client::records(&body).len(), expected, "{damaged:?} {more}");
        }
        web.rotate();
        write(&web, 50..52);
        web.die();
        let whole = get_logs(&engine, &web, "").await.records().await;
        assert_eq!(whole.len(), if damaged == DamagedRead::SkipsFile { 19 } else { lines(17) });
        let followed = following.records().await;
        assert_eq!(followed.len(), if damaged == DamagedRead::SkipsFile { 51 } else { lines(17) });
    }
}

#[tokio::test]
async fn podman_has_smaller_pieces_and_stamps_in_whole_seconds_and_a_tail_of_whole_lines() {
    let engine = SimulatedEngine::start_with(Options::podman_4_3()).await;
    let web = running(&engine, ContainerOptions::named("web"));
    web.line(Stream::Stdout, "first");
    web.line(Stream::Stderr, "x".repeat(2 * PODMAN_PIECE));
    let records = get_logs(&engine, &web, "").await.records().await;
    assert_eq!(records.len(), 4);
    assert_eq!(records[0], (Stream::Stdout, "2026-11-22T23:44:18+01:00 first\n".into()));
    let tail = get_logs(&engine, &web, "tail=1").await.records().await;
    assert_eq!(tail.len(), 1);
    assert_eq!(tail[0].1.len(), "2026-11-22T23:44:18+01:00 ".len() + 2 * PODMAN_PIECE + 1);
}

#[tokio::test]
async fn written_lines_are_joined_for_each_stream_and_run() {
    let engine = SimulatedEngine::start().await;
    let web = running(&engine, ContainerOptions::named("web"));
    let stamp = web.line(Stream::Stdout, "whole");
    web.piece(Stream::Stdout, stamp + 1, "be");
    web.piece(Stream::Stderr, stamp + 2, "other\n");
    web.piece(Stream::Stdout, stamp + 1, "gun\n");
    web.piece(Stream::Stdout, stamp + 3, "open");
    web.die();
    web.start();
    web.line(Stream::Stdout, "next");
    let written: Vec<_> = web
        .written()
        .into_iter()
        .map(|line| (String::from_utf8(line.bytes).unwrap(), line.stamp - stamp, line.is_ended))
        .collect();
    let text = |(text, after, ended): &(String, i64, bool)| (text.clone(), *after, *ended);
    assert_eq!(
        written[..4].iter().map(text).collect::<Vec<_>>(),
        [
            ("whole".to_owned(), 0, true),
            ("begun".to_owned(), 1, true),
            ("other".to_owned(), 2, true),
            ("open".to_owned(), 3, false),
        ]
    );
    assert_eq!((written[4].0.as_str(), written[4].2), ("next", true));
}
