//! Checks the decoding of container logs, from bytes to lines.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use docker_source::LogStream;
use docker_source::fuzzing::{Framing, LOG_BUFFER_MAX, Line, Piece, decode_log, join_lines};
use docker_source::gelf_core::Timestamp;

use crate::parts::parts;

/// The maximum length, in bytes, of the log that [`log_terminal`] creates from its input. It is more than the
/// 64 KiB within which the decoder searches for the end of a record.
const TERMINAL_LOG_MAX: usize = 100 * 1024;

/// Checks that a log in frames is decoded to the same pieces however the log is split into reads. A piece is
/// a part of a line. Also encodes the pieces as frames again, and checks that these frames are decoded to the
/// same pieces.
///
/// The first four bytes determine the lengths of the reads, in rotation.
pub fn log_frames(data: &[u8]) {
    let Some((lengths, log)) = data.split_first_chunk::<4>() else { return };
    let pieces = decode(Framing::Frames, *lengths, log);
    let mut again = Vec::new();
    for piece in &pieces {
        let stamp = piece.time.to_rfc3339().expect("a stamp that was parsed");
        let text = [stamp.as_bytes(), b" ", &piece.bytes].concat();
        let kind = if piece.stream == LogStream::Stdout { 1 } else { 2 };
        again.extend([kind, 0, 0, 0]);
        again.extend(u32::try_from(text.len()).expect("less than 1 MiB").to_be_bytes());
        again.extend(text);
    }
    let decoded = decode_log(Framing::Frames, [&again[..]]).items;
    assert_eq!(decoded, pieces.into_iter().map(Ok).collect::<Vec<_>>());
}

/// Checks that the log of a terminal is decoded to the same pieces however the log is split into reads.
///
/// The first four bytes determine the lengths of the reads, in rotation. In the rest of the input, the byte
/// 0xff stands for 5,000 letters, and the bytes 0xfc to 0xfe stand for stamps. Thus a few bytes of input
/// yield lines that are longer than one record of the Engine (16 KiB).
pub fn log_terminal(data: &[u8]) {
    let Some((lengths, script)) = data.split_first_chunk::<4>() else { return };
    let mut log = Vec::new();
    for byte in script {
        match byte {
            0xff => log.extend([b'x'; 5000]),
            0xfc..=0xfe => {
                log.extend(format!("2026-11-22T22:44:18.12345678{}Z ", byte - 0xfc).as_bytes());
            }
            _ => log.push(*byte),
        }
    }
    log.truncate(TERMINAL_LOG_MAX);
    decode(Framing::Terminal, *lengths, &log);
}

/// Checks that the split log and the whole log are decoded to the same pieces, and that the decoder buffers
/// at most `LOG_BUFFER_MAX` bytes. Returns the pieces.
fn decode(framing: Framing, lengths: [u8; 4], log: &[u8]) -> Vec<Piece> {
    // `log_terminal` can create a log that is much longer than its input, so its reads are longer, too.
    let scale = if framing == Framing::Frames { 1 } else { 16 };
    let whole = decode_log(framing, [log]);
    let split = decode_log(framing, parts(lengths, scale, log));
    assert_eq!(split.items, whole.items);
    for decoded in [&whole, &split] {
        assert!(decoded.buffered <= LOG_BUFFER_MAX.min(log.len()));
    }
    let pieces: Vec<Piece> = whole.items.into_iter().flatten().collect();
    assert!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>() <= log.len());
    pieces
}

/// Checks that the joined lines have all letters of the pieces. Also checks that a maximum line length cuts
/// lines and has no other effect.
pub fn line_joiner(data: &[u8]) {
    // An error only means that the input has ended.
    let _ = join(&mut Unstructured::new(data));
}

fn join(input: &mut Unstructured<'_>) -> Result<()> {
    let framing = *input.choose(&[Framing::Frames, Framing::Terminal])?;
    let max_line = input.int_in_range(0..=20_000)?;
    let mut pieces = Vec::new();
    while !input.is_empty() && pieces.len() < 32 {
        let stream = *input.choose(&[LogStream::Stdout, LogStream::Stderr])?;
        let time = Timestamp::from_unix_nanos(input.int_in_range(0..=3)?);
        let length = match input.int_in_range(0..=3)? {
            0 => input.int_in_range(16_380..=16_390)?,
            1 => input.int_in_range(0..=20_000)?,
            _ => input.int_in_range(0..=100)?,
        };
        let letter = input.int_in_range(b'a'..=b'z')?;
        let ending: &[u8] = input.choose(&[&b""[..], b"\n", b"\r\n", b"\r"])?;
        let bytes = Bytes::from([&vec![letter; length], ending].concat());
        pieces.push(Piece { stream, time, bytes });
    }

    let lines = join_lines(framing, usize::MAX, pieces.clone());
    for stream in [LogStream::Stdout, LogStream::Stderr] {
        let written = pieces.iter().filter(|piece| piece.stream == stream).map(|piece| &piece.bytes);
        let joined = lines.iter().filter(|line| line.stream == stream).map(|line| &line.bytes);
        assert_eq!(letters(joined), letters(written), "{stream}");
        let open = lines.iter().filter(|line| line.stream == stream && !line.ended).count();
        // A log in frames can have several incomplete lines, because each run of the container can end within
        // a line.
        assert!(open <= 1 || framing == Framing::Frames, "{open} incomplete lines of {stream}");
    }

    let cut = join_lines(framing, max_line, pieces);
    let expected: Vec<Line> = lines
        .into_iter()
        .map(|line| {
            assert_eq!(line.bytes.len(), line.length);
            Line { bytes: line.bytes.slice(..line.length.min(max_line)), ..line }
        })
        .collect();
    assert_eq!(cut, expected);
    Ok(())
}

/// Returns all characters of the texts except carriage returns and line feeds.
fn letters<'a>(texts: impl Iterator<Item = &'a Bytes>) -> String {
    let mut letters = String::new();
    for text in texts {
        let text = std::str::from_utf8(text).expect("ASCII");
        letters.push_str(&text.replace('\r', ""));
    }
    letters.replace('\n', "")
}
