//! Payloads of about 8 MiB that are slow to decode.

use std::fmt::Write;

use gelf_core::Decoder;

use crate::random::Random;

pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    /// The shape of the member that makes the payload long, or `several members`.
    pub(crate) shape: String,
    pub(crate) description: String,
}

/// The length of a long repeated part. Deflate refers back by up to 32 KiB, so a few compressed kilobytes
/// inflate to 8 MiB of repetitions of the part.
const PERIOD: usize = 32 * 1024;

/// Tokens within a string.
const TEXT: &[&[u8]] = &[
    b"a",
    b"ab",
    b"abc",
    b"abcd",
    b"abcdefg",
    b"abcdefgh",
    b"twelve bytes",
    b"sixteen bytes ...",
    b"a run of thirty-four clean bytes ..",
    b" ",
    b"\\n",
    b"\\t",
    b"\\r",
    b"\\b",
    b"\\f",
    b"\\/",
    b"\\\"",
    b"\\\\",
    b"\\u0041",
    b"\\u00e9",
    b"\\u20ac",
    b"\\uFFFF",
    b"\\u0000",
    b"\\u001b",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\n",
    "é".as_bytes(),
    "€".as_bytes(),
    "😀".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{2003}".as_bytes(),
    b"\x01",
    b"\t",
    b"\n",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\x80",
    b"\xf4\x90",
];

/// White space of strings.
const BLANK: &[&[u8]] = &[
    b" ",
    b"\t",
    b"\\n",
    b"\\t",
    b"\\r",
    b"\\u0020",
    b"\\u2003",
    "\u{85}".as_bytes(),
    "\u{a0}".as_bytes(),
    "\u{1680}".as_bytes(),
    "\u{2003}".as_bytes(),
    "\u{3000}".as_bytes(),
    b"   ",
    b"\n",
];

/// Tokens within a number.
const DIGITS: &[&[u8]] =
    &[b"0", b"1", b"9", b"00", b"12", b"000000", b"31415926", b"0000000000000000", b"9999999999999999"];

/// White space between tokens.
const SPACE: &[&[u8]] = &[b" ", b"\t", b"\n", b"\r", b"  ", b"\r\n", b"    ", b"\n        "];

/// Values in arrays and objects.
const VALUES: &[&[u8]] = &[
    b"1",
    b"0",
    b"-1",
    b"12",
    b"3.5",
    b"1e9",
    b"-0.25E-3",
    b"12345678901234567890",
    b"\"\"",
    b"\"a\"",
    b"\"abcdefgh\"",
    b"\"a string of thirty-four bytes ....\"",
    b"\"\\n\"",
    b"\"a\\u00e9b\"",
    b"\"\\\"\\\\\"",
    b"\"abcdefghi\\nj\"",
    b"\"\x01\"",
    "\"é\"".as_bytes(),
    b"true",
    b"false",
    b"null",
    b"[]",
    b"{}",
    b"[1]",
    b"[[1,2],3]",
    b"[[[[]]]]",
    b"{\"a\":1}",
    b"{\"a\":{\"b\":\"c\"}}",
    b"{\"\":[]}",
    b"{\"a long name .....\":null, \"b\" : true}",
    b"[1,]",
    b"[ ]",
    b"\"text\\ttext\\ttext\\ttext\\ttext\\ttext\"",
    b"\"\\ud83d\\ude00\\ud83d\\ude00\"",
    b"{\"msg\":\"line\\nline\\nline\",\"n\":[1.5,2.5]}",
    b"\"\xff\"",
];

const SEPARATORS: &[&[u8]] =
    &[b",", b", ", b" ,", b",\n", b",\n    ", b"\t,\r\n\t", b",                                "];

/// The names of an object's members, with their colons.
const NAMES: &[&[u8]] = &[b"\"\":", b"\"a\":", b"\"name\" : ", b"\"a longer name\":", b"\"\\u0061\":"];

/// The number of members of the shapes `many members` and `duplicates`.
const MEMBERS: usize = 1000;

/// The shapes of a member.
const SHAPES: &[&str] = &[
    "array",
    "array of strings",
    "blank text",
    "defined member",
    "duplicates",
    "level",
    "many members",
    "names of an object",
    "nested name",
    "number",
    "object",
    "string in an array",
    "text",
    "timestamp",
    "white space",
];

/// Returns payloads that each repeat one unit: a short part made of one token or of two different ones.
pub(crate) fn units() -> impl Iterator<Item = Payload> {
    SHAPES.iter().flat_map(|shape| {
        let tokens = tokens(shape);
        let twice = tokens.iter().enumerate().flat_map(move |(at, first)| {
            // Each token with itself, and with a few others.
            [0, 1, 5, 11].map(|step| vec![*first, tokens[(at + step) % tokens.len()]])
        });
        twice.map(|unit| {
            let mut payload = Builder::default();
            payload.add(
                shape,
                &mut Random::new(0, 0),
                &unit,
                unit.concat().len(),
                Decoder::DEFAULT_MAX_PAYLOAD_BYTES,
            );
            payload.build()
        })
    })
}

/// Returns a payload of random members.
pub(crate) fn mixture(seed: u64, number: u64) -> Payload {
    let mut random = Random::new(seed, number);
    let mut payload = Builder::default();
    let members = [1, 1, 1, 2, 3][random.below(5)];
    let mut left = Decoder::DEFAULT_MAX_PAYLOAD_BYTES;
    for member in 0..members {
        let shape = random.of(SHAPES);
        let tokens = tokens(shape);
        let most = [2, 4, 8, 16][random.below(4)];
        let some = random.some(tokens, most);
        let share = if member + 1 == members { left } else { left / 4 + random.below(left / 2) };
        let period = [PERIOD, PERIOD, 5000, 500][random.below(4)];
        payload.add(shape, &mut random, &some, period, share);
        left -= share;
    }
    payload.build()
}

