//! Formats results as text for a terminal.

use std::fmt::Write;

use crate::judge::Verdict;
use crate::rules::{decision, rules_of};
use crate::run::{Outcome, Results, Score};
use crate::vector::{Demand, Mode, Topic, Vector};
use crate::{describe_expected, describe_input};

/// The verdicts that are counted beside the score.
const COUNTED: [Verdict; 5] =
    [Verdict::Deviates, Verdict::Fails, Verdict::Crashes, Verdict::NoAnswer, Verdict::Skipped];

/// The meaning of the columns of the score.
const COLUMNS: &str = "\
takes: what every implementation has to take, as passed/asked. refuses: what none may take.
free: what implementations may handle differently; it counts in no score. 'explain ID' shows the reasons.
";

/// The style of the output.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// With ANSI colours, for a terminal.
    Coloured,
    /// Without colours, for a file or a pipe.
    Plain,
}

impl Style {
    /// Colours a text with an SGR code, such as `31` for red.
    pub fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// Returns a table by topic, and explanations of the first `explained` unexpected outcomes.
pub fn summary(topics: &[Topic], results: &Results, explained: usize, style: Style) -> String {
    let mut out = String::new();
    let subject = &results.subject;
    let _ = writeln!(out, "{} {} ({})\n", style.bold(&subject.name), subject.version, subject.language);
    let _ = write!(out, "{:<14}", "");
    for word in Demand::ALL.map(Demand::word).into_iter().chain(COUNTED.map(Verdict::word)) {
        let _ = write!(out, " {word:>9}");
    }
    out.push('\n');
    for topic in topics {
        let outcomes = results.of_topic(topic);
        if !outcomes.is_empty() {
            row(&mut out, &topic.topic, &outcomes, style);
        }
    }
    row(&mut out, "all", &results.outcomes.iter().collect::<Vec<_>>(), style);
    out.push_str(COLUMNS);
    let unexpected: Vec<_> = results.unexpected().collect();
    for outcome in unexpected.iter().take(explained) {
        let vector = topics.iter().flat_map(|topic| &topic.vectors).find(|vector| vector.id == outcome.id);
        if let Some(vector) = vector {
            out.push('\n');
            out.push_str(&explain(vector, Some(outcome), style));
        }
    }
    if unexpected.len() > explained {
        let rest: Vec<_> = unexpected.iter().skip(explained).map(|outcome| outcome.label()).collect();
        let _ = writeln!(out, "\nand {} more: {}", rest.len(), rest.join(" "));
    }
    for stale in &results.stale {
        let _ = writeln!(out, "\nstale expectation: {stale}");
    }
    let known = results.outcomes.iter().filter(|outcome| outcome.reason.is_some()).count();
    let all = results.outcomes.len();
    let _ = writeln!(
        out,
        "\n{all} results, {} unexpected, {known} known, {} stale expectations",
        unexpected.len(),
        results.stale.len()
    );
    out
}

fn row(out: &mut String, name: &str, outcomes: &[&Outcome], style: Style) {
    let _ = write!(out, "{name:<14}");
    for demand in Demand::ALL {
        let score = Score::of(outcomes, demand);
        let code = match score {
            Score { asked: 0, .. } => "2",
            Score { passed, asked } if passed == asked => "32",
            _ if demand == Demand::Free => "0",
            _ => "31",
        };
        out.push_str(&style.paint(code, &format!(" {score:>9}")));
    }
    for verdict in COUNTED {
        let count = outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
        let text = if count == 0 { format!(" {:>9}", "·") } else { format!(" {count:>9}") };
        let text = match verdict {
            _ if count == 0 => style.paint("2", &text),
            Verdict::Deviates => style.paint("33", &text),
            Verdict::Passes | Verdict::Skipped => text,
            Verdict::Fails | Verdict::Crashes | Verdict::NoAnswer => style.paint("31", &text),
        };
        out.push_str(&text);
    }
    out.push('\n');
}

/// Explains a vector: rule, input, expected result, and the outcome if there is one.
pub fn explain(vector: &Vector, outcome: Option<&Outcome>, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", style.bold(&vector.id), vector.title);
    for rule in rules_of(&vector.rule) {
        let _ = writeln!(out, "  rule {}: {} ({})", rule.name, rule.text, rule.source);
    }
    let demand = match vector.demand() {
        Demand::Take => "every implementation has to take it",
        Demand::Refuse => "no implementation may take it",
        Demand::Free => "implementations may differ",
    };
    let _ = writeln!(out, "  demand: {demand}");
    if let Some(decision) = decision(&vector.id) {
        let _ = writeln!(out, "  choice: {}, because {}", decision.text, decision.reason);
    }
    if let Some(origin) = &vector.origin {
        let _ = writeln!(out, "  origin: {origin}");
    }
    indented(&mut out, "given", &describe_input(vector));
    let (strict, lenient) = (vector.expected(Mode::Strict), vector.expected(Mode::Lenient));
    if strict == lenient {
        indented(&mut out, "expected", &describe_expected(strict));
    } else {
        indented(&mut out, "expected, strict", &describe_expected(strict));
        indented(&mut out, "expected, lenient", &describe_expected(lenient));
    }
    if let Some(outcome) = outcome {
        let mode = outcome.mode.map(|mode| format!(" ({mode})")).unwrap_or_default();
        let found = format!("{}{mode}", outcome.verdict.word());
        let _ = writeln!(out, "  {}", style.paint("31", &found));
        for difference in &outcome.differences {
            let _ = writeln!(out, "    {difference}");
        }
    }
    out
}

fn indented(out: &mut String, what: &str, text: &str) {
    for (at, line) in text.lines().enumerate() {
        let _ = if at == 0 { writeln!(out, "  {what}: {line}") } else { writeln!(out, "    {line}") };
    }
}
