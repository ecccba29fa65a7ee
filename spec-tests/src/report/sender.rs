//! Reports on senders, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::Style;
use crate::inspect::Severity;
use crate::receivers::Effect;
use crate::rules::rules_of;
use crate::sender::{Example, Figures, HttpTally, Kind, ReceiverTally, Tally, Violations};
use crate::text::{counted, grouped};

/// Maximum number of senders in the text report.
const MAX_SENDERS: usize = 10;

/// Returns the report on senders as text.
pub fn sender_text(tally: &Tally<'_>, elapsed: Duration, style: Style) -> String {
    let mut out = String::new();
    let head = format!("{} in {:.1} s", counted(tally.messages, "message"), elapsed.as_secs_f64());
    let _ = writeln!(out, "{}", style.paint("1", &head));
    if tally.messages == 0 && tally.violations.is_empty() {
        let _ = writeln!(out, "{}", style.paint("31", "no messages received"));
        return out;
    }
    senders(&mut out, tally);
    let compressions = tally.compressions.iter().map(|(name, count)| format!("{name} {}", grouped(*count)));
    line(&mut out, "compression", &compressions.collect::<Vec<_>>().join(", "));
    let chunks = tally.chunks.iter().map(|(chunks, count)| {
        let chunks = if *chunks == 0 { "none".to_owned() } else { chunks.to_string() };
        format!("{chunks} in {}", counted(*count, "message"))
    });
    line(&mut out, "chunks", &chunks.collect::<Vec<_>>().join(", "));
    for (name, text) in tally.http.iter().flat_map(HttpTally::lines) {
        line(&mut out, name, &text);
    }
    for (count, what) in [
        (tally.left, "messages not judged: the run ended first, or this program closed an idle connection"),
        (
            tally.not_judged,
            "messages not judged: evicted while incomplete, or beyond 100,000 in an HTTP body",
        ),
        (
            tally.ended_connections,
            "connections closed after a frame of less than two bytes, or of more than 2 MiB, as Graylog closes them; \
             the rest was not read",
        ),
        (tally.refused_connections, "connections closed by this program, because too many were open"),
        (
            tally.dropped_datagrams,
            "datagrams dropped by the kernel of this machine, because they arrived too fast: this is not the \
             sender's fault, and messages can be incomplete because of it",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{} {what}", grouped(count));
        }
    }
    violations(&mut out, tally, Severity::Broken, style);
    violations(&mut out, tally, Severity::Odd, style);
    if tally.violations.is_empty() {
        let _ = writeln!(out, "\n{}", style.paint("32", "no rule is broken"));
    }
    receivers(&mut out, tally, style);
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "{name:<13}{text}");
    }
}

