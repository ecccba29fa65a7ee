//! `level`: the severity of a message, in syslog's eight steps.
//!
//! > GELF 1.1, `level`: "the level equal to the standard syslog levels; optional, default is 1 (ALERT)".

use std::fmt;

/// A syslog severity (RFC 5424, section 6.2.1), from 0, the most severe, to 7.
#[allow(clippy::exhaustive_enums, reason = "the RFC has closed the list")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Level {
    /// 0: the system is unusable.
    Emergency = 0,
    /// 1: action must be taken at once. What a reader may assume where a message says no level.
    Alert = 1,
    /// 2: critical conditions.
    Critical = 2,
    /// 3: error conditions. Docker's gelf driver gives this to every line of stderr.
    Error = 3,
    /// 4: warning conditions.
    Warning = 4,
    /// 5: normal but significant.
    Notice = 5,
    /// 6: informational. Docker's gelf driver gives this to every line of stdout.
    Informational = 6,
    /// 7: debug messages.
    Debug = 7,
}

impl Level {
    /// Every level, the most severe first.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The number that goes on the wire, 0 to 7.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The level that a word names: syslog's keywords and the names that loggers commonly use, in any case
    /// (`warn`, `warning`, `err`, `error`, `crit`, `fatal`, `emerg`, `panic`, `info`, `informational`, `trace`, …).
    pub fn from_keyword(word: &str) -> Option<Self> {
        const KEYWORDS: [(&str, Level); 18] = [
            ("emerg", Level::Emergency),
            ("emergency", Level::Emergency),
            ("panic", Level::Emergency),
            ("alert", Level::Alert),
            ("crit", Level::Critical),
            ("critical", Level::Critical),
            ("fatal", Level::Critical),
            ("err", Level::Error),
            ("error", Level::Error),
            ("warn", Level::Warning),
            ("warning", Level::Warning),
            ("notice", Level::Notice),
            ("info", Level::Informational),
            ("information", Level::Informational),
            ("informational", Level::Informational),
            ("debug", Level::Debug),
            ("trace", Level::Debug),
            ("verbose", Level::Debug),
        ];
        KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }
}

impl TryFrom<u8> for Level {
    type Error = InvalidLevel;

    fn try_from(number: u8) -> Result<Self, InvalidLevel> {
        Self::ALL.get(usize::from(number)).copied().ok_or(InvalidLevel { number })
    }
}

/// A number that is no syslog severity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidLevel {
    /// The number, 8 or more.
    pub number: u8,
}

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no syslog severity, they are 0 to 7", self.number)
    }
}

impl std::error::Error for InvalidLevel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_0_to_7_are_levels_and_no_others() {
        for number in 0..=u8::MAX {
            match Level::try_from(number) {
                Ok(level) => assert_eq!((level.as_u8(), number < 8), (number, true)),
                Err(error) => assert_eq!((error.number, number >= 8), (number, true)),
            }
        }
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        assert_eq!(Level::from_keyword("INFO"), Some(Level::Informational));
        assert_eq!(Level::from_keyword("Warning"), Some(Level::Warning));
        assert_eq!(Level::from_keyword("baz"), None);
        assert_eq!(Level::from_keyword(""), None);
    }
}
