//! Reads bodies by the framing that the headers declare.

use bytes::{Buf, BytesMut};

use super::{Fault, MAX_HEAD_BYTES};

/// Maximum length of a chunk-size line with its extensions, or of a trailer: 4 KiB.
const MAX_LINE_BYTES: usize = 4096;

/// Framing of a body, with the position of the reader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// Remaining bytes of a body with `Content-Length`.
    Length(usize),
    /// A body with `Transfer-Encoding: chunked`.
    Chunked(Chunked),
    /// A body that ends with the connection.
    UntilClose,
}

/// Position in a chunked body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Chunked {
    /// Before a chunk-size line.
    Size,
    /// In a chunk, with this many bytes to come.
    Data(usize),
    /// Before the line end that follows the data of a chunk.
    End,
    /// In the trailers, of which this many bytes have been read, without line ends.
    Trailers(usize),
}

/// A body that is being read.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    pub(super) framing: Framing,
    pub(super) body: Vec<u8>,
    /// Number of chunks, without the empty chunk that ends the body.
    pub(super) chunks: usize,
    max_bytes: usize,
}

impl BodyReader {
    pub(super) fn new(framing: Framing, max_bytes: usize) -> Result<Self, Fault> {
        match framing {
            Framing::Length(len) if len > max_bytes => Err(too_long(max_bytes, &[])),
            framing => Ok(Self { framing, body: Vec::new(), chunks: 0, max_bytes }),
        }
    }

    /// Moves the bytes of the body out of the buffer. Returns whether the body is complete.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<bool, Fault> {
        loop {
            match &mut self.framing {
                Framing::Length(left) => {
                    move_front(buffer, left, &mut self.body);
                    return Ok(*left == 0);
                }
                Framing::UntilClose => {
                    if self.body.len() + buffer.len() > self.max_bytes {
                        return Err(too_long(self.max_bytes, &self.body));
                    }
                    self.body.extend_from_slice(&buffer.split());
                    return Ok(false);
                }
                Framing::Chunked(Chunked::Size) => {
                    let Some(line) = take_line(buffer)? else { return Ok(false) };
                    let size = chunk_size(&line)?;
                    self.chunks += usize::from(size > 0);
                    if self.body.len().saturating_add(size) > self.max_bytes {
                        return Err(too_long(self.max_bytes, &self.body));
                    }
                    self.framing =
                        Framing::Chunked(if size == 0 { Chunked::Trailers(0) } else { Chunked::Data(size) });
                }
                Framing::Chunked(Chunked::Data(left)) => {
                    move_front(buffer, left, &mut self.body);
                    if *left > 0 {
                        return Ok(false);
                    }
                    self.framing = Framing::Chunked(Chunked::End);
                }
                Framing::Chunked(Chunked::End) => {
                    let Some(line) = take_line(buffer)? else { return Ok(false) };
                    if !line.is_empty() {
                        return Err(Fault::new(400, "a chunk longer than its size", &line));
                    }
                    self.framing = Framing::Chunked(Chunked::Size);
                }
                Framing::Chunked(Chunked::Trailers(read)) => {
                    let Some(line) = take_line(buffer)? else { return Ok(false) };
                    if line.is_empty() {
                        return Ok(true);
                    }
                    *read += line.len();
                    if *read > MAX_HEAD_BYTES {
                        return Err(Fault::new(431, "trailers exceed the limit", &line));
                    }
                }
            }
        }
    }
}

fn too_long(max_bytes: usize, body: &[u8]) -> Fault {
    Fault::new(413, format!("a body of more than {max_bytes} bytes"), body)
}

fn move_front(buffer: &mut BytesMut, left: &mut usize, body: &mut Vec<u8>) {
    let len = buffer.len().min(*left);
    body.extend_from_slice(&buffer.split_to(len));
    *left -= len;
}

/// Takes a complete line from the buffer. Returns the line without its line end.
fn take_line(buffer: &mut BytesMut) -> Result<Option<Vec<u8>>, Fault> {
    let end = buffer.iter().position(|byte| *byte == b'\n');
    if end.unwrap_or(buffer.len()) > MAX_LINE_BYTES {
        return Err(Fault::new(400, "a chunk line exceeds the limit", buffer));
    }
    let Some(end) = end else { return Ok(None) };
    let mut line = buffer.split_to(end).to_vec();
    buffer.advance(1);
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

fn chunk_size(line: &[u8]) -> Result<usize, Fault> {
    let wrong = || Fault::new(400, "an invalid chunk size", line);
    let text = std::str::from_utf8(line).map_err(|_| wrong())?;
    let digits = text.split_once(';').map_or(text, |(digits, _)| digits).trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    usize::from_str_radix(digits, 16).map_err(|_| wrong())
}