fn tokens(shape: &str) -> &'static [&'static [u8]] {
    match shape {
        "array" | "object" => VALUES,
        "blank text" => BLANK,
        "number" | "level" => DIGITS,
        "white space" => SPACE,
        _ => TEXT,
    }
}

#[derive(Default)]
struct Builder {
    members: Vec<u8>,
    shape: String,
    description: String,
}

impl Builder {
    /// Adds members of the shape `shape`, with about `len` bytes in total. Most shapes are a single member.
    fn add(&mut self, shape: &str, random: &mut Random, tokens: &[&[u8]], period: usize, len: usize) {
        // Leave room for the members that every payload has, and for the names and brackets of this member.
        let len = len.saturating_sub(200);
        let id = self.shape.len();
        let mut put = |parts: &[&[u8]]| self.members.extend(parts.concat());
        match shape {
            "array" | "object" => {
                let separators = random.some(SEPARATORS, 4);
                let names = if shape == "object" { random.some(NAMES, 3) } else { vec![&b""[..]] };
                let mut part = Vec::new();
                while part.len() < period {
                    part.extend([random.of(&names), random.of(tokens), random.of(&separators)].concat());
                }
                let (open, close): (_, &[u8]) =
                    if shape == "object" { ('{', b"\"\":1}") } else { ('[', b"1]") };
                put(&[format!(",\"_{id}\":{open}").as_bytes(), &repeated(&part, len), close]);
            }
            "array of strings" | "names of an object" => {
                // The length of one string if there are as many strings as the decoder accepts.
                let each = len / (Decoder::MAX_NESTED_VALUES - 2);
                let is_object = shape == "names of an object";
                let end: &[u8] = if is_object { b"\":0," } else { b"\"," };
                let mut part = Vec::new();
                while part.len() < period.max(each) {
                    let least = random.below(2 * each);
                    let string = mixed(random, tokens, least);
                    part.extend([b"\"", &string[..], end].concat());
                }
                let (open, close): (_, &[u8]) = if is_object { ('{', b"\"\":1}") } else { ('[', b"1]") };
                put(&[format!(",\"_{id}\":{open}").as_bytes(), &repeated(&part, len), close]);
            }
            "many members" => {
                let name = |at: usize| format!(",\"_{id}f{at}\":\"");
                let each = (len / MEMBERS).saturating_sub(name(MEMBERS).len() + 1);
                let text = repeated(&mixed(random, tokens, period.min(each)), each);
                for at in 0..MEMBERS {
                    put(&[name(at).as_bytes(), &text, b"\""]);
                }
            }
            "duplicates" => {
                // Long names that differ only at their ends. Each name occurs twice.
                let name = "n".repeat(1000);
                // Without `text`, a member has at most 1,018 bytes.
                let each = (len / MEMBERS).saturating_sub(1018);
                let text = repeated(&mixed(random, tokens, period.min(each)), each);
                for at in 0..MEMBERS {
                    let number = at.min(MEMBERS - 1 - at);
                    let value = random.of(&[&b"null"[..], b"\"\"", b"[]"]);
                    put(&[format!(",\"_{name}{number:04}\":[\"").as_bytes(), &text, b"\",", value, b"]"]);
                }
            }
            _ => {
                let text = repeated(&mixed(random, tokens, period), len);
                let name = random.of(&["short_message", "full_message", "host", "message", "level", "line"]);
                let (open, close) = match shape {
                    "number" => (format!("\"_{id}\":{}", random.of(&["1", "-0.1", "1e-1", "0.1e0"])), ""),
                    "level" if random.below(2) == 0 => ("\"level\":0.".to_owned(), "e1"),
                    "level" => ("\"level\":\"0.".to_owned(), "e1\""),
                    "timestamp" => ("\"timestamp\":\"".to_owned(), "\""),
                    "string in an array" => (format!("\"_{id}\":[\""), "\"]"),
                    "nested name" => (format!("\"_{id}\":{{\""), "\":1}"),
                    "white space" => (String::new(), "\"_x\":1"),
                    "text" => (format!("\"_{id}\":\""), "\""),
                    // A blank text, or the text of a member that the decoder knows by its name.
                    _ => (format!("\"{name}\":\""), "\""),
                };
                put(&[b",", open.as_bytes(), &text, close.as_bytes()]);
            }
        }
        let _ = write!(self.shape, "{}{shape}", if self.shape.is_empty() { "" } else { " + " });
        let tokens: Vec<_> = tokens.iter().map(|token| token.escape_ascii().to_string()).collect();
        let _ = write!(self.description, "{shape} ({len} bytes, period {period}): {}; ", tokens.join(" "));
    }

    fn build(self) -> Payload {
        let Self { members, shape, description } = self;
        let bytes = [br#"{"version":"1.1","host":"h","short_message":"m""#, &members[..], b"}"].concat();
        let shape = if shape.contains('+') { "several members".to_owned() } else { shape };
        Payload { bytes, shape, description }
    }
}

/// Returns random tokens of at least `len` bytes in all.
fn mixed(random: &mut Random, tokens: &[&[u8]], len: usize) -> Vec<u8> {
    let mut mixed = Vec::new();
    while mixed.len() < len {
        mixed.extend_from_slice(random.of(tokens));
    }
    mixed
}

/// Returns whole repetitions of the part, up to `len` bytes.
fn repeated(part: &[u8], len: usize) -> Vec<u8> {
    part.repeat(len / part.len().max(1))
}
