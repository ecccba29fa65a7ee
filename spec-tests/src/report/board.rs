//! Results of several subjects as a Markdown table.

use std::fmt::Write;

use crate::judge::Verdict;
use crate::run::{Outcome, Results};
use crate::vector::Topic;

/// Returns the table, followed by the known reasons for failures and crashes of each subject.
pub fn markdown(topics: &[Topic], results: &[Results]) -> String {
    let vectors: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Results\n\nResults of the {vectors} [vectors](vectors) for implementations of GELF, as published in their package registries.\nEach cell shows passed / asked. [RESULTS.html](RESULTS.html) shows every vector; `scripts/board` writes both files.\n"
    );
    let _ = write!(out, "| implementation | role |");
    for topic in topics {
        let _ = write!(out, " {} |", topic.topic);
    }
    let _ = write!(out, " all | deviates | fails |\n|---|---|");
    for _ in 0..topics.len() + 3 {
        out.push_str("---|");
    }
    out.push('\n');
    for results in results {
        let subject = &results.subject;
        let _ = write!(
            out,
            "| {} {} ({}) | {} |",
            subject.name,
            subject.version,
            subject.language,
            super::json::role(results)
        );
        for topic in topics {
            let _ = write!(out, " {} |", passed(&results.of_topic(topic)));
        }
        let all: Vec<_> = results.outcomes.iter().collect();
        let bad = all.len() - results.count(Verdict::Passes) - results.count(Verdict::Skipped);
        let deviates = results.count(Verdict::Deviates);
        let _ = writeln!(out, " {} | {deviates} | {} |", passed(&all), bad - deviates);
    }
    out.push_str(
        "\n*Passed*: the result is that of a strict or a lenient implementation. *Deviates*: input that is not GELF is handled in another\nway, or the sent bytes are allowed but not accepted by all receivers. *Fails*: GELF is refused or lost, a value is changed, the\nsent bytes are not GELF, the implementation crashes, or it does not answer.\n",
    );
    for results in results {
        failures(&mut out, results);
    }
    out
}

fn passed(outcomes: &[&Outcome]) -> String {
    let count = |verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    match outcomes.len() - count(Verdict::Skipped) {
        0 => "–".to_owned(),
        asked => format!("{} / {asked}", count(Verdict::Passes)),
    }
}

/// Lists the known failures of a subject, by reason.
fn failures(out: &mut String, results: &Results) {
    let mut reasons: Vec<(&str, Option<&str>, Vec<&str>)> = Vec::new();
    for outcome in &results.outcomes {
        let (Some(reason), false) = (&outcome.reason, outcome.verdict == Verdict::Deviates) else { continue };
        match reasons.iter_mut().find(|(known, ..)| known == reason) {
            Some((.., ids)) => ids.push(&outcome.id),
            None => reasons.push((reason, outcome.report.as_deref(), vec![&outcome.id])),
        }
    }
    if reasons.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {}\n", results.subject.name);
    for (reason, report, ids) in reasons {
        let report = report.map(|report| format!(" ({report})")).unwrap_or_default();
        let _ = writeln!(out, "- {}{report}: {}", reason.trim_end_matches('.'), ids.join(", "));
    }
}
