//! Reads bytes of GELF for the judge, independently of every implementation under test.
//!
//! The judge must not share code with a subject. If it used gelf-core, a fault in gelf-core would change the
//! verdicts on all other implementations. This reader is written for diagnosis, not for speed. A test runs it on
//! the vectors.

mod json;
mod message;
mod wire;

pub(crate) use message::message;
pub(crate) use wire::{
    CHUNK_HEADER_BYTES, Chunk, Encoding, Frame, Frames, deflated, encoding, inflated, is_chunk, payload,
    split,
};

/// A deviation from GELF, or the reason why some bytes cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// Name, from the table in `vectors/README.md`.
    pub(crate) name: String,
    /// Offset of the wrong byte, or of the name of the wrong member. For a missing member, this is the end of the
    /// text. For data that cannot be inflated, this is usually the number of bytes that were inflated.
    pub(crate) at: usize,
}

impl Fault {
    fn new(name: impl Into<String>, at: usize) -> Self {
        Self { name: name.into(), at }
    }
}

#[cfg(test)]
mod tests;
