//! Checks decompression.

use gelf_core::wire::{DecompressError, Decompressor, Inflater};

const LIMIT: usize = 64 * 1024;

/// Checks that the output has at most `LIMIT` bytes, and that data in pieces has the same result as the whole
/// data. Also checks that gelf-core and miniz_oxide inflate zlib and bare deflate data to the same output.
pub fn inflate_capped(data: &[u8]) {
    let mut decompressor = Decompressor::new(LIMIT);
    let ours = decompressor.decompress(data).map(<[u8]>::to_vec);
    let ours = ours.map(|bytes| (bytes, decompressor.trailing()));
    if let Ok((bytes, trailing)) = &ours {
        assert!(bytes.len() <= LIMIT);
        assert!(*trailing < data.len());
    }
    let is_gzip = data.starts_with(&[0x1f, 0x8b]);
    let inflater = if is_gzip { Inflater::gzip } else { Inflater::zlib };
    if data.len() >= 2 {
        for len in [1, 5] {
            assert_eq!(in_pieces(inflater(LIMIT), data, len), ours, "pieces of {len}");
        }
    }
    let bare = in_pieces(Inflater::deflate(LIMIT), data, 7).map(|(bytes, _)| bytes);
    compare(bare, miniz_oxide::inflate::decompress_to_vec_with_limit(data, LIMIT));
    if !is_gzip {
        let theirs = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data, LIMIT);
        compare(ours.map(|(bytes, _)| bytes), theirs);
    }
}

fn compare(
    ours: Result<Vec<u8>, DecompressError>,
    theirs: Result<Vec<u8>, miniz_oxide::inflate::DecompressError>,
) {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        // miniz_oxide does not refuse a header with a preset dictionary or with a window that is too large.
        // Therefore, these errors are not compared.
        (Err(DecompressError::Dictionary | DecompressError::Header), _) => {}
        (Ok(_), Err(error)) => panic!("only miniz_oxide refuses: {error:?}"),
        (Err(error), Ok(_)) => panic!("only gelf-core refuses: {error:?}"),
        (Err(_), Err(_)) => {}
    }
}

/// Inflates pieces of `len` bytes.
fn in_pieces(mut inflater: Inflater, data: &[u8], len: usize) -> Result<(Vec<u8>, usize), DecompressError> {
    let (mut output, mut bytes) = ([0; 1000], Vec::new());
    for mut piece in data.chunks(len) {
        loop {
            match inflater.inflate(&mut piece, &mut output)? {
                0 => break,
                len => bytes.extend_from_slice(&output[..len]),
            }
        }
    }
    inflater.finish()?;
    Ok((bytes, inflater.trailing()))
}
