//! The parts of [`DatagramReader`](crate::DatagramReader) and [`DatagramWriter`](crate::DatagramWriter), for
//! programs that need one part alone.
//!
//! A [`Compressor`] compresses payloads, and a [`Chunker`] splits payloads into datagrams. A [`Reassembler`]
//! joins chunks, a [`Decompressor`] inflates whole payloads, and an [`Inflater`] inflates data that arrives
//! in pieces.

pub(crate) mod chunk;
pub(crate) mod compress;
pub(crate) mod datagram_reader;
pub(crate) mod datagram_writer;
mod decompress;
mod encoding;
pub(crate) mod frame;
mod inflate;
mod primed;
mod reassemble;

pub use chunk::{ChunkHeader, Chunker, Datagram, Datagrams, InvalidChunk, MessageId};
pub use compress::Compressor;
pub use decompress::Decompressor;
pub use encoding::Encoding;
pub use inflate::{DecompressError, Inflater};
pub use reassemble::{Dropped, Reassembler, ReassemblyDropReason, ReassemblyLimits, ReassemblyStats};
