//! The generated parts of `docs/gelf.md`: tables of rules, choices and implementations, and bytes of vectors.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use gelf_spec_tests::{Decision, HttpRequest, Input, Topic, Vector, decisions, rules, rules_of};
use serde::Deserialize;

use super::matches;

/// The topic of the vectors for senders.
const SENDING: &str = "encode";

/// The data in the page of the score board.
#[derive(Deserialize)]
struct Board {
    subjects: Vec<Subject>,
}

/// An implementation and its results.
#[derive(Deserialize)]
struct Subject {
    name: String,
    version: String,
    language: String,
    results: Vec<Outcome>,
}

/// The result of one vector, in one mode if the implementation has modes.
#[derive(Deserialize)]
struct Outcome {
    id: String,
    demand: String,
    verdict: String,
    reason: Option<String>,
    report: Option<String>,
}

impl Outcome {
    fn is_asked(&self) -> bool {
        self.verdict != "not asked"
    }

    fn is_failure(&self) -> bool {
        self.is_asked() && !["passes", "deviates"].contains(&self.verdict.as_str())
    }
}

/// The sources of all generated parts.
pub(super) struct Tables {
    topics: &'static [Topic],
    board: Board,
}

impl Tables {
    /// Reads the board. `topics` has all vectors.
    pub(super) fn load(topics: &'static [Topic]) -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.html");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, data) = page.split_once("id=\"results\">").unwrap();
        let board = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        Self { topics, board }
    }

    /// Returns the generated part with this name.
    pub(super) fn part(&self, name: &str) -> String {
        match name.split_once(' ') {
            None if name == "receivers" => self.receivers(),
            None if name == "senders" => self.senders(),
            None if name == "faults" => self.faults(),
            None if name == "choices" => self.choices(),
            None if name == "rules" => self.rules(),
            None if name == "links" => self.links(),
            Some(("bytes", id)) => self.bytes(id),
            _ => panic!("docs/gelf.md has an unknown part: {name}"),
        }
    }

    fn vectors(&self) -> impl Iterator<Item = &Vector> {
        self.topics.iter().flat_map(|topic| &topic.vectors)
    }

    /// Returns the table of receivers: a row for each topic with scores, and a column for each receiver.
    fn receivers(&self) -> String {
        let is_receiver =
            |subject: &&Subject| subject.results.iter().any(|r| r.is_asked() && !self.is_sent(&r.id));
        let receivers: Vec<_> = self.board.subjects.iter().filter(is_receiver).collect();
        let names: Vec<_> = receivers.iter().map(|subject| subject.name.as_str()).collect();
        let mut out = format!("| topic | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for topic in self.topics.iter().filter(|topic| topic.topic != SENDING) {
            let cells: Vec<_> = receivers.iter().map(|subject| scores(subject, topic)).collect();
            if cells.iter().any(|cell| cell != "–") {
                let _ = writeln!(out, "| {} | {} |", topic.topic, cells.join(" | "));
            }
        }
        out
    }

    /// Returns the table of senders: a row for each sender.
    fn senders(&self) -> String {
        let columns = ["sender", "version", "language", "takes · refuses", "deviates", "fails"];
        let mut out = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
        let topic = self.topics.iter().find(|topic| topic.topic == SENDING).unwrap();
        for subject in &self.board.subjects {
            let sent = || subject.results.iter().filter(|result| self.is_sent(&result.id));
            if !sent().any(Outcome::is_asked) {
                continue;
            }
            let deviates = sent().filter(|result| result.verdict == "deviates").count();
            let fails = sent().filter(|result| result.is_failure()).count();
            let Subject { name, version, language, .. } = subject;
            // Go's pseudo-versions and Debian's versions are long, so only their first part is shown.
            let version = version.split(['-', '+']).next().unwrap_or_default();
            let scores = scores(subject, topic);
            let _ = writeln!(out, "| {name} | {version} | {language} | {scores} | {deviates} | {fails} |");
        }
        out
    }

