mod podman;

use super::*;
use crate::log::{Framing, LineJoiner, LogDecoder, LongLines, PIECE_LENGTH};
use crate::position::{Position, Positions};
use crate::progress::Progress;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use Dialect::{Docker, Podman};
use LogStream::{Stderr, Stdout};
use Novelty::{New, Repeated, TooOld};

const SECOND: i64 = 1_000_000_000;

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_unix_nanos(nanos)
}

fn line(stream: LogStream, nanos: i64, text: &str) -> Line {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Line { stream, time: at(nanos), length: bytes.len(), bytes, ended: true }
}

fn accept(cursor: &mut Cursor, stream: LogStream, nanos: i64, text: &str) -> Novelty {
    cursor.accept(&line(stream, nanos, text), Origin::Unprovable, at(i64::MAX))
}

fn missing_before(cursor: &Cursor, stream: LogStream, nanos: i64) -> Option<Timestamp> {
    cursor.missing_before(&line(stream, nanos, "x"))
}

/// Returns a cursor that has accepted lines of stdout with these stamps in its first request.
fn cursor(nanos: impl IntoIterator<Item = i64>) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.begin_request(Docker, None, None);
    for nanos in nanos {
        assert_eq!(accept(&mut cursor, Stdout, nanos, "x"), New);
    }
    cursor
}

#[test]
fn lines_with_distinct_stamps_or_streams_are_new_in_the_first_request() {
    let mut cursor = cursor([1, 2, 3]);
    assert_eq!(accept(&mut cursor, Stderr, 1, "x"), New);
}

#[test]
fn a_replay_drops_accepted_lines_and_goes_on_behind_them() {
    let mut cursor = cursor([1, 2, 3]);
    cursor.begin_request(Docker, None, None);
    let results = [1, 2, 3, 4, 5].map(|nanos| accept(&mut cursor, Stdout, nanos, "x"));
    assert_eq!(results, [Repeated, Repeated, Repeated, New, New]);
}

#[test]
fn a_request_that_omits_the_last_line_reports_a_gap_before_the_next_line() {
    let mut cursor = cursor([1, 2]);
    cursor.begin_request(Docker, None, None);
    for nanos in [2, 5] {
        assert_eq!(missing_before(&cursor, Stdout, nanos), None);
        accept(&mut cursor, Stdout, nanos, "x");
    }
    // The Engine has rotated away all lines up to and including the last line of stdout.
    cursor.begin_request(Docker, None, None);
    assert_eq!(missing_before(&cursor, Stderr, 3), None, "a line of the other stream");
    assert_eq!(missing_before(&cursor, Stdout, 7), Some(at(5)));
    assert_eq!(accept(&mut cursor, Stdout, 7, "x"), New);
    assert_eq!(missing_before(&cursor, Stdout, 8), None);
    cursor.begin_request(Docker, None, None);
    cursor.expect_any_line();
    assert_eq!(missing_before(&cursor, Stdout, 9), None, "only the end of the log was requested");
}

#[test]
fn lines_up_to_the_settled_line_are_recognized_if_a_later_request_returns_them() {
    let place = |nanos| Some(LinePosition { time: at(nanos), earlier: 0, open_length: None });
    let mut cursor = Cursor::resumed(&LogPosition { stdout: place(2), ..LogPosition::from_time(at(3)) });
    cursor.begin_request(Docker, None, None);
    assert_eq!(accept(&mut cursor, Stdout, 4, "x"), New);
    // A line of stderr was open, so the next request begins before the settled line of stdout.
    cursor.begin_request(Docker, None, Some(at(1)));
    let results = [1, 2, 4, 5].map(|nanos| accept(&mut cursor, Stdout, nanos, "x"));
    assert_eq!(results, [Repeated, Repeated, Repeated, New]);
}

