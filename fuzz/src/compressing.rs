//! Checks compression at the default level.

use arbitrary::{Result, Unstructured};
use gelf_core::wire::{Compressor, Decompressor};
use gelf_core::{Compression, CompressionLevel};

/// Checks that each payload of a sequence inflates to itself, whatever was compressed before, and that no
/// output is more than 23 bytes longer than its payload. miniz_oxide inflates the bare deflate data, too.
///
/// The payloads begin with one of three prefixes as messages have them, or with none.
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
        // A long line repeats a short one.
        for _ in 0..input.int_in_range(1..=40)? {
            payload.extend_from_slice(line);
        }
        let compressed = compressor.compress(&payload);
        assert!(compressed.len() <= payload.len() + 23, "{} {}", compressed.len(), payload.len());
        let (head, tail) = if is_zlib { (2, 4) } else { (10, 8) };
        let bare = &compressed[head..compressed.len() - tail];
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(bare).expect("deflate data"), payload);
        assert_eq!(decompressor.decompress(compressed).expect("a whole stream"), payload);
        assert_eq!(decompressor.trailing(), 0);
    }
    Ok(())
}
