//! Huffman codes of limited length (RFC 1951, section 3.2.2).
//!
//! The codes are made in three steps: a tree gives the best length of each code, codes that are too long are
//! shortened, and the lengths determine the bits of the codes.
#![allow(
    clippy::indexing_slicing,
    reason = "an index is a symbol, a length, or a node, and there are fewer than 2 * LITERALS nodes"
)]

use super::bits::Code;
use super::symbols::LITERALS;

/// The length of the longest code in bits. Deflate allows 15. With 14, the codes of four literals fit between
/// two flushes of the bit writer.
pub(super) const MAX_BITS: usize = 14;

/// Sets the length of the code of each symbol. Symbols without weight get no code. There are at most
/// [`LITERALS`] symbols, and `limit` is at most 15.
pub(super) fn code_lengths(weights: &[u32], limit: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut leaves = [(0, 0); LITERALS];
    let mut count = 0;
    for leaf in weights.iter().copied().zip(0..).filter(|(weight, _)| *weight > 0) {
        leaves[count] = leaf;
        count += 1;
    }
    let sorted = &mut leaves[..count];
    sorted.sort_unstable();
    let mut per_length = lengths_of_tree(sorted);
    limit_lengths(&mut per_length, limit);
    // The rarest symbols get the longest codes.
    let mut rarest_first = sorted.iter();
    for length in (1..=limit).rev() {
        for _ in 0..per_length[length] {
            if let Some((_, symbol)) = rarest_first.next() {
                lengths[usize::from(*symbol)] = length as u8;
            }
        }
    }
}

/// Finds the codes that make the total length of all symbols minimal, and counts these codes by length: the entry
/// `n` of the result is the number of codes of `n` bits. `sorted` has the weights in ascending order, with their
/// symbols. A single symbol gets a code of one bit.
fn lengths_of_tree(sorted: &[(u32, u16)]) -> [usize; 64] {
    let mut per_length = [0; 64];
    let leaves = sorted.len();
    if leaves < 2 {
        per_length[1] = leaves;
        return per_length;
    }
    // Each step joins the two lightest nodes that have no parent yet to a new node. The leaves are sorted by
    // weight. So are the joined nodes, since each of them is at least as heavy as the joined node before it.
    // Therefore the lightest node is the first leaf or the first joined node without a parent: `leaf` and `node`
    // are the indices of these two. `parent` has the index of the parent among the joined nodes, first for each
    // leaf, then for each joined node.
    let mut joined = [0u64; LITERALS];
    let mut parent = [0u16; 2 * LITERALS];
    let (mut leaf, mut node) = (0, 0);
    for new in 0..leaves - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            let takes_leaf = leaf < leaves && (node >= new || u64::from(sorted[leaf].0) <= joined[node]);
            let child = if takes_leaf {
                weight += u64::from(sorted[leaf].0);
                leaf += 1;
                leaf - 1
            } else {
                weight += joined[node];
                node += 1;
                leaves + node - 1
            };
            parent[child] = new as u16;
        }
        joined[new] = weight;
    }
    // The last joined node is the root, which has the depth 0.
    let mut depth = [0u8; LITERALS];
    for node in (0..leaves - 2).rev() {
        depth[node] = depth[usize::from(parent[leaves + node])] + 1;
    }
    // If a leaf has the depth d, the sum of the weights is at least the d-th Fibonacci number. The sum of
    // `LITERALS` weights of 32 bits is less than the 60th Fibonacci number. Therefore each depth is less than
    // 60, and each length is an index of `per_length`.
    for parent in &parent[..leaves] {
        per_length[usize::from(depth[usize::from(*parent)]).min(62) + 1] += 1;
    }
    per_length
}

/// Shortens the codes that are longer than `limit`, and lengthens others, so that the codes stay complete: each
/// sequence of bits begins with a code.
fn limit_lengths(per_length: &mut [usize; 64], limit: usize) {
    let too_long: usize = per_length[limit + 1..].iter().sum();
    if too_long == 0 {
        return;
    }
    per_length[limit] += too_long;
    // A code of `length` bits takes a space of 2^(limit - length). All codes together take 2^limit if they are
    // complete, and more if they are too short.
    let space = |per_length: &[usize; 64]| -> usize {
        (1..=limit).map(|length| per_length[length] << (limit - length)).sum()
    };
    // Each round reduces the space by 1. It removes a code of `limit` bits, and splits the longest of the
    // shorter codes into two codes that are one bit longer. These two codes take the space of the code that
    // was split.
    for _ in 1 << limit..space(per_length) {
        per_length[limit] -= 1;
        if let Some(length) = (1..limit).rev().find(|length| per_length[*length] > 0) {
            per_length[length] -= 1;
            per_length[length + 1] += 2;
        }
    }
}

/// Returns the code of each symbol. The first bit of a code is its lowest bit.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut per_length = [0_u32; 16];
    for length in lengths.iter().filter(|length| **length > 0) {
        per_length[usize::from(*length)] += 1;
    }
    let mut next = [0_u32; 16];
    for length in 1..16 {
        next[length] = (next[length - 1] + per_length[length - 1]) << 1;
    }
    lengths.map(|length| {
        if length == 0 {
            return Code::default();
        }
        let code = next[usize::from(length)];
        next[usize::from(length)] += 1;
        let count = u32::from(length);
        Code::new(code.reverse_bits() >> (u32::BITS - count), count)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_complete_and_limited_and_frequent_symbols_have_the_shorter_codes(
            weights in prop::collection::vec(prop_oneof![0..3u32, 0..1000u32, Just(1 << 24)], 19..284),
            limit in prop::sample::select(vec![9, MAX_BITS]),
        ) {
            let mut weights = weights;
            weights.extend([1, 1]);
            let mut lengths = vec![0; weights.len()];
            code_lengths(&weights, limit, &mut lengths);
            let mut space = 0;
            for (weight, length) in weights.iter().zip(&lengths) {
                prop_assert_eq!(*weight == 0, *length == 0);
                prop_assert!(usize::from(*length) <= limit);
                if *length > 0 {
                    space += 1 << (limit - usize::from(*length));
                    for (other, longer) in weights.iter().zip(&lengths) {
                        prop_assert!(other <= weight || longer <= length);
                    }
                }
            }
            prop_assert_eq!(space, 1 << limit);
        }
    }

    #[test]
    fn fibonacci_weights_need_the_limit() {
        let mut weights = vec![1_u32, 1];
        while weights.len() < 30 {
            weights.push(weights.iter().rev().take(2).sum());
        }
        let mut lengths = vec![0; weights.len()];
        code_lengths(&weights, 7, &mut lengths);
        assert_eq!(lengths.iter().max(), Some(&7));
        assert_eq!(lengths.iter().map(|length| 1 << (7 - length)).sum::<u32>(), 1 << 7);
    }
}
