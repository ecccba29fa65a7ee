use std::collections::BTreeMap;

use super::*;
use crate::inspect;

/// Returns the effects of each receiver on a datagram. Receivers without effects are left out.
fn effects(datagrams: &[Vec<u8>]) -> BTreeMap<String, Vec<&'static str>> {
    let inspection = inspect::datagrams(datagrams, None);
    said_of(&Delivery::datagrams(datagrams, false, &inspection))
}

fn said_of(delivery: &Delivery) -> BTreeMap<String, Vec<&'static str>> {
    let mut said = BTreeMap::new();
    for receiver in receivers().unwrap() {
        let words: Vec<_> = receiver
            .rules
            .iter()
            .filter(|rule| rule.covers(delivery))
            .map(|rule| rule.effect.word())
            .collect();
        if !words.is_empty() {
            said.insert(receiver.name, words);
        }
    }
    said
}

fn expected(said: &[(&str, &[&'static str])]) -> BTreeMap<String, Vec<&'static str>> {
    said.iter().map(|(name, words)| ((*name).to_owned(), words.to_vec())).collect()
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
        assert!(receiver.rules.len() > 20, "{} has the rules of all", receiver.name);
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
fn an_ordinary_message_is_accepted_by_all() {
    assert_eq!(effects(&[message("")]), expected(&[]));
    assert_eq!(effects(&[message(r#","level":3,"_a":"b","_c":1"#)]), expected(&[]));
}

#[test]
fn a_null_byte_on_udp_is_refused_except_by_go_gelf() {
    let mut datagram = message("");
    datagram.push(0);
    let said = effects(&[datagram]);
    let refuses: &[&str] = &["refuses"];
    assert_eq!(
        said,
        expected(&[("Graylog", refuses), ("Logstash", refuses), ("Seq", refuses), ("Vector", refuses)])
    );
}

#[test]
fn values_of_members_decide() {
    let refuses: &[&str] = &["refuses"];
    let level = effects(&[message(r#","level":"3""#)]);
    assert_eq!(level, expected(&[("Seq", refuses), ("Vector", refuses), ("go-gelf", refuses)]));
    let level = effects(&[message(r#","level":"error""#)]);
    assert_eq!(level["Graylog"], ["alters"]);
    let truth = effects(&[message(r#","_ok":true"#)]);
    assert_eq!(truth, expected(&[("Graylog", &["loses"]), ("Vector", refuses)]));
    let large = effects(&[message(r#","_n":9007199254740993"#)]);
    assert_eq!(large, expected(&[("go-gelf", &["alters"])]));
    let largest = effects(&[message(r#","_n":9223372036854775807"#)]);
    assert_eq!(largest, expected(&[("go-gelf", &["alters"])]));
    let beyond = effects(&[message(r#","_n":9223372036854775808"#)]);
    assert_eq!(beyond, expected(&[("Graylog", &["alters"]), ("go-gelf", &["alters"])]));
    let twice = effects(&[message(r#","host":"i""#)]);
    assert_eq!(twice, expected(&[("Vector", refuses)]));
    let name = effects(&[message(r#","_größe":1,"_a@b":2"#)]);
    assert_eq!(name, expected(&[("Graylog", &["loses"])]));
}

#[test]
fn a_receiver_can_end() {
    let ends: &[&str] = &["ends"];
    for timestamp in ["1700000000123", "253402300800", "2534023008e2"] {
        let said = effects(&[message(&format!(r#","timestamp":{timestamp}"#))]);
        assert_eq!(said, expected(&[("Seq", ends), ("Fluent Bit", &["alters"])]), "{timestamp}");
    }
    let last = effects(&[message(r#","timestamp":253402300799.999999"#)]);
    assert_eq!(last, expected(&[("Fluent Bit", &["alters"])]));
    let beyond = effects(&[b"\x1e\x0fABCDEFGH\xff\x02{}".to_vec()]);
    assert!(beyond["Seq"].contains(&"ends") && beyond["go-gelf"].contains(&"ends"), "{beyond:?}");
    let number = effects(&[br#"{"version":"1.1","host":"h","short_message":1}"#.to_vec()]);
    assert!(number["Logstash"].contains(&"ends"), "{number:?}");
}

#[test]
fn another_member_can_stand_in_for_a_missing_one() {
    let missing = br#"{"version":"1.1","host":"h"}"#.to_vec();
    assert_eq!(effects(&[missing])["Graylog"], ["refuses"]);
    let beside = br#"{"version":"1.1","host":"h","message":"m"}"#.to_vec();
    assert!(!effects(&[beside]).contains_key("Graylog"));
}

#[test]
fn transport_and_encoding_decide() {
    let long = effects(&[message(&format!(r#","_a":"{}""#, "a".repeat(9000)))]);
    assert_eq!(long, expected(&[("Logstash", &["refuses"]), ("go-gelf", &["refuses"])]));
    let whole = message("");
    let (first, second) = whole.split_at(40);
    let chunk = |number: u8, payload: &[u8]| {
        let mut datagram = vec![0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, 2];
        datagram.extend_from_slice(payload);
        datagram
    };
    let in_order = [chunk(0, first), chunk(1, second)];
    assert_eq!(effects(&in_order), expected(&[("Fluent Bit", &["refuses"])]));
    let reversed = [chunk(1, second), chunk(0, first)];
    assert_eq!(effects(&reversed)["go-gelf"], ["refuses"]);
    let inspection = inspect::datagrams(&in_order, None);
    assert_eq!(said_of(&Delivery::datagrams(&in_order, true, &inspection))["go-gelf"], ["refuses"]);
    let frame = message("");
    let inspection = inspect::stream(&frame);
    let said = said_of(&Delivery::frame(&frame, &inspection));
    assert_eq!(said, expected(&[("Fluent Bit", &["refuses"]), ("go-gelf", &["refuses"])]));
}
