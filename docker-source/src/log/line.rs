//! Joins the pieces of a log into the lines that the container wrote.
//!
//! A piece is a record of the Engine. Docker stores a line over 16 KiB as several records, and a line of the
//! other stream can stand between two of them. The records of each stream are joined by these rules:
//!
//! * A newline at the end of a record closes the line.
//! * In the log of a container without a terminal, a record of fewer than 16,384 bytes closes the line, too,
//!   even without a newline. There are two kinds of such records without a newline. One is the last record of
//!   a long line, whose newline the `local` driver omits. The other is the last record that the container
//!   wrote. If the record is the only record of its line, the container ended within the line, since the driver
//!   omits the newline only of lines with several records.
//! * A record with another stamp starts the next line, since all records of a line have the same stamp.
//!
//! Podman stores each read of the container's output as a record with a stamp of its own, and a line can take
//! several reads. Therefore only a newline closes a line of Podman.
//!
//! Bytes are joined before they are checked for UTF-8, since a character can be cut in two at 16 KiB.

use bytes::Bytes;
use gelf_core::Timestamp;

use super::framing::Framing;
use super::long_lines::{ALWAYS_KEPT, GrowingLine, LongLines};
use super::piece::{PIECE_LENGTH, Piece};
use super::stream::LogStream;
use crate::dialect::Dialect;

/// The maximum length of a line that is kept whole: 1 MiB. Without a maximum, a container that never ends its
/// line would fill the memory.
const LINE_MAX: usize = 1024 * 1024;

/// A line, as the container wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) stream: LogStream,
    /// The Engine's stamp. In Docker's logs, this is the time at which Docker received the whole line, or its
    /// first 16 KiB if the line is longer. In Podman's logs, this is the time at which Podman received the
    /// end of the line.
    pub(crate) time: Timestamp,
    /// The start of the line, without its ending (`\n`, or `\r\n` of a terminal): the first 1 MiB, or fewer
    /// bytes if the [budget](LongLines) is exhausted. The bytes need not be UTF-8.
    pub(crate) bytes: Bytes,
    /// The length, in bytes, of the whole line without its ending. It is greater than the length of `bytes`
    /// if the line was cut.
    pub(crate) length: usize,
    /// True if the end of the line was seen. Otherwise the log ended within the line. The rest may be written
    /// later.
    pub(crate) ended: bool,
}

impl Line {
    /// Returns whether the end of the line was cut off: the line was too long, or the budget was exhausted.
    pub(crate) fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }
}

/// Joins the pieces of one response, or of the files of a log, into lines.
///
/// The joiner holds at most one open line per stream. The first 64 KiB of each line need no budget. Further
/// bytes, up to a total of 1 MiB per line, are taken from the budget.
#[derive(Debug)]
pub(crate) struct LineJoiner {
    framing: Framing,
    dialect: Dialect,
    max_line: usize,
    budget: LongLines,
    stdout: Option<OpenLine>,
    stderr: Option<OpenLine>,
}

impl LineJoiner {
    /// Creates a joiner for the pieces of a log with this framing.
    pub(crate) const fn new(framing: Framing, dialect: Dialect, budget: LongLines) -> Self {
        Self { framing, dialect, max_line: LINE_MAX, budget, stdout: None, stderr: None }
    }

