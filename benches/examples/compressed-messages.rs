//! Writes 20,000 messages of the corpus to a folder: as JSON to `messages.json`, and compressed one by one at
//! the default level to `messages.json.gz` and `messages.json.zlib`. `scripts/check-inflaters` inflates the
//! compressed messages with other implementations.
//!
//! `cargo run -p gelf-benches --example compressed-messages FOLDER`
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a broken check may panic")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use gelf_benches::Corpus;
use gelf_core::wire::Compressor;
use gelf_core::{Compression, CompressionLevel};

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("FOLDER"));
    let file = |name| BufWriter::new(File::create(folder.join(name)).expect(name));
    let mut plain = file("messages.json");
    let level = CompressionLevel::DEFAULT;
    let mut outputs = [
        (Compressor::new(Compression::Gzip(level)), file("messages.json.gz")),
        (Compressor::new(Compression::Zlib(level)), file("messages.json.zlib")),
    ];
    for payload in Corpus::new(20_000).payloads() {
        plain.write_all(&payload).unwrap();
        for (compressor, output) in &mut outputs {
            output.write_all(compressor.compress(&payload)).unwrap();
        }
    }
    for output in std::iter::once(plain).chain(outputs.map(|(_, output)| output)) {
        output.into_inner().unwrap().sync_data().unwrap();
    }
}
