use super::*;
use crate::inspect;

/// Returns the effects that each receiver has on a message, such as `Seq: ends refuses, Vector: loses`.
fn effects(datagrams: &[Vec<u8>]) -> String {
    let inspection = inspect::datagrams(datagrams, None);
    said_of(&Delivery::datagrams(datagrams, false, &inspection))
}

fn said_of(delivery: &Delivery) -> String {
    let mut said = Vec::new();
    for receiver in receivers().unwrap() {
        let rules = receiver.rules.iter().filter(|rule| rule.covers(delivery));
        let words: Vec<_> = rules.map(|rule| rule.effect.word()).collect();
        if !words.is_empty() {
            said.push(format!("{}: {}", receiver.name, words.join(" ")));
        }
    }
    said.join(", ")
}

fn message(more: &str) -> Vec<u8> {
    format!(r#"{{"version":"1.1","host":"h","short_message":"m"{more}}}"#).into_bytes()
}

#[test]
fn the_embedded_file_is_valid() {
    let receivers = receivers().unwrap();
    let names: Vec<_> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    assert_eq!(names, ["Graylog", "Logstash", "go-gelf", "Vector", "Seq", "Fluent Bit"]);
    for receiver in &receivers {
        assert!(receiver.rules.len() > 20, "{} has the rules for all receivers", receiver.name);
    }
}

#[test]
fn invalid_rules_are_errors() {
    let file = |rule: &str| format!(r#"{{"schema":1,"all":[{rule}],"receivers":[]}}"#);
    let rule =
        |when: &str| file(&format!(r#"{{"when":{when},"effect":"loses","text":"this","source":"here"}}"#));
    assert!(parse(&rule(r#""TrailingNul""#)).is_ok());
    assert!(parse(&rule(r#""Missing host""#)).is_ok());
    assert_eq!(parse(&rule(r#""Missing M""#)).unwrap_err(), "this: unknown name 'Missing M'");
    assert_eq!(parse(&rule(r#"{"name":"Nul"}"#)).unwrap_err(), "this: unknown name 'Nul'");
    assert_eq!(parse(&rule(r#"{"without":"a"}"#)).unwrap_err(), "this: a condition without content");
    let alone = parse(&rule(r#"{"way":"chunked","is":["null"]}"#)).unwrap_err();
    assert_eq!(alone, "this: 'is', 'outside' and 'twice' need 'members'");
    assert!(parse(&rule(r#"{"way":"by post"}"#)).is_err());
    assert!(parse(&rule(r#"{"when":"chunked"}"#)).is_err());
    assert!(parse(&file(r#"{"when":"TrailingNul","effect":"loses","text":"a"}"#)).is_err());
    assert!(
        parse(r#"{"schema":2,"all":[],"receivers":[]}"#).unwrap_err().starts_with("unsupported schema 2")
    );
}

#[test]
fn every_receiver_accepts_an_ordinary_message() {
    assert_eq!(effects(&[message("")]), "");
    assert_eq!(effects(&[message(r#","level":3,"_a":"b","_c":1"#)]), "");
}

#[test]
fn a_null_byte_on_udp_is_refused_by_graylog_logstash_vector_and_seq() {
    let datagram = [message(""), vec![0]].concat();
    assert_eq!(effects(&[datagram]), "Graylog: refuses, Logstash: refuses, Vector: refuses, Seq: refuses");
}

#[test]
fn the_names_and_values_of_members_decide_the_effects() {
    for (more, expected) in [
        (r#","level":"3""#, "go-gelf: refuses, Vector: refuses, Seq: refuses"),
        (r#","_ok":true"#, "Graylog: loses, Vector: refuses"),
        (r#","_n":9007199254740993"#, "go-gelf: alters"),
        (r#","_n":9223372036854775807"#, "go-gelf: alters"),
        (r#","_n":9223372036854775808"#, "Graylog: alters, go-gelf: alters"),
        (r#","host":"i""#, "Vector: refuses"),
        (r#","_größe":1,"_a@b":2"#, "Graylog: loses"),
        (r#","timestamp":1700000000123"#, "Seq: ends, Fluent Bit: alters"),
        (r#","timestamp":253402300800"#, "Seq: ends, Fluent Bit: alters"),
        (r#","timestamp":2534023008e2"#, "Seq: ends, Fluent Bit: alters"),
        (r#","timestamp":253402300799.9999"#, "Fluent Bit: alters"),
        (r#","timestamp":253402300799.9999999"#, "Seq: ends, Fluent Bit: alters"),
    ] {
        assert_eq!(effects(&[message(more)]), expected, "{more}");
    }
    assert!(effects(&[message(r#","level":"error""#)]).starts_with("Graylog: alters, "));
}

#[test]
fn a_message_can_end_a_receiver() {
    let beyond = effects(&[b"\x1e\x0fABCDEFGH\xff\x02{}".to_vec()]);
    let of = |name: &str| beyond.split(", ").find(|said| said.starts_with(name)).unwrap().to_owned();
    assert!(of("Seq").contains("ends") && of("go-gelf").contains("ends"), "{beyond}");
    let number = effects(&[br#"{"version":"1.1","host":"h","short_message":1}"#.to_vec()]);
    assert!(number.contains("Logstash: ends"), "{number}");
}

#[test]
fn another_member_can_stand_in_for_a_missing_member() {
    let missing = br#"{"version":"1.1","host":"h"}"#.to_vec();
    assert!(effects(&[missing]).starts_with("Graylog: refuses, "));
    let beside = br#"{"version":"1.1","host":"h","message":"m"}"#.to_vec();
    assert!(!effects(&[beside]).contains("Graylog"));
}

#[test]
fn the_transport_the_size_and_the_order_of_chunks_decide_the_effects() {
    let long = effects(&[message(&format!(r#","_a":"{}""#, "a".repeat(9000)))]);
    assert_eq!(long, "Logstash: refuses, go-gelf: refuses");
    let whole = message("");
    let (first, second) = whole.split_at(40);
    let chunk = |number: u8, payload: &[u8]| [b"\x1e\x0fABCDEFGH", &[number, 2][..], payload].concat();
    let in_order = [chunk(0, first), chunk(1, second)];
    assert_eq!(effects(&in_order), "Fluent Bit: refuses");
    assert!(effects(&[chunk(1, second), chunk(0, first)]).contains("go-gelf: refuses"));
    let inspection = inspect::datagrams(&in_order, None);
    assert!(said_of(&Delivery::datagrams(&in_order, true, &inspection)).contains("go-gelf: refuses"));
    let inspection = inspect::stream(&whole);
    assert_eq!(said_of(&Delivery::frame(&whole, &inspection)), "go-gelf: refuses, Fluent Bit: refuses");
}

#[test]
fn graylog_loses_booleans_of_members_with_and_without_an_underscore() {
    let loses = |more| effects(&[message(more)]).contains("Graylog: loses");
    assert!(loses(r#","_b":true"#) && loses(r#","b":true"#));
    assert!(!loses(r#","b":"true""#));
}
