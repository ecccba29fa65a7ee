//! In what a subject is known to differ, and why.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::Deserialize;

use crate::judge::Verdict;
use crate::subject::Mode;

/// The version of the files' form.
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
    /// The subject's name.
    pub subject: String,
    expectations: Vec<Expectation>,
    #[serde(skip)]
    path: PathBuf,
}

/// Some vectors, and what is known of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expectation {
    /// Ids; with `*` at the end, all that begin so.
    pub vectors: Vec<String>,
    /// In which mode, where a subject has two.
    #[serde(default)]
    mode: Option<String>,
    /// What comes: `deviates`, `fails`, `crashes` or `no answer`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// Where that is reported, if it is.
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

    /// The first that speaks of this vector with this verdict.
    pub fn of(&self, id: &str, mode: Option<Mode>, verdict: Verdict) -> Option<&Expectation> {
        self.expectations
            .iter()
            .find(|expectation| expectation.covers(id, mode) && expectation.verdict == verdict.word())
    }

    /// The patterns that no result bears out, each with its reason. `results` are those that are not good.
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
                        "{}: {pattern} is said to be '{}', and is not ({})",
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

/// A file of expectations cannot be read.
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
            Reason::Schema(found) => write!(f, "schema {found}, and this program knows {SCHEMA}"),
            Reason::Verdict(word) => {
                write!(f, "'{word}' is none of 'deviates', 'fails', 'crashes' and 'no answer'")
            }
        }
    }
}

impl std::error::Error for ExpectationsError {}
