//! Tests the texts of errors: each is one line that can be understood without knowledge of the code.

use std::error::Error;
use std::time::Instant;

use bytes::BytesMut;
use gelf_core::wire::{ChunkHeader, Chunker, Compressor, Decompressor};
use gelf_core::{
    Compression, DatagramLimits, DatagramReader, DatagramSize, DatagramWriter, DecodeErrorKind, Decoder,
    DeviationKind, Encoder, FieldName, Framer, Level, Member, Message, Overflow, Timestamp,
};

const PAYLOAD: &str = r#"{"version":"1.1","host":"h","short_message":"m"}"#;

fn text_of<T: std::fmt::Debug, E: Error>(result: Result<T, E>) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains('\n') && text.len() < 120, "{text}");
    text
}

#[test]
fn decoding() {
    let strict = |json: &str| text_of(Decoder::strict().decode(json.as_bytes()));
    let with = |members: &str| strict(&format!("{},{members}}}", &PAYLOAD[..PAYLOAD.len() - 1]));
    assert_eq!(strict(""), "the payload is empty (byte 0)");
    assert_eq!(strict("nonsense"), "the payload is not JSON (byte 0)");
    assert_eq!(strict("[]"), "the payload is not a JSON object (byte 0)");
    assert_eq!(strict("{}"), "version is missing (byte 2)");
    assert_eq!(strict(r#"{"version":"1.0"}"#), "version is not \"1.1\" (byte 1)");
    assert_eq!(strict(r#"{"host":" "}"#), "host is blank (byte 1)");
    assert_eq!(strict("\u{feff}{}"), "the text begins with a byte order mark (byte 0)");
    assert_eq!(with(r#""_a":"\ud800""#), "an escape is half of a surrogate pair (byte 54)");
    assert_eq!(with("\"_a\":\"\t\""), "a string contains a raw control character (byte 54)");
    assert_eq!(with(r#""host":"h""#), "a name occurs twice (byte 48)");
    assert_eq!(
        with(r#""_a/b":1"#),
        "a field's name is empty or has characters other than letters, digits, '_', '.' and '-' (byte 48)"
    );
    assert_eq!(with(r#""_a":true"#), "a field's value is neither a string nor a number (byte 48)");
    assert_eq!(with(r#""level":8"#), "level is not 0 to 7 (byte 48)");
    assert_eq!(with(r#""_a":1e999"#), "a number is out of range (byte 48)");
    assert_eq!(with(r#""_id":1"#), "the field _id is reserved (byte 48)");
    assert_eq!(with(r#""timestamp":1e99"#), "timestamp is out of range (byte 48)");
    assert_eq!(with(r#""_a":1,"#), "a comma precedes a closing bracket (byte 55)");
    assert_eq!(with(r#""a":1"#), "the name of an additional member has no underscore (byte 48)");
    assert_eq!(with(r#""line":"1""#), "facility, file or line has a value of the wrong type (byte 48)");
    assert_eq!(with(r#""full_message":1"#), "full_message has a value of the wrong type (byte 48)");
    assert_eq!(with(r#""timestamp":"1""#), "timestamp has a value of the wrong type (byte 48)");
    assert_eq!(with(r#""level":"1""#), "level has a value of the wrong type (byte 48)");
    assert_eq!(strict(&format!("{PAYLOAD}x")), "text follows the object (byte 48)");
    assert_eq!(strict(&format!("{PAYLOAD}\0")), "null bytes follow the object (byte 48)");
    let brackets = format!(r#""_a":{}{}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(with(&brackets), "the payload is nested more than 128 levels deep (byte 180)");
    assert_eq!(text_of(Decoder::strict().decode(b"{\"\xff\":1}")), "the text is not UTF-8 (byte 2)");
    let blank = r#"{"version":"1.1","host":"h","short_message":""}"#;
    assert_eq!(strict(blank), "short_message is blank (byte 28)");
}

#[test]
fn limits_of_a_decoder() {
    let payload = PAYLOAD.as_bytes();
    assert_eq!(
        text_of(Decoder::lenient().with_max_members(2).decode(payload)),
        "the message has too many members (byte 28)"
    );
    assert_eq!(
        text_of(Decoder::lenient().with_max_name_bytes(12).decode(payload)),
        "a member's name is too long (byte 28)"
    );
    assert_eq!(
        text_of(Decoder::lenient().with_max_payload_bytes(47).decode(payload)),
        "the payload is too long (byte 47)"
    );
    let mut within =
        Decoder::lenient().with_max_members(3).with_max_name_bytes(13).with_max_payload_bytes(48);
    assert!(within.decode(payload).is_ok());
    let error = Decoder::strict().decode(b"{}").unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Deviation(DeviationKind::Missing(Member::Version)));
    assert_eq!(error.offset(), 2);
}

#[test]
fn datagrams() {
    let mut reader = DatagramReader::strict(DatagramLimits::default());
    let mut read = |datagram: &[u8]| {
        let error = reader.read(Instant::now(), (), datagram).unwrap_err();
        assert!(error.source().is_none(), "{error} is the whole text");
        text_of::<(), _>(Err(error))
    };
    let chunk = |number, count| [&b"\x1e\x0f12345678"[..], &[number, count]].concat();
    assert_eq!(read(b""), "an empty datagram");
    assert_eq!(read(b"\x1e"), "the first bytes are neither JSON nor a known encoding");
    assert_eq!(read(b"\x1f\x3c{}"), "the bytes 1f 3c precede the text");
    assert_eq!(read(b"\x1e\x0f123"), "the chunk has 5 bytes, fewer than its header");
    // The following invalid chunks have different ids: for a further invalid chunk with the same id, the reader
    // returns no error and only counts the chunk.
    let invalid = |id, number, count| [&b"\x1e\x0f1234567"[..], &[id, number, count]].concat();
    assert_eq!(read(&invalid(1, 0, 0)), "the chunk's sequence count is 0");
    assert_eq!(read(&invalid(2, 0, 200)), "the chunk's sequence count is 200, more than 128");
    assert_eq!(read(&invalid(3, 3, 3)), "the chunk's sequence number is 3, but its sequence count is 3");
    assert_eq!(read(&chunk(0, 1)), "an empty payload");
    let nested = [chunk(0, 1), chunk(0, 1)].concat();
    assert_eq!(read(&nested), "the payload of a message is a chunk");
    assert_eq!(read(b"\x1f\x8b"), "the compressed payload is truncated");
    assert_eq!(read(b"\x1f\x8b\x07\0\0\0\0\0\0\0"), "the payload has no valid header of gzip or zlib");
    assert_eq!(read(b"\x78\xbb\0\0\0\0"), "the zlib payload needs a preset dictionary");
    assert_eq!(read(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x07\xff"), "the compressed payload is malformed");
    assert_eq!(
        read(b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\x01\0\0\0\0\0\0\0"),
        "the compressed payload does not match its checksum"
    );
    let gzip = Compressor::new(Compression::default()).compress(PAYLOAD.as_bytes()).to_vec();
    assert_eq!(read(&[&gzip[..], b"x"].concat()), "there are bytes behind the compressed data");
    assert_eq!(read(b"\x48\x89\x03\0\0\0\0\x01"), "an empty payload");

    let mut reader = DatagramReader::<()>::default();
    assert_eq!(reader.read(Instant::now(), (), &chunk(0, 2)), Ok(None));
    let error = reader.read(Instant::now(), (), &chunk(1, 3)).unwrap_err();
    assert_eq!(error.to_string(), "the chunk's sequence count is 3, but earlier chunks have 2");
    assert_eq!(text_of(ChunkHeader::parse(b"{}")), "not a chunk");
    let gzip = Compressor::new(Compression::default()).compress(&[b' '; 100]).to_vec();
    assert_eq!(
        text_of(Decompressor::new(99).decompress(&gzip)),
        "the payload inflates to more than 99 bytes"
    );
}

#[test]
fn sizes() {
    let size = DatagramSize::new(13).unwrap();
    let mut chunker = Chunker::new(size);
    assert_eq!(
        text_of(chunker.split(&[b'a'; 200])),
        "the payload has 200 bytes, but 128 chunks hold at most 128"
    );
    let mut writer = DatagramWriter::new(Compression::None, size).with_encoder(Encoder::new());
    let message = Message::new("h", "m".repeat(200));
    let error = writer.write(&message).unwrap_err();
    assert!(error.source().is_none());
    assert_eq!(error.to_string(), "the payload has 247 bytes, but 128 chunks hold at most 128");
    assert_eq!(
        text_of(writer.write_payload(&[b'a'; 129])),
        "the payload has 129 bytes, but 128 chunks hold at most 128"
    );
    let mut writer = DatagramWriter::new(Compression::None, size).with_overflow(Overflow::Truncate);
    let message = message.try_field("x", "y".repeat(200)).unwrap();
    let error = writer.write(&message).unwrap_err();
    assert!(error.source().is_none());
    assert_eq!(error.to_string(), "the message has 273 bytes with its texts truncated, more than 128");

    let mut framer = Framer::new(3);
    let mut stream = BytesMut::from(&b"12345\0"[..]);
    assert_eq!(text_of(framer.next_frame(&mut stream).unwrap()), "the frame has more than 3 bytes");
    assert_eq!(text_of(Framer::write_frame(b" ", &mut stream)), "a blank payload cannot be a frame");
    assert_eq!(
        text_of(Framer::write_frame(b"a\0b", &mut stream)),
        "a payload with a null byte cannot be a frame"
    );
}

#[test]
fn values() {
    assert_eq!(text_of(FieldName::new("_")), "the field name is empty");
    assert_eq!(text_of(FieldName::new("_id")), "the field name 'id' is reserved");
    assert_eq!(text_of(FieldName::new("n".repeat(2000))), "the field name has 2000 bytes, more than 1023");
    assert_eq!(
        text_of(FieldName::new("a b")),
        "a field name may have only ASCII letters, digits, '_', '.' and '-'; byte 1 is none of these"
    );
    assert_eq!(text_of(Level::try_from(8u8)), "8 is not a syslog severity from 0 to 7");
    assert_eq!(text_of(Timestamp::from_decimal("noon")), "not a timestamp");
    assert_eq!(text_of(Timestamp::from_decimal("1e99")), "the timestamp is out of range");
}
