//! Origin of results: the date, the versions, the commit and the command.

use std::ffi::OsString;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::VERSION;

/// Origin of results: the date, the versions, the commit and the command. Reports show the origin. A
/// comparison of reports ignores it.
#[derive(Clone, Debug)]
pub struct Provenance {
    date: String,
    command: String,
    commit: Option<String>,
    vectors_at: Option<&'static str>,
}

/// Options whose value is a secret or may be one.
const SECRETS: [&str; 1] = ["--http-header"];

impl Provenance {
    /// Returns today's date, in UTC, and the command line of this process, without its secrets.
    pub fn here() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            date: date(seconds / 86_400),
            command: command(std::env::args_os()),
            commit: None,
            vectors_at: None,
        }
    }

    /// Adds the commit of this suite's repository.
    #[must_use]
    pub fn with_commit(self, commit: Option<String>) -> Self {
        Self { commit, ..self }
    }

    /// Sets the folder of the vector files, relative to the report. The ids in the report then link to these
    /// files.
    #[must_use]
    pub fn with_vectors_at(self, folder: &'static str) -> Self {
        Self { vectors_at: Some(folder), ..self }
    }

    /// Returns the origin as a JSON object.
    pub(super) fn json(&self) -> Value {
        json!({
            "date": self.date,
            "suite": env!("CARGO_PKG_VERSION"),
            "vectors": VERSION,
            "vectors_at": self.vectors_at,
            "commit": self.commit,
            "command": self.command,
        })
    }

    /// Returns the origin as a sentence in Markdown.
    pub(super) fn markdown(&self) -> String {
        let Self { date, command, .. } = self;
        let commit = self.commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let suite = env!("CARGO_PKG_VERSION");
        format!(
            "Made on {date} by version {suite} of the suite{commit}, with version {VERSION} of the vectors:\n`{command}`."
        )
    }
}

/// Returns a command line for display. The program is shown without its folder and file extension, and `…`
/// replaces secret values. U+FFFD replaces bytes that are not Unicode.
fn command(arguments: impl Iterator<Item = OsString>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for (at, argument) in arguments.enumerate() {
        let argument = argument.to_string_lossy().into_owned();
        let is_secret = shown.last().is_some_and(|before| SECRETS.contains(&before.as_str()));
        let assigned = argument.split_once('=').filter(|(option, _)| SECRETS.contains(option));
        shown.push(match (at, assigned) {
            (0, _) => Path::new(&argument).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            (_, Some((option, _))) => format!("{option}=…"),
            _ if is_secret => "…".to_owned(),
            _ if argument.contains([' ', '\'', '"']) => format!("'{}'", argument.replace('\'', r"'\''")),
            _ => argument,
        });
    }
    shown.join(" ")
}

/// Returns the date that is `day` days after 1970-01-01, in the proleptic Gregorian calendar. The algorithm
/// is Howard Hinnant's ("chrono-compatible low-level date algorithms"), in which a year begins in March.
fn date(day: u64) -> String {
    let (era, day_of_era) = ((day + 719_468) / 146_097, (day + 719_468) % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{}-{month:02}-{day:02}", year_of_era + 400 * era + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_since_1970_become_calendar_dates() {
        let days =
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_787, "2026-11-30"), (47_541, "2100-03-01")];
        days.iter().for_each(|(day, expected)| assert_eq!(date(*day), *expected));
    }

    #[test]
    fn a_command_is_shown_without_its_secrets() {
        let given = [
            "/x/gelf-conformance",
            "receiver",
            "--http-header",
            "T: secret",
            "--http-header=T: secret",
            "a b",
        ];
        let shown = command(given.iter().map(OsString::from));
        assert_eq!(shown, "gelf-conformance receiver --http-header … --http-header=… 'a b'");
    }

    #[test]
    fn an_argument_that_is_not_unicode_is_shown() {
        use std::os::unix::ffi::OsStringExt;
        let given = [OsString::from("run"), OsString::from_vec(b"--vectors=\xff".to_vec())];
        assert_eq!(command(given.into_iter()), "run --vectors=\u{fffd}");
    }
}
