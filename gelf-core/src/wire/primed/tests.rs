use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::encode::Encoder;
use crate::message::{FieldName, FieldSet, Timestamp};
use crate::wire::compress::{Compression, CompressionLevel, Compressor};
use crate::wire::decompress::Decompressor;

fn set(number: usize) -> FieldSet {
    (0..12)
        .fold(FieldSet::builder("web-1"), |set, at| {
            let id = (number + 1) * (at + 3) * 0x9e37_79b1;
            set.field(FieldName::new(format!("label_{at}")).unwrap(), format!("{id:x}"))
        })
        .build()
}

fn payload(set: &FieldSet, text: &str, nanos: i64) -> Vec<u8> {
    let mut payload = BytesMut::new();
    let message = set.message(text).with_timestamp(Timestamp::from_unix_nanos(nanos));
    Encoder::new().encode(&message, &mut payload);
    payload.to_vec()
}

/// Compresses a payload, checks the output, and returns its length.
fn checked(primed: &mut Primed, payload: &[u8], dst: &mut Vec<u8>) -> usize {
    let len = primed.compress(payload, dst);
    let mut decompressor = Decompressor::default();
    assert_eq!(decompressor.decompress(&dst[..len]).unwrap(), payload);
    assert_eq!(decompressor.trailing(), 0);
    assert!(len <= payload.len() + 23);
    len
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ./:-]{0,300}",
        "\\PC{0,100}",
        ("[a-z]{1,9}", 1..300_usize).prop_map(|(word, times)| word.repeat(times)),
    ]
}

proptest! {
    #[test]
    fn a_payload_inflates_to_itself_whatever_came_before(
        lines in prop::collection::vec((0..4_usize, text(), any::<bool>()), 1..30),
        is_zlib: bool,
    ) {
        let sets: Vec<_> = (0..3).map(set).collect();
        let mut primed = Primed::new(if is_zlib { Format::Zlib } else { Format::Gzip });
        let mut dst = Vec::new();
        for (at, (number, text, is_cut)) in lines.iter().enumerate() {
            let mut payload = match sets.get(*number) {
                Some(set) => payload(set, text, at as i64 * 1_234_567),
                None => text.as_bytes().to_vec(),
            };
            if *is_cut {
                // Behind the prefix, the payload keeps up to 3 bytes, and gets up to 4 bytes that are not JSON.
                let end = memmem::find(&payload, ENDS[0]).map_or(payload.len(), |end| end + ENDS[0].len());
                payload.truncate(end + at % 4);
                payload.extend(text.bytes().map(|byte| byte ^ 0xa5).take(at % 5));
            }
            payload.truncate(MAX_PAYLOAD);
            checked(&mut primed, &payload, &mut dst);
        }
    }
}

/// Returns lines of a log with numbers that vary.
fn lines() -> impl Iterator<Item = String> {
    (0..2000_u64).map(|at| {
        let random = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        format!(
            "10.0.{}.{} GET /api/v1/orders/{} took {} us, the answer has {} bytes",
            random % 251,
            random % 241,
            random % 99_991,
            random % 5003,
            random % 65_521
        )
    })
}

#[test]
fn the_output_is_at_most_a_twelfth_longer_than_that_of_level_2() {
    let (sets, mut dst) = ([set(0), set(1), set(2)], Vec::new());
    let mut primed = Primed::new(Format::Gzip);
    let mut level_2 = Compressor::new(Compression::Gzip(CompressionLevel::new(2).unwrap()));
    let (mut ours, mut theirs) = (0, 0);
    for (at, line) in lines().enumerate() {
        let payload = payload(&sets[at % 3], &line, at as i64 * 7_654_321);
        ours += checked(&mut primed, &payload, &mut dst);
        theirs += level_2.compress(&payload).len();
    }
    assert_eq!(primed.primers.len(), 3);
    assert!(ours * 12 <= theirs * 13, "{ours} bytes, and {theirs} bytes at level 2");
}

#[test]
fn codes_adapt_to_lines_of_another_kind() {
    let (set, mut dst) = (set(0), Vec::new());
    let mut primed = Primed::new(Format::Zlib);
    for (at, line) in lines().enumerate() {
        checked(&mut primed, &payload(&set, &line, at as i64), &mut dst);
    }
    let greek = |at: i64| payload(&set, &format!("Η παραγγελία {at} έγινε δεκτή και πληρώθηκε"), at);
    let first = checked(&mut primed, &greek(0), &mut dst);
    let last = (1..3000).map(|at| checked(&mut primed, &greek(at), &mut dst)).last().unwrap();
    assert!(last + 10 < first, "the first line has {first} bytes, the last {last}");
}

#[test]
fn no_prefix_begins_with_another_prefix() {
    let (mut primed, mut dst) = (Primed::new(Format::Gzip), Vec::new());
    for at in 0..100 {
        let time = if at % 2 == 0 { format!(r#","timestamp":{at}"#) } else { String::new() };
        let payload = format!(r#"{{"version":"1.1","host":"h","short_message":"line {at}"{time}}}"#);
        checked(&mut primed, payload.as_bytes(), &mut dst);
    }
    assert_eq!(primed.primers.len(), 1);
}

#[test]
fn prefixes_that_never_repeat_do_not_displace_the_primer_of_a_prefix_that_repeats() {
    let (mut primed, mut dst) = (Primed::new(Format::Gzip), Vec::new());
    let repeating = set(0);
    for at in 0..100 {
        checked(&mut primed, &payload(&repeating, "a line", at), &mut dst);
    }
    let mut made = 0;
    for at in 0..20_000 {
        let payload = format!(r#"{{"host":"h","number":{at},"timestamp":1.5,"short_message":"m"}}"#);
        primed.compress(payload.as_bytes(), &mut dst);
        let is_primed = primed.find(payload.as_bytes()).is_ok();
        made += u32::from(is_primed);
        if at % 100 == 0 {
            checked(&mut primed, &self::payload(&repeating, "a line", at), &mut dst);
        }
    }
    // The payloads of the prefix that repeats earn more credit, so about 25 more primers are made.
    assert!((20_000 / PRICE..64 + 20_000 / PRICE + 30).contains(&made), "{made} primers were made");
    assert!(primed.primers.len() <= MAX_PRIMERS);
    let kept = primed.primers.iter().filter(|primer| primer.prefix().starts_with(br#"{"version"#));
    assert_eq!(kept.count(), 1);
}
