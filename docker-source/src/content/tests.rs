use gelf_core::{FieldSet, Message, Timestamp, Value};
use proptest::prelude::*;

use super::*;
use crate::container::Container;

/// Docker's stamp of every line.
fn stamp() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-22T22:44:18.5Z").unwrap()
}

fn container_fields() -> FieldSet {
    FieldSet::builder("host")
        .sanitized_field("container_name", "shop")
        .sanitized_field("team", "blue")
        .build()
}

/// Returns the members of a message in the form `name=value`: the level, the timestamp if it differs from
/// Docker's stamp, the texts, and the fields that the container did not set. A field whose value is text has the
/// value in quotes.
fn described(message: &Message<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(message.level().map(|level| format!("level={level}")));
    let time = message.timestamp().filter(|time| *time != stamp());
    parts.extend(time.map(|time| format!("time={}", time.to_rfc3339().unwrap())));
    parts.push(format!("short={}", message.short_message()));
    parts.extend(message.full_message().map(|full| format!("full={full}")));
    for (name, value) in message.fields() {
        if matches!(name.as_str(), "container_name" | "team") {
            continue;
        }
        parts.push(match value {
            Value::Str(text) => format!("{name}={text:?}"),
            value => format!("{name}={value}"),
        });
    }
    parts
}

fn lifted_by(lifter: &mut ContentLifter, kinds: &str, line: &str) -> Vec<String> {
    let mut content = ContainerContent::new(kinds.parse().unwrap());
    lifted_in(lifter, &mut content, line)
}

fn lifted_in(lifter: &mut ContentLifter, content: &mut ContainerContent, line: &str) -> Vec<String> {
    let fields = container_fields();
    let mut message = fields.message(line.lines().next().unwrap_or_default()).with_timestamp(stamp());
    if line.contains('\n') {
        message.set_full_message(line);
    }
    lifter.apply(content, line.into(), &mut message);
    assert_eq!(message.field("container_name").and_then(Value::as_str), Some("shop"));
    assert_eq!(message.field("team").and_then(Value::as_str), Some("blue"));
    described(&message)
}

fn lifted(line: &str) -> Vec<String> {
    lifted_by(&mut ContentLifter::default(), "all", line)
}

/// Each case has the name of a logger, a line as the logger writes it with its default settings, and the
/// parts of the message.
#[test]
fn the_lines_of_each_logger_become_typed_messages() {
    let cases = include_str!("../../tests/content/loggers.txt");
    let mut lines = cases.lines().peekable();
    let mut loggers = 0;
    while let Some(logger) = lines.next() {
        let line = lines.next().unwrap();
        let mut expected = Vec::new();
        while let Some(part) = lines.next_if(|line| line.starts_with("  ")) {
            expected.push(part.trim_start());
        }
        let parts: Vec<_> = lifted(line).iter().map(|part| part.replace('\n', "\\n")).collect();
        assert_eq!(parts, expected, "{logger}");
        loggers += 1;
    }
    assert_eq!(loggers, 17);
}

