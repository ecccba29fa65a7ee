//! Judges the reply of a subject against the expected result.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::compare;
use crate::difference::{Difference, Weight};
use crate::inspect::{self, Inspection, Severity, Violation};
use crate::observed::{JsonText, Observed, ObservedMessage, Sent};
use crate::reader;
use crate::recipe::hex;
use crate::subject::{Answer, Description, Reply};
use crate::text::shortened;
use crate::vector::{ChunkRequest, Expected, FieldValue, Input, MessageText, Mode, SendRequest, Vector};

/// Judgement of a reply to a vector.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The result is that of a strict or a lenient implementation.
    Passes,
    /// Implementations may differ on the input, and the result is that of neither a strict nor a lenient one.
    /// Or the difference is small: for example, the sent bytes are allowed but not accepted by all receivers.
    Deviates,
    /// GELF is refused or lost, a value is changed, input that is not GELF is delivered as a message, or the
    /// sent bytes are not GELF.
    Fails,
    /// The subject would have ended its user's program.
    Crashes,
    /// The subject did not reply in time.
    #[serde(rename = "no answer")]
    NoAnswer,
    /// The subject does not support the request: the request was not sent, or the subject declined it.
    #[serde(rename = "not asked")]
    Skipped,
}

impl Verdict {
    /// All verdicts, from best to worst, and then `Skipped`.
    pub const ALL: [Self; 6] =
        [Self::Passes, Self::Deviates, Self::Fails, Self::Crashes, Self::NoAnswer, Self::Skipped];

    /// Returns the word for reports and expectation files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Deviates => "deviates",
            Self::Fails => "fails",
            Self::Crashes => "crashes",
            Self::NoAnswer => "no answer",
            Self::Skipped => "not asked",
        }
    }

    /// Returns whether the verdict needs no explanation.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Passes | Self::Skipped)
    }
}

