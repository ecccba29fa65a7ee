//! Parses the versions of the Engine's API, and negotiates the version to use.

use std::fmt;

/// A version of the Engine's API, such as 1.41.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The oldest supported version, which came with Docker 19.03. Older Engines give the pieces of a long
    /// line different stamps, so that the pieces cannot be joined.
    pub(crate) const OLDEST: Self = Self { major: 1, minor: 40 };

    /// The newest supported version, which came with Docker 27. This version is also used with newer Engines.
    pub(crate) const NEWEST: Self = Self { major: 1, minor: 47 };

    /// The version of Docker 23, the first Engine whose responses end in front of a damaged record. Earlier
    /// Engines have two defects. The first defect: if the oldest log file is compressed and older than `since`,
    /// the answer to a request with `since=` lacks the lines of all rotated files. The second defect: if a
    /// container ends while a stream begins, the stream can end without an error before it has returned the
    /// lines.
    pub(crate) const DOCKER_23: Self = Self { major: 1, minor: 42 };

    /// Parses two numbers with a point between them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Some(Self { major: number(major)?, minor: number(minor)? })
    }

    /// Returns the version to use with an Engine whose newest version is `self`. Returns `None` if `self` is
    /// older than [`OLDEST`](Self::OLDEST).
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

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        ApiVersion::parse(text).unwrap()
    }

    #[test]
    fn the_newest_version_that_both_sides_support_is_negotiated() {
        assert_eq!(version("1.41").negotiated(), Some(version("1.41")));
        assert_eq!(version("1.40").negotiated(), Some(version("1.40")));
        assert_eq!(version("1.52").negotiated(), Some(version("1.47")));
        assert_eq!(version("2.0").negotiated(), Some(version("1.47")));
        assert_eq!(version("1.39").negotiated(), None);
        assert_eq!(version("1.9").negotiated(), None);
    }

    #[test]
    fn versions_round_trip_through_text_and_bits() {
        for text in ["1.40", "1.47", "0.0", "65535.65535"] {
            assert_eq!(version(text).to_string(), text);
            assert_eq!(ApiVersion::from_bits(version(text).to_bits()), version(text));
        }
    }

    #[test]
    fn a_text_other_than_two_numbers_of_16_bits_is_refused() {
        for text in ["", "1", "1.", ".1", "1.41.0", "+1.41", "1.+41", "v1.41", "1.65536", "1.41\r\n"] {
            assert_eq!(ApiVersion::parse(text), None, "{text:?}");
        }
    }
}
