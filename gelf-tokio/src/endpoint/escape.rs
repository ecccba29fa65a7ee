//! Encodes and decodes names and values of a query, as in HTML forms.

/// Decodes `%XX` and `+`. Returns `None` if a `%` is not followed by two hexadecimal digits, or the result is
/// not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = digit().zip(digit())?;
                // Two hexadecimal digits are at most 255.
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Encodes all bytes but the letters and digits of ASCII and the characters `*,-./:@_~`. Paths of files stay
/// readable.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'*' | b',' | b'-' | b'.' | b'/' | b':' | b'@' | b'_' | b'~' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plus_is_a_space_and_hexadecimal_digits_are_bytes_of_utf_8() {
        assert_eq!(decode("a%2Cb+%c3%A4%2b%25").as_deref(), Some("a,b ä+%"));
        assert_eq!(decode("ä").as_deref(), Some("ä"));
        for wrong in ["%", "%4", "%zz", "%4z", "%+4", "%ff", "%c3"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn paths_stay_readable() {
        assert_eq!(encode("/etc/ssl/My CA+1%.pem"), "/etc/ssl/My%20CA%2B1%25.pem");
        assert_eq!(encode("C:\\ä&#"), "C:%5C%C3%A4%26%23");
    }

    proptest! {
        #[test]
        fn an_encoded_text_has_no_delimiter_and_decodes_to_itself(text: String) {
            let encoded = encode(&text);
            prop_assert!(!encoded.contains(['&', '=', '#', '?', '+', ' ']) && encoded.is_ascii());
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
