//! Writes the results of several subjects in Markdown.

use std::fmt::Write;

use super::provenance::Provenance;
use crate::judge::Verdict;
use crate::run::{Outcome, Results, Score};
use crate::vector::{Demand, Topic, line_of};

/// Returns the tables of scores. For each subject, the known reasons for outcomes other than `passes` follow.
/// The ids of vectors are links to the files in the folder `vectors`.
pub fn markdown(topics: &[Topic], results: &[Results], provenance: &Provenance) -> String {
    let made = provenance.markdown();
    let vectors: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    let mut out = format!(
        "# Results\n\n\
         Results of the {vectors} [vectors](vectors) for implementations of GELF, as published in their package \
         registries.\n[RESULTS.html](RESULTS.html) shows every vector; `scripts/board` writes both files.\n\n\
         {made}\n\n\
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
        let is_failure = |outcome: &Outcome| outcome.verdict != Verdict::Deviates;
        let failures = reasons(topics, results, is_failure);
        let deviations = reasons(topics, results, |outcome| !is_failure(outcome));
        if failures.is_empty() && deviations.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n## {}", results.subject.name);
        for (heading, list) in [("Fails", failures), ("Deviates", deviations)] {
            if !list.is_empty() {
                let _ = write!(out, "\n{heading}:\n\n{list}");
            }
        }
    }
    out
}

/// Returns name, version and language of the subject.
fn named(results: &Results) -> String {
    let subject = &results.subject;
    format!("{} {} ({})", subject.name, subject.version, subject.language)
}

/// Lists the reasons for the outcomes of one kind, each with its vectors.
fn reasons(topics: &[Topic], results: &Results, is_of_kind: impl Fn(&Outcome) -> bool) -> String {
    let mut reasons: Vec<(&str, Option<&str>, Vec<String>)> = Vec::new();
    for outcome in results.outcomes.iter().filter(|outcome| is_of_kind(outcome)) {
        let Some(reason) = &outcome.reason else { continue };
        let id = linked(topics, &outcome.id);
        match reasons.iter_mut().find(|(known, ..)| known == reason) {
            Some((.., ids)) => ids.push(id),
            None => reasons.push((reason, outcome.report.as_deref(), vec![id])),
        }
    }
    let mut out = String::new();
    for (reason, report, ids) in reasons {
        let report = report.map(|report| format!(" ({report})")).unwrap_or_default();
        let _ = writeln!(out, "- {}{report}: {}", reason.trim_end_matches('.'), ids.join(", "));
    }
    out
}

/// Returns the id of a vector as a link to the line of the vector in its file.
fn linked(topics: &[Topic], id: &str) -> String {
    let topic = topics.iter().find(|topic| topic.vectors.iter().any(|vector| vector.id == id));
    match topic.and_then(|topic| Some((&topic.topic, line_of(&topic.topic, id)?))) {
        Some((topic, line)) => format!("[{id}](vectors/{topic}.json#L{line})"),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// `scripts/board` writes the board, not this test. This test finds links that a later change of the
    /// vectors has broken.
    #[test]
    fn each_link_of_the_board_leads_to_its_vector() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let board = std::fs::read_to_string(folder.join("RESULTS.md")).unwrap();
        let links: Vec<_> =
            board.split("](vectors/").skip(1).filter(|link| link.contains(".json#L")).collect();
        assert!(links.len() > 100, "{}", links.len());
        for (before, link) in board.split("](vectors/").zip(board.split("](vectors/").skip(1)) {
            let Some((file, rest)) = link.split_once("#L") else { continue };
            let id = before.rsplit('[').next().unwrap_or_default();
            let line: usize = rest.split(')').next().unwrap().parse().unwrap();
            let text = std::fs::read_to_string(folder.join("vectors").join(file)).unwrap();
            let found = text.lines().nth(line - 1).unwrap_or_default();
            assert!(found.contains(&format!("\"{id}\"")), "{id} links to {file}, line {line}: {found}");
        }
    }
}
