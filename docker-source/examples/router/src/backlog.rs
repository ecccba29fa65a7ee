//! The lines from before the first start that are shipped.

use std::fmt;
use std::str::FromStr;

use docker_source::Start;

/// The lines from before the start that are shipped of each container, running or ended, unless there are
/// saved positions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backlog {
    /// None.
    None,
    /// All that the Engine still has.
    All,
    /// The last ones: this number of records. A line of more than 16 KiB has several.
    Last(u32),
}

impl Backlog {
    /// Returns the backlog that `BACKLOG` and `TAIL` of Logspout set, if they set one.
    ///
    /// # Errors
    /// Returns a text of one line if `TAIL` has another value than `all` or a number.
    pub(crate) fn of_logspout(backlog: Option<&str>, tail: Option<&str>) -> Result<Option<Self>, String> {
        match (backlog, tail) {
            (Some("true"), None | Some("all")) => Ok(Some(Self::All)),
            (Some("true"), Some(records)) => {
                let records =
                    records.parse().map_err(|_| format!("TAIL: {records:?} is neither all nor a number"))?;
                Ok(Some(Self::Last(records)))
            }
            (Some("false"), _) => Ok(Some(Self::None)),
            _ => Ok(None),
        }
    }

    /// Returns the start of a source without saved positions.
    pub(crate) fn start(self) -> Start {
        match self {
            Self::None => Start::Now,
            Self::All => Start::Beginning,
            Self::Last(records) => Start::Tail(records),
        }
    }
}

impl FromStr for Backlog {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Last).map_err(|_| "write none, all or a number"),
        }
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Last(records) => records.fmt(f),
        }
    }
}
