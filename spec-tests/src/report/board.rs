//! Writes the results of several subjects as a Markdown table.

use std::fmt::Write;

use crate::judge::Verdict;
use crate::run::{Results, Score};
use crate::vector::{Demand, Topic};

/// Returns the tables, followed by the known reasons for failures and crashes of each subject.
pub fn markdown(topics: &[Topic], results: &[Results]) -> String {
    let vectors: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    let mut out = format!(
        "# Results\n\n\
         Results of the {vectors} [vectors](vectors) for implementations of GELF, as published in their package \
         registries.\n[RESULTS.html](RESULTS.html) shows every vector; `scripts/board` writes both files.\n\n\
         *Takes* is the score for what every implementation has to take or send, *refuses* for what none may take \
         or send as it is.\n*Free* are choices, listed in [DECISIONS.md](vectors/DECISIONS.md) or between a strict \
         and a lenient implementation; they count\nin no score. Each is passed/asked. *Nothing* is a program that \
         does nothing: the zero of each score.\n\n\
         | implementation | role | takes | refuses | free | deviates | fails |\n|---|---|---|---|---|---|---|\n"
    );
    for results in results {
        let all: Vec<_> = results.outcomes.iter().collect();
        let [takes, refuses, free] = Demand::ALL.map(|demand| Score::of(&all, demand));
        let bad = all.len() - results.count(Verdict::Passes) - results.count(Verdict::Skipped);
        let deviates = results.count(Verdict::Deviates);
        let role = super::json::role(results);
        let name = named(results);
        let _ = writeln!(
            out,
            "| {name} | {role} | {takes} | {refuses} | {free} | {deviates} | {} |",
            bad - deviates
        );
    }
    out.push_str(
        "\n*Deviates*: a choice is made in another way, or the sent bytes are allowed but not accepted by all \
         receivers.\n*Fails*: GELF is refused or lost, a value is changed, input that is not GELF is delivered as a \
         message, the sent\nbytes are not GELF, the implementation crashes, or it does not answer.\n\n\
         ## By topic\n\nEach cell shows takes, refuses and free.\n\n| implementation |",
    );
    for topic in topics {
        let _ = write!(out, " {} |", topic.topic);
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(topics.len()));
    out.push('\n');
    for results in results {
        let _ = write!(out, "| {} |", results.subject.name);
        for topic in topics {
            let outcomes = results.of_topic(topic);
            let scores = Demand::ALL.map(|demand| Score::of(&outcomes, demand));
            let cell = match scores.iter().all(|score| score.asked == 0) {
                true => "–".to_owned(),
                false => scores.map(|score| score.to_string()).join(" · "),
            };
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    for results in results {
        failures(&mut out, results);
    }
    out
}

/// Returns name, version and language of the subject.
fn named(results: &Results) -> String {
    let subject = &results.subject;
    format!("{} {} ({})", subject.name, subject.version, subject.language)
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
