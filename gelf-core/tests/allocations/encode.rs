//! Encoding, compressing and splitting a message allocate nothing once the buffers are long enough.

use std::hint::black_box;

use bytes::BytesMut;
use gelf_core::wire::Compressor;
use gelf_core::{
    Compression, CompressionLevel, DatagramSize, DatagramWriter, Encoder, FieldName, FieldSet, Level,
    Message, Timestamp,
};

use crate::counting::allocations;

const LEVEL: CompressionLevel = CompressionLevel::DEFAULT;

fn container() -> FieldSet {
    (0..12)
        .fold(FieldSet::builder("web-1"), |set, at| {
            set.field(FieldName::new(format!("label_{at}")).unwrap(), format!("value {at}"))
        })
        .build()
}

/// Returns messages of different lengths. Every second message has the fields of `set`.
fn messages(set: &FieldSet) -> Vec<Message<'_>> {
    (0..200)
        .map(|at| {
            let text = "a \"line\"\twith escapes\n".repeat(1 + (at * 37) % 90);
            let message = if at % 2 == 0 { set.message(text) } else { Message::new("h", text) };
            message
                .with_level(Level::Error)
                .with_timestamp(Timestamp::from_unix_nanos(1_700_000_000_123_456_789 + at as i64))
                .with_full_message("one\ntwo")
                .with_field(FieldName::from_static("own"), at as i64)
                .with_field(FieldName::from_static("label_3"), true)
                .with_field(FieldName::from_static("big"), u64::MAX)
        })
        .collect()
}

#[test]
fn encoding_allocates_nothing() {
    let set = container();
    let messages = messages(&set);
    for encoder in [Encoder::new(), Encoder::new().with_json_booleans()] {
        let mut dst = BytesMut::with_capacity(64 * 1024);
        let mut encode_all = || {
            for message in &messages {
                dst.clear();
                encoder.encode(message, &mut dst);
                black_box(&dst);
            }
        };
        assert_eq!(allocations(&mut encode_all), 0);
    }
}

#[test]
fn compressing_allocates_nothing() {
    let set = container();
    let payloads: Vec<BytesMut> = messages(&set)
        .iter()
        .map(|message| {
            let mut dst = BytesMut::new();
            Encoder::new().encode(message, &mut dst);
            dst
        })
        .collect();
    for compression in [Compression::Gzip(LEVEL), Compression::Zlib(LEVEL)] {
        let mut compressor = Compressor::new(compression);
        let mut compress_all = || {
            for payload in &payloads {
                black_box(compressor.compress(payload));
            }
        };
        compress_all();
        // At some of the counted payloads, the compressor trains its Huffman codes again.
        assert_eq!(allocations(|| (0..4).for_each(|_| compress_all())), 0, "{compression:?}");
    }
}

#[test]
fn writing_datagrams_allocates_nothing() {
    let set = container();
    let messages = messages(&set);
    for compression in [Compression::None, Compression::Gzip(LEVEL), Compression::Zlib(LEVEL)] {
        let mut writer = DatagramWriter::new(compression, DatagramSize::new(200).unwrap());
        let mut wire = Vec::with_capacity(200);
        let mut write_all = || {
            let mut datagrams = 0;
            for message in &messages {
                for datagram in writer.write(message).unwrap().0 {
                    wire.clear();
                    datagram.write_to(&mut wire);
                    datagrams += 1;
                }
            }
            datagrams
        };
        assert!(write_all() > messages.len());
        let counted = allocations(|| {
            black_box(write_all());
        });
        assert_eq!(counted, 0, "{compression:?}");
    }
}
