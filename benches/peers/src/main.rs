//! Compares the processor time of gelf-core with the processor time of memcpy, serde_json and other GELF
//! crates, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml [ROUNDS [TABLE]]`

mod measure;

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use gelf_benches::{Corpus, Sample, ShortMessageLength, interleaved_chunks};
use gelf_core::wire::{ChunkHeader, Compressor, Decompressor, Reassembler};
use gelf_core::{Compression, CompressionLevel, Decoder, Encoder};
use measure::Table;
use tracing_subscriber::layer::SubscriberExt;

const MESSAGES: usize = 1000;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(25);
    let only = std::env::args().nth(2);
    let corpus = Corpus::new(MESSAGES);
    let tables: [(&str, fn(&Corpus, usize)); 6] = [
        ("encode", encoding),
        ("packed", encoding_and_compressing),
        ("free", free_fields),
        ("decode", decoding),
        ("compress", |corpus, rounds| compressing(corpus, rounds.div_ceil(5))),
        ("reassemble", reassembling),
    ];
    for (name, table) in tables {
        if only.as_deref().is_none_or(|only| only == name) {
            table(&corpus, rounds);
        }
    }
}

/// Compares the encoding of messages with constant members. gelf-core encodes the constant members of a
/// container once. serde_json and the other crates encode them for each message.
fn encoding(corpus: &Corpus, rounds: usize) {
    let payloads = corpus.payloads();
    let mut copy = BytesMut::with_capacity(1 << 20);
    let mut dst = BytesMut::with_capacity(1 << 20);
    let mut vector = Vec::with_capacity(1 << 20);

    let loggers = gelf_loggers(corpus);
    let maps: Vec<gelf_logger::Map<String, gelf_logger::Value>> = corpus
        .containers
        .iter()
        .map(|(_, fields)| {
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
        })
        .collect();
    // Nothing reads the channel of a logger of tracing-gelf. After 512 messages, the channel is full. From
    // then on, the logger still encodes each message, and then drops it.
    let handles: Vec<_> = corpus
        .containers
        .iter()
        .map(|(host, fields)| {
            let mut builder = tracing_gelf::Logger::builder().host(host);
            for (name, value) in fields {
                builder = builder.additional_field(name.trim_start_matches('_'), value.as_str());
            }
            builder.connect_udp("127.0.0.1:9").unwrap()
        })
        .collect();
    let (dispatches, _handles): (Vec<_>, Vec<_>) = handles
        .into_iter()
        .map(|(logger, handle)| (tracing::Dispatch::new(tracing_subscriber::registry().with(logger)), handle))
        .unzip();

    Table::new("encode, twelve constant fields", MESSAGES)
        .variant("gelf-core, field set", || {
            for sample in &corpus.samples {
                dst.clear();
                Encoder::new().encode(&corpus.message(sample), &mut dst);
                black_box(&dst);
            }
        })
        .variant("memcpy of the result", || {
            for payload in &payloads {
                copy.clear();
                copy.extend_from_slice(payload);
                black_box(&copy);
            }
        })
        .variant("serde_json, into the same Vec", || {
            for sample in &corpus.samples {
                vector.clear();
                corpus.encode_with_serde_json(sample, &mut vector);
                black_box(&vector);
            }
        })
        .variant("gelf 0.5", || {
            for sample in &corpus.samples {
                black_box(gelf_message(sample, &loggers).to_gelf().unwrap());
            }
        })
        .variant("gelf_logger 0.3", || {
            for sample in &corpus.samples {
                let arguments = format_args!("{}", sample.text);
                let record = log::Record::builder().args(arguments).level(log::Level::Info).build();
                // The `log` method of gelf_logger does the same before it writes.
                let mut record = gelf_logger::GelfRecord::from(&record);
                record.additional_fields.extend(maps[sample.container].clone());
                black_box(serde_json::to_vec(&record).unwrap());
            }
        })
        .variant("tracing-gelf 0.9", || {
            for sample in &corpus.samples {
                tracing::dispatcher::with_default(&dispatches[sample.container], || {
                    tracing::info!("{}", sample.text);
                });
            }
        })
        .run(rounds);
}