#[test]
fn stdout_and_stderr_are_independent() {
    let mut cursor = cursor([5]);
    assert_eq!(accept(&mut cursor, Stderr, 3, "x"), New);
    cursor.begin_request(Docker, None, None);
    assert_eq!(accept(&mut cursor, Stderr, 3, "x"), Repeated);
    assert_eq!(accept(&mut cursor, Stderr, 4, "x"), New);
    assert_eq!(accept(&mut cursor, Stdout, 5, "x"), Repeated);
    assert_eq!(accept(&mut cursor, Stdout, 6, "x"), New);
}

#[test]
fn lines_that_are_repeated_within_a_request_are_recognized() {
    let mut cursor = cursor(1..=100);
    let results = (90..=101).map(|nanos| accept(&mut cursor, Stdout, nanos, "x"));
    assert_eq!(results.filter(|result| *result == New).count(), 1);
}

#[test]
fn a_clock_that_is_set_back_within_a_request_loses_nothing() {
    let mut cursor = cursor((1..=100).map(|second| second * SECOND));
    let results = (1..=100).map(|second| accept(&mut cursor, Stdout, second * SECOND - 7, "x"));
    assert_eq!(results.filter(|result| *result == New).count(), 100);
}

#[test]
fn a_replay_tells_new_lines_from_lines_that_were_read_after_the_clock_was_set_back() {
    let mut cursor = cursor([100, 200, 300]);
    assert_eq!(accept(&mut cursor, Stdout, 150, "x"), New);
    cursor.begin_request(Docker, None, None);
    let results = [100, 200, 300, 150, 160].map(|nanos| accept(&mut cursor, Stdout, nanos, "x"));
    assert_eq!(results, [Repeated, Repeated, Repeated, Repeated, New]);
}

#[test]
fn lines_that_an_earlier_request_left_out_are_new_in_a_replay() {
    let mut cursor = cursor([1, 2, 5]);
    cursor.begin_request(Docker, None, None);
    let results = [1, 2, 3, 4, 5, 6].map(|nanos| accept(&mut cursor, Stdout, nanos, "x"));
    assert_eq!(results, [Repeated, Repeated, New, New, Repeated, New]);
}

#[test]
fn lines_with_the_same_stamp_and_different_texts_are_different_lines() {
    let mut cursor = cursor([]);
    assert_eq!(accept(&mut cursor, Stdout, 1, "a"), New);
    assert_eq!(accept(&mut cursor, Stdout, 1, "b"), New);
    assert_eq!(accept(&mut cursor, Stdout, 1, "a"), Repeated);
    cursor.begin_request(Docker, None, None);
    let results = ["a", "b", "c"].map(|text| accept(&mut cursor, Stdout, 1, text));
    assert_eq!(results, [Repeated, Repeated, New]);
}

#[test]
fn a_second_line_with_the_same_stamp_is_new_in_a_window_but_not_in_a_response_that_follows_the_log() {
    let mut cursor = cursor([]);
    cursor.begin_window(None);
    let mut accept = |origin, text| cursor.accept(&line(Stdout, 1, text), origin, at(1));
    assert_eq!(accept(Origin::Stream, "start and rest"), New);
    assert_eq!(accept(Origin::Stream, "rest"), Repeated);
    // A response that follows the log can repeat a part of a line. Only a window is sure to have the line as it was
    // written, so a line with another text is new in a window.
    assert_eq!(accept(Origin::Window, "start and start and rest"), New);
    assert_eq!(accept(Origin::Window, "start and rest"), Repeated);
}

#[test]
fn cut_lines_with_different_original_lengths_are_different_lines() {
    let mut cursor = cursor([]);
    let cut = |length| Line { length, ..line(Stdout, 1, "x") };
    assert_eq!(cursor.accept(&cut(7), Origin::Unprovable, at(1)), New);
    assert_eq!(cursor.accept(&cut(7), Origin::Unprovable, at(1)), Repeated);
    assert_eq!(cursor.accept(&cut(8), Origin::Unprovable, at(1)), New);
}

