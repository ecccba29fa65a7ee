//! Splits an input into the parts in which it arrives.

/// Splits `stream` into parts. The length of each part is the next of `lengths` times `scale`, plus one byte.
pub(crate) fn parts(lengths: [u8; 4], scale: usize, stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    lengths.into_iter().cycle().map_while(move |length| {
        let (part, tail) = rest.split_at_checked(rest.len().min(scale * usize::from(length) + 1))?;
        rest = tail;
        (!part.is_empty()).then_some(part)
    })
}