    /// Creates a joiner that keeps the first `max_line` bytes of a line instead of 1 MiB.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn with_max_line(framing: Framing, max_line: usize) -> Self {
        Self { max_line, ..Self::new(framing, Dialect::Docker, LongLines::unlimited()) }
    }

    /// Takes a piece, and passes each line that the piece closes to `out`. A piece can close the previous
    /// line, its own line, both lines, or no line.
    pub(crate) fn push(&mut self, piece: Piece, out: &mut impl FnMut(Line)) {
        let Self { framing, dialect, max_line, .. } = *self;
        let (budget, slot) = match piece.stream {
            LogStream::Stdout => (&self.budget, &mut self.stdout),
            LogStream::Stderr => (&self.budget, &mut self.stderr),
        };
        if let Some(other) = slot.take_if(|open| dialect == Dialect::Docker && open.time != piece.time) {
            out(other.close(framing, true));
        }
        // The pieces of a terminal and of Podman can end anywhere, so a short piece does not end its line.
        let may_be_short = framing == Framing::Terminal || dialect == Dialect::Podman;
        let is_last = piece.has_newline || (!may_be_short && piece.length() < PIECE_LENGTH);
        match slot.take() {
            Some(mut open) => {
                open.append(&piece, budget);
                match is_last {
                    true => out(open.close(framing, true)),
                    false => *slot = Some(open),
                }
            }
            None if is_last && piece.bytes.len() <= ALWAYS_KEPT => out(whole_line(piece, framing, max_line)),
            None => {
                let mut open = OpenLine::new(&piece, max_line);
                open.append(&piece, budget);
                match is_last {
                    true => out(open.close(framing, true)),
                    false => *slot = Some(open),
                }
            }
        }
    }

    /// Returns the earliest stamp of an open line; `None` if no line is open.
    ///
    /// A request that resumes the log must start at this stamp or earlier. Otherwise, the Engine omits the
    /// start of the open line, or the whole line.
    /// [`Cursor::begin_request`](crate::cursor::Cursor::begin_request) chooses the start accordingly.
    pub(crate) fn oldest_open(&self) -> Option<Timestamp> {
        self.stdout.iter().chain(&self.stderr).map(|open| open.begun).min()
    }

    /// Passes the open lines to `out`, in the order of their stamps. These lines are not
    /// [ended](Line::ended).
    pub(crate) fn finish(&mut self, out: &mut impl FnMut(Line)) {
        let mut open = [self.stdout.take(), self.stderr.take()];
        open.sort_by_key(|open| open.as_ref().map(|open| open.time));
        open.into_iter().flatten().for_each(|open| out(open.close(self.framing, false)));
    }
}

/// Converts a piece that is a whole line. The line shares the piece's bytes, unless the line is cut.
fn whole_line(piece: Piece, framing: Framing, max_line: usize) -> Line {
    let Piece { stream, time, bytes, has_newline } = piece;
    let length = bytes.len() - usize::from(has_carriage_return(bytes.last(), framing));
    let bytes = match length {
        _ if length == bytes.len() && length <= max_line => bytes,
        _ if length <= max_line => bytes.slice(..length),
        // Copy a line that is cut: a slice would keep the whole piece in memory.
        _ => Bytes::copy_from_slice(&bytes.slice(..max_line)),
    };
    // A line in a single piece without a newline is unfinished: the drivers omit the newline only of lines
    // that they store in several pieces.
    Line { stream, time, bytes, length, ended: has_newline }
}

/// Returns whether the last byte of a line, without the newline, is a part of the line's ending: a terminal
/// writes `\r\n`.
fn has_carriage_return(last: Option<&u8>, framing: Framing) -> bool {
    framing == Framing::Terminal && last == Some(&b'\r')
}

/// A line whose end has not been seen.
#[derive(Debug)]
struct OpenLine {
    stream: LogStream,
    /// The stamp of the first piece.
    begun: Timestamp,
    /// The stamp of the last piece.
    time: Timestamp,
    /// The start of the line.
    kept: GrowingLine,
    /// The number of bytes of the line that have been seen, kept or not.
    length: usize,
    /// The last byte of the line without its newline. It shows whether the line ends with `\r`, even if the
    /// ending is split between two pieces or lies behind the kept bytes.
    last: Option<u8>,
}

impl OpenLine {
    const fn new(piece: &Piece, max_line: usize) -> Self {
        let kept = GrowingLine::new(max_line);
        let (stream, begun, time) = (piece.stream, piece.time, piece.time);
        Self { stream, begun, time, kept, length: 0, last: None }
    }

    fn append(&mut self, piece: &Piece, budget: &LongLines) {
        self.time = piece.time;
        self.kept.append(&piece.bytes, budget);
        self.length = self.length.saturating_add(piece.bytes.len());
        self.last = piece.bytes.last().copied().or(self.last);
    }

