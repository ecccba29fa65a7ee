//! Tests that `Debug` omits the payloads that a type holds.

use std::time::Instant;

use bytes::BytesMut;
use gelf_core::wire::{ChunkHeader, Chunker, Compressor, Decompressor, Inflater, Reassembler};
use gelf_core::{
    Compression, DatagramReader, DatagramSize, DatagramWriter, Decoder, Fit, Framer, Message, Overflow,
};

/// The forms in which `Debug` could show the text: as a string, as a list of decimal bytes, as a list of
/// hexadecimal bytes, or as hexadecimal digits.
const SECRETS: [&str; 4] = ["secret", "115, 101, 99, 114", "73, 65, 63", "736563"];

#[track_caller]
fn omits_the_payload(value: &dyn std::fmt::Debug) {
    let text = format!("{value:?}");
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn debug_omits_payloads() {
    let payload = br#"{"version":"1.1","host":"h","short_message":"secret\n"}"#;
    let mut writer =
        DatagramWriter::new(Compression::None, DatagramSize::default()).with_overflow(Overflow::Truncate);
    let (datagrams, fit) = writer.write(&Message::new("h", "secret")).unwrap();
    assert_eq!(fit, Fit::Whole);
    omits_the_payload(&datagrams);
    for datagram in datagrams {
        omits_the_payload(&datagram);
    }
    omits_the_payload(&writer);

    let mut compressor = Compressor::new(Compression::default());
    let gzip = compressor.compress(payload).to_vec();
    omits_the_payload(&compressor);
    let mut decompressor = Decompressor::default();
    decompressor.decompress(&gzip).unwrap();
    omits_the_payload(&decompressor);
    let mut inflater = Inflater::gzip(1000);
    inflater.inflate(&mut &gzip[..], &mut [0; 1000]).unwrap();
    omits_the_payload(&inflater);

    let mut decoder = Decoder::lenient();
    decoder.decode(payload).unwrap();
    omits_the_payload(&decoder);

    let now = Instant::now();
    let (mut reassembler, mut reader) = (Reassembler::default(), DatagramReader::default());
    let mut chunker = Chunker::new(DatagramSize::new(40).unwrap());
    for datagram in chunker.split(payload).unwrap() {
        let mut wire = Vec::new();
        datagram.write_to(&mut wire);
        let (header, part) = ChunkHeader::parse(&wire).unwrap();
        reassembler.handle_chunk(now, (), header, part).unwrap();
        omits_the_payload(&reassembler);
        reader.read(now, (), &wire).unwrap();
        omits_the_payload(&reader);
    }

    let mut framer = Framer::default();
    assert!(framer.next_frame(&mut BytesMut::from(&payload[..])).is_none());
    omits_the_payload(&framer);
}
