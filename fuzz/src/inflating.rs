//! Compressed payloads.

use gelf_core::wire::{DecompressError, Decompressor};

const LIMIT: usize = 64 * 1024;

/// What is inflated is within the limit, and zlib gives what miniz_oxide, asked directly, gives.
pub fn inflate_capped(data: &[u8]) {
    let mut decompressor = Decompressor::new(LIMIT);
    let ours = decompressor.decompress(data);
    if let Ok(inflated) = &ours {
        assert!(inflated.bytes.len() <= LIMIT);
        assert!(inflated.trailing < data.len());
    }
    if data.starts_with(&[0x1f, 0x8b]) {
        return;
    }
    let theirs = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data, LIMIT);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours.bytes, theirs),
        // It knows no preset dictionary and says so late, and takes windows that are too large.
        (Err(DecompressError::Dictionary | DecompressError::Header), _) => {}
        (Ok(_), Err(error)) => panic!("only miniz_oxide refuses: {error:?}"),
        (Err(error), Ok(_)) => panic!("only we refuse: {error:?}"),
        (Err(_), Err(_)) => {}
    }
}
