//! The symbols of deflate for literals, lengths and distances (RFC 1951, section 3.2.5).

/// The number of symbols for literals, the end of a block, and lengths.
pub(super) const LITERALS: usize = 286;

/// The number of symbols for distances.
pub(super) const DISTANCES: usize = 30;

/// The symbol for the end of a block.
pub(super) const END: usize = 256;

/// The length of the longest match in bytes.
pub(super) const MAX_LENGTH: usize = 258;

/// A symbol, and the bits that follow it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Symbol {
    pub(super) number: usize,
    /// The value of the extra bits.
    pub(super) extra: u32,
    /// The number of extra bits.
    pub(super) extra_bits: u32,
}

/// Returns the symbol for a length, 3 to 258.
///
/// From length 11 on, a symbol stands for several lengths in a row, and its extra bits choose one of them. Four
/// symbols in a row have the same number of extra bits. Only the longest length has a symbol without extra bits
/// again.
pub(super) fn length_symbol(length: usize) -> Symbol {
    let rest = length.saturating_sub(3) as u32;
    match rest {
        255.. => Symbol { number: 285, extra: 0, extra_bits: 0 },
        0..8 => Symbol { number: 257 + rest as usize, extra: 0, extra_bits: 0 },
        _ => {
            let extra_bits = rest.ilog2() - 2;
            let number = 257 + 4 * extra_bits + (rest >> extra_bits);
            Symbol { number: number as usize, extra: rest & ((1 << extra_bits) - 1), extra_bits }
        }
    }
}

/// Returns the symbol for a distance, 1 to 32,768. From distance 5 on, a symbol stands for several distances in
/// a row, and two symbols in a row have the same number of extra bits.
#[inline(always)]
pub(super) fn distance_symbol(distance: usize) -> Symbol {
    let rest = distance.wrapping_sub(1) as u32;
    if rest < 4 {
        return Symbol { number: rest as usize, extra: 0, extra_bits: 0 };
    }
    let extra_bits = rest.ilog2() - 1;
    let number = 2 * extra_bits + (rest >> extra_bits);
    Symbol { number: number as usize, extra: rest & ((1 << extra_bits) - 1), extra_bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_tables_in_rfc_1951() {
        let length = |length| {
            let symbol = length_symbol(length);
            (symbol.number, symbol.extra_bits, symbol.extra)
        };
        assert_eq!(length(3), (257, 0, 0));
        assert_eq!(length(10), (264, 0, 0));
        assert_eq!(length(11), (265, 1, 0));
        assert_eq!(length(18), (268, 1, 1));
        assert_eq!(length(130), (280, 4, 15));
        assert_eq!(length(257), (284, 5, 30));
        assert_eq!(length(258), (285, 0, 0));
        let distance = |distance| {
            let symbol = distance_symbol(distance);
            (symbol.number, symbol.extra_bits, symbol.extra)
        };
        assert_eq!(distance(1), (0, 0, 0));
        assert_eq!(distance(4), (3, 0, 0));
        assert_eq!(distance(5), (4, 1, 0));
        assert_eq!(distance(192), (14, 6, 63));
        assert_eq!(distance(193), (15, 6, 0));
        assert_eq!(distance(32_768), (29, 13, 8191));
    }
}