    fn close(self, framing: Framing, ended: bool) -> Line {
        let ending = usize::from(has_carriage_return(self.last.as_ref(), framing));
        let length = self.length.saturating_sub(ending);
        let bytes = self.kept.into_bytes(length);
        Line { stream: self.stream, time: self.time, bytes, length, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogDecoder;
    use bytes::BytesMut;
    use proptest::prelude::*;

    use LogStream::{Stderr, Stdout};

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }

    fn piece(stream: LogStream, nanos: i64, bytes: impl AsRef<[u8]>) -> Piece {
        Piece::copy(stream, at(nanos), bytes.as_ref())
    }

    fn line(stream: LogStream, nanos: i64, bytes: impl AsRef<[u8]>) -> Line {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        Line { stream, time: at(nanos), length: bytes.len(), bytes, ended: true }
    }

    fn join(joiner: &mut LineJoiner, pieces: impl IntoIterator<Item = Piece>) -> Vec<Line> {
        let mut lines = Vec::new();
        for piece in pieces {
            joiner.push(piece, &mut |line| lines.push(line));
        }
        lines
    }

    fn framed(pieces: impl IntoIterator<Item = Piece>) -> (Vec<Line>, LineJoiner) {
        let mut joiner = LineJoiner::new(Framing::Frames, Dialect::Docker, LongLines::unlimited());
        (join(&mut joiner, pieces), joiner)
    }

    fn finish(mut joiner: LineJoiner) -> Vec<Line> {
        let mut lines = Vec::new();
        joiner.finish(&mut |line| lines.push(line));
        lines
    }

    #[test]
    fn a_piece_that_ends_with_a_newline_is_a_line_without_the_newline() {
        let (lines, joiner) =
            framed([piece(Stdout, 1, "one\n"), piece(Stderr, 2, "\n"), piece(Stdout, 3, "a\r\n")]);
        assert_eq!(lines, [line(Stdout, 1, "one"), line(Stderr, 2, ""), line(Stdout, 3, "a\r")]);
        assert_eq!(joiner.oldest_open(), None);
    }

    #[test]
    fn podmans_pieces_of_any_length_and_stamp_are_joined_up_to_the_newline() {
        for framing in [Framing::Frames, Framing::Terminal] {
            let mut joiner = LineJoiner::new(framing, Dialect::Podman, LongLines::unlimited());
            let x = "x".repeat(8192);
            let pieces = [piece(Stdout, 1, &x), piece(Stdout, 2, "y"), piece(Stderr, 2, "err\n")];
            assert_eq!(join(&mut joiner, pieces), [line(Stderr, 2, "err")]);
            assert_eq!(joiner.oldest_open(), Some(at(1)));
            let lines =
                join(&mut joiner, [piece(Stdout, 3, &x), piece(Stdout, 4, "\n"), piece(Stdout, 4, "z")]);
            assert_eq!(lines, [line(Stdout, 4, format!("{x}y{x}"))]);
            assert_eq!(finish(joiner), [Line { ended: false, ..line(Stdout, 4, "z") }]);
        }
    }

    #[test]
    fn a_piece_that_grew_because_bytes_were_replaced_is_continued_too() {
        let grown = "\u{fffd}".repeat(16_384);
        let (lines, _) = framed([piece(Stdout, 1, &grown), piece(Stdout, 1, "end\n")]);
        assert_eq!(lines, [line(Stdout, 1, format!("{grown}end"))]);
    }

    #[test]
    fn a_line_of_one_short_piece_without_a_newline_is_unfinished() {
        let x = "x".repeat(16_383);
        for text in ["no newline", &x] {
            let unfinished = Line { ended: false, ..line(Stderr, 1, text) };
            assert_eq!(framed([piece(Stderr, 1, text)]).0, [unfinished]);
        }
    }

    #[test]
    fn another_stamp_on_the_same_stream_ends_the_open_line() {
        let x = "x".repeat(16_384);
        let (lines, _) = framed([piece(Stdout, 1, &x), piece(Stdout, 2, "next\n")]);
        assert_eq!(lines, [line(Stdout, 1, &x), line(Stdout, 2, "next")]);
        let (lines, joiner) = framed([piece(Stdout, 2, &x), piece(Stdout, 1, &x)]);
        assert_eq!(lines, [line(Stdout, 2, &x)]);
        assert_eq!(joiner.oldest_open(), Some(at(1)));
    }

    #[test]
    fn a_terminals_lines_end_in_carriage_return_and_newline() {
        let mut joiner = LineJoiner::new(Framing::Terminal, Dialect::Docker, LongLines::unlimited());
        let x = "x".repeat(16_383);
        let lines = join(
            &mut joiner,
            [
                piece(Stdout, 1, "one\r\n"),
                piece(Stdout, 2, "two\n"),
                piece(Stdout, 3, "a\rb\r\r\n"),
                piece(Stdout, 4, format!("{x}\r")),
                piece(Stdout, 4, "\n"),
                piece(Stdout, 5, "part"),
                piece(Stdout, 5, "s\r\n"),
            ],
        );
        let texts = ["one", "two", "a\rb\r", &x, "parts"];
        let expected: Vec<Line> = (1..).zip(texts).map(|(nanos, text)| line(Stdout, nanos, text)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_terminals_line_without_newline_ends_at_the_next_stamp() {
        let mut joiner = LineJoiner::new(Framing::Terminal, Dialect::Docker, LongLines::unlimited());
        assert_eq!(join(&mut joiner, [piece(Stdout, 1, "rest\r")]), []);
        assert_eq!(joiner.oldest_open(), Some(at(1)));
        assert_eq!(
            join(&mut joiner, [piece(Stdout, 2, "next\r\n")]),
            [line(Stdout, 1, "rest"), line(Stdout, 2, "next")]
        );
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_has_its_original_length() {
        let mut joiner = LineJoiner::with_max_line(Framing::Frames, 5);
        let cut = |nanos, length| Line { length, ..line(Stdout, nanos, "xxxxx") };
        let x = "x".repeat(16_384);
        let lines = join(
            &mut joiner,
            [
                piece(Stdout, 1, "xxxxx\n"),
                piece(Stdout, 2, "xxxxxx\n"),
                piece(Stdout, 3, &x),
                piece(Stdout, 3, &x),
                piece(Stdout, 3, "\n"),
            ],
        );
        assert_eq!(lines, [line(Stdout, 1, "xxxxx"), cut(2, 6), cut(3, 32_768)]);
        assert_eq!(lines.iter().map(Line::is_cut).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn the_length_of_a_terminals_line_excludes_an_ending_that_exceeds_the_limit() {
        let mut joiner = LineJoiner::with_max_line(Framing::Terminal, 4);
        let lines =
            join(&mut joiner, [piece(Stdout, 1, "abc"), piece(Stdout, 1, "\r"), piece(Stdout, 1, "\n")]);
        assert_eq!(lines, [line(Stdout, 1, "abc")]);
    }

    #[test]
    fn by_default_a_line_is_kept_up_to_1_mib() {
        let x = "x".repeat(16_384);
        let pieces = std::iter::repeat_n(piece(Stdout, 1, &x), 65).chain([piece(Stdout, 1, "\n")]);
        let (lines, _) = framed(pieces);
        assert_eq!((lines[0].bytes.len(), lines[0].length), (1_048_576, 65 * 16_384));
    }

    #[test]
    fn a_joined_line_keeps_only_its_own_bytes_in_memory() {
        let x = "x".repeat(16_384);
        let (mut lines, _) = framed([piece(Stdout, 1, &x), piece(Stdout, 1, &x), piece(Stdout, 1, "\n")]);
        let bytes = lines.pop().unwrap().bytes;
        assert_eq!(BytesMut::from(bytes).capacity(), 32_768);
    }

    #[test]
    fn the_oldest_open_line_may_be_on_either_stream() {
        let x = "x".repeat(16_384);
        let (_, mut joiner) = framed([piece(Stdout, 7, &x), piece(Stderr, 5, &x)]);
        assert_eq!(joiner.oldest_open(), Some(at(5)));
        join(&mut joiner, [piece(Stderr, 5, "\n")]);
        assert_eq!(joiner.oldest_open(), Some(at(7)));
        join(&mut joiner, [piece(Stdout, 7, "\n")]);
        assert_eq!(joiner.oldest_open(), None);
        assert_eq!(finish(joiner), []);
    }

    #[test]
    fn finish_emits_open_lines_as_unfinished_in_the_order_of_their_stamps() {
        let x = "x".repeat(16_384);
        let (_, joiner) = framed([piece(Stdout, 7, &x), piece(Stderr, 5, &x)]);
        let open = |stream, nanos| Line { ended: false, ..line(stream, nanos, &x) };
        assert_eq!(finish(joiner), [open(Stderr, 5), open(Stdout, 7)]);
    }

    /// Generates the lines of a container: the stream and the length of each line, and whether the driver is
    /// `local`, which omits the newline of a long line.
    fn lines() -> impl Strategy<Value = Vec<(LogStream, usize, bool)>> {
        let stream = prop_oneof![Just(Stdout), Just(Stderr)];
        let length = prop_oneof![4 => 0usize..200, 1 => 16_380usize..16_390, 1 => 0usize..50_000];
        prop::collection::vec((stream, length, any::<bool>()), 0..12)
    }

    /// Returns the Engine's frames and the expected lines. The pieces of the two streams are interleaved.
    fn encode(lines: &[(LogStream, usize, bool)]) -> (Vec<Vec<u8>>, Vec<Line>) {
        let mut queues: [std::collections::VecDeque<Vec<u8>>; 2] = Default::default();
        let mut expected = Vec::new();
        for (number, (stream, length, local)) in lines.iter().enumerate() {
            let text = vec![b'a' + number as u8; *length];
            let mut written = [&text[..], b"\n"].concat();
            if *local && written.len() > PIECE_LENGTH {
                written.pop();
            }
            for record in written.chunks(PIECE_LENGTH) {
                let mut frame = vec![1 + *stream as u8, 0, 0, 0];
                frame.extend((record.len() as u32 + 31).to_be_bytes());
                frame.extend(format!("1970-01-01T00:00:00.{number:09}Z ").as_bytes());
                frame.extend(record);
                queues[*stream as usize].push_back(frame);
            }
            expected.push(line(*stream, number as i64, text));
        }
        let mut frames = Vec::new();
        while queues.iter().any(|queue| !queue.is_empty()) {
            for queue in &mut queues {
                frames.extend(queue.pop_front());
            }
        }
        (frames, expected)
    }

    fn read(bytes: &[u8], steps: &[usize]) -> Vec<Line> {
        let mut decoder = LogDecoder::new(Framing::Frames, Dialect::Docker);
        let mut joiner = LineJoiner::new(Framing::Frames, Dialect::Docker, LongLines::unlimited());
        let mut input = BytesMut::new();
        let (mut rest, mut read) = (bytes, Vec::new());
        for step in steps.iter().cycle() {
            let (part, behind) = rest.split_at((*step).min(rest.len()));
            rest = behind;
            input.extend_from_slice(part);
            while let Some(piece) = decoder.decode(&mut input).unwrap() {
                joiner.push(piece, &mut |line| read.push(line));
            }
            if rest.is_empty() {
                break;
            }
        }
        assert_eq!(decoder.finish(&mut input), Ok(None));
        // With the `local` driver, only the next line ends a line whose pieces all have the full length.
        joiner.finish(&mut |line| read.push(Line { ended: true, ..line }));
        read
    }

    #[test]
    fn a_long_line_holds_its_share_of_the_budget_until_it_is_dropped() {
        let budget = LongLines::new(LINE_MAX);
        let mut joiner = LineJoiner::new(Framing::Frames, Dialect::Docker, budget.clone());
        let long = "x".repeat(3 * ALWAYS_KEPT);
        let whole = join(&mut joiner, [piece(Stdout, 1, format!("{long}\n"))]);
        assert_eq!(whole, [line(Stdout, 1, &long)]);
        assert_eq!(budget.free(), LINE_MAX - 2 * ALWAYS_KEPT);
        drop(whole);
        assert_eq!(budget.free(), LINE_MAX);
        let short = join(&mut joiner, [piece(Stdout, 1, "x".repeat(ALWAYS_KEPT - 1) + "\n")]);
        assert_eq!((short.len(), budget.free()), (1, LINE_MAX));
    }

    proptest! {
        #[test]
        fn interleaved_frames_that_arrive_in_parts_are_read_as_the_lines_that_were_written(
            lines in lines(),
            steps in prop::collection::vec(prop_oneof![1usize..40, 1usize..40_000], 1..5),
        ) {
            let (frames, expected) = encode(&lines);
            let read = read(&frames.concat(), &steps);
            for stream in [Stdout, Stderr] {
                let of_stream = |lines: &[Line]| -> Vec<Line> {
                    lines.iter().filter(|line| line.stream == stream).cloned().collect()
                };
                prop_assert_eq!(of_stream(&read), of_stream(&expected));
            }
        }
    }
}
