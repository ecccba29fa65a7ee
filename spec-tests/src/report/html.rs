//! Writes results as one self-contained HTML page.

use serde_json::Value;

use super::provenance::Provenance;
use crate::run::Results;
use crate::vector::Topic;

/// Returns the page with these results.
pub fn html(topics: &[Topic], results: &[Results], provenance: &Provenance) -> String {
    // The tag `</script>` in a string would end the script element. In JSON, `<` occurs in strings only.
    let data = super::json(topics, results, provenance).to_string().replace('<', "\\u003c");
    include_str!("page.html").replacen("__RESULTS__", &data, 1)
}

/// Returns whether a page has the vectors, subjects, verdicts and reasons that a new page would have.
///
/// The provenance and the notes of subjects are ignored. Versions are ignored, because the versions of
/// distribution packages change. Differences are ignored, because some contain times and process ids.
pub fn is_current(topics: &[Topic], results: &[Results], page: &str) -> bool {
    let Some((_, rest)) = page.split_once("<script type=\"application/json\" id=\"results\">") else {
        return false;
    };
    let data = rest.split_once("</script>").map(|(data, _)| data).unwrap_or_default();
    let Ok(mut written) = serde_json::from_str::<Value>(data) else { return false };
    let mut now = super::json(topics, results, &Provenance::here());
    for data in [&mut written, &mut now] {
        leave_out(data, &["made", "version", "differences", "notes"]);
    }
    written == now
}

/// Removes the members with these names from a value, at any depth.
fn leave_out(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|value| leave_out(value, names));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| leave_out(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Subject;
    use crate::{Builtin, Selection, embedded, run};

    #[test]
    fn a_page_is_current_until_a_verdict_changes() {
        let topics = embedded().unwrap();
        let all = |filter| {
            let mut subject = Builtin::default();
            assert_eq!(subject.description().name, "gelf-core");
            run(&topics, &mut subject, None, Selection::new(Some(filter), None), &mut |_, _| ()).unwrap()
        };
        let results = [all("C2")];
        let page = html(&topics, &results, &Provenance::here());
        assert!(is_current(&topics, &results, &page));
        assert!(is_current(&topics, &results, &page.replace("\"version\":\"0.", "\"version\":\"9.")));
        assert!(!is_current(&topics, &[all("C3")], &page));
        assert!(!is_current(&topics, &results, &page.replacen("\"passes\"", "\"fails\"", 1)));
        assert!(!is_current(&topics, &results, ""));
    }
}
