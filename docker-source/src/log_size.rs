//! Reads the sizes in the options of log drivers.

/// Parses a size such as `10m`, as Docker does (`FromHumanSize` of its package go-units): a number, which may
/// have decimals, and then possibly a space and a unit. The units are powers of 1,000, even in forms such as `KiB`,
/// and their letters can be upper or lower case. Returns `None` for other text, for example for -1, which means no
/// limit.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let end = text.find(|character: char| !matches!(character, '0'..='9' | '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match prefix.strip_suffix('i').unwrap_or(prefix) {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "p" => 1e15,
        _ => return None,
    };
    let size = number.parse::<f64>().ok()? * factor;
    // Docker keeps sizes as signed numbers of 64 bits. It cuts off the decimals, as this conversion does.
    (size < i64::MAX as f64).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, size) in [
            ("512", Some(512)),
            ("10k", Some(10_000)),
            ("20M", Some(20_000_000)),
            ("1gb", Some(1_000_000_000)),
            ("1.5g", Some(1_500_000_000)),
            ("0.5m", Some(500_000)),
            ("1.0005k", Some(1_000)),
            ("64 KiB", Some(64_000)),
            ("7b", Some(7)),
            ("2t", Some(2_000_000_000_000)),
            ("1p", Some(1_000_000_000_000_000)),
            ("", None),
            ("-1", None),
            ("m", None),
            (".", None),
            ("1.2.3m", None),
            ("10x", None),
            ("10mm", None),
            ("10  m", None),
            ("1e3", None),
            ("inf", None),
            ("18446744073709551615k", None),
        ] {
            assert_eq!(parse(text), size, "{text}");
        }
    }
}
