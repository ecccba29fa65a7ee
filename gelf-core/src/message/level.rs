//! `level`: the severity of a message, in syslog's eight steps.
//!
//! > GELF 1.1, `level`: "the level equal to the standard syslog levels; optional, default is 1 (ALERT)".

use std::fmt;
use std::str::FromStr;

/// A syslog severity from 0, the most severe, to 7, the least severe (RFC 5424, section 6.2.1).
///
/// ```
/// use gelf_core::Level;
///
/// assert_eq!("warn".parse(), Ok(Level::Warning));
/// assert_eq!(Level::try_from(4), Ok(Level::Warning));
/// assert!(Level::Error < Level::Debug);
/// ```
#[allow(clippy::exhaustive_enums, reason = "the RFC defines all levels")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Level {
    /// 0: the system is unusable.
    Emergency = 0,
    /// 1: action must be taken immediately. This is the specification's default for a message without a level.
    Alert = 1,
    /// 2: critical conditions.
    Critical = 2,
    /// 3: error conditions. Docker's gelf driver gives this level to every line of stderr.
    Error = 3,
    /// 4: warning conditions.
    Warning = 4,
    /// 5: normal but significant conditions.
    Notice = 5,
    /// 6: informational messages. Docker's gelf driver gives this level to every line of stdout.
    Informational = 6,
    /// 7: debug messages.
    Debug = 7,
}

#[allow(non_upper_case_globals, reason = "these are the names of variants in other logging crates")]
impl Level {
    /// [`Warning`](Self::Warning), under the name that most loggers use.
    pub const Warn: Self = Self::Warning;

    /// [`Informational`](Self::Informational), under the name that most loggers use.
    pub const Info: Self = Self::Informational;
}

impl Level {
    /// All levels, the most severe first.
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

    /// Returns the number that goes on the wire, 0 to 7.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Returns syslog's name of the level, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Informational => "informational",
            Self::Debug => "debug",
        }
    }

    /// Returns the level that a keyword names.
    pub(crate) fn from_keyword(word: &str) -> Option<Self> {
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

/// Writes the [name](Level::as_str).
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The maximum length, in bytes, of a text that is parsed. Longer texts, which may have millions of zeros before
/// a digit, are refused without a look at their characters.
const MAX_TEXT: usize = 64;

/// Parses a number from 0 to 7, a syslog keyword, or a name that loggers commonly use: `warn`, `warning`,
/// `err`, `error`, `crit`, `fatal`, `emerg`, `panic`, `info`, `informational`, `trace`, … The text may be in
/// upper or lower case, and has at most 64 bytes.
impl FromStr for Level {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        if text.len() > MAX_TEXT {
            return Err(InvalidLevel::Name);
        }
        match text.parse::<u8>() {
            Ok(number) => Self::try_from(number),
            Err(_) => Self::from_keyword(text).ok_or(InvalidLevel::Name),
        }
    }
}

impl TryFrom<u8> for Level {
    type Error = InvalidLevel;

    fn try_from(number: u8) -> Result<Self, InvalidLevel> {
        Self::ALL.get(usize::from(number)).copied().ok_or(InvalidLevel::Number(number))
    }
}

/// The reason why a number or text is not a [`Level`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidLevel {
    /// The text is neither a number from 0 to 255 nor the name of a severity, or it has more than 64 bytes.
    Name,
    /// The number is greater than 7.
    Number(u8),
}

impl fmt::Display for InvalidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("not the name of a syslog severity"),
            Self::Number(number) => write!(f, "{number} is not a syslog severity from 0 to 7"),
        }
    }
}

impl std::error::Error for InvalidLevel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_0_to_7_are_levels() {
        for number in 0..=u8::MAX {
            match Level::try_from(number) {
                Ok(level) => assert_eq!((level.as_u8(), number < 8), (number, true)),
                Err(error) => assert_eq!((error, number >= 8), (InvalidLevel::Number(number), true)),
            }
        }
    }

    #[test]
    fn numbers_and_names_in_any_case_are_parsed() {
        assert_eq!("INFO".parse(), Ok(Level::Informational));
        assert_eq!("Warning".parse(), Ok(Level::Warning));
        assert_eq!("3".parse(), Ok(Level::Error));
        assert_eq!("8".parse::<Level>(), Err(InvalidLevel::Number(8)));
        assert_eq!("baz".parse::<Level>(), Err(InvalidLevel::Name));
        assert_eq!("".parse::<Level>(), Err(InvalidLevel::Name));
        assert_eq!(format!("{:064}", 3).parse(), Ok(Level::Error));
        assert_eq!(format!("{:065}", 3).parse::<Level>(), Err(InvalidLevel::Name), "too long");
        assert_eq!(("warn".parse(), "info".parse()), (Ok(Level::Warn), Ok(Level::Info)));
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
    }
}