    /// Returns the table of failures that have a known reason, in the order of their rules. Implementations
    /// with the same reason share a row.
    fn faults(&self) -> String {
        struct Fault<'b> {
            reason: &'b str,
            report: Option<&'b str>,
            names: Vec<&'b str>,
            ids: BTreeSet<&'b str>,
        }
        let mut faults: Vec<Fault<'_>> = Vec::new();
        for subject in &self.board.subjects {
            for outcome in subject.results.iter().filter(|outcome| outcome.is_failure()) {
                let Some(reason) = outcome.reason.as_deref() else { continue };
                let fault = match faults.iter_mut().find(|fault| fault.reason == reason) {
                    Some(fault) => fault,
                    None => {
                        let report = outcome.report.as_deref();
                        faults.push(Fault { reason, report, names: Vec::new(), ids: BTreeSet::new() });
                        faults.last_mut().unwrap()
                    }
                };
                if !fault.names.contains(&subject.name.as_str()) {
                    fault.names.push(&subject.name);
                }
                fault.ids.insert(&outcome.id);
            }
        }
        let mut rows: Vec<(usize, String)> = faults
            .iter()
            .map(|Fault { reason, report, names, ids }| {
                let numbers = self.rules_of_ids(ids);
                let rule_names: Vec<_> =
                    numbers.iter().map(|number| format!("[{}]", rules()[*number].name)).collect();
                let report = report.map(|report| format!(" ({report})")).unwrap_or_default();
                let reason = reason.trim_end_matches('.');
                let row = format!(
                    "| {} | {} | {reason}{report} | {} |",
                    rule_names.join(" "),
                    names.join(", "),
                    self.compact(|id| ids.contains(id), |_| true)
                );
                (numbers[0], row)
            })
            .collect();
        rows.sort_by_key(|(first, _)| *first);
        let mut out = "| rules | implementations | behaviour | vectors |\n|---|---|---|---|\n".to_owned();
        rows.iter().for_each(|(_, row)| out += &format!("{row}\n"));
        out
    }

    /// Returns the rules that these vectors test, as sorted indices of the list of all rules.
    fn rules_of_ids(&self, ids: &BTreeSet<&str>) -> Vec<usize> {
        let all = rules();
        let vectors = self.vectors().filter(|vector| ids.contains(vector.id.as_str()));
        let found: BTreeSet<usize> = vectors
            .flat_map(|vector| rules_of(&vector.rule))
            .map(|rule| all.iter().position(|other| *other == rule).unwrap())
            .collect();
        found.into_iter().collect()
    }

    fn choices(&self) -> String {
        let mut out = "| vectors | decision | because | otherwise |\n|---|---|---|---|\n".to_owned();
        for decision in decisions() {
            let Decision { text, reason, .. } = decision;
            let patterns: Vec<_> = decision.patterns().collect();
            let is_about = |id: &str| patterns.iter().any(|pattern| matches(pattern, id));
            let differs = |outcome: &Outcome| {
                outcome.is_asked() && outcome.verdict != "passes" && is_about(&outcome.id)
            };
            let others = self.board.subjects.iter().filter(|subject| subject.results.iter().any(differs));
            let names: Vec<_> =
                others.map(|subject| subject.name.as_str()).filter(|name| *name != "nothing").collect();
            let ids = self.compact(is_about, |_| true);
            let _ = writeln!(out, "| {ids} | {text} | {reason} | {} |", names.join(", "));
        }
        out
    }

    fn rules(&self) -> String {
        let mut out = "| rule | says | source | vectors |\n|---|---|---|---|\n".to_owned();
        for rule in rules() {
            let is_tested = |vector: &Vector| rules_of(&vector.rule).contains(&rule);
            let count = self.vectors().filter(|vector| is_tested(vector)).count();
            let ids: BTreeSet<_> =
                self.vectors().filter(|vector| is_tested(vector)).map(|vector| vector.id.as_str()).collect();
            let mut cell = count.to_string();
            for (index, topic) in self.topics.iter().enumerate() {
                let listed = self.compact(|id| ids.contains(id), |of| of == index);
                if !listed.is_empty() {
                    let _ = write!(cell, "; [{}]: {listed}", topic.topic);
                }
            }
            let number = rule.name.trim_start_matches('R');
            let (name, text, source) = (rule.name, rule.text, rule.source);
            let _ = writeln!(out, "| <a id=\"rule-{number}\"></a>{name} | {text} | {source} | {cell} |");
        }
        out
    }

    /// Returns the definitions of the links to rules and topics.
    fn links(&self) -> String {
        let mut out = String::new();
        for rule in rules() {
            let number = rule.name.trim_start_matches('R');
            let _ = writeln!(out, "[{}]: #rule-{number}", rule.name);
        }
        for topic in self.topics {
            let _ = writeln!(out, "[{0}]: ../spec-tests/vectors/{0}.json", topic.topic);
        }
        out
    }

    /// Lists the selected vectors of the selected topics. If several vectors have an id that is `X` or begins
    /// with `X-`, and all of them are selected, the list has `X*` in their place.
    fn compact(&self, is_selected: impl Fn(&str) -> bool, has_topic: impl Fn(usize) -> bool) -> String {
        let mut listed: Vec<String> = Vec::new();
        for (_, topic) in self.topics.iter().enumerate().filter(|(index, _)| has_topic(*index)) {
            for vector in topic.vectors.iter().filter(|vector| is_selected(&vector.id)) {
                let stem = vector.id.split('-').next().unwrap_or_default();
                let is_of_stem = |other: &&Vector| other.id.split('-').next() == Some(stem);
                let family: Vec<_> = topic.vectors.iter().filter(is_of_stem).collect();
                let is_whole = family.len() > 1 && family.iter().all(|other| is_selected(&other.id));
                let entry = if is_whole { format!("{stem}*") } else { vector.id.clone() };
                if !listed.contains(&entry) {
                    listed.push(entry);
                }
            }
        }
        listed.join(", ")
    }

    /// Returns a hex dump of the input of a vector, as a block of code.
    fn bytes(&self, id: &str) -> String {
        let vector =
            self.vectors().find(|vector| vector.id == id).unwrap_or_else(|| panic!("no vector {id}"));
        let parts: Vec<Vec<u8>> = match vector.input().unwrap() {
            Input::Http(exchange) => exchange.requests.iter().map(request).collect(),
            input => input.parts().into_iter().map(<[u8]>::to_vec).collect(),
        };
        let dumps: Vec<_> = parts.iter().map(|part| dump(part)).collect();
        format!("```text\n{}```\n", dumps.join("\n"))
    }

    fn is_sent(&self, id: &str) -> bool {
        let topic = self.topics.iter().find(|topic| topic.topic == SENDING).unwrap();
        topic.vectors.iter().any(|vector| vector.id == id)
    }
}

