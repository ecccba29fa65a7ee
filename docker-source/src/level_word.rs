//! Finds the severity that a line of plain text names at its start.

use gelf_core::Level;

/// The number of bytes that are searched at the start of a line. In common layouts, the time, the thread and
/// the name of the logger stand in front of the severity.
const SEARCHED_BYTES: usize = 96;
/// The number of words that are searched at the start of a line.
const SEARCHED_WORDS: usize = 8;

/// The words for severities that [`Level`] does not parse, or that it parses as another severity. For
/// example, `panic` is an emergency in syslog. In the loggers of applications, `panic` only means the end of
/// one process.
const WORDS: [(&str, Level); 17] = [
    ("config", Level::Informational),
    ("dbg", Level::Debug),
    ("dbug", Level::Debug),
    ("dpanic", Level::Critical),
    ("fail", Level::Error),
    ("fine", Level::Debug),
    ("finer", Level::Debug),
    ("finest", Level::Debug),
    ("ftl", Level::Critical),
    ("inf", Level::Informational),
    ("panic", Level::Critical),
    ("severe", Level::Error),
    ("trc", Level::Debug),
    ("trce", Level::Debug),
    ("vrb", Level::Debug),
    ("wrn", Level::Warning),
    ("dflt", Level::Informational),
];

/// Prefixes of PHP's own messages.
const PHP: [(&[u8], Level); 5] = [
    (b"PHP Fatal error:", Level::Critical),
    (b"PHP Parse error:", Level::Critical),
    (b"PHP Warning:", Level::Warning),
    (b"PHP Notice:", Level::Notice),
    (b"PHP Deprecated:", Level::Notice),
];

/// Returns the severity that a logger's word stands for. The word may be in upper or lower case.
pub(crate) fn level_of_word(word: &[u8]) -> Option<Level> {
    let word = std::str::from_utf8(word).ok().filter(|word| (3..=13).contains(&word.len()))?;
    let own = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level);
    own.or_else(|| word.parse().ok().filter(|_| !word.starts_with(|c: char| c.is_ascii_digit())))
}

/// Returns the severity that a line names at its start. A time, a thread, or the name of a logger may stand
/// before the severity.
///
/// A word counts as a severity if it is in capitals, in brackets, or followed by a colon. Thus `info about
/// orders` names no severity. The prefixes of systemd (`<3>`), of klog (`E1122 22:44:18`) and of PHP's
/// messages also name a severity.
pub(crate) fn leading_level(line: &[u8]) -> Option<Level> {
    let line = line.split_at_checked(SEARCHED_BYTES).map_or(line, |(head, _)| head);
    match line {
        [b'<', digit @ b'0'..=b'7', b'>', ..] => return Level::try_from(digit - b'0').ok(),
        [letter, rest @ ..] if rest.iter().take(4).filter(|byte| byte.is_ascii_digit()).count() == 4 => {
            if let (Some(level), Some(b' ')) = (klog(*letter), rest.get(4)) {
                return Some(level);
            }
        }
        _ => {}
    }
    let mut rest = line;
    for _ in 0..SEARCHED_WORDS {
        rest = rest.trim_ascii_start();
        if let Some((_, level)) = PHP.iter().find(|(prefix, _)| rest.starts_with(prefix)) {
            return Some(*level);
        }
        let (word, behind, is_bracketed) = next_word(rest)?;
        if let Some(level) = if is_bracketed { bracketed(word) } else { plain(word) } {
            return Some(level);
        }
        if !is_bracketed && !may_stand_before(word, behind) {
            return None;
        }
        rest = behind;
    }
    None
}

/// Returns the severity of klog's letter, which stands before the month and the day.
fn klog(letter: u8) -> Option<Level> {
    match letter {
        b'I' => Some(Level::Informational),
        b'W' => Some(Level::Warning),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Critical),
        _ => None,
    }
}

/// Returns the first word, the rest behind it, and whether the word is the content of brackets.
fn next_word(text: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    let close = match text.first()? {
        b'[' => Some(b']'),
        b'(' => Some(b')'),
        _ => None,
    };
    if let Some(close) = close {
        let end = memchr::memchr(close, text)?;
        return Some((text.get(1..end)?, text.get(end + 1..)?, true));
    }
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, behind) = text.split_at_checked(end)?;
    Some((word, behind, false))
}

/// Returns the severity in brackets. The severity is the only word in the brackets, or a word in capitals
/// among other words.
fn bracketed(content: &[u8]) -> Option<Level> {
    level_of_word(content.trim_ascii()).or_else(|| {
        content
            .split(|byte| !byte.is_ascii_alphabetic())
            .filter(|word| is_capital(word))
            .find_map(level_of_word)
    })
}

