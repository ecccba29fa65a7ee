//! Checks the reading of the bodies of HTTP requests.

use gelf_tokio::fuzzing::{Item, Refusal, read_first, read_values, unpack};

use crate::parts::parts;

/// The maximum length of an inflated body in bytes. The receiver inflates a body of this length in several
/// blocks.
const MAX_BODY_LEN: usize = 40_000;
const MAX_VALUE_LEN: usize = 64;
const CODINGS: [&str; 4] = ["", "gzip", "deflate", "gzip,deflate"];

/// Checks that a body has the same text, values and end however it is split into reads, and that no value
/// follows a refusal. If the body is refused, the split may change how much text and how many values precede
/// the refusal. Also checks that the text has at most `MAX_BODY_LEN` bytes, and each value at most
/// `MAX_VALUE_LEN` bytes.
///
/// The first byte selects the `Content-Encoding`. The next four bytes determine the lengths of the reads, in
/// rotation.
pub fn http_body(data: &[u8]) {
    let Some(([coding, lengths @ ..], body)) = data.split_first_chunk::<5>() else { return };
    let coding = CODINGS[usize::from(*coding) % CODINGS.len()];
    let split = || parts(*lengths, 1, body);

    let (text, end) = unpack(coding, MAX_BODY_LEN, [body]).expect("a known coding");
    let (split_text, split_end) = unpack(coding, MAX_BODY_LEN, split()).expect("a known coding");
    assert!(text.len().max(split_text.len()) <= MAX_BODY_LEN);
    assert_same(&text, &split_text, end.is_err());
    // The split determines which fault is found first, so only the presence of a fault is compared.
    assert_eq!(end.is_err(), split_end.is_err(), "{end:?} and {split_end:?}");

    let (values, values_end) = read(coding, [body]);
    let (split_values, split_values_end) = read(coding, split());
    assert_same(&values, &split_values, end.is_err());
    assert_eq!((values_end, split_values_end), (end, split_end));

    // The values of the compressed body equal the values of its inflated text.
    if end.is_ok() && unpack("", MAX_BODY_LEN, [&text[..]]) == Some((text.clone(), Ok(()))) {
        assert_eq!(read("", [&text[..]]), (values, Ok(())));
    }
    if let Some((value, surplus)) = read_first(&text) {
        assert!(!value.is_empty());
        let surplus = usize::try_from(surplus).expect("fewer than the bytes of the text");
        assert!(value.len() + surplus <= text.len(), "{surplus} bytes behind {value:?}");
    }
}

/// Checks that both slices are equal. If the body is refused, the shorter slice may also be the beginning of
/// the longer slice.
fn assert_same<T: std::fmt::Debug + PartialEq>(whole: &[T], split: &[T], is_refused: bool) {
    if is_refused {
        assert!(whole.starts_with(split) || split.starts_with(whole), "{whole:?} and {split:?}");
    } else {
        assert_eq!(whole, split);
    }
}

/// Returns the items before a refusal, and the refusal.
fn read<'a>(coding: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Item>, Result<(), Refusal>) {
    let mut items = read_values(coding, MAX_BODY_LEN, MAX_VALUE_LEN, parts).expect("a known coding");
    let is_refused = |item: &Item| matches!(item, Item::Refused(_));
    let good = items.iter().position(is_refused).unwrap_or(items.len());
    let refusals = items.split_off(good);
    for item in &items {
        assert!(!matches!(item, Item::Value(value) if value.len() > MAX_VALUE_LEN), "{item:?} is too long");
    }
    let end = match refusals.first() {
        Some(Item::Refused(refusal)) => Err(*refusal),
        _ => Ok(()),
    };
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    (items, end)
}
