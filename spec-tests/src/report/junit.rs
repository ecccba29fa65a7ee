//! Writes results as JUnit XML for CI systems.

use std::fmt::Write;

use crate::judge::Verdict;
use crate::run::Results;
use crate::vector::Topic;

/// Returns one test suite for each topic, with one test case for each vector and mode. Results with a known
/// reason do not count as failures.
pub fn junit(topics: &[Topic], results: &Results) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"{}\">", escaped(&results.subject.name));
    for topic in topics {
        let outcomes = results.of_topic(topic);
        let count = |predicate: &dyn Fn(&crate::run::Outcome) -> bool| {
            outcomes.iter().filter(|outcome| predicate(outcome)).count()
        };
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            escaped(&topic.topic),
            outcomes.len(),
            count(&|outcome| outcome.is_unexpected()),
            count(&|outcome| outcome.verdict == Verdict::Skipped),
        );
        for outcome in outcomes {
            let mode = outcome.mode.map(|mode| format!(" {mode}")).unwrap_or_default();
            let name = escaped(&format!("{}{mode}", outcome.id));
            let class = escaped(&topic.topic);
            let text = escaped(&outcome.differences.join("\n"));
            let _ = match (outcome.verdict, &outcome.reason) {
                (Verdict::Passes, _) => {
                    writeln!(xml, "    <testcase classname=\"{class}\" name=\"{name}\"/>")
                }
                (Verdict::Skipped, _) => writeln!(
                    xml,
                    "    <testcase classname=\"{class}\" name=\"{name}\"><skipped message=\"{text}\"/></testcase>"
                ),
                (verdict, None) => writeln!(
                    xml,
                    "    <testcase classname=\"{class}\" name=\"{name}\"><failure message=\"{}\">{text}</failure></testcase>",
                    verdict.word()
                ),
                (verdict, Some(reason)) => writeln!(
                    xml,
                    "    <testcase classname=\"{class}\" name=\"{name}\"><system-out>{}, known: {}</system-out></testcase>",
                    verdict.word(),
                    escaped(reason)
                ),
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Escapes text for an element or attribute. U+FFFD replaces carriage returns and the characters that XML does not
/// allow.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            control if control < ' ' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
