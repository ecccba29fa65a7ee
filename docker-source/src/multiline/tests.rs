use std::sync::Arc;
use std::time::{Duration, Instant};

use gelf_core::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::container::Container;
use crate::gelf::{GelfFormat, GelfFormatter};
use crate::log::LogStream;
use crate::position::Positions;
use crate::progress::Progress;
use crate::record::{Record, RecordBuilder};
use crate::redact::Redaction;

const IDLE: Duration = Duration::from_millis(500);

/// A joiner, and the container whose lines a test writes unless it pushes records of other containers. The tickets
/// are the numbers of the lines, and the test sets the time.
struct Lines {
    container: Arc<Container>,
    joiner: MultilineJoiner<usize>,
    rule: Rule,
    now: Instant,
    written: usize,
}

impl Lines {
    fn new(rule: Rule) -> Self {
        Self::with_options(rule, JoinOptions::default())
    }

    fn with_options(rule: Rule, options: JoinOptions) -> Self {
        let container = Arc::new(Container::builder("shop").build());
        Self { container, joiner: MultilineJoiner::new(options), rule, now: Instant::now(), written: 0 }
    }

    fn line(&self, text: &str) -> RecordBuilder {
        Record::builder(self.container.clone(), text.to_owned())
    }

    fn push(&mut self, record: RecordBuilder) {
        self.joiner.push(Arc::new(record.build()), self.written, &self.rule, self.now);
        self.written += 1;
    }

    fn write(&mut self, text: &str) {
        self.push(self.line(text));
    }

    /// Returns the texts of the completed messages.
    fn completed(&mut self) -> Vec<String> {
        let messages = std::iter::from_fn(|| self.joiner.pop());
        messages.map(|message| String::from_utf8_lossy(message.text()).into_owned()).collect()
    }

    fn all(&mut self) -> Vec<String> {
        self.joiner.flush();
        self.completed()
    }
}

fn pattern(pattern: &str, matches: Match) -> Rule {
    Rule::pattern(pattern, matches).unwrap()
}

/// Each file has the output of programs in one language. `+ ` marks the first line of a message, and `| `
/// marks a line that continues the message.
#[test]
fn each_preset_joins_the_marked_lines_of_its_file_and_no_other_lines() {
    let files = [
        include_str!("../../tests/traces/java.txt"),
        include_str!("../../tests/traces/python.txt"),
        include_str!("../../tests/traces/go.txt"),
        include_str!("../../tests/traces/ruby.txt"),
        include_str!("../../tests/traces/node.txt"),
        include_str!("../../tests/traces/dotnet.txt"),
        include_str!("../../tests/traces/php.txt"),
        include_str!("../../tests/traces/rust.txt"),
    ];
    for (preset, file) in Preset::ALL.into_iter().zip(files) {
        let mut lines = Lines::new(Rule::preset(preset));
        let mut expected: Vec<String> = Vec::new();
        for line in file.lines() {
            let (mark, text) = line.split_at_checked(2).unwrap_or((line, ""));
            lines.write(text);
            match (mark.trim_end(), expected.last_mut()) {
                ("|", Some(message)) => *message += &format!("\n{text}"),
                _ => expected.push(text.to_owned()),
            }
        }
        let joined = lines.all();
        for (joined, expected) in joined.iter().zip(&expected) {
            assert_eq!(joined, expected, "{preset}");
        }
        assert_eq!(joined.len(), expected.len(), "{preset}");
    }
}

#[test]
fn colours_in_front_of_a_line_do_not_hide_a_frame() {
    let mut lines = Lines::new(Rule::preset(Preset::Node));
    for text in [
        "\x1b[31mError: refused\x1b[39m",
        "\x1b[90m    at process (node:internal:1:2)\x1b[39m",
        "\x1b[0mnext",
    ] {
        lines.write(text);
    }
    assert_eq!(lines.all().len(), 2);
}

