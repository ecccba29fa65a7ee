//! Writes a finding as a vector file.

use serde_json::json;

use super::case::Case;
use super::{Fault, Oracle};
use crate::report::merged;

/// Returns the text of a vector file that has one vector.
pub(super) fn file(
    id: &str,
    case: &Case,
    oracle: &Oracle,
    fault: &Fault,
    subject: &str,
) -> Result<String, String> {
    let title = match fault.differences.first() {
        Some(difference) => {
            format!("{}: {}", fault.verdict.word(), crate::text::shortened(&difference.to_string()))
        }
        None => fault.verdict.word().to_owned(),
    };
    let origin = json!({ "origin": format!("fuzzed: {subject}") });
    let vector = merged(case.json(id, &title, &oracle.strict, &oracle.lenient), origin);
    let file = json!({ "schema": 1, "topic": "fuzz", "vectors": [vector] });
    serde_json::to_string_pretty(&file).map(|text| text + "\n").map_err(|error| error.to_string())
}