#[test]
fn the_rest_of_a_line_that_began_before_the_request_is_recognized_as_repeated() {
    let mut cursor = cursor([]);
    assert_eq!(accept(&mut cursor, Stdout, SECOND, "start and rest"), New);
    assert_eq!(accept(&mut cursor, Stderr, 9 * SECOND, "x"), New);
    cursor.begin_request(Docker, None, None);
    assert_eq!(accept(&mut cursor, Stdout, SECOND, "rest"), Repeated);
    assert_eq!(accept(&mut cursor, Stdout, 2 * SECOND, "x"), New);
}

#[test]
fn the_cursor_remembers_4096_lines_of_a_slow_stream() {
    let mut cursor = cursor((1..=4_097).map(|second| second * SECOND));
    assert_eq!(cursor.stdout.remembered.len(), 4_096);
    // While a request follows the log, a repeated line that is forgotten looks like a line that was written
    // after the clock was set back.
    assert_eq!(accept(&mut cursor, Stdout, 2 * SECOND, "x"), Repeated);
    assert_eq!(accept(&mut cursor, Stdout, SECOND, "x"), New);
    assert_eq!((cursor.stdout.remembered.len(), cursor.stdout.remembered.capacity()), (4_096, 4_097));
}

#[test]
fn the_cursor_remembers_two_seconds_of_a_fast_stream() {
    let each = SECOND / 10_000;
    let mut cursor = cursor((1..=50_000).map(|line| line * each));
    assert_eq!(cursor.stdout.remembered.len(), 20_001);
    assert!(cursor.stdout.remembered.capacity() <= 26_000, "{}", cursor.stdout.remembered.capacity());
    // Lines that the previous request left out are new in the next request, even a whole second of lines.
    cursor.begin_request(Docker, None, None);
    let left_out = (40_000..50_000).map(|line| accept(&mut cursor, Stdout, line * each + 1, "x"));
    assert_eq!(left_out.filter(|result| *result == New).count(), 10_000);
}

#[test]
fn the_cursor_remembers_65536_lines_of_the_fastest_stream() {
    let mut cursor = cursor(1..=100_000);
    assert_eq!((cursor.stdout.remembered.len(), cursor.stdout.remembered.capacity()), (65_536, 65_536));
    assert_eq!(accept(&mut cursor, Stdout, 10 * SECOND, "later"), New);
    assert_eq!(cursor.stdout.remembered.len(), 4_096);
    assert!(cursor.stdout.remembered.capacity() <= 6_143, "{}", cursor.stdout.remembered.capacity());
}

#[test]
fn a_replayed_line_that_is_not_newer_than_the_forgotten_lines_is_too_old() {
    let mut cursor = cursor((1..=5_000).map(|second| second * SECOND));
    assert_eq!(cursor.stdout.forgotten, Some(at(904 * SECOND)));
    cursor.begin_request(Docker, None, None);
    assert_eq!(accept(&mut cursor, Stdout, 904 * SECOND, "never seen"), TooOld);
    assert_eq!(accept(&mut cursor, Stdout, 904 * SECOND + 1, "never seen"), New);
    let results: Vec<_> =
        (1..=5_001).map(|second| accept(&mut cursor, Stdout, second * SECOND, "x")).collect();
    let count = |wanted| results.iter().filter(|result| **result == wanted).count();
    assert_eq!((count(New), count(TooOld), count(Repeated)), (1, 904, 4_096));
    // The last line is newer than all earlier lines, so it has ended the replay.
    assert_eq!(accept(&mut cursor, Stdout, 904 * SECOND, "never seen"), New);
}

#[test]
fn a_request_starts_a_second_before_the_newest_line_of_either_stream() {
    let mut cursor = cursor([5 * SECOND]);
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(4 * SECOND)));
    assert_eq!(accept(&mut cursor, Stderr, 7 * SECOND + 3, "x"), New);
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(6 * SECOND + 3)));
}

