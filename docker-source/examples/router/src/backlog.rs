//! Selects the lines that are shipped although they were written before the start.

use std::fmt;
use std::str::FromStr;

use docker_source::Start;

/// Selects the lines of each container that are shipped although they were written before the start. The
/// selection applies to running and ended containers. It has no effect if there are saved positions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backlog {
    /// No lines.
    None,
    /// All lines that the Engine still has.
    All,
    /// The last lines: this number of records. A line of more than 16 KiB consists of several records.
    Last(u32),
}

impl Backlog {
    /// Returns the backlog that Logspout's variables `BACKLOG` and `TAIL` set, if they set a backlog.
    ///
    /// # Errors
    /// Returns a text of one line if `BACKLOG` is `true`, and `TAIL` is neither `all` nor a number.
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

    /// Returns the place at which a source without saved positions starts to read.
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