/// The cases are the rows of Logspout's test of its multiline adapter.
#[test]
fn the_four_matches_of_logspout_group_lines_as_logspout_does() {
    let cases: [(Match, &str, &[&str], &[&str]); 5] = [
        (
            Match::NonFirst,
            r"^\s",
            &["some", "  multi", "  line", "other", "  multi"],
            &["some\n  multi\n  line", "other\n  multi"],
        ),
        (
            Match::First,
            r"^\S",
            &["some", "  multi", "  line", "other", "  multi"],
            &["some\n  multi\n  line", "other\n  multi"],
        ),
        (
            Match::Last,
            "!$",
            &["some", "multi", "line!", "other!", "rest"],
            &["some\nmulti\nline!", "other!", "rest"],
        ),
        (
            Match::NonLast,
            "-$",
            &["some-", "multi-", "line", "other", "rest-"],
            &["some-\nmulti-\nline", "other", "rest-"],
        ),
        (
            Match::First,
            "^first",
            &["  before", "the", "first one", "next"],
            &["  before\nthe", "first one\nnext"],
        ),
    ];
    for (matches, regex, written, expected) in cases {
        let mut lines = Lines::new(pattern(regex, matches));
        written.iter().for_each(|line| lines.write(line));
        assert_eq!(lines.all(), expected, "{matches:?}");
    }
}

#[test]
fn the_idle_time_of_a_message_counts_from_its_last_line_and_not_from_its_first_line() {
    let mut lines = Lines::new(Rule::preset(Preset::Java));
    let start = lines.now;
    lines.write("java.lang.Error: x");
    assert_eq!(lines.joiner.due(), Some(start + IDLE));
    for _ in 0..3 {
        lines.now += IDLE - Duration::from_millis(1);
        lines.joiner.expire(lines.now);
        lines.write("\tat a");
        assert_eq!((lines.completed().len(), lines.joiner.due()), (0, Some(lines.now + IDLE)));
    }
    lines.now += IDLE;
    lines.joiner.expire(lines.now);
    assert_eq!(lines.completed(), ["java.lang.Error: x\n\tat a\n\tat a\n\tat a"]);
    assert_eq!(lines.joiner.due(), None);
}

#[test]
fn a_line_after_the_idle_time_begins_a_message_even_if_expire_was_not_called() {
    let mut lines = Lines::new(pattern(r"^\s", Match::NonFirst));
    lines.write("a");
    lines.now += IDLE;
    lines.write(" b");
    assert_eq!(lines.completed(), ["a"]);
    // These lines were written long ago, and all of them are read at the same time. Their stamps decide.
    let at = |second| Timestamp::from_unix(second, 0).unwrap();
    lines.push(lines.line(" c").time(at(1)));
    lines.push(lines.line(" d").time(at(2)));
    lines.push(lines.line(" e").time(at(4)));
    assert_eq!(lines.all(), [" b\n c\n d", " e"]);
}

#[test]
fn a_time_in_which_no_line_was_taken_does_not_count_as_idle() {
    let mut lines = Lines::new(pattern(r"^\s", Match::NonFirst));
    lines.write("a");
    let blocked = Duration::from_secs(60);
    lines.now += blocked;
    lines.joiner.delay(blocked);
    lines.joiner.expire(lines.now);
    lines.write(" b");
    assert_eq!(lines.all(), ["a\n b"]);
}

#[test]
fn lines_of_each_stream_and_container_are_joined_separately() {
    let mut lines = Lines::new(pattern(r"^\s", Match::NonFirst));
    let other = Arc::new(Container::builder("other").id("1".repeat(64)).build());
    for number in 0..3 {
        let text = if number == 0 { "first" } else { " next" };
        lines.push(lines.line(&format!("{text} out")).stream(LogStream::Stdout));
        lines.push(lines.line(&format!("{text} err")).stream(LogStream::Stderr));
        lines.push(Record::builder(other.clone(), format!("{text} other")));
    }
    let expected = ["out", "err", "other"].map(|end| format!("first {end}\n next {end}\n next {end}"));
    assert_eq!(lines.completed(), [""; 0]);
    assert_eq!(lines.all(), expected);
}

