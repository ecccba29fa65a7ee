//! Formats results as text for a terminal.

use std::fmt::Write;

use crate::judge::Verdict;
use crate::run::{Outcome, Results};
use crate::vector::{Mode, Topic, Vector, rules};
use crate::{describe_expected, describe_input};

/// Maximum number of unexpected outcomes that are explained.
const EXPLAINED: usize = 5;

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

/// Returns a table by topic, and explanations of the first unexpected outcomes.
pub fn summary(topics: &[Topic], results: &Results, style: Style) -> String {
    let mut out = String::new();
    let subject = &results.subject;
    let _ = writeln!(out, "{} {} ({})\n", style.bold(&subject.name), subject.version, subject.language);
    let verdicts = Verdict::ALL;
    let _ = write!(out, "{:<14}", "");
    for verdict in verdicts {
        let _ = write!(out, " {:>9}", verdict.word());
    }
    out.push('\n');
    for topic in topics {
        let outcomes = results.of_topic(topic);
        if !outcomes.is_empty() {
            row(&mut out, &topic.topic, &outcomes, style);
        }
    }
    row(&mut out, "all", &results.outcomes.iter().collect::<Vec<_>>(), style);
    let unexpected: Vec<_> = results.unexpected().collect();
    for outcome in unexpected.iter().take(EXPLAINED) {
        let vector = topics.iter().flat_map(|topic| &topic.vectors).find(|vector| vector.id == outcome.id);
        if let Some(vector) = vector {
            out.push('\n');
            out.push_str(&explain(vector, Some(outcome), style));
        }
    }
    if unexpected.len() > EXPLAINED {
        let rest: Vec<_> = unexpected.iter().skip(EXPLAINED).map(|outcome| outcome.label()).collect();
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
    for verdict in Verdict::ALL {
        let count = outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
        let text = if count == 0 { format!(" {:>9}", "·") } else { format!(" {count:>9}") };
        let text = match verdict {
            _ if count == 0 => style.paint("2", &text),
            Verdict::Passes => style.paint("32", &text),
            Verdict::Deviates => style.paint("33", &text),
            Verdict::Skipped => text,
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
    let known = rules();
    for rule in vector.rule.split('-') {
        if let Some((_, text)) = known.iter().find(|(known, _)| *known == rule) {
            let _ = writeln!(out, "  rule {rule}: {text}");
        }
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
