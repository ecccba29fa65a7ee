//! Mutates cases, the generated inputs of the fuzzer.

use gelf_core::{Compression, CompressionLevel, wire::Compressor};

use super::case::{Case, Datagram};
use super::messages;
use crate::numbers::Numbers;

/// Maximum size of a payload, a datagram or a piece of a stream after a change within it, in bytes.
const MAX_PART_BYTES: usize = 1 << 20;

/// Maximum number of datagrams or pieces of a case.
const MAX_STEPS: usize = 300;

/// Maximum size of a case, in bytes.
const MAX_BYTES: usize = 2 << 20;

/// Byte sequences that parsers often handle wrongly, separated by bars.
const MORSELS: &[u8] = b"\
    \0|\n|\xff|\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\xef\xbb\xbf|\xe2\x80|\x1e\x0f|\x1f\x8b|\
    \x78\x9c|\\u0000|\\ud800|\\udc00\\ud800|\"|\\|{|}|[|,|null|NaN|-0|1e999|-1e-999|\"_id\":1,|\
    \"version\":\"1.1\",|\"timestamp\":\"now\",";

/// Unusual JSON values, separated by bars.
const VALUES: &str = "\
    null|true|[]|{}|\"\"|\" \"|0|-1|8|1.5|-0.0|1e400|-1e400|1e-400|9007199254740993|\
    18446744073709551616|-9223372036854775809|[1,[2,{\"a\":null}]]|{\"short_message\":\"inner\"}|\
    \"\\ud83d\"|\"\\u0000\"|\"1.1\"";

/// Mutates a case one to four times.
pub(super) fn mutated(mut case: Case, others: &[Case], numbers: &mut Numbers) -> Case {
    for _ in 0..numbers.between(1, 4) {
        if numbers.once_in(3) {
            steps(&mut case, numbers);
        } else {
            let at = numbers.below(case.parts().len());
            let other = others.get(numbers.below(others.len()));
            let other = other.and_then(|other| other.parts().first().map(|part| (*part).clone()));
            if let Some(part) = case.part_mut(at) {
                bytes(part, &other.unwrap_or_default(), numbers);
                part.truncate(MAX_PART_BYTES);
            }
        }
        bound(&mut case);
    }
    // Decompression bombs are slow, so few cases get one. It is added after the loop, because the loop could
    // repeat it.
    if numbers.once_in(40) {
        if let Case::Datagrams(datagrams) = &mut case {
            let at = numbers.below(datagrams.len());
            if let Some(datagram) = datagrams.get_mut(at) {
                datagram.bytes = bomb(&datagram.bytes, numbers);
            }
        }
    }
    bound(&mut case);
    case
}

/// Reduces a case to a size that can be sent, and sorts its datagrams by time.
fn bound(case: &mut Case) {
    let mut left = MAX_BYTES;
    let mut fits = |bytes: &Vec<u8>| {
        left = left.saturating_sub(bytes.len());
        left > 0
    };
    match case {
        Case::Payload(_) => {}
        Case::Datagrams(datagrams) => {
            datagrams.truncate(MAX_STEPS);
            // A UDP datagram over IPv4 has at most 65,507 bytes.
            datagrams.iter_mut().for_each(|datagram| datagram.bytes.truncate(65_507));
            datagrams.retain(|datagram| fits(&datagram.bytes));
            datagrams.sort_by_key(|datagram| datagram.at);
        }
        Case::Stream(pieces) => {
            pieces.truncate(MAX_STEPS);
            pieces.retain(fits);
        }
    }
}