#[test]
fn messages_become_due_in_the_order_of_their_last_lines() {
    let mut lines = Lines::new(pattern(r"^\s", Match::NonFirst));
    let streams = [LogStream::Stdout, LogStream::Stderr];
    for (text, stream) in [("a", 0), ("b", 1), (" a", 0), (" a", 0), (" b", 1), (" a", 0)] {
        lines.push(lines.line(text).stream(streams[stream]));
        lines.now += Duration::from_millis(10);
    }
    let last_b = lines.now - Duration::from_millis(20);
    assert_eq!(lines.joiner.due(), Some(last_b + IDLE));
    lines.joiner.expire(last_b + IDLE);
    assert_eq!(lines.completed(), ["b\n b"]);
    lines.joiner.expire(last_b + IDLE + Duration::from_millis(10));
    assert_eq!(lines.completed(), ["a\n a\n a\n a"]);
}

#[test]
fn a_message_ends_at_the_limit_of_lines_or_bytes_and_the_rest_is_a_further_message() {
    let mut options = JoinOptions::default();
    (options.max_lines, options.max_bytes) = (3, 20);
    let mut lines = Lines::with_options(pattern(r"^\s", Match::NonFirst), options.clone());
    ["a", " 1", " 2", " 3", " 4", "b"].iter().for_each(|line| lines.write(line));
    assert_eq!(lines.all(), ["a\n 1\n 2", " 3\n 4", "b"]);
    let long = format!(" {}", "x".repeat(30));
    ["0123456789", " 23456789", " 2", &long, " 3"].iter().for_each(|line| lines.write(line));
    assert_eq!(lines.all(), ["0123456789\n 23456789", " 2", &long, " 3"]);
}

#[test]
fn open_messages_are_bounded_in_number_and_memory() {
    let mut lines = Lines::new(pattern("x", Match::Last));
    for number in 0..2000 {
        let container = Arc::new(Container::builder("shop").id(format!("{number:064}")).build());
        lines.push(Record::builder(container, "a"));
    }
    assert_eq!(lines.completed().len(), 2000 - 1024);
    assert_eq!(lines.all().len(), 1024);
    for number in 0..200 {
        let container = Arc::new(Container::builder("shop").id(format!("{number:064}")).build());
        lines.push(Record::builder(container, vec![b'a'; 100_000]));
    }
    let open = 200 - lines.completed().len();
    assert!(open > 0 && open * 100_000 <= 8 * 1024 * 1024, "{open}");
    lines.joiner.flush();
    assert_eq!((lines.completed().len(), lines.joiner.due()), (open, None));
}

#[test]
fn a_line_that_was_cut_or_left_unfinished_ends_its_message_and_marks_it() {
    let mut lines = Lines::new(pattern(r"^\s", Match::NonFirst));
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    lines.write("a");
    lines.push(lines.line(" cut").cut_from(100));
    lines.push(lines.line("alone").cut_from(9));
    lines.write("b");
    lines.push(lines.line(" unfinished").unfinished());
    lines.write(" c");
    let mut marks = Vec::new();
    while let Some(lines) = lines.joiner.pop() {
        let message = lines.message(&mut formatter);
        let number = message.field("truncated").and_then(|value| value.as_u64());
        marks.push((message.short_message().to_owned(), number, message.field("partial").is_some()));
    }
    let mark = |text: &str, truncated, partial| (text.to_owned(), truncated, partial);
    assert_eq!(marks, [mark("a", Some(102), false), mark("alone", Some(9), false), mark("b", None, true)]);
    assert_eq!(lines.all(), [" c"]);
}