#[test]
fn a_stamp_in_the_future_moves_the_next_request_no_further_than_the_time_of_reading() {
    let mut cursor = cursor([5 * SECOND]);
    assert_eq!(
        cursor.accept(&line(Stdout, 4_000 * SECOND, "forged"), Origin::Unprovable, at(7 * SECOND)),
        New
    );
    assert_eq!(
        cursor.accept(&line(Stdout, 4_001 * SECOND, "forged"), Origin::Unprovable, at(8 * SECOND)),
        New
    );
    // The next request may come much later, and has to return the lines that are written meanwhile.
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(7 * SECOND)));
    let written = (8..5_000).filter(|second| !(4_000..=4_001).contains(second));
    let results = written.map(|second| accept(&mut cursor, Stdout, second * SECOND, "x"));
    assert_eq!(results.filter(|result| *result == New).count(), 4_990);
}

#[test]
fn a_request_starts_no_later_than_the_oldest_open_line() {
    assert_eq!(cursor([5 * SECOND]).begin_request(Docker, None, Some(at(SECOND))), Some(at(SECOND)));
    assert_eq!(cursor([5 * SECOND]).begin_request(Docker, None, Some(at(9 * SECOND))), Some(at(4 * SECOND)));
}

/// A line can be open before any line is accepted: a window that is too short can end within a line, although
/// no earlier line was read.
#[test]
fn before_the_first_line_a_request_begins_at_the_floor_whatever_line_is_open() {
    let (floor, open) = (Some(at(2 * SECOND)), Some(at(5 * SECOND)));
    assert_eq!(Cursor::default().begin_request(Docker, floor, open), floor);
}

#[test]
fn an_open_line_is_kept_until_a_request_reads_beyond_it() {
    let mut cursor = cursor([5 * SECOND]);
    assert_eq!(cursor.begin_request(Docker, None, Some(at(SECOND))), Some(at(SECOND)));
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(SECOND)));
    assert_eq!(cursor.begin_request(Docker, None, Some(at(2 * SECOND))), Some(at(SECOND)));
    assert_eq!(accept(&mut cursor, Stdout, 5 * SECOND, "x"), Repeated);
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(SECOND)));
    assert_eq!(accept(&mut cursor, Stdout, 6 * SECOND, "x"), New);
    assert_eq!(cursor.begin_request(Docker, None, None), Some(at(5 * SECOND)));
}

#[test]
fn a_request_starts_no_earlier_than_the_reading_began() {
    let floor = Some(at(4 * SECOND + 1));
    assert_eq!(cursor([5 * SECOND]).begin_request(Docker, floor, None), floor);
    assert_eq!(cursor([5 * SECOND]).begin_request(Docker, floor, Some(at(SECOND))), floor);
    assert_eq!(cursor([6 * SECOND]).begin_request(Docker, floor, None), Some(at(5 * SECOND)));
}

#[test]
fn a_first_request_starts_at_the_floor_or_the_beginning() {
    assert_eq!(Cursor::default().begin_request(Docker, Some(at(7)), None), Some(at(7)));
    assert_eq!(Cursor::default().begin_request(Docker, None, None), None);
}

/// The meaning of `since` to an Engine.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// Each record with an older stamp is left out (Docker 20.10).
    EachRecord,
    /// All records in front of the first record with the stamp `since` or a later stamp are left out (Docker
    /// 24).
    UpToFirst,
}

#[derive(Clone, Debug)]
struct Record {
    stream: LogStream,
    nanos: i64,
    text: Vec<u8>,
    /// True if this is the only record of its line, and no other line is open. Docker 20.10 may repeat
    /// such a record.
    repeatable: bool,
}

/// An Engine's log of one container.
#[derive(Debug)]
struct Log {
    dialect: Dialect,
    records: Vec<Record>,
    since: Since,
    /// The pair `(every, count)`. After each `every`-th record, the Engine acts as on a rotation, if the
    /// record is repeatable: it repeats the repeatable records among the last `count` + 1 records.
    repeat: Option<(usize, usize)>,
}