fn senders(out: &mut String, tally: &Tally<'_>) {
    let figures = |of: &Figures| {
        // Only senders over UDP have datagrams, and only those over HTTP have requests.
        let parts = [(of.datagrams, "datagram"), (of.requests, "request")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let more: String = parts.map(|(count, noun)| counted(*count, noun) + ", ").collect();
        format!("{}, {more}{}", counted(of.messages, "message"), counted(of.bytes, "byte"))
    };
    for ((transport, source), of) in tally.senders.iter().take(MAX_SENDERS) {
        line(out, transport.word(), &format!("{source}: {}", figures(of)));
    }
    let mut rest = tally.other_senders;
    for (_, of) in tally.senders.iter().skip(MAX_SENDERS) {
        rest.messages += of.messages;
        rest.datagrams += of.datagrams;
        rest.requests += of.requests;
        rest.bytes += of.bytes;
    }
    if tally.senders.len() > MAX_SENDERS {
        line(out, "others", &figures(&rest));
    }
}

fn violations(out: &mut String, tally: &Tally<'_>, severity: Severity, style: Style) {
    let of_severity = |(kind, _): &(&Kind, &Violations)| kind.severity() == severity;
    let (title, colour) = match severity {
        Severity::Broken => ("Broken: forbidden, by the source in parentheses", "31"),
        Severity::Odd => ("Odd: allowed, but not accepted by all receivers", "33"),
    };
    let mut rule = "";
    for (at, (kind, violations)) in tally.violations.iter().filter(of_severity).enumerate() {
        if at == 0 {
            let _ = writeln!(out, "\n{}", style.paint("1", title));
        }
        if rule != kind.rule {
            rule = kind.rule;
            let _ = writeln!(out, "  {} {}", style.paint(colour, &format!("{rule:<4}")), says(rule));
        }
        let Violations { times, messages, examples } = violations;
        let mut count = counted(*times, "time");
        if times != messages {
            let _ = write!(count, " in {}", counted(*messages, "message"));
        }
        let _ = writeln!(out, "       {}: {count}", style.paint(colour, &kind.name));
        if let Some(example) = examples.first() {
            let _ = writeln!(out, "         {}", shown(example));
        }
    }
}

fn shown(Example { source, transport, text, bytes }: &Example) -> String {
    let parts = [text, bytes].into_iter().filter(|part| !part.is_empty()).map(String::as_str);
    format!("{} {source}: {}", transport.word(), parts.collect::<Vec<_>>().join(": "))
}

/// Returns the text of a rule, followed by its source in parentheses.
fn says(rule: &str) -> String {
    rules_of(rule).first().map(|rule| format!("{} ({})", rule.text, rule.source)).unwrap_or_default()
}

fn receivers(out: &mut String, tally: &Tally<'_>, style: Style) {
    let title = "Predicted acceptance by receivers, according to their sources";
    let _ = writeln!(out, "\n{}", style.paint("1", title));
    let width = tally.receivers.iter().map(|taken| taken.receiver.name.len()).max().unwrap_or(0);
    for taken in tally.receivers.iter().filter(|taken| taken.known > 0 || tally.messages == 0) {
        let colour = if taken.messages == taken.known { "32" } else { "31" };
        let at_most = if taken.rules(Effect::Ends).is_empty() { "" } else { "at most " };
        let of = format!("accepts {at_most}{} of {}", grouped(taken.messages), grouped(taken.known));
        let _ = writeln!(out, "  {:<width$}  {}", taken.receiver.name, style.paint(colour, &of));
        for effect in Effect::ALL {
            for (rule, count) in taken.rules(effect) {
                let of = match effect {
                    Effect::Ends => format!("stops at {}", grouped(count)),
                    Effect::Loses => format!("loses a part of {}", grouped(count)),
                    _ => format!("{} {}", effect.word(), grouped(count)),
                };
                let _ = writeln!(out, "  {:<width$}    {of}: {} ({})", "", rule.text, rule.source);
            }
        }
    }
}

/// Returns the report on senders as JSON.
pub fn sender_json(tally: &Tally<'_>, elapsed: Duration) -> Value {
    let senders = tally.senders.iter().map(|((transport, source), figures)| {
        merged(json!(figures), json!({"transport": transport, "address": source}))
    });
    let more = json!({
        "schema": 1,
        "seconds": elapsed.as_secs_f64(),
        "senders": senders.collect::<Vec<_>>(),
        "violations": tally.violations.iter().map(violation_json).collect::<Vec<_>>(),
        "receivers": tally.receivers.iter().map(receiver_json).collect::<Vec<_>>(),
    });
    let report = merged(json!(tally), more);
    match &tally.http {
        Some(http) => merged(report, json!({"http": http.json()})),
        None => report,
    }
}

fn violation_json((kind, violations): (&Kind, &Violations)) -> Value {
    let Kind { rule, name, .. } = kind;
    let more = json!({"rule": rule, "says": says(rule), "name": name, "severity": kind.severity()});
    merged(json!(violations), more)
}

fn receiver_json(taken: &ReceiverTally<'_>) -> Value {
    let value = json!({"name": taken.receiver.name, "of": taken.known, "takes": taken.messages});
    Effect::ALL.into_iter().fold(value, |value, effect| {
        let rules = taken
            .rules(effect)
            .into_iter()
            .map(|(rule, count)| json!({"text": rule.text, "source": rule.source, "messages": count}));
        merged(value, json!({effect.word(): rules.collect::<Vec<_>>()}))
    })
}

/// Adds the members of an object to another object.
pub(crate) fn merged(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