#[test]
fn the_first_line_is_the_short_message_and_all_lines_are_the_full_message() {
    let options = JoinOptions { separator: " / ".to_owned(), ..JoinOptions::default() };
    let mut lines = Lines::with_options(pattern(r"^\s", Match::NonFirst), options);
    ["a", " secret", "alone"].iter().for_each(|line| lines.write(line));
    lines.joiner.flush();
    let redaction = Redaction::default().with_pattern("secret").unwrap();
    let mut formatter = GelfFormatter::new(GelfFormat::default().with_redaction(redaction));
    let texts = std::iter::from_fn(|| lines.joiner.pop()).map(|lines| {
        let message = lines.message(&mut formatter);
        (message.short_message().to_owned(), message.full_message().map(str::to_owned))
    });
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [("a".to_owned(), Some("a /  ***".to_owned())), ("alone".to_owned(), None)]
    );
}

#[test]
fn the_lines_of_a_message_are_settled_together() {
    let container = Arc::new(Container::builder("shop").build());
    let at = |second| Timestamp::from_unix(second, 0).unwrap();
    let mut progress = Progress::new(Positions::from_time(at(0)));
    let mut joiner = MultilineJoiner::new(JoinOptions::default());
    let rule = pattern(r"^\s", Match::NonFirst);
    for (second, text) in [(1, "a"), (2, " b"), (3, " c"), (4, "next")] {
        let record = Record::builder(container.clone(), text).time(at(second)).build();
        let ticket = progress.read(record.position());
        joiner.push(Arc::new(record), ticket, &rule, Instant::now());
    }
    let start = progress.positions();
    let lines = joiner.pop().unwrap();
    assert_eq!(progress.positions(), start);
    assert_eq!((lines.lines(), lines.tickets().count()), (3, 3));
    let first_and_last =
        [lines.record().position(), lines.last_position()].map(|position| position.place.line.time);
    assert_eq!(first_and_last, [at(1), at(3)]);
    lines.into_tickets().for_each(|ticket| progress.settle(ticket));
    assert_eq!(progress.unsettled(), 1, "the line of the open message");
    assert_ne!(progress.positions(), start);
}

#[test]
fn a_container_asks_for_its_rule_by_labels_or_by_logspouts_variable() {
    let default = Rule::preset(Preset::Java);
    let kind = |labels: &[(&str, &str)], env: &str, is_enabled| {
        let mut container = Container::builder("shop").env(env);
        for (name, value) in labels {
            container = container.label(*name, *value);
        }
        container_rule(&container.build(), Some(&default), is_enabled)
            .map(|rule| rule.map(|rule| format!("{rule:?}")))
    };
    let preset = |preset| Ok(Some(format!("{:?}", Rule::preset(preset))));
    assert_eq!(kind(&[], "A=1", true), preset(Preset::Java));
    assert_eq!(kind(&[], "A=1", false), Ok(None));
    assert_eq!(kind(&[], "LOGSPOUT_MULTILINE=TRUE", false), preset(Preset::Java));
    assert_eq!(kind(&[], "LOGSPOUT_MULTILINE=False", true), Ok(None));
    assert_eq!(kind(&[], "LOGSPOUT_MULTILINE=yes", true), preset(Preset::Java));
    assert_eq!(kind(&[("gelf.multiline", "go")], "LOGSPOUT_MULTILINE=false", false), preset(Preset::Go));
    assert_eq!(kind(&[("gelf.multiline", "off")], "A=1", true), Ok(None));
    let labels = [("gelf.multiline.pattern", "^x"), ("gelf.multiline.match", "LAST")];
    assert_eq!(kind(&labels, "A=1", false), Ok(Some(format!("{:?}", pattern("^x", Match::Last)))));
    for (label, value) in [("gelf.multiline", "cobol"), ("gelf.multiline.pattern", "(")] {
        let error = kind(&[(label, value)], "A=1", true).unwrap_err();
        assert!(error.to_string().starts_with(&format!("label {label}: ")), "{error}");
    }
    let error =
        kind(&[("gelf.multiline.pattern", "x"), ("gelf.multiline.match", "any")], "A=1", true).unwrap_err();
    assert_eq!(error.to_string(), "label gelf.multiline.match: use first, last, nonfirst or nonlast");
}