impl Log {
    fn response(&self, since: Option<Timestamp>) -> Vec<u8> {
        let is_older = |record: &&Record| Some(at(record.nanos)) < since;
        let selected: Vec<&Record> = match self.since {
            Since::EachRecord => self.records.iter().filter(|record| !is_older(record)).collect(),
            Since::UpToFirst => self.records.iter().skip_while(is_older).collect(),
        };
        let mut body = Vec::new();
        for (index, record) in selected.iter().enumerate() {
            self.encode(record, &mut body);
            match self.repeat {
                Some((every, count)) if index % every == every - 1 && record.repeatable => {
                    let again = &selected[index.saturating_sub(count)..=index];
                    again
                        .iter()
                        .filter(|record| record.repeatable)
                        .for_each(|record| self.encode(record, &mut body));
                }
                _ => {}
            }
        }
        body
    }

    fn encode(&self, record: &Record, body: &mut Vec<u8>) {
        let (second, nano) = (record.nanos / SECOND, record.nanos % SECOND);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let fraction = match self.dialect {
            Docker => format!(".{nano:09}"),
            Podman => String::new(),
        };
        let stamp = format!("1970-01-01T{hour:02}:{minute:02}:{:02}{fraction}Z ", second % 60);
        body.extend([1 + record.stream as u8, 0, 0, 0]);
        body.extend((record.text.len() as u32 + stamp.len() as u32).to_be_bytes());
        body.extend(stamp.as_bytes());
        body.extend(&record.text);
    }
}

/// A line to be written, with times in nanoseconds. The members are:
///
/// * whether the line belongs to stdout,
/// * the time since the previous line,
/// * the time by which the stamp of the line is too early,
/// * the length of the line,
/// * the number of lines of the other stream between the first piece of the line and its other pieces.
type Written = (bool, i64, i64, usize, usize);

fn lines() -> impl Strategy<Value = Vec<Written>> {
    let pause = prop_oneof![8 => 1i64..1_000, 4 => 1i64..SECOND / 10, 2 => 0..3 * SECOND];
    let early = prop_oneof![Just(0), 0i64..29_000_000];
    let length = prop_oneof![10 => 0usize..30, 1 => Just(PIECE_LENGTH), 2 => 16_000usize..40_000];
    prop::collection::vec((any::<bool>(), pause, early, length, 0usize..5), 1..40)
}

/// Replaces Docker's stamps with stamps like Podman's. Podman stamps each record when it is written. Here,
/// the stamps are up to 29 ms too early, but never earlier than the stamps of previous records of the stream.
/// Returns the lines of each stream. Each line is a pair: the stamp of its last record in whole seconds, and
/// the length of the line.
fn stamp_as_podman(records: &mut [Record]) -> [Vec<(i64, usize)>; 2] {
    let (mut now, mut last, mut lengths) = (0, [0; 2], [0; 2]);
    let mut written: [Vec<(i64, usize)>; 2] = Default::default();
    for (index, record) in records.iter_mut().enumerate() {
        let own = record.stream as usize;
        now = now.max(record.nanos);
        record.nanos = (now - index as i64 * 7_919_000 % 29_000_000).max(last[own]);
        last[own] = record.nanos;
        lengths[own] += record.text.len();
        if record.text.ends_with(b"\n") {
            let length = std::mem::take(&mut lengths[own]) - 1;
            written[own].push((record.nanos / SECOND * SECOND, length));
        }
    }
    written
}