/// Returns the severity of a word without brackets. The name of a channel may stand before the severity, as
/// in `app.CRITICAL:` of Monolog.
fn plain(word: &[u8]) -> Option<Level> {
    let end =
        word.iter().position(|byte| matches!(byte, b':' | b',' | b'|' | b']' | b'!')).unwrap_or(word.len());
    let (name, behind) = word.split_at_checked(end)?;
    let name = name.rsplit(|byte| *byte == b'.').next()?;
    (is_capital(name) || behind.first() == Some(&b':')).then(|| level_of_word(name)).flatten()
}

fn is_capital(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_uppercase)
}

/// Returns whether the word may stand before the severity. Such a word is a time, a part of a date, a number, a
/// single letter, a separator, or a name that is followed by a separator.
fn may_stand_before(word: &[u8], behind: &[u8]) -> bool {
    const SEPARATORS: [&[u8]; 3] = [b" - ", b" | ", b" : "];
    const DATES: [&[u8]; 22] = [
        b"UTC", b"GMT", b"CET", b"CEST", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun", b"Jan",
        b"Feb", b"Mar", b"Apr", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    word.first().is_some_and(u8::is_ascii_digit)
        || !word.iter().any(u8::is_ascii_alphabetic)
        || word.trim_ascii_end().strip_suffix(b",").unwrap_or(word).len() == 1
        || DATES.contains(&word)
        || word == b"May"
        || SEPARATORS.iter().any(|separator| behind.starts_with(separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severity_is_found_behind_the_prefixes_of_common_loggers() {
        for (line, level) in [
            ("ERROR failed", Level::Error),
            ("error: failed", Level::Error),
            ("Error: connect ECONNREFUSED", Level::Error),
            ("[warn] slow", Level::Warning),
            ("<3>failed", Level::Error),
            ("2026-11-22 22:44:18,123 ERROR c.e.Shop - failed", Level::Error),
            ("22:44:18.123 [http-nio-8080-exec-1] WARN  c.e.Shop -- slow", Level::Warning),
            ("2026-11-22T22:44:18.123Z  INFO 1 --- [main] c.e.Shop : started", Level::Informational),
            ("2026-11-22 22:44:18,123 - shop.orders - CRITICAL - failed", Level::Critical),
            ("ERROR:root:failed", Level::Error),
            ("[2026-11-22 22:44:18,123: ERROR/MainProcess] Task failed", Level::Error),
            ("[2026-11-22 22:44:18 +0000] [7] [INFO] Booting worker", Level::Informational),
            ("2026/11/22 22:44:18 [error] 7#7: *1 open() failed", Level::Error),
            ("2026-11-22 22:44:18.123 UTC [71] FATAL:  role does not exist", Level::Critical),
            ("2026-11-22T22:44:18.123456Z 0 [Warning] [MY-010068] [Server] CA", Level::Warning),
            ("[2026-11-22T22:44:18Z DEBUG shop] tick", Level::Debug),
            ("2026-11-22T22:44:18.123Z  WARN shop::orders: slow", Level::Warning),
            ("[22:44:18 ERR] failed", Level::Error),
            ("fail: Shop.Orders[0]", Level::Error),
            ("dbug: Shop.Orders[0]", Level::Debug),
            ("E, [2026-11-22T22:44:18.123456 #71] ERROR -- : failed", Level::Error),
            ("[2026-11-22 22:44:18] app.CRITICAL: failed", Level::Critical),
            ("PHP Warning:  Undefined variable $x", Level::Warning),
            ("[22-Nov-2026 22:44:18 UTC] PHP Fatal error:  Uncaught", Level::Critical),
            ("I1122 22:44:18.123456       1 server.go:71] ready", Level::Informational),
            ("E1122 22:44:18.123456       1 server.go:71] failed", Level::Error),
            ("Nov 22 22:44:18 NOTICE x", Level::Notice),
            ("SEVERE: failed", Level::Error),
            ("panic: runtime error", Level::Critical),
        ] {
            assert_eq!(leading_level(line.as_bytes()), Some(level), "{line}");
        }
    }

    #[test]
    fn words_of_a_text_are_no_severity() {
        for line in [
            "",
            " ",
            "[",
            "info about orders",
            "Error while loading",
            "GET /error 200 ERROR",
            "the ERROR is near",
            "10.0.0.1 - - [22/Nov/2026:22:44:18 +0000] \"GET / HTTP/1.1\" 200 5",
            "orders: 7",
            "<8>x",
            "A1122 22:44:18",
            "E112",
            "\u{1f4a5} ERR\u{d6}R",
            "7",
        ] {
            assert_eq!(leading_level(line.as_bytes()), None, "{line}");
        }
    }
}
