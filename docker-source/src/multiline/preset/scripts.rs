//! The presets for Python, Ruby, Node.js and PHP.

use super::{TraceState, begins_with_any, exception_type, is_indented, reports_problem};
use crate::level_word::level_of_word;

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

pub(super) fn python_first(line: &[u8]) -> TraceState {
    if line.starts_with(TRACEBACK) { TraceState::Announced } else { TraceState::Plain }
}

pub(super) fn python(line: &[u8], state: TraceState, last: &[u8]) -> Option<TraceState> {
    const CHAINS: [&str; 2] =
        ["During handling of the above exception", "The above exception was the direct cause"];
    /// Lines that Python and asyncio write in front of a traceback.
    const INTRODUCTIONS: [&str; 4] = ["Exception in thread ", "Exception ignored in", "future: <", "task: <"];
    if is_indented(line) {
        return Some(if state == TraceState::Announced { TraceState::Frames } else { state });
    }
    if line.starts_with(TRACEBACK) {
        let continues =
            state == TraceState::Source || begins_with_any(last, &INTRODUCTIONS) || reports_problem(last);
        return continues.then_some(TraceState::Announced);
    }
    match state {
        // The exception follows the frames. A line that begins with a level is from another thread's logger.
        TraceState::Frames => {
            let name = exception_type(line, b"._")?;
            level_of_word(name).is_none().then_some(TraceState::Ended)
        }
        TraceState::Ended => begins_with_any(line, &CHAINS).then_some(TraceState::Source),
        TraceState::Plain if begins_with_any(line, &["future: <", "task: <"]) => {
            reports_problem(last).then_some(TraceState::Plain)
        }
        _ => None,
    }
}

pub(super) fn ruby_first(line: &[u8]) -> TraceState {
    if line.starts_with(b"#<Thread:") { TraceState::Announced } else { TraceState::Plain }
}

pub(super) fn ruby(line: &[u8], state: TraceState) -> Option<TraceState> {
    if is_indented(line) {
        return Some(if line.trim_ascii_start().starts_with(b"from ") { TraceState::Frames } else { state });
    }
    if begins_with_any(line, &["Causes:", "Caused by:"]) {
        return Some(TraceState::Announced);
    }
    if line.starts_with(b"Did you mean?") {
        return Some(state);
    }
    match place(line) {
        Some(Place::Frame) => Some(TraceState::Frames),
        Some(Place::Exception) => {
            matches!(state, TraceState::Announced | TraceState::Frames).then_some(TraceState::Frames)
        }
        None => (state == TraceState::Announced).then_some(TraceState::Frames),
    }
}

/// A line of a Ruby backtrace that begins with the name of a file and the number of a line.
enum Place {
    /// `shop.rb:7:in 'pay'`
    Frame,
    /// `shop.rb:7:in 'pay': refused (RuntimeError)`
    Exception,
}

fn place(line: &[u8]) -> Option<Place> {
    let at = memchr::memmem::find(line, b":in ")?;
    let (file, method) = (line.get(..at)?, line.get(at + 4..)?);
    if !file.last()?.is_ascii_digit() || !matches!(method.first(), Some(b'`' | b'\'')) {
        return None;
    }
    Some(if method.ends_with(b"'") { Place::Frame } else { Place::Exception })
}

pub(super) fn node_first(line: &[u8]) -> TraceState {
    let is_place = begins_with_any(line, &["/", "file://", "node:"]) || line.get(1..3) == Some(b":\\");
    let mut parts = line.rsplitn(2, |byte| *byte == b':');
    let number = parts.next().unwrap_or_default();
    let is_place =
        is_place && parts.next().is_some() && !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    if is_place { TraceState::Announced } else { TraceState::Plain }
}

pub(super) fn node(line: &[u8], state: TraceState, last: &[u8]) -> Option<TraceState> {
    const ENDINGS: [&str; 8] = [
        "}",
        "]",
        ")",
        "Node.js v",
        "(Use `node",
        "Emitted 'error' event ",
        "Thrown at:",
        "From previous event:",
    ];
    match state {
        // The source line is printed as it is in the file, so it can be indented.
        TraceState::Announced => Some(TraceState::Source),
        TraceState::Source if line.trim_ascii().iter().all(|byte| *byte == b'^') => Some(TraceState::Caret),
        TraceState::Caret => Some(TraceState::Frames),
        _ if is_indented(line) => Some(TraceState::Frames),
        TraceState::Frames if begins_with_any(line, &ENDINGS) => Some(TraceState::Frames),
        TraceState::Plain if is_error(line) && reports_problem(last) && !is_error(last) => {
            Some(TraceState::Frames)
        }
        _ => None,
    }
}

/// Returns whether the line begins with an error as V8 prints it: `TypeError: ...` or `Error [ERR_X]: ...`.
fn is_error(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| matches!(byte, b':' | b' ')).unwrap_or(line.len());
    let (name, behind) = line.split_at_checked(end).unwrap_or_default();
    name.ends_with(b"Error") && (behind.is_empty() || behind.starts_with(b":") || behind.starts_with(b" ["))
}

pub(super) fn php(line: &[u8], state: TraceState) -> Option<TraceState> {
    const PARTS: [&str; 4] = ["Stack trace:", "PHP Stack trace:", "[stacktrace]", "[previous exception] "];
    let is_frame = |prefix: &[u8]| {
        line.strip_prefix(prefix)
            .is_some_and(|rest| rest.trim_ascii_start().first().is_some_and(u8::is_ascii_digit))
    };
    let continues = is_indented(line)
        || begins_with_any(line, &PARTS)
        || is_frame(b"#")
        || is_frame(b"PHP   ")
        || state == TraceState::Frames
            && (begins_with_any(line, &["\"}", "{main}"])
                || line.strip_prefix(b"Next ").is_some_and(is_uncaught));
    continues.then_some(TraceState::Frames)
}

/// Returns whether the line is an exception as PHP reports it: `Shop\Refused: ... in /app/Shop.php:7`.
fn is_uncaught(line: &[u8]) -> bool {
    exception_type(line, b"\\_").is_some() && memchr::memmem::find(line, b" in ").is_some()
}
