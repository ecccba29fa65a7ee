//! The versions of the Engine's API that are spoken.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine's API, such as 1.41.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The oldest that is spoken: Docker 19.03. Engines before it do not stamp the pieces of a long line alike, so that
    /// such a line could not be joined.
    pub const OLDEST: Self = Self { major: 1, minor: 40 };

    /// The newest that is spoken: Docker 27. A newer Engine is asked in this version.
    pub const NEWEST: Self = Self { major: 1, minor: 47 };

    /// The version to speak with an Engine whose newest is `self`; `None` when that is older than
    /// [`OLDEST`](Self::OLDEST).
    pub(crate) fn negotiated(self) -> Option<Self> {
        (self >= Self::OLDEST).then(|| self.min(Self::NEWEST))
    }

    pub(crate) fn to_bits(self) -> u32 {
        u32::from(self.major) << 16 | u32::from(self.minor)
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self { major: (bits >> 16) as u16, minor: (bits & 0xffff) as u16 }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, InvalidApiVersion> {
        let (major, minor) = text.split_once('.').ok_or(InvalidApiVersion)?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (Some(major), Some(minor)) = (number(major), number(minor)) else {
            return Err(InvalidApiVersion);
        };
        Ok(Self { major, minor })
    }
}

/// The text is not two numbers with a point between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidApiVersion;

impl fmt::Display for InvalidApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version of the Engine's API is two numbers, as in 1.41")
    }
}

impl std::error::Error for InvalidApiVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_older_of_both_sides_newest_versions_is_spoken() {
        assert_eq!(version("1.41").negotiated(), Some(version("1.41")));
        assert_eq!(version("1.40").negotiated(), Some(version("1.40")));
        assert_eq!(version("1.52").negotiated(), Some(version("1.47")));
        assert_eq!(version("2.0").negotiated(), Some(version("1.47")));
        assert_eq!(version("1.39").negotiated(), None);
        assert_eq!(version("1.9").negotiated(), None);
    }

    #[test]
    fn versions_survive_their_text_and_their_bits() {
        for text in ["1.40", "1.47", "0.0", "65535.65535"] {
            assert_eq!(version(text).to_string(), text);
            assert_eq!(ApiVersion::from_bits(version(text).to_bits()), version(text));
        }
    }

    #[test]
    fn what_is_not_two_numbers_is_refused() {
        for text in ["", "1", "1.", ".1", "1.41.0", "+1.41", "1.+41", "v1.41", "1.65536", "1.41\r\n"] {
            assert_eq!(text.parse::<ApiVersion>(), Err(InvalidApiVersion), "{text:?}");
        }
    }
}