/// Returns a logger of gelf 0.5 for each container.
fn gelf_loggers(corpus: &Corpus) -> Vec<gelf::Logger> {
    let logger = |(host, fields): &(String, Vec<(&str, String)>)| {
        let mut logger = gelf::Logger::new(Box::new(gelf::NullBackend::new())).unwrap();
        logger.set_hostname(host.as_str());
        for (name, value) in fields {
            logger.set_default_metadata(name.trim_start_matches('_').to_owned(), value.clone());
        }
        logger
    };
    corpus.containers.iter().map(logger).collect()
}

fn gelf_message<'a>(sample: &'a Sample, loggers: &'a [gelf::Logger]) -> gelf::WireMessage<'a> {
    let level = if sample.level.as_u8() == 3 { gelf::Level::Error } else { gelf::Level::Informational };
    let mut message = gelf::Message::new_with_level(sample.text.as_str(), level);
    let (seconds, nanos) = sample.timestamp.as_unix();
    message.set_timestamp(chrono::DateTime::from_timestamp(seconds, nanos).unwrap());
    gelf::WireMessage::new(message, &loggers[sample.container])
}

/// Compares encoding followed by gzip: gelf-core at its default level and at level 2, and gelf 0.5 at its default
/// level. gelf 0.5 compresses with libdeflate, which is written in C.
fn encoding_and_compressing(corpus: &Corpus, rounds: usize) {
    let loggers = gelf_loggers(corpus);
    let mut default = Compressor::new(Compression::default());
    let mut level_2 = Compressor::new(Compression::Gzip(CompressionLevel::new(2).unwrap()));
    let (mut dst, mut payload) = (BytesMut::with_capacity(1 << 20), BytesMut::with_capacity(1 << 20));
    Table::new("encode and compress, twelve constant fields", MESSAGES)
        .variant("gelf-core, default level", || {
            for sample in &corpus.samples {
                dst.clear();
                Encoder::new().encode(&corpus.message(sample), &mut dst);
                black_box(default.compress(&dst));
            }
        })
        .variant("gelf-core, level 2", || {
            for sample in &corpus.samples {
                payload.clear();
                Encoder::new().encode(&corpus.message(sample), &mut payload);
                black_box(level_2.compress(&payload));
            }
        })
        .variant("gelf 0.5, default level", || {
            for sample in &corpus.samples {
                let message = gelf_message(sample, &loggers);
                black_box(gelf::MessageCompression::default().compress(&message).unwrap());
            }
        })
        .run(rounds);
}

fn free_fields(corpus: &Corpus, rounds: usize) {
    let messages: Vec<_> = corpus.samples.iter().map(|sample| corpus.free_message(sample)).collect();
    let mut dst = BytesMut::with_capacity(1 << 20);
    let mut vector = Vec::with_capacity(1 << 20);
    Table::new("encode, twelve fields of the message's own", MESSAGES)
        .variant("gelf-core", || {
            for message in &messages {
                dst.clear();
                Encoder::new().encode(message, &mut dst);
                black_box(&dst);
            }
        })
        .variant("serde_json, into the same Vec", || {
            for sample in &corpus.samples {
                vector.clear();
                corpus.encode_with_serde_json(sample, &mut vector);
                black_box(&vector);
            }
        })
        .run(rounds);
}

