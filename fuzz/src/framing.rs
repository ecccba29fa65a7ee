//! Checks the framing of streams.

use bytes::BytesMut;
use gelf_core::{Delimiter, Framer};

use crate::parts::parts;

const MAX_FRAME_LEN: usize = 32;

/// Checks that a stream has the same frames however it is split into reads, and that a framer keeps at most
/// `MAX_FRAME_LEN` bytes.
///
/// The first byte selects the delimiter. The next four bytes determine the lengths of the reads, in rotation.
pub fn framer(data: &[u8]) {
    let Some(([selected, a, b, c, d], stream)) = data.split_first_chunk() else { return };
    let delimiter = if selected % 2 == 0 { Delimiter::Nul } else { Delimiter::Newline };
    let whole = read(delimiter, [stream].into_iter());
    assert_eq!(read(delimiter, parts([*a, *b, *c, *d], 1, stream)), whole);
    if delimiter == Delimiter::Nul {
        // Frames that were read can be written again, and the written frames are read as the same frames.
        let mut written = BytesMut::new();
        for frame in whole.iter().flatten() {
            Framer::write_frame(frame, &mut written).expect("a frame");
        }
        let again = read(delimiter, [&written[..]].into_iter());
        assert_eq!(again, whole.iter().filter(|frame| frame.is_some()).cloned().collect::<Vec<_>>());
    }
}

/// Reads the frames of a stream. The result has `None` for each frame that is too long.
fn read<'a>(delimiter: Delimiter, parts: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut framer = Framer::new(MAX_FRAME_LEN).with_delimiter(delimiter);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        while let Some(frame) = framer.next_frame(&mut buffer) {
            frames.push(frame.ok().map(|frame| frame.to_vec()));
        }
        assert!(buffer.len() <= MAX_FRAME_LEN);
    }
    frames.extend(framer.finish(&mut buffer).map(|frame| Some(frame.to_vec())));
    assert!(frames.iter().flatten().all(|frame| frame.len() <= MAX_FRAME_LEN));
    frames
}
