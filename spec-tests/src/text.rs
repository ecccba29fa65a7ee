//! Formats text for people.

/// Shortens a text for display.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}… ({} bytes)", text.split_at(at).0, text.len()),
        None => text.to_owned(),
    }
}

/// Returns a count with its noun, such as "1 byte" or "1,000 bytes".
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Formats a number with thousands separators.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        let numbers = [0, 7, 999, 1000, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "byte"), counted(2, "byte")), ("1 byte".to_owned(), "2 bytes".to_owned()));
    }
}
