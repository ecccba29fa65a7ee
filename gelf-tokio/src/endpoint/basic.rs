//! Converts the user and the password of a URI into a header for Basic authentication.

use crate::endpoint::InvalidEndpoint;
use crate::endpoint::escape::decode;

/// The alphabet of Base64 (RFC 4648, section 4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the header `Authorization` (RFC 7617, section 2) for the percent-encoded `USER[:PASSWORD]` of a
/// URI.
///
/// # Errors
/// Returns [`InvalidEndpoint::UserInfo`] if a `%` is not followed by two hexadecimal digits, if the decoded
/// text is not UTF-8, if a character is not permitted in this part of a URI (RFC 3986, section 3.2.1), if the
/// user's name has a colon, or if the name or the password has a control character.
pub(super) fn authorization(user_info: &str) -> Result<(String, String), InvalidEndpoint> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let read = |text: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&byte);
        // `decode` takes a `+` for a space, as in a query.
        let text = text.bytes().all(is_allowed).then(|| text.replace('+', "%2B"))?;
        decode(&text).filter(|text| !text.contains(char::is_control))
    };
    match (read(user).filter(|user| !user.contains(':')), read(password)) {
        (Some(user), Some(password)) => {
            let credentials = base64(format!("{user}:{password}").as_bytes());
            Ok(("Authorization".to_owned(), format!("Basic {credentials}")))
        }
        _ => Err(InvalidEndpoint::UserInfo),
    }
}

/// Encodes bytes as Base64: each group of 3 bytes becomes 4 characters of 6 bits each. The characters that a
/// short last group lacks are `=`.
fn base64(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            encoded.push(match bits >> (18 - 6 * digit) & 63 {
                _ if digit > group.len() => '=',
                value => ALPHABET.get(value as usize).copied().map_or('=', char::from),
            });
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded_and_encoded_as_basic_authentication() {
        for (user_info, expected) in [
            // This example is from RFC 7617, section 2.
            ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test:123%C2%A3", "dGVzdDoxMjPCow=="),
            ("me", "bWU6"),
            (":", "Og=="),
            ("a+b:c:d%40%2F%2b", "YStiOmM6ZEAvKw=="),
        ] {
            let header = ("Authorization".to_owned(), format!("Basic {expected}"));
            assert_eq!(authorization(user_info), Ok(header), "{user_info}");
        }
    }

    #[test]
    fn an_invalid_user_or_password_is_refused() {
        for user_info in ["a%3Ab:c", "a:%0A", "%00", "a:%zz", "a:%ff", "a b:c", "a:ä", "a@b:c"] {
            assert_eq!(authorization(user_info), Err(InvalidEndpoint::UserInfo), "{user_info}");
        }
    }
}