#[test]
fn a_pattern_that_is_wrong_or_takes_too_much_memory_is_refused_with_its_reason() {
    for (text, reason) in [
        ("(", "unclosed group"),
        ("[z-a]", "invalid character class range"),
        (r"\pL", "Unicode"),
        ("(?=x)", "look-around"),
        ("(.{99}){99}", "more than 128 KiB"),
        (&"x".repeat(2000), "longer than 1024 bytes"),
    ] {
        let error = Rule::pattern(text, Match::First).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains('\n'), "{text}: {error}");
    }
    for text in [r"^\s", r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}", "(?i)^(error|warn)", "é", r"^[^\s]\w\b"]
    {
        Rule::pattern(text, Match::First).unwrap();
    }
    // In Go, `\s` does not match a no-break space.
    let nonfirst = Rule::pattern(r"^\s", Match::NonFirst).unwrap();
    let mut lines = Lines::new(nonfirst);
    ["a", "\u{a0}b"].iter().for_each(|line| lines.write(line));
    assert_eq!(lines.all().len(), 2);
}

/// Lines that continue or begin messages by at least one of the tested rules.
const WRITTEN: [&str; 10] = [
    "a",
    "z",
    " at a",
    "goroutine 1 [x]:",
    "Caused by: b",
    "}",
    "Error: c",
    "#0 d",
    "Traceback (most recent call last):",
    "",
];

proptest! {
    #[test]
    fn no_line_is_lost_repeated_or_moved_within_its_stream(
        written in prop::collection::vec(
            (0..3usize, any::<bool>(), 0..700u64, prop::sample::select(&WRITTEN[..])),
            0..60,
        ),
        preset in 0..9usize,
        max_lines in 1..5usize,
        max_bytes in 1..30usize,
    ) {
        let mut options = JoinOptions::default();
        (options.max_lines, options.max_bytes) = (max_lines, max_bytes);
        let rule = match Preset::ALL.get(preset) {
            Some(preset) => Rule::preset(*preset),
            None => pattern("[a-f]", Match::Last),
        };
        let mut lines = Lines::with_options(rule, options);
        let mut expected = vec![Vec::new(); 6];
        for (number, (container, is_stderr, wait, text)) in written.iter().enumerate() {
            let stream = if *is_stderr { LogStream::Stderr } else { LogStream::Stdout };
            let shop = Arc::new(Container::builder("shop").id(format!("{container:064}")).build());
            lines.now += Duration::from_millis(*wait);
            if wait % 3 == 0 {
                lines.joiner.expire(lines.now);
            }
            lines.push(Record::builder(shop, *text).stream(stream));
            expected[2 * container + usize::from(*is_stderr)].push(number);
        }
        lines.joiner.flush();
        let mut joined = vec![Vec::new(); 6];
        while let Some(message) = lines.joiner.pop() {
            prop_assert!(message.lines() <= max_lines);
            prop_assert!(message.lines() == 1 || message.text().len() <= max_bytes);
            let container: usize = message.record().container().id().parse().unwrap();
            let is_stderr = message.record().stream() == LogStream::Stderr;
            joined[2 * container + usize::from(is_stderr)].extend(message.into_tickets());
        }
        prop_assert_eq!(joined, expected);
        prop_assert_eq!(lines.joiner.due(), None);
    }
}

#[test]
fn the_longest_times_do_not_overflow() {
    let options = JoinOptions { flush_after: Duration::MAX, ..JoinOptions::default() };
    let mut lines = Lines::with_options(Rule::preset(Preset::Java), options);
    lines.write("java.lang.IllegalStateException");
    lines.joiner.delay(Duration::MAX);
    assert!(lines.joiner.due().is_some());
    assert_eq!(lines.all(), ["java.lang.IllegalStateException"]);
}
