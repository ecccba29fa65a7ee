//! Known differences of a subject, with their reasons.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::Deserialize;

use crate::judge::Verdict;
use crate::vector::Mode;

/// Version of the file format.
const SCHEMA: u32 = 1;

/// The known differences of a subject; the file is `expectations.json` in its folder.
///
/// ```json
/// {"schema": 1, "subject": "go-gelf v2", "expectations": [
///   {"vectors": ["C06", "C02-*"], "verdict": "crashes", "reason": "an index out of range", "report": "go-gelf#26"}]}
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expectations {
    schema: u32,
    /// Name of the subject.
    pub subject: String,
    expectations: Vec<Expectation>,
    #[serde(skip)]
    path: PathBuf,
}

/// Vectors with a known result.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expectation {
    /// Ids. A trailing `*` matches all ids with that prefix.
    pub vectors: Vec<String>,
    /// The mode, if the subject has two.
    #[serde(default)]
    mode: Option<String>,
    /// Known verdict: `deviates`, `fails`, `crashes` or `no answer`.
    pub verdict: String,
    /// Reason for the verdict.
    pub reason: String,
    /// Link to a report of the bug.
    #[serde(default)]
    pub report: Option<String>,
}

impl Expectation {
    fn covers(&self, id: &str, mode: Option<Mode>) -> bool {
        let same_mode = match (&self.mode, mode) {
            (Some(own), Some(mode)) => *own == mode.to_string(),
            _ => true,
        };
        same_mode
            && self.vectors.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => id.starts_with(beginning),
                None => id == pattern,
            })
    }
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`ExpectationsError`], which names the file.
    pub fn load(path: &Path) -> Result<Self, ExpectationsError> {
        let error = |reason| ExpectationsError { path: path.to_owned(), reason };
        let bytes = fs::read(path).map_err(|reason| error(Reason::Io(reason)))?;
        let mut read: Self = serde_json::from_slice(&bytes).map_err(|reason| error(Reason::Json(reason)))?;
        if read.schema != SCHEMA {
            return Err(error(Reason::Schema(read.schema)));
        }
        let known =
            |word: &str| Verdict::ALL.iter().any(|verdict| verdict.word() == word && !verdict.is_good());
        if let Some(wrong) = read.expectations.iter().find(|expectation| !known(&expectation.verdict)) {
            return Err(error(Reason::Verdict(wrong.verdict.clone())));
        }
        read.path = path.to_owned();
        Ok(read)
    }

    /// Returns the first expectation for this vector and verdict.
    pub fn of(&self, id: &str, mode: Option<Mode>, verdict: Verdict) -> Option<&Expectation> {
        self.expectations
            .iter()
            .find(|expectation| expectation.covers(id, mode) && expectation.verdict == verdict.word())
    }

    /// Returns the patterns that no result confirms, with their reasons. `results` holds only bad results.
    pub fn stale(&self, results: &[(&str, Option<Mode>, Verdict)]) -> Vec<String> {
        let mut stale = Vec::new();
        for expectation in &self.expectations {
            for pattern in &expectation.vectors {
                let one = Expectation { vectors: vec![pattern.clone()], ..expectation.clone() };
                let borne_out = |(id, mode, verdict): &(&str, Option<Mode>, Verdict)| {
                    one.covers(id, *mode) && one.verdict == verdict.word()
                };
                if !results.iter().any(borne_out) {
                    stale.push(format!(
                        "{}: {pattern} is expected to be '{}', but is not ({})",
                        self.path.display(),
                        expectation.verdict,
                        expectation.reason
                    ));
                }
            }
        }
        stale
    }
}

/// Error of reading an expectation file.
#[derive(Debug)]
pub struct ExpectationsError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Io(io::Error),
    Json(serde_json::Error),
    Schema(u32),
    Verdict(String),
}

impl fmt::Display for ExpectationsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::Io(error) => error.fmt(f),
            Reason::Json(error) => error.fmt(f),
            Reason::Schema(found) => write!(f, "unsupported schema {found}, expected {SCHEMA}"),
            Reason::Verdict(word) => {
                write!(f, "'{word}' is not one of 'deviates', 'fails', 'crashes' and 'no answer'")
            }
        }
    }
}

impl std::error::Error for ExpectationsError {}
