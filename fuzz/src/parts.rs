//! Splits an input into parts, as if it arrived in several reads.

/// Splits `stream` into parts. The length of each part in bytes is the next number of `lengths`, times
/// `scale`, plus one. After the fourth number, the first number is used again. The last part can be shorter.
pub(crate) fn parts(lengths: [u8; 4], scale: usize, stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    lengths.into_iter().cycle().map_while(move |length| {
        let (part, tail) = rest.split_at_checked(rest.len().min(scale * usize::from(length) + 1))?;
        rest = tail;
        (!part.is_empty()).then_some(part)
    })
}
