//! Known differences of a subject, with their reasons.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::judge::Verdict;
use crate::rules::matches;
use crate::vector::{Mode, at, parse};

/// The known differences of a subject, read from a file such as `expectations.json` in the folder of a peer.
///
/// ```json
/// {"schema": 1, "subject": "go-gelf v2", "expectations": [
///   {"vectors": ["C06", "C02-*"], "verdict": "crashes", "reason": "an index out of range",
///    "report": "go-gelf#26"}]}
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
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
pub struct Expectation {
    /// The ids of the vectors. A trailing `*` matches all ids with that prefix.
    pub vectors: Vec<String>,
    /// The only mode that is covered, if the subject has a strict and a lenient mode. `None` covers both modes.
    mode: Option<Mode>,
    /// Known verdict: `deviates`, `fails`, `crashes` or `no answer`.
    pub verdict: String,
    /// Reason for the verdict.
    pub reason: String,
    /// Reference to a report of the bug, such as `go-gelf#26`.
    pub report: Option<String>,
}

impl Expectation {
    fn covers(&self, id: &str, mode: Option<Mode>) -> bool {
        self.has_mode(mode) && self.vectors.iter().any(|pattern| matches(pattern, id))
    }

    fn has_mode(&self, mode: Option<Mode>) -> bool {
        self.mode.is_none() || mode.is_none() || self.mode == mode
    }
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns the reason of the failure, with the path of the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| at(path, &error))?;
        let mut read = parse(path, &bytes, |read: &Self| read.schema)?;
        let known =
            |word: &str| Verdict::ALL.iter().any(|verdict| verdict.word() == word && !verdict.is_good());
        if let Some(wrong) = read.expectations.iter().find(|expectation| !known(&expectation.verdict)) {
            let words = "'deviates', 'fails', 'crashes' and 'no answer'";
            return Err(at(path, &format!("'{}' is not one of {words}", wrong.verdict)));
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

    /// Returns a line of text for each pattern of vectors that no result confirms. `results` needs only the
    /// results whose verdict is not good.
    pub fn stale(&self, results: &[(&str, Option<Mode>, Verdict)]) -> Vec<String> {
        let mut stale = Vec::new();
        for expectation in &self.expectations {
            for pattern in &expectation.vectors {
                let is_confirmed = results.iter().any(|(id, mode, verdict)| {
                    matches(pattern, id)
                        && expectation.has_mode(*mode)
                        && expectation.verdict == verdict.word()
                });
                if !is_confirmed {
                    stale.push(format!(
                        "{}: no result of {pattern} is '{}', which is expected for this reason: {}",
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