/// Changes bytes within a payload, a datagram or a piece. `other` is a part of another case.
fn bytes(part: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(part.len() + 1);
    let to = numbers.between(at, (at + 40).min(part.len()));
    match numbers.below(14) {
        0 | 1 => {
            if let Some(byte) = part.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        2 => {
            if let Some(byte) = part.get_mut(at) {
                *byte = numbers.pick(&[0, 1, 0x7f, 0x80, 0xff, b'{', b'"', 0x1f]);
            }
        }
        3 => drop(part.drain(at..to)),
        4 => part.truncate(at),
        5 => insert(part, at, numbers.pick(&MORSELS.split(|byte| *byte == b'|').collect::<Vec<_>>())),
        6 => {
            let again = part.get(at..to).unwrap_or_default().to_vec();
            let times = numbers.pick(&[1, 2, 10, 200, 2000]);
            insert(part, at, &again.repeat(times));
        }
        7 => {
            let from = numbers.below(other.len() + 1);
            let until = numbers.between(from, (from + 200).min(other.len()));
            part.splice(at..to, other.get(from..until).unwrap_or_default().iter().copied());
        }
        8 => number(part, at, numbers),
        9 | 10 => value(part, at, numbers),
        11 => nest(part, at, numbers),
        12 => {
            let name = numbers.word("_x|x|_id|host|level|timestamp|short_message|_a b|_|");
            let member = format!("{{\"{name}\":{},", numbers.word(VALUES));
            if let Some(brace) = part.iter().position(|byte| *byte == b'{') {
                part.splice(brace..=brace, member.into_bytes());
            }
        }
        _ => {
            let times = numbers.pick(&[10, 1023, 1100]);
            let many: String = (0..times).map(|at| format!("\"_m{at}\":{at},")).collect();
            if let Some(brace) = part.iter().position(|byte| *byte == b'{') {
                insert(part, brace + 1, many.as_bytes());
            }
        }
    }
}

fn insert(part: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let room = MAX_PART_BYTES.saturating_sub(part.len());
    let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
    part.splice(at..at, bytes.iter().copied());
}

/// Replaces the next run of digits with a huge, unusual or malformed number.
fn number(part: &mut Vec<u8>, from: usize, numbers: &mut Numbers) {
    let digits = part.iter().skip(from).position(u8::is_ascii_digit).map(|digit| from + digit);
    let Some(start) = digits else { return };
    let len = part.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    let odd = match numbers.below(6) {
        0 => "9".repeat(numbers.pick(&[19, 20, 40, 310, 5000])),
        1 => format!("0.{}1", "0".repeat(numbers.pick(&[5, 20, 400]))),
        2 => format!("1e{}", numbers.pick(&["308", "309", "-400", "99999999999", "2147483648"])),
        3 => numbers.word("9223372036854775808|18446744073709551615|9007199254740993").to_owned(),
        4 => numbers.word("00|+1|.5|1.|0x10|-|1e|Infinity").to_owned(),
        _ => format!("-{}", numbers.next()),
    };
    part.splice(start..start + len, odd.into_bytes());
}

/// Replaces the value after the next colon, or after the first colon of the part if no colon follows.
fn value(part: &mut Vec<u8>, from: usize, numbers: &mut Numbers) {
    let colon = |from: usize| part.iter().skip(from).position(|byte| *byte == b':').map(|colon| from + colon);
    let Some(colon) = colon(from).or_else(|| colon(0)) else { return };
    let len = part.iter().skip(colon + 1).take_while(|byte| !matches!(byte, b',' | b'}')).count();
    part.splice(colon + 1..colon + 1 + len, numbers.word(VALUES).bytes());
}

/// Inserts nested brackets. Half of the calls also close the brackets.
fn nest(part: &mut Vec<u8>, at: usize, numbers: &mut Numbers) {
    let levels = numbers.pick(&[2, 126, 127, 128, 129, 1000, 20_000]);
    let (open, close) = numbers.pick(&[("[", "]"), ("{\"a\":", "}"), ("[{\"\":", "}]")]);
    let levels = if numbers.once_in(20) { 200_000 } else { levels };
    let mut nested = open.repeat(levels);
    if numbers.once_in(2) {
        nested.push('1');
        nested.push_str(&close.repeat(levels));
    }
    // Most calls replace the value after the next colon with the brackets.
    let colon = part.iter().skip(at).position(|byte| *byte == b':').map(|colon| at + colon + 1);
    match colon {
        Some(colon) if !numbers.once_in(4) => {
            let len = part.iter().skip(colon).take_while(|byte| !matches!(byte, b',' | b'}')).count();
            part.splice(colon..colon + len, nested.into_bytes());
        }
        _ => insert(part, at, nested.as_bytes()),
    }
}

/// Removes, repeats, reorders or changes whole datagrams or pieces. A payload is moved to another transport.
fn steps(case: &mut Case, numbers: &mut Numbers) {
    match case {
        Case::Payload(payload) => {
            let packed = messages::packed(payload, numbers);
            *case = match numbers.below(3) {
                0 => Case::Stream(messages::pieces(&[payload.as_slice(), b"\0"].concat(), numbers)),
                1 => Case::Datagrams(vec![Datagram::new(packed)]),
                _ => {
                    let chunks = messages::chunks(&packed, numbers);
                    Case::Datagrams(chunks.into_iter().map(Datagram::new).collect())
                }
            };
        }
        Case::Stream(pieces) => {
            let (one, other) = (numbers.below(pieces.len()), numbers.below(pieces.len()));
            match numbers.below(4) {
                0 => *pieces = messages::pieces(&pieces.concat(), numbers),
                1 if !pieces.is_empty() => pieces.swap(one, other),
                2 if !pieces.is_empty() => drop(pieces.remove(one)),
                _ => {
                    let again = pieces.get(one).cloned().unwrap_or_default();
                    let times = numbers.pick(&[1, 1, 20]);
                    pieces.extend(std::iter::repeat_n(again, times));
                }
            }
        }
        Case::Datagrams(datagrams) => self::datagrams(datagrams, numbers),
    }
}

fn datagrams(datagrams: &mut Vec<Datagram>, numbers: &mut Numbers) {
    let at = numbers.below(datagrams.len());
    let Some(datagram) = datagrams.get_mut(at) else { return };
    match numbers.below(10) {
        0 => drop(datagrams.remove(at)),
        1 | 2 => {
            let again = datagram.clone();
            let to = numbers.below(datagrams.len() + 1);
            let is_packed = matches!(again.bytes.first(), Some(0x1f | 0x78));
            let times = if is_packed { 1 } else { numbers.pick(&[1, 1, 2, 150]) };
            datagrams.splice(to..to, std::iter::repeat_n(again, times));
        }
        3 => numbers.shuffle(datagrams),
        4 => datagram.from = numbers.pick(&['A', 'B', 'C']),
        5 => datagram.at += numbers.pick(&[1, 2000, 4999, 5001, 60_000]),
        6 => datagram.bytes = messages::packed(&datagram.bytes, numbers),
        7 => {
            let chunks = messages::chunks(&datagram.bytes, numbers);
            datagrams.splice(at..=at, chunks.into_iter().map(Datagram::new));
        }
        // Changes the sequence number, the sequence count, or a byte of the id.
        _ if datagram.is_chunk() => {
            let byte = numbers.pick(&[10, 11, 11, 2, 9]);
            if let Some(byte) = datagram.bytes.get_mut(byte) {
                *byte = match numbers.below(3) {
                    0 => byte.wrapping_add(1),
                    1 => byte.wrapping_sub(1),
                    _ => numbers.pick(&[0, 1, 127, 128, 129, 255]),
                };
            }
        }
        _ => datagram.bytes.truncate(numbers.below(16)),
    }
}

/// Returns compressed data that inflates to at most about 9 MiB. The inflated data is the payload with spaces
/// after it, a message with a long text, opening brackets, or the payload in compressed form.
fn bomb(payload: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let level = CompressionLevel::default();
    let compression = numbers.pick(&[0, 1]);
    let compression = if compression == 0 { Compression::Gzip(level) } else { Compression::Zlib(level) };
    let compress = |bytes: &[u8]| Compressor::new(compression).compress(bytes).to_vec();
    // 9 MiB exceed 8 MiB, the limit of gelf-core and Graylog for inflated data.
    let len = match numbers.below(10) {
        0 => 9 << 20,
        1 => 3 << 20,
        _ => numbers.pick(&[5000, 20_000, 70_000, 300_000]),
    };
    match numbers.below(4) {
        0 => compress(&[payload, " ".repeat(len).as_bytes()].concat()),
        1 => {
            let long = "a".repeat(len);
            compress(
                format!("{{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"{long}\"}}").as_bytes(),
            )
        }
        2 => compress(&b"[".repeat(len)),
        _ => compress(&compress(payload)),
    }
}
