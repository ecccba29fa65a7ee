//! Provides numbered messages, and compares the messages that arrived with the expected messages.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the receipt of the message with this number in a stream.
pub fn receipt(stream: u32, number: u64) -> u64 {
    u64::from(stream) << 32 | number
}

/// Returns the text of the message with this receipt: the receipt, and 20 to 100 digits that are derived from
/// the receipt. A text that was changed on its way no longer fits its receipt.
pub fn text(receipt: u64) -> String {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let mut state = receipt;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let len = 20 + (next() % 81) as usize;
    let digits: String = (0..7).map(|_| format!("{:016x}", next())).collect();
    format!("{receipt}.{}", &digits[..len])
}

/// Returns the receipt of an intact text.
pub fn receipt_in(text: &str) -> Option<u64> {
    let receipt = text.split('.').next()?.parse().ok()?;
    (self::text(receipt) == text).then_some(receipt)
}

/// The differences between the expected messages and the messages that arrived.
#[derive(Debug)]
pub struct Report {
    pub lost: Vec<u64>,
    pub unexpected: Vec<u64>,
    /// The number of repeated arrivals.
    pub duplicated: u64,
    /// The messages that arrived after a later message of the same stream.
    pub reordered: Vec<u64>,
}

impl Report {
    pub fn new(expected: &BTreeSet<u64>, arrivals: &[u64]) -> Self {
        let (mut arrived, mut latest, mut reordered) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        for receipt in arrivals.iter().copied().filter(|receipt| arrived.insert(*receipt)) {
            let latest = latest.entry(receipt >> 32).or_insert(receipt);
            if receipt < *latest {
                reordered.push(receipt);
            }
            *latest = receipt.max(*latest);
        }
        Self {
            lost: expected.difference(&arrived).copied().collect(),
            unexpected: arrived.difference(expected).copied().collect(),
            duplicated: (arrivals.len() - arrived.len()) as u64,
            reordered,
        }
    }

    /// Returns whether each expected message arrived, and no other message.
    pub fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.unexpected.is_empty()
    }

    /// Returns whether each expected message arrived once and in order, and no other message arrived.
    pub fn is_exact(&self) -> bool {
        self.is_complete() && self.duplicated == 0 && self.reordered.is_empty()
    }
}

#[test]
fn each_difference_is_reported_and_a_changed_text_is_no_message() {
    let expected = (0..5).chain([receipt(1, 0)]).collect();
    let report = Report::new(&expected, &[0, 3, receipt(1, 0), 2, 4, 4, 9]);
    assert_eq!((&report.lost[..], &report.unexpected[..]), (&[1][..], &[9][..]));
    assert_eq!((report.duplicated, &report.reordered[..], report.is_complete()), (1, &[2][..], false));
    assert!(Report::new(&expected, &[0, 1, 2, receipt(1, 0), 3, 4]).is_exact());
    let whole = text(7);
    assert_eq!(receipt_in(&whole), Some(7));
    for changed in [&whole[1..], &whole[..whole.len() - 1], &whole.replacen('7', "8", 1)] {
        assert_eq!(receipt_in(changed), None, "{changed}");
    }
}