/// Measures compression with several levels of gzip, and decompression. Each compressor reuses its buffer.
fn compressing(corpus: &Corpus, rounds: usize) {
    let payloads = corpus.payloads();
    let plain: usize = payloads.iter().map(Vec::len).sum();
    let compressor = |level| Compressor::new(Compression::Gzip(level));
    // No level has the number 0, so 0 gives the default level.
    let names: Vec<(CompressionLevel, String)> = [2, 0, 1, 3, 4, 6, 9]
        .into_iter()
        .map(|number| {
            let level = CompressionLevel::new(number).unwrap_or_default();
            let mut compressor = compressor(level);
            let small: usize = payloads.iter().map(|payload| compressor.compress(payload).len()).sum();
            let name = level.number().map_or("default".to_owned(), |number| number.to_string());
            (level, format!("gzip {name}, {:.2} times smaller", plain as f64 / small as f64))
        })
        .collect();
    let mut default = Compressor::new(Compression::default());
    let small: Vec<Vec<u8>> = payloads.iter().map(|payload| default.compress(payload).to_vec()).collect();
    let mut decompressor = Decompressor::default();
    let mut table = Table::new("compress", MESSAGES);
    for (level, name) in &names {
        let (mut compressor, payloads) = (compressor(*level), &payloads);
        table = table.variant(name, move || {
            for payload in payloads {
                black_box(compressor.compress(payload));
            }
        });
    }
    table
        .variant("inflate", || {
            for payload in &small {
                black_box(decompressor.decompress(payload).unwrap());
            }
        })
        .run(rounds);
}

fn decoding(corpus: &Corpus, rounds: usize) {
    let payloads = corpus.payloads();
    let (mut decoder, mut strict, mut visiting) = (Decoder::lenient(), Decoder::strict(), Decoder::lenient());
    Table::new("decode", MESSAGES)
        .variant("gelf-core, message", || {
            for payload in &payloads {
                black_box(decoder.decode(payload).unwrap());
            }
        })
        .variant("gelf-core, message, strict", || {
            for payload in &payloads {
                black_box(strict.decode(payload).unwrap());
            }
        })
        .variant("gelf-core, visitor", || {
            let mut visitor = ShortMessageLength::default();
            for payload in &payloads {
                visiting.decode_with(payload, &mut visitor).unwrap();
            }
            black_box(visitor.0);
        })
        .variant("serde_json Value", || {
            for payload in &payloads {
                black_box(serde_json::from_slice::<serde_json::Value>(payload).unwrap());
            }
        })
        .run(rounds);
}

fn reassembling(_: &Corpus, rounds: usize) {
    let payloads: Vec<_> = Corpus::new(3000)
        .payloads()
        .into_iter()
        .filter(|payload| payload.len() > 1420)
        .take(MESSAGES)
        .collect();
    let turns = interleaved_chunks(&payloads);
    let wires: Vec<_> = turns.iter().map(|(_, wire)| wire).collect();
    println!("\n{} messages in {} chunks", payloads.len(), wires.len());
    let mut reassembler = Reassembler::<u32>::default();
    let now = Instant::now();
    let (mut whole, mut part) = (Vec::with_capacity(1 << 20), Vec::with_capacity(1 << 20));
    let mut eight = vec![Vec::<u8>::with_capacity(1 << 20); 8];
    Table::new("reassemble, eight pending messages", payloads.len())
        .variant("gelf-core", || {
            for wire in &wires {
                let (header, payload) = ChunkHeader::parse(wire).unwrap();
                if let Ok(Some(message)) = reassembler.handle_chunk(now, 7, header, payload) {
                    black_box(message);
                }
            }
        })
        .variant("memcpy of the payloads, whole", || {
            for payload in &payloads {
                whole.clear();
                whole.extend_from_slice(payload);
                black_box(&whole);
            }
        })
        .variant("memcpy of the payloads, by chunk", || {
            for wire in &wires {
                part.clear();
                part.extend_from_slice(&wire[12..]);
                black_box(&part);
            }
        })
        .variant("memcpy, each to its message", || {
            for (at, wire) in &turns {
                let Some(buffer) = eight.get_mut(*at) else { continue };
                buffer.extend_from_slice(&wire[12..]);
                if wire[10] + 1 == wire[11] {
                    black_box(&buffer);
                    buffer.clear();
                }
            }
        })
        .run(rounds);
}