/// Violations that a sender commits in every message, each as a rule and a name.
pub type KnownViolations = BTreeSet<(&'static str, String)>;

/// Returns the violations in a reply.
pub(crate) fn violations_in(reply: &Reply) -> KnownViolations {
    let inspection = match reply {
        Reply::Observed(Observed { sent: Some(Sent::Datagrams(datagrams)), .. }) => {
            inspect::datagrams(datagrams, None)
        }
        Reply::Observed(Observed { sent: Some(Sent::Stream(stream)), .. }) => inspect::stream(stream),
        _ => return KnownViolations::new(),
    };
    inspection.violations.into_iter().map(|violation| (violation.rule, violation.name)).collect()
}

/// Judges a reply. `mode` is the requested mode, or `None` if the subject has only one mode. `known` are the
/// violations that the sender commits in every message. They count only in vectors that are
/// [plain](Vector::plain) or [about](Vector::about) them.
///
/// # Errors
/// Returns an error that describes a mistake in the vector.
pub fn judge(
    vector: &Vector,
    mode: Option<Mode>,
    of: &Description,
    known: &KnownViolations,
    reply: &Reply,
) -> Result<(Verdict, Vec<Difference>), String> {
    let differs =
        |what: &str, expected: &str, text: &str| vec![Difference::new(what, expected, shortened(text))];
    let (verdict, differences) = match reply {
        Reply::Crashed(words) => (Verdict::Crashes, differs("crash", "none", words)),
        Reply::NoAnswer(time) => {
            (Verdict::NoAnswer, differs("answer", "an answer", &format!("none within {time:?}")))
        }
        Reply::Unsupported(why) => (Verdict::Skipped, differs("request", "a supported request", why)),
        Reply::Named(answer) => {
            let is_stream = matches!(vector.input(), Some(Input::Send(send)) if send.transport == "tcp");
            let differences = named(vector.expected(mode.unwrap_or(Mode::Strict)), is_stream, answer)?;
            let verdict = if differences.is_empty() { Verdict::Passes } else { Verdict::Fails };
            (verdict, differences)
        }
        Reply::Observed(observed) => match vector.input() {
            Some(Input::Send(request)) => sent(vector, request, of, known, observed)?,
            Some(Input::Chunk(request)) => cut(vector.expected(Mode::Strict), request, observed)?,
            _ => received(vector, mode, of, observed)?,
        },
    };
    match verdict {
        Verdict::Fails if vector.choice && !differences.iter().any(is_invented) => {
            Ok((Verdict::Deviates, differences))
        }
        verdict => Ok((verdict, differences)),
    }
}

/// Returns whether a receiver reports a time or a level that the message does not have. A receiver must not
/// choose such a value, since the value misplaces the message in time, or changes its severity.
fn is_invented(difference: &Difference) -> bool {
    matches!(&*difference.what, "timestamp" | "level") && difference.expected == "none"
}

/// A verdict with its differences, or the reason why the vector itself is malformed.
type Judgement = Result<(Verdict, Vec<Difference>), String>;

const PASSED: Judgement = Ok((Verdict::Passes, Vec::new()));

/// Returns the judgement of a sender that sent `found` instead of `expected`.
fn failed(expected: &str, found: &str) -> Judgement {
    Ok((Verdict::Fails, vec![Difference::new("sent", expected, found)]))
}

/// Judges the messages that a receiver delivered.
fn received(vector: &Vector, mode: Option<Mode>, of: &Description, observed: &Observed) -> Judgement {
    let modes: &[Mode] = match &mode {
        Some(mode) => std::slice::from_ref(mode),
        None => &[Mode::Lenient, Mode::Strict],
    };
    let comparisons = modes.iter().map(|mode| {
        let expected = vector.expected(*mode);
        let mut differences = compare::messages(&expected.messages, &observed.messages);
        if let Some(answered) = &observed.answered {
            differences.extend(compare::answers(expected, answered));
        }
        differences.retain(|difference| !is_default(difference, of));
        differences
    });
    // A subject with one mode may behave as a strict or as a lenient implementation. Its result is compared
    // with both, and the comparison with fewer differences counts. A wrong number of messages counts more than
    // any number of other differences.
    let distance = |differences: &Vec<Difference>| {
        (differences.iter().any(|difference| difference.what == "delivered"), differences.len())
    };
    let Some(mut differences) = comparisons.min_by_key(distance) else { return PASSED };
    if let Some(Input::Payload(payload)) = vector.input() {
        reduce_unchanged(&mut differences, payload);
    }
    if let ([.., last], [_, ..]) = (&observed.errors[..], &differences[..]) {
        differences.push(Difference::new("error", "none", shortened(last)).small());
    }
    // A lost part is a failure in two cases: a strict implementation finds no fault in the input, or strict
    // and lenient implementations deliver the same messages. Otherwise, a lost part is a deviation.
    let (strict, lenient) = (vector.expected(Mode::Strict), vector.expected(Mode::Lenient));
    let is_valid = strict.errors.is_empty() && strict.deviations.is_empty();
    let loss_fails = is_valid || strict.messages == lenient.messages;
    Ok((verdict_of(&differences, loss_fails), differences))
}

/// Returns whether the difference is a default value that the subject declares for a missing member or field.
fn is_default(difference: &Difference, of: &Description) -> bool {
    let name = difference.what.strip_prefix("field ").unwrap_or(&difference.what);
    difference.expected == "none"
        && of.defaults.get(name).is_some_and(|default| {
            compare::same_json(default, &difference.found) || difference.found == format!("{default:?}")
        })
}

/// Reduces the weight of each difference in which the receiver delivered the value as it was sent. The sent
/// value can be invalid, but the receiver has not changed it.
fn reduce_unchanged(differences: &mut [Difference], payload: &[u8]) {
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, JsonText>>(payload) else { return };
    for difference in differences.iter_mut().filter(|difference| difference.weight == Weight::Wrong) {
        let name = difference.what.strip_prefix("field ").unwrap_or(&difference.what);
        let sent = members.get(name).or_else(|| members.get(&format!("_{name}")));
        if sent.is_some_and(|sent| compare::same_json(sent.json(), &difference.found)) {
            difference.weight = Weight::Small;
        }
    }
}

/// Returns the verdict on a result with these differences. `loss_fails` tells whether a lost part is a
/// failure or only a deviation.
fn verdict_of(differences: &[Difference], loss_fails: bool) -> Verdict {
    let fails = |difference: &Difference| match difference.weight {
        Weight::Small => false,
        Weight::Lost => loss_fails,
        Weight::Wrong => true,
    };
    match differences {
        [] => Verdict::Passes,
        _ if differences.iter().any(fails) => Verdict::Fails,
        _ => Verdict::Deviates,
    }
}

/// Judges a sent message, which must be valid GELF with the requested content.
fn sent(
    vector: &Vector,
    request: &SendRequest,
    of: &Description,
    known: &KnownViolations,
    observed: &Observed,
) -> Judgement {
    let expected = vector.expected(Mode::Strict);
    // Some senders have a fixed datagram size. Their datagrams need not fit the requested size.
    let size = (!of.fixed.contains("datagram_size")).then_some(usize::from(request.datagram_size));
    let inspection = match &observed.sent {
        None => return failed("sent bytes or an error", "neither in the reply"),
        Some(Sent::Refused(_)) if !expected.errors.is_empty() => return PASSED,
        Some(Sent::Refused(words)) => return failed("the message", &shortened(words)),
        Some(Sent::Datagrams(datagrams)) if datagrams.is_empty() => {
            return failed("the message or an error", "nothing");
        }
        Some(Sent::Datagrams(datagrams)) => inspect::datagrams(datagrams, size),
        Some(Sent::Stream(stream)) => inspect::stream(stream),
    };
    let mut differences = violations(&inspection, |violation| {
        vector.plain
            || vector.about.as_ref() == Some(&violation.name)
            || !known.contains(&(violation.rule, violation.name.clone()))
    });
    if let [error, ..] = &expected.errors[..] {
        differences.push(Difference::new("sent", format!("an error, {error}"), "a message").small());
    } else {
        differences.extend(compare_with_request(expected, request, of, &inspection)?);
    }
    Ok((verdict_of(&differences, true), differences))
}

/// Converts the violations for which `counts` returns true into differences. Violations with the same rule
/// and name become one difference, which states their number and the text of the first.
fn violations(inspection: &Inspection, counts: impl Fn(&Violation) -> bool) -> Vec<Difference> {
    let mut kinds: Vec<(&Violation, usize)> = Vec::new();
    for violation in inspection.violations.iter().filter(|violation| counts(violation)) {
        let same = |(first, _): &&mut (&Violation, usize)| {
            (first.rule, &first.name) == (violation.rule, &violation.name)
        };
        match kinds.iter_mut().find(same) {
            Some((_, times)) => *times += 1,
            None => kinds.push((violation, 1)),
        }
    }
    let of = |(violation, times): (&Violation, usize)| {
        let text = match (&*violation.text, times) {
            ("", 1) => String::new(),
            ("", times) => format!(" ({times} times)"),
            (text, 1) => format!(" ({text})"),
            (text, times) => format!(" ({times} times, first {text})"),
        };
        Difference {
            what: violation.rule.to_owned(),
            expected: "valid GELF".to_owned(),
            found: format!("{}{text}", violation.name),
            weight: match violation.severity {
                Severity::Broken => Weight::Wrong,
                Severity::Odd => Weight::Small,
            },
        }
    };
    kinds.into_iter().map(of).collect()
}

/// Compares the sent message with the requested message. Members that the sender adds by itself are ignored.
fn compare_with_request(
    expected: &Expected,
    request: &SendRequest,
    of: &Description,
    inspection: &Inspection,
) -> Result<Vec<Difference>, String> {
    let Some(payload) = &expected.payload else { return Ok(Vec::new()) };
    let wanted = reader::message(payload).map(|read| read.message);
    let mut wanted =
        wanted.map_err(|fault| format!("the expected payload is not a message: {}", fault.name))?;
    let mut found = match inspection.message() {
        Ok(message) => message,
        Err(name) => return Ok(vec![Difference::new("sent", "a message", name)]),
    };
    let asked = &request.message;
    let fixed = |member: &str| of.fixed.contains(member);
    if fixed("host") {
        found.host.clone_from(&wanted.host);
    }
    if asked.timestamp.is_none() || fixed("timestamp") {
        found.timestamp.clone_from(&wanted.timestamp);
    }
    if asked.level.is_none() || fixed("level") {
        found.level = wanted.level;
    }
    if asked.full_message.is_none() || fixed("full_message") {
        found.full_message.clone_from(&wanted.full_message);
    }
    // A sender may send a requested field `_user` as `_user` or as `__user`. Both are accepted.
    for (asked, _) in asked.fields.iter().filter(|(name, _)| name.starts_with('_')) {
        if let Some((name, _)) = found.fields.iter_mut().find(|(name, _)| name == asked) {
            name.remove(0);
        }
    }
    found.fields.retain(|(name, _)| wanted.fields.iter().any(|(wanted, _)| wanted == name));
    // A sender is allowed to replace an invalid field name or `id` in another way than gelf-core. If the
    // request has such a name, no fields are compared. For the same reason, a `short_message` or `host` that is
    // blank in the request is not compared below.
    for (name, _) in &asked.fields {
        let bare = name.strip_prefix('_').unwrap_or(name);
        let plain =
            bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !plain || bare == "id" {
            wanted.fields.clear();
            found.fields.clear();
        }
    }
    if asked.short_message.trim().is_empty() {
        found.short_message.clone_from(&wanted.short_message);
    }
    if asked.host.as_deref().is_some_and(|host| host.trim().is_empty()) {
        found.host.clone_from(&wanted.host);
    }
    let mut differences = compare::message(&wanted, &ObservedMessage::of(&found)?);
    // A number that is sent as a string is a small difference, because receivers that index fields by their
    // type then store a string.
    for (name, value) in &wanted.fields {
        let sent = found.fields.iter().find(|(sent, _)| sent == name).map(|(_, value)| value);
        if let (FieldValue::Number { number }, Some(FieldValue::Text(text))) = (value, sent) {
            let difference = Difference::new(format!("type of field {name}"), number, format!("{text:?}"));
            differences.push(difference.small());
        }
    }
    Ok(differences)
}

/// Returns the first bytes that were sent, as this number of hexadecimal digits.
fn first_hex(sent: &[Vec<u8>], digits: usize) -> String {
    hex(&sent.iter().flatten().take(digits / 2).copied().collect::<Vec<_>>())
}

/// Judges a split payload: the chunks must be valid, and together they must carry the bytes of the payload. Their
/// sizes are not compared, because a sender is allowed to divide a payload in another way than gelf-core.
fn cut(expected: &Expected, request: &ChunkRequest, observed: &Observed) -> Judgement {
    let refuses = !expected.errors.is_empty();
    let datagrams = match &observed.sent {
        Some(Sent::Datagrams(datagrams)) if refuses && datagrams.is_empty() => return PASSED,
        Some(Sent::Datagrams(datagrams)) if !datagrams.is_empty() => datagrams,
        Some(Sent::Refused(_)) if refuses => return PASSED,
        Some(Sent::Refused(words)) => return failed("datagrams", &shortened(words)),
        _ => return failed("datagrams", "none"),
    };
    let wanted = &*request.payload;
    let inspection = inspect::reassemble(datagrams, Some(usize::from(request.datagram_size)));
    // An empty payload is sent as one empty datagram.
    let is_empty = wanted.is_empty();
    let is_whole = if is_empty {
        matches!(&datagrams[..], [only] if only.is_empty())
    } else {
        inspection.payload.as_deref() == Some(wanted)
    };
    let mut differences = violations(&inspection, |violation| !is_empty || violation.name != "EmptyDatagram");
    if refuses {
        differences.push(Difference::new(
            "sent",
            format!("{:?}", expected.errors),
            format!("{} datagrams", datagrams.len()),
        ));
    } else if !is_whole {
        differences.push(Difference::new(
            "payload",
            format!("{} bytes", wanted.len()),
            "other bytes, or none",
        ));
    }
    Ok((verdict_of(&differences, true), differences))
}

/// Returns all differences in the answer of a subject that reports errors, deviations and events with the names
/// that the vectors use.
fn named(expected: &Expected, is_stream: bool, answer: &Answer) -> Result<Vec<Difference>, String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: &dyn fmt::Debug, found: &dyn fmt::Debug| {
        let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
        if expected != found {
            differences.push(Difference::new(what, expected, found));
        }
    };
    compare("messages", &in_order(&expected.messages), &in_order(&answer.messages));
    compare("errors", &expected.errors, &answer.errors);
    compare("deviations", &expected.deviations, &answer.deviations);
    compare("events", &expected.events, &answer.events);
    compare("pending", &expected.pending, &answer.pending);
    if let Some(sizes) = &expected.sizes {
        compare("sizes", sizes, &answer.sent.iter().map(Vec::len).collect::<Vec<_>>());
    }
    if let Some(begins) = &expected.begins {
        compare("begins", begins, &first_hex(&answer.sent, begins.len()));
    }
    if let Some(payload) = &expected.payload {
        let Inspection { payload: found, violations } = match &answer.sent[..] {
            [stream] if is_stream => inspect::stream(stream),
            datagrams => inspect::reassemble(datagrams, None),
        };
        let broken = violations.iter().filter(|violation| violation.severity == Severity::Broken);
        // An empty payload is sent as an empty datagram.
        let broken = broken.filter(|violation| !payload.is_empty() || violation.name != "EmptyDatagram");
        compare("violations", &[""; 0], &broken.map(ToString::to_string).collect::<Vec<_>>());
        compare("payload", &readable(payload), &readable(&found.unwrap_or_default()));
    }
    Ok(differences)
}

/// Sorts the fields of each message, since their order has no meaning.
fn in_order(messages: &[MessageText]) -> Vec<MessageText> {
    let mut messages = messages.to_vec();
    messages.iter_mut().for_each(|message| message.fields.sort_by(|(one, _), (other, _)| one.cmp(other)));
    messages
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