/// Returns the scores *takes* and *refuses* of a subject in a topic.
fn scores(subject: &Subject, topic: &Topic) -> String {
    let is_of_topic = |id: &str| topic.vectors.iter().any(|vector| vector.id == id);
    let score = |demand: &str| {
        let asked = subject
            .results
            .iter()
            .filter(|outcome| outcome.is_asked() && outcome.demand == demand && is_of_topic(&outcome.id));
        let asked: Vec<_> = asked.collect();
        let vectors: Vec<_> = asked.chunk_by(|one, next| one.id == next.id).collect();
        let passed = vectors.iter().filter(|modes| modes.iter().all(|outcome| outcome.verdict == "passes"));
        (passed.count(), vectors.len())
    };
    match (score("take"), score("refuse")) {
        ((_, 0), (_, 0)) => "–".to_owned(),
        ((taken, takes), (_, 0)) => format!("{taken}/{takes}"),
        ((_, 0), (refused, refuses)) => format!("– · {refused}/{refuses}"),
        ((taken, takes), (refused, refuses)) => format!("{taken}/{takes} · {refused}/{refuses}"),
    }
}

/// Returns the bytes of a request with a body, as `vectors/README.md` defines them.
fn request(request: &HttpRequest) -> Vec<u8> {
    let HttpRequest { method, target, version, body, .. } = request;
    let body = body.as_deref().unwrap();
    let head = format!(
        "{method} {target} {version}\r\nHost: gelf.example\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Returns a hex dump. Each line has an offset, up to sixteen bytes in hexadecimal, and the same bytes as ASCII.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let visible =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let text: String = line.iter().map(visible).collect();
        let _ = writeln!(out, "{:04x}  {:<47}  {text}", number * 16, hex.join(" "));
    }
    out
}
