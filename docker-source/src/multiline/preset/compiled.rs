//! The presets for Java, Go, .NET and Rust.

use super::{TraceState, begins_with_any, exception_type, is_indented, reports_problem};

/// The names of the levels of `java.util.logging` (JUL). JUL writes two lines for each message, and a level
/// begins the second line.
const JUL_LEVELS: [&str; 7] =
    ["SEVERE: ", "WARNING: ", "INFO: ", "CONFIG: ", "FINE: ", "FINER: ", "FINEST: "];

pub(super) fn java(line: &[u8], _: TraceState, last: &[u8]) -> Option<TraceState> {
    let continues = is_indented(line)
        || begins_with_any(line, &["Caused by: ", "Suppressed: ", "Wrapped by: "])
        || is_exception(line, b"._$") && reports_problem(last)
        || begins_with_any(line, &JUL_LEVELS) && is_jul_header(last);
    continues.then_some(TraceState::Frames)
}

/// Returns whether the line begins with the qualified name of an exception.
fn is_exception(line: &[u8], also: &[u8]) -> bool {
    exception_type(line, also).is_some_and(|name| {
        let ends = [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|suffix| name.ends_with(suffix));
        ends && name.contains(&b'.')
    })
}

/// Returns whether the line is the first line of a message of JUL: `Nov 22, 2026 10:44:18 PM shop.Cart`.
fn is_jul_header(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    let [month, day, year] = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
    month.len() == 3
        && day.strip_suffix(b",").is_some_and(|day| day.iter().all(u8::is_ascii_digit))
        && year.len() == 4
        && year.iter().all(u8::is_ascii_digit)
}

pub(super) fn go(line: &[u8], state: TraceState, last: &[u8]) -> Option<TraceState> {
    if is_indented(line) {
        return Some(state);
    }
    if begins_with_any(line, &["runtime stack:"]) || line.starts_with(b"goroutine ") && line.ends_with(b"]:")
    {
        return Some(TraceState::Frames);
    }
    if begins_with_any(line, &["[signal ", "PC=0x"])
        || line.starts_with(b"fatal error: ") && last.starts_with(b"runtime: ")
    {
        return Some(state);
    }
    let continues = state == TraceState::Frames
        && (begins_with_any(line, &["created by ", "exit status ", "..."])
            || is_call(line)
            || is_register(line));
    continues.then_some(state)
}

/// Returns whether the line is a call in Go: `main.(*Shop).pay(0xc000012345, {0x1, 0x2})`.
fn is_call(line: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b'(' | b' ');
    let end = line.iter().position(is_end).unwrap_or(line.len());
    let (name, behind) = line.split_at_checked(end).unwrap_or_default();
    line.ends_with(b")") && behind.starts_with(b"(") && (name.contains(&b'.') || name == b"panic")
}

/// Returns whether the line is a register of a processor: `rax    0x0`.
fn is_register(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(name), Some(value), None) = (words.next(), words.next(), words.next()) else { return false };
    name.len() <= 8 && value.starts_with(b"0x")
}

pub(super) fn dotnet(line: &[u8], state: TraceState, last: &[u8]) -> Option<TraceState> {
    let continues = is_indented(line)
        || begins_with_any(line, &["--- End of ", "---> ", "Parameter name: "])
        || state == TraceState::Frames && begins_with_any(line, &["ClientConnectionId:", "Error Number:"])
        || is_exception(line, b"._+`") && reports_problem(last);
    continues.then_some(TraceState::Frames)
}

pub(super) fn rust_first(line: &[u8]) -> TraceState {
    // Since Rust 1.73, the message of a panic is on a separate line, behind the line with the place of the
    // panic.
    match line.starts_with(b"thread '")
        && line.ends_with(b":")
        && memchr::memmem::find(line, b" panicked at ").is_some()
    {
        true => TraceState::Announced,
        false if line.starts_with(b"thread '") || line.starts_with(b"Error: ") => TraceState::Frames,
        false => TraceState::Plain,
    }
}

pub(super) fn rust(line: &[u8], state: TraceState) -> Option<TraceState> {
    const REPORTS: [&str; 4] = ["stack backtrace:", "Stack backtrace:", "Caused by:", "Location:"];
    const ENDINGS: [&str; 5] = [
        "note: ",
        "Backtrace omitted",
        "Run with ",
        "fatal runtime error: ",
        "thread caused non-unwinding panic",
    ];
    let continues = state == TraceState::Announced
        || is_indented(line)
        || begins_with_any(line, &REPORTS)
        || state == TraceState::Frames && begins_with_any(line, &ENDINGS);
    continues.then_some(TraceState::Frames)
}
