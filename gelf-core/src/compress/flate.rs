//! Deflate by flate2, whose state is used again.

use flate2::{Compress, Crc, FlushCompress, Status};

use super::{Compression, CompressionLevel};

pub(super) struct Deflate(Compress);

impl Deflate {
    pub(super) fn new(compression: Compression) -> Self {
        let (level, zlib) = match compression {
            Compression::None => (CompressionLevel::DEFAULT, false),
            Compression::Gzip(level) => (level, false),
            Compression::Zlib(level) => (level, true),
        };
        Self(Compress::new(flate2::Compression::new(level.0.into()), zlib))
    }

    /// Compresses into the buffer, from its beginning, and gives the length; nothing, if it cannot.
    pub(super) fn compress(
        &mut self,
        compression: Compression,
        payload: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Option<usize> {
        let state = &mut self.0;
        state.reset();
        let mut len = 0;
        if let Compression::Gzip(level) = compression {
            len = write(buffer, 0, &gzip_header(level));
        }
        let start = len;
        loop {
            let consumed = usize::try_from(state.total_in()).ok()?;
            len = start + usize::try_from(state.total_out()).ok()?;
            let rest = payload.get(consumed..)?;
            grow(buffer, len, rest.len() / 2 + 64);
            match state.compress(rest, buffer.get_mut(len..)?, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return None,
            }
        }
        len = start + usize::try_from(state.total_out()).ok()?;
        match compression {
            Compression::None => None,
            Compression::Gzip(_) => {
                let mut checksum = Crc::new();
                checksum.update(payload);
                len = write(buffer, len, &checksum.sum().to_le_bytes());
                // gzip's ISIZE is the length modulo 2^32.
                Some(write(buffer, len, &(payload.len() as u32).to_le_bytes()))
            }
            Compression::Zlib(_) => {
                // The second byte holds the level, for information only, and a checksum over the two.
                *buffer.get_mut(1)? = 0x9c;
                Some(len)
            }
        }
    }
}

/// Magic, deflate, no flags, no time, a hint at the level, system unknown.
fn gzip_header(level: CompressionLevel) -> [u8; 10] {
    let hint = match level.0 {
        1 => 4,
        9 => 2,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 0xff]
}

/// Makes room for `more` bytes after `len`; what is there already stays allocated, and is not cleared again.
fn grow(buffer: &mut Vec<u8>, len: usize, more: usize) {
    if buffer.len() < len + more {
        buffer.resize(len + more, 0);
    }
}

fn write(buffer: &mut Vec<u8>, at: usize, bytes: &[u8]) -> usize {
    grow(buffer, at, bytes.len());
    if let Some(room) = buffer.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
    at + bytes.len()
}