/// Returns the records in the order of the log, and each stream's lines in the order of writing.
fn write(lines: &[Written]) -> (Vec<Record>, [Vec<(i64, usize)>; 2]) {
    let mut records: Vec<Record> = Vec::new();
    let mut texts: [Vec<(i64, usize)>; 2] = Default::default();
    let mut last = [0; 2];
    // For each stream: the remaining pieces of its open line, and the number of lines of the other
    // stream that precede them.
    let mut open: [(Vec<Record>, usize); 2] = Default::default();
    let mut now = SECOND;
    for (is_stdout, pause, early, length, wait) in lines {
        let stream = if *is_stdout { Stdout } else { Stderr };
        let (own, other) = (stream as usize, 1 - stream as usize);
        now += pause;
        let nanos = (now - early).max(last[own] + 1);
        last[own] = nanos;
        records.append(&mut open[own].0);
        texts[own].push((nanos, *length));
        let mut text = vec![b'a' + (texts[own].len() % 26) as u8; *length];
        text.push(b'\n');
        let mut pieces: Vec<Record> = text
            .chunks(PIECE_LENGTH)
            .map(|text| Record { stream, nanos, text: text.to_vec(), repeatable: false })
            .collect();
        if pieces.len() > 1 {
            records.push(pieces.remove(0));
            open[own] = (pieces, *wait);
        } else {
            pieces[0].repeatable = open[other].0.is_empty();
            records.append(&mut pieces);
        }
        open[other].1 = open[other].1.saturating_sub(1);
        if open[other].1 == 0 {
            records.append(&mut open[other].0);
        }
    }
    open.iter_mut().for_each(|(pieces, _)| records.append(pieces));
    (records, texts)
}

proptest! {
    #[test]
    fn each_line_is_read_once_and_in_order_wherever_requests_break_and_sources_restart(
        lines in lines(),
        dialect in prop_oneof![Just(Docker), Just(Podman)],
        since in prop_oneof![Just(Since::EachRecord), Just(Since::UpToFirst)],
        repeat in prop::option::of((2usize..8, 1usize..6)),
        breaks in prop::collection::vec(
            (0.0f64..1.0, 1usize..20_000, prop::option::of(0.0f64..1.0)), 0..8),
    ) {
        let (mut records, mut written) = write(&lines);
        if dialect == Podman {
            written = stamp_as_podman(&mut records);
        }
        let repeat = repeat.filter(|_| dialect == Docker);
        let log = Log { dialect, records, since, repeat };
        let mut cursor = Cursor::default();
        let mut oldest_open = None;
        let mut read: Vec<(LogStream, (i64, usize), Position)> = Vec::new();
        for (share, step, settled) in breaks.into_iter().chain([(1.0, 777, None)]) {
            let body = log.response(cursor.begin_request(dialect, None, oldest_open));
            let mut decoder = LogDecoder::new(Framing::Frames, dialect);
            let mut joiner = LineJoiner::new(Framing::Frames, dialect, LongLines::unlimited());
            let mut input = BytesMut::new();
            for part in body[..(body.len() as f64 * share) as usize].chunks(step) {
                input.extend_from_slice(part);
                while let Some(piece) = decoder.decode(&mut input).unwrap() {
                    let mut completed = Vec::new();
                    joiner.push(piece, &mut |line| completed.push(line));
                    for line in completed {
                        prop_assert_eq!(cursor.missing_before(&line), None);
                        let novelty = cursor.accept(&line, Origin::Unprovable, at(i64::MAX));
                        if novelty == New {
                            let place = cursor.place(&line, joiner.oldest_open(), at(0), Origin::Unprovable);
                            let position =
                                Position { container: "a".into(), stream: line.stream, place, is_gap: false };
                            let (seconds, nanos) = line.time.as_unix();
                            let stamped = (seconds * SECOND + i64::from(nanos), line.length);
                            read.push((line.stream, stamped, position));
                        }
                    }
                }
            }
            oldest_open = joiner.oldest_open();
            // If `settled` is set, another source replaces this source, and goes on behind the settled lines.
            // Lines are settled in the order of reading.
            if let Some(settled) = settled {
                read.truncate((read.len() as f64 * settled) as usize);
                let mut progress = Progress::new(Positions::from_time(at(0)));
                for (_, _, position) in &read {
                    let ticket = progress.read(position.clone());
                    progress.settle(ticket);
                }
                let positions = progress.positions();
                cursor = positions.containers.get("a").map(Cursor::resumed).unwrap_or_default();
                oldest_open = None;
            }
        }
        for stream in [Stdout, Stderr] {
            let lines: Vec<_> = read.iter().filter(|line| line.0 == stream).map(|line| line.1).collect();
            prop_assert_eq!(&lines, &written[stream as usize]);
        }
    }
}
