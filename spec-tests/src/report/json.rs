//! Converts results to JSON, for the report on one subject and for the data of the HTML page.

use serde_json::{Value, json};

use super::provenance::Provenance;
use crate::judge::Verdict;
use crate::rules::{decision, rules};
use crate::run::{Outcome, Results};
use crate::subject::Description;
use crate::vector::{Input, Mode, Topic, line_of};
use crate::{describe_expected, describe_input};

/// Returns the results of subjects, with the vectors and the rules to which the results refer.
pub fn json(topics: &[Topic], results: &[Results], provenance: &Provenance) -> Value {
    let vectors: Vec<Value> = topics
        .iter()
        .flat_map(|topic| topic.vectors.iter().map(move |vector| (topic, vector)))
        .map(|(topic, vector)| {
            let (strict, lenient) = (vector.expected(Mode::Strict), vector.expected(Mode::Lenient));
            let entry = json!({
                "id": vector.id,
                "topic": topic.topic,
                "asks": if matches!(vector.input(), Some(Input::Send(_) | Input::Chunk(_))) { "send" } else { "receive" },
                "line": line_of(&topic.topic, &vector.id),
                "title": vector.title,
                "rule": vector.rule,
                "demand": vector.demand(),
                "input": describe_input(vector),
                "strict": describe_expected(strict),
                "lenient": describe_expected(lenient),
            });
            let entry = match &vector.origin {
                Some(origin) => super::merged(entry, json!({"origin": origin})),
                None => entry,
            };
            match decision(&vector.id) {
                Some(decision) => {
                    let choice = format!("{}, because {}", decision.text, decision.reason);
                    super::merged(entry, json!({"choice": choice}))
                }
                None => entry,
            }
        })
        .collect();
    // The rules of HTTP are included only with the HTTP vectors.
    let has_http = topics.iter().any(|topic| topic.topic == "http");
    let rules: serde_json::Map<String, Value> = rules()
        .into_iter()
        .filter(|rule| has_http || !HTTP_RULES.contains(&rule.name))
        .map(|rule| (rule.name.to_owned(), json!({"text": rule.text, "source": rule.source})))
        .collect();
    let subjects: Vec<Value> = results
        .iter()
        .map(|results| {
            let Description { name, version, language, notes, .. } = &results.subject;
            json!({
                "name": name,
                "version": version,
                "language": language,
                "role": role(results),
                "notes": notes,
                "results": results.outcomes,
            })
        })
        .collect();
    json!({"schema": 2, "made": provenance.json(), "rules": rules, "vectors": vectors, "subjects": subjects})
}

/// The rules of HTTP.
const HTTP_RULES: [&str; 4] = ["R28", "R29", "R41", "R42"];

/// Returns the role of the subject in words, by the vectors that it was asked: it receives, sends, does both, or
/// does nothing.
pub(super) fn role(results: &Results) -> &'static str {
    // Only the ids of vectors for senders begin with `E`.
    let asked = |sending: bool| {
        let of_kind = |outcome: &&Outcome| outcome.id.starts_with('E') == sending;
        results.outcomes.iter().filter(of_kind).any(|outcome| outcome.verdict != Verdict::Skipped)
    };
    match (asked(false), asked(true)) {
        (true, true) => "receives and sends",
        (true, false) => "receives",
        (false, true) => "sends",
        (false, false) => "nothing",
    }
}
