//! Checks compression at the default level.

use arbitrary::{Result, Unstructured};
use gelf_core::wire::{Compressor, Decompressor};
use gelf_core::{Compression, CompressionLevel};

/// Compresses a sequence of payloads. Checks that gelf-core and miniz_oxide inflate each output to its
/// payload, and that no output is more than 23 bytes longer than its payload.
///
/// Each payload begins with one of three prefixes, or with none. Two of the three end with `,"timestamp":` or
/// `,"short_message":`, behind which the compressor expects the varying part of a message.
pub fn compressed(data: &[u8]) {
    let _ = compress_all(&mut Unstructured::new(data));
}

fn compress_all(input: &mut Unstructured<'_>) -> Result<()> {
    let is_zlib = input.arbitrary()?;
    let level = CompressionLevel::DEFAULT;
    let mut compressor =
        Compressor::new(if is_zlib { Compression::Zlib(level) } else { Compression::Gzip(level) });
    let mut decompressor = Decompressor::default();
    let ends: [&[u8]; 3] = [b",\"timestamp\":", b",\"short_message\":", b""];
    let mut prefixes = vec![Vec::new()];
    for end in ends {
        let head: &[u8] = input.arbitrary()?;
        prefixes.push([head, end].concat());
    }
    while !input.is_empty() {
        let mut payload = input.choose(&prefixes)?.clone();
        let line: &[u8] = input.arbitrary()?;
        // A long line is a repeated short line.
        for _ in 0..input.int_in_range(1..=40)? {
            payload.extend_from_slice(line);
        }
        let compressed = compressor.compress(&payload);
        let (len, plain) = (compressed.len(), payload.len());
        assert!(len <= plain + 23, "{plain} bytes are compressed to {len} bytes");
        let (head, tail) = if is_zlib { (2, 4) } else { (10, 8) };
        let bare = &compressed[head..compressed.len() - tail];
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(bare).expect("deflate data"), payload);
        assert_eq!(decompressor.decompress(compressed).expect("a whole stream"), payload);
        assert_eq!(decompressor.trailing(), 0);
    }
    Ok(())
}
