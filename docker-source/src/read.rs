//! One answer of the log endpoint, decoded into lines as it comes in.

use bytes::BytesMut;
use gelf_core::Timestamp;

use crate::line::{Line, LineJoiner};
use crate::stdcopy::{BadFrame, Framing, LogDecoder};

/// Decodes one answer: finds out how it is framed, cuts it into pieces, joins them to lines.
#[derive(Debug)]
pub(crate) struct LogReader {
    content_type: Option<String>,
    tty: Option<bool>,
    input: BytesMut,
    decoding: Option<(Framing, LogDecoder, LineJoiner)>,
}

/// What a step of decoding came to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// A piece was taken; the lines that it closed are in the list.
    Piece,
    /// All that came in is decoded.
    NeedsMore,
}

impl LogReader {
    /// `content_type` and `tty` say how the answer is framed, where they are known.
    pub(crate) fn new(content_type: Option<String>, tty: Option<bool>) -> Self {
        Self { content_type, tty, input: BytesMut::new(), decoding: None }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Decodes the next piece and adds the lines that it closes, two at most.
    pub(crate) fn step(&mut self, lines: &mut Vec<Line>) -> Result<Step, BadFrame> {
        let (_, decoder, joiner) = match &mut self.decoding {
            Some(decoding) => decoding,
            empty => match Framing::detect(self.content_type.as_deref(), self.tty, &self.input)? {
                Some(framing) => empty.insert((framing, LogDecoder::new(framing), LineJoiner::new(framing))),
                None => return Ok(Step::NeedsMore),
            },
        };
        match decoder.decode(&mut self.input)? {
            Some(piece) => {
                joiner.push(piece, &mut |line| lines.push(line));
                Ok(Step::Piece)
            }
            None => Ok(Step::NeedsMore),
        }
    }

    /// How the answer is framed, as soon as that is known.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.decoding.as_ref().map(|(framing, ..)| *framing)
    }

    /// The stamp of the oldest line whose end did not come.
    pub(crate) fn oldest_open(&self) -> Option<Timestamp> {
        self.decoding.as_ref().and_then(|(.., joiner)| joiner.oldest_open())
    }

    /// Adds what is left: lines whose end will never come, as nothing more will be written or can be read.
    pub(crate) fn finish(self, lines: &mut Vec<Line>) {
        let Self { decoding: Some((_, mut decoder, mut joiner)), mut input, .. } = self else {
            return;
        };
        while let Ok(Some(piece)) = decoder.finish(&mut input) {
            joiner.push(piece, &mut |line| lines.push(line));
        }
        joiner.finish(&mut |line| lines.push(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(reader: &mut LogReader) -> Vec<Line> {
        let mut lines = Vec::new();
        while reader.step(&mut lines).unwrap() == Step::Piece {}
        lines
    }

    fn texts(lines: &[Line]) -> Vec<(&[u8], bool)> {
        lines.iter().map(|line| (&line.bytes[..], line.ended)).collect()
    }

    #[test]
    fn framing_is_found_by_the_first_bytes_where_nothing_else_tells() {
        let mut reader = LogReader::new(None, None);
        assert_eq!(lines(&mut reader), []);
        reader.push(b"2026-11-22T22:44:18.123456789Z hello\r\n");
        assert_eq!(texts(&lines(&mut reader)), [(&b"hello"[..], true)]);

        let mut reader = LogReader::new(None, None);
        for byte in b"\x02\0\0\0\0\0\0\x23" {
            reader.push(&[*byte]);
            assert_eq!(lines(&mut reader), []);
        }
        reader.push(b"2026-11-22T22:44:18.123456789Z abc\n");
        assert_eq!(texts(&lines(&mut reader)), [(&b"abc"[..], true)]);
    }

    #[test]
    fn what_is_left_at_the_end_is_a_line_without_an_end() {
        let mut reader = LogReader::new(None, Some(true));
        reader.push(b"2026-11-22T22:44:18.123456789Z whole\r\n2026-11-22T22:44:19.123456789Z rest");
        assert_eq!(texts(&lines(&mut reader)), [(&b"whole"[..], true)]);
        let mut rest = Vec::new();
        reader.finish(&mut rest);
        assert_eq!(texts(&rest), [(&b"rest"[..], false)]);
    }

    #[test]
    fn a_cut_frame_leaves_nothing() {
        let mut reader = LogReader::new(None, Some(false));
        reader.push(b"\x01\0\0\0\0\0\0\xff2026-11-22T22:44:18.123456789Z cut");
        assert_eq!(lines(&mut reader), []);
        let mut rest = Vec::new();
        reader.finish(&mut rest);
        assert_eq!(rest, []);
    }
}