#[test]
fn a_line_of_no_kind_that_the_options_ask_for_is_left_as_it_is() {
    for line in [
        "",
        "{",
        "{}x",
        "{not json}",
        r#"{"a":1"#,
        r#"["a"]"#,
        "a=1 b=2",
        "level=info",
        "GET /?level=info&msg=x HTTP/1.1",
        "level=info and more words",
        "level=\"info msg=x",
        r#"{"n":1e999999}"#,
    ] {
        let parts = lifted(line);
        assert!(parts.len() <= 2 && parts[0] == format!("short={line}"), "{parts:?}");
    }
    let mut lifter = ContentLifter::default();
    assert_eq!(lifted_by(&mut lifter, "logfmt,level", r#"{"msg":"x"}"#), [r#"short={"msg":"x"}"#]);
    assert_eq!(lifted_by(&mut lifter, "json", "level=info msg=x"), ["short=level=info msg=x"]);
    assert_eq!(lifted_by(&mut lifter, "json", "ERROR x"), ["short=ERROR x"]);
    assert_eq!(lifted_by(&mut lifter, "off", "ERROR x"), ["short=ERROR x"]);
}

#[test]
fn nothing_in_a_line_replaces_a_field_of_the_message() {
    let names = r#""msg":"x","_container_name":"a","container_name":"b","container name":"c","_id":"d""#;
    let ids = r#""id":"e","__id":"f","host":"g""#;
    let others = r#""seq":1,"_seq":2,"team":"red","source":"h","short_message":"i","full_message":"j""#;
    let members = r#""type":"k","@timestamp":"l","level":"loud""#;
    let more = r#""version":7,"line_team":"m","ecs_cluster":"n","tag":"o","":"p""#;
    let line = format!("{{{names},{ids},{others},{members},{more}}}");
    assert_eq!(
        lifted(&line),
        [
            "short=x",
            "line_container_name=\"a\"",
            "line_container_name_2=\"b\"",
            "line_container_name_3=\"c\"",
            "id_=\"d\"",
            "id__2=\"e\"",
            "id__3=\"f\"",
            "line_host=\"g\"",
            "line_seq=1",
            "line_seq_2=2",
            "line_team=\"red\"",
            "line_source=\"h\"",
            "line_short_message=\"i\"",
            "line_full_message=\"j\"",
            "line_type=\"k\"",
            "line_timestamp=\"l\"",
            "line_level=\"loud\"",
            "line_version=7",
            "line_team_2=\"m\"",
            "line_ecs_cluster=\"n\"",
            "line_tag=\"o\"",
            "_=\"p\"",
        ]
    );
}

#[test]
fn the_remembered_meanings_of_members_do_not_change_a_message() {
    // These lines have more paths than are remembered. The names in the paths are too long for fields.
    let odd = (0..300).map(|number| format!("{{\"level\":30,\"{}{number}\":1}}", "p".repeat(200)));
    let lines = [
        r#"{"a":1,"msg":"x","b":{"c":2},"b.c":3,"level":30}"#,
        r#"{"b.c":3,"level":50,"b_c":4,"@mt":"y","msg":"x","a":"one"}"#,
        r#"{"b":{"c":"text"},"@a":2,"_a":3,"traceId":"t","container_name":"forged"}"#,
        r#"{"message":"z","event":"e","level":"a","severity":"warn","time":"never"}"#,
    ];
    let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).chain(odd).collect();
    let (mut lifter, mut other) = (ContentLifter::default(), ContentLifter::default());
    let mut content = ContainerContent::new("json".parse().unwrap());
    for line in lines.iter().chain(lines.iter().rev()) {
        let parts = lifted_in(&mut lifter, &mut content, line);
        assert_eq!(parts, lifted_by(&mut other, "json", line), "{line}");
    }
}

#[test]
fn the_first_type_of_a_field_stays_its_type() {
    let mut lifter = ContentLifter::default();
    for (line, expected) in [
        (
            r#"{"msg":"x","a":1,"b":"text","c":"2026-11-22","d":true,"e":[1,2]}"#,
            &["a=1", "b=\"text\"", "c=\"2026-11-22\"", "d=true", "e=\"[1,2]\""][..],
        ),
        (
            r#"{"msg":"x","a":"one","b":2,"c":"never","d":1.50,"e":{"f":1}}"#,
            &["a_str=\"one\"", "b=\"2\"", "c_str=\"never\"", "d=\"1.50\"", "e_f=1"],
        ),
        (
            r#"{"msg":"x","a":2.5,"b":false,"c":"2026/11/23 00:00:00","e":"x"}"#,
            &["a=2.5", "b=false", "c=\"2026/11/23 00:00:00\"", "e=\"x\""],
        ),
        (r#"{"msg":"x","a":12345678901234567890}"#, &["a_str=\"12345678901234567890\""]),
        (r#"{"msg":"x","a":true,"c":7,"a_str":5}"#, &["a_str=\"true\"", "c_str=\"7\"", "a_str_2=\"5\""]),
    ] {
        assert_eq!(lifted_by(&mut lifter, "json", line)[1..], *expected, "{line}");
    }
}

#[test]
fn numbers_are_exact() {
    let line = r#"{"msg":"x","a":12345678901234567890123,"b":0.1000,"c":-7,"d":1e3}"#;
    assert_eq!(lifted(line)[1..], ["a=12345678901234567890123", "b=0.1000", "c=-7", "d=1e3"]);
}

#[test]
fn no_part_of_a_line_beyond_a_limit_is_lost() {
    let full = |line: &str| format!("full={line}");
    let many = format!(
        r#"{{"msg":"x",{}}}"#,
        (0..100).map(|n| format!("\"f{n}\":{n}")).collect::<Vec<_>>().join(",")
    );
    let parts = lifted(&many);
    assert_eq!((parts.len(), &parts[0], &parts[1]), (66, &"short=x".to_owned(), &full(&many)));
    let long = format!(r#"{{"msg":"x","a":"{}","b":1}}"#, "y".repeat(32_767));
    assert_eq!(lifted(&long), ["short=x", &full(&long), "b=1"]);
    let (a, b) = ("y".repeat(20_000), "z".repeat(20_000));
    let both = format!(r#"{{"msg":"x","a":"{a}","b":"{b}","c":1}}"#);
    assert_eq!(lifted(&both), ["short=x", &full(&both), &format!("a=\"{a}\""), "c=1"]);
    let digits = format!(r#"{{"msg":"x","a":{}}}"#, "1".repeat(40_000));
    assert_eq!(lifted(&digits), ["short=x", &full(&digits)]);
    // An object beyond the maximum depth becomes a text, so no part of the line is left out.
    let deep = r#"{"msg":"x","a":{"b":{"c":{"d":{"e":1}}}}}"#;
    assert_eq!(lifted(deep), ["short=x", "a_b_c_d=\"{\\\"e\\\":1}\""]);
    let name = format!(r#"{{"msg":"x","{}":1}}"#, "n".repeat(129));
    assert_eq!(lifted(&name), ["short=x", &full(&name)]);
    let huge = format!(r#"{{"msg":"x","a":"{}"}}"#, "y".repeat(70_000));
    assert_eq!(lifted(&huge), [format!("short={huge}")]);
}

#[test]
fn the_number_of_field_names_is_bounded_in_total_and_for_each_container() {
    let mut lifter = ContentLifter::default();
    let mut fields = 0;
    for container in 0..6 {
        let mut content = ContainerContent::new("json".parse().unwrap());
        for number in 0..300 {
            let line = format!(r#"{{"msg":"x","c{container}_{number}":1}}"#);
            let parts = lifted_in(&mut lifter, &mut content, &line);
            fields += usize::from(parts.last().unwrap().starts_with("c"));
            assert_eq!(parts.len(), 2, "the field or the whole line: {parts:?}");
        }
        assert_eq!(fields, 128 * (container + 1).min(4));
    }
    // The limits do not apply to a name that is already known.
    assert_eq!(lifted_by(&mut lifter, "json", r#"{"msg":"x","c0_0":2}"#), ["short=x", "c0_0=2"]);
}

#[test]
fn a_time_far_from_dockers_stamp_stays_a_field() {
    for (time, counts) in [
        ("2026-11-22T22:45:18.5Z", true),
        ("2026-11-22T22:45:18.6Z", false),
        ("2026-11-21T22:44:18.5Z", true),
        ("2026-11-21T22:44:18.4Z", false),
        ("1970-01-01T00:00:00Z", false),
        ("2026-11-22 22:44:18", false),
    ] {
        let parts = lifted(&format!(r#"{{"msg":"x","time":"{time}"}}"#));
        let field = format!("time={time:?}");
        assert_eq!(parts.contains(&field), !counts, "{parts:?}");
        assert_eq!(parts.len(), 2);
    }
    for (number, time) in [
        ("1795387458", "2026-11-22T22:44:18Z"),
        ("1795387458.25", "2026-11-22T22:44:18.25Z"),
        ("1795387458250", "2026-11-22T22:44:18.25Z"),
        ("1795387458250.5", "2026-11-22T22:44:18.2505Z"),
        ("1795387458250001", "2026-11-22T22:44:18.250001Z"),
        ("1795387458250000001", "2026-11-22T22:44:18.250000001Z"),
    ] {
        assert_eq!(lifted(&format!(r#"{{"ts":{number},"msg":"x"}}"#)), [&format!("time={time}"), "short=x"]);
    }
    assert_eq!(lifted(r#"{"ts":7,"msg":"x"}"#), ["short=x", "ts=7"]);
}

#[test]
fn joined_lines_are_read_as_one_text() {
    let pretty = "{\n  \"msg\": \"first\\nsecond\",\n  \"a\": 1\n}";
    assert_eq!(lifted(pretty), ["short=first", "full=first\nsecond", "a=1"]);
    let trace = "level=error msg=failed\n\tat shop.Orders.pay(Orders.java:17)";
    assert_eq!(lifted(trace), ["level=error", "short=failed", &format!("full={trace}")]);
    let trace = "ERROR failed\n\tat a";
    assert_eq!(lifted(trace), ["level=error", "short=ERROR failed", &format!("full={trace}")]);
}

#[test]
fn escape_sequences_are_removed_before_the_line_is_read() {
    let mut content = ContainerContent::new(ContentOptions { strip_ansi: true, ..ContentOptions::default() });
    let mut lifter = ContentLifter::default();
    let line = "\x1b[31mERROR\x1b[0m failed\n\x1b[90m  at a\x1b[39m";
    assert_eq!(
        lifted_in(&mut lifter, &mut content, line),
        ["short=ERROR failed", "full=ERROR failed\n  at a"]
    );
    content.options.level = true;
    assert_eq!(
        lifted_in(&mut lifter, &mut content, "\x1b[31mERROR\x1b[0m x"),
        ["level=error", "short=ERROR x"]
    );
    assert_eq!(lifted(line)[0], "short=\x1b[31mERROR\x1b[0m failed");
}

#[test]
fn a_container_asks_for_content_by_labels() {
    let options = |labels: &[(&str, &str)], default: &str| {
        let mut container = Container::builder("shop");
        for (name, value) in labels {
            container = container.label(*name, *value);
        }
        container_content(&container.build(), default.parse().unwrap())
    };
    let parsed = |text: &str| text.parse::<ContentOptions>().unwrap();
    assert_eq!(options(&[], "json"), Ok(parsed("json")));
    assert_eq!(options(&[("gelf.content", "logfmt, level")], "json"), Ok(parsed("logfmt,level")));
    assert_eq!(options(&[("gelf.content", "off")], "all"), Ok(parsed("off")));
    let stripped = ContentOptions { strip_ansi: true, ..parsed("json") };
    assert_eq!(options(&[("gelf.strip_ansi", "true")], "json"), Ok(stripped));
    assert_eq!(options(&[("gelf.content", "xml")], "json"), Err(InvalidContentLabel::Content));
    assert_eq!(options(&[("gelf.strip_ansi", "yes")], "json"), Err(InvalidContentLabel::StripAnsi));
    for text in ["", "json,", "JSON", "json,off", "off,off"] {
        assert_eq!(text.parse::<ContentOptions>(), Err(InvalidContent), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_line_gives_a_message_that_is_valid_and_keeps_the_name_of_the_container(
        line in prop_oneof![
            "\\{(\"[a-z_@.\"\\\\]{0,8}\":(\"[^\"]{0,6}\"|[0-9.e-]{1,6}|\\{\\}|\\[1\\]|null|true),?){0,4}\\}",
            "([a-z_]{1,6}=[a-z0-9\"\\\\]{0,6} ){0,4}",
            "\\PC{0,40}",
        ],
    ) {
        let fields = container_fields();
        let all: ContentOptions = "all".parse().unwrap();
        let mut content = ContainerContent::new(ContentOptions { strip_ansi: true, ..all });
        let mut message = fields.message(line.as_str()).with_timestamp(stamp());
        ContentLifter::default().apply(&mut content, line.as_str().into(), &mut message);
        prop_assert_eq!(message.field("container_name").and_then(Value::as_str), Some("shop"));
        let mut payload = bytes::BytesMut::new();
        gelf_core::Encoder::new().encode(&message, &mut payload);
        prop_assert!(gelf_core::Decoder::strict().decode(&payload).is_ok());
    }
}
