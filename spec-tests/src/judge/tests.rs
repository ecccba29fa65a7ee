use super::*;
use crate::vector::embedded;

/// Returns the verdict on a sender that answers the vector with these datagrams.
fn of_sender(id: &str, datagrams: &[&str]) -> (Verdict, Vec<String>) {
    verdict_on(id, datagrams.iter().map(|text| text.as_bytes().to_vec()).collect())
}

fn verdict_on(id: &str, datagrams: Vec<Vec<u8>>) -> (Verdict, Vec<String>) {
    let topics = embedded().unwrap();
    let vector = topics.iter().flat_map(|topic| &topic.vectors).find(|vector| vector.id == id).unwrap();
    let reply = Reply::Observed(Observed { sent: Some(Sent::Datagrams(datagrams)), ..Observed::default() });
    let of = Description::new("a sender", "none", &["send"], "");
    let (verdict, differences) = judge(vector, None, &of, &KnownViolations::new(), &reply).unwrap();
    (verdict, differences.iter().map(ToString::to_string).collect())
}

/// Returns the verdict on a receiver that answers the vector with this message.
fn of_receiver(id: &str, message: &str) -> Verdict {
    let topics = embedded().unwrap();
    let vector = topics.iter().flat_map(|topic| &topic.vectors).find(|vector| vector.id == id).unwrap();
    let messages = vec![serde_json::from_str(message).unwrap()];
    let reply = Reply::Observed(Observed { messages, ..Observed::default() });
    let of = Description::new("a receiver", "none", &["payload"], "");
    judge(vector, None, &of, &KnownViolations::new(), &reply).unwrap().0
}

#[test]
fn an_invented_level_is_a_failure_also_where_implementations_may_differ() {
    let message = |level: &str| {
        format!(r#"{{"host":"h","short_message":"m","timestamp":1500646980661{level},"fields":{{}}}}"#)
    };
    assert_eq!(of_receiver("T12", &message("")), Verdict::Passes);
    for level in [r#","level":6"#, r#","level":"6""#] {
        assert_eq!(of_receiver("T12", &message(level)), Verdict::Fails, "{level}");
    }
    // A level that the receiver has clamped is not invented.
    let clamped = r#"{"host":"h","short_message":"m","level":2147483647,"fields":{}}"#;
    assert_eq!(of_receiver("L06-400", clamped), Verdict::Deviates);
}

#[test]
fn a_split_payload_is_compared_with_the_payload_of_the_request() {
    let chunks = |head: &str, tail: &str| {
        [format!("\x1e\x0f12345678\0\x02{head}"), format!("\x1e\x0f12345678\x01\x02{tail}")]
    };
    let verdict = |id: &str, datagrams: &[&str]| of_sender(id, datagrams).0;
    let [head, tail] = chunks(&format!("{{{}", "a".repeat(1000)), &format!("{}}}", "a".repeat(419)));
    assert_eq!(verdict("E33", &[&head, &tail]), Verdict::Passes);
    assert_eq!(verdict("E33", &["{}"]), Verdict::Fails);
    assert_eq!(verdict("E32", &[""]), Verdict::Passes);
    for datagrams in [&[][..], &["", ""], &["{}"]] {
        assert_eq!(verdict("E32", datagrams), Verdict::Fails, "{datagrams:?}");
    }
}

#[test]
fn a_sender_may_add_an_underscore_to_a_name_that_has_one_but_may_not_lose_the_field() {
    let message = |field: &str| format!(r#"{{"version":"1.1","host":"h","short_message":"m"{field}}}"#);
    for field in [r#","_user":"x""#, r#","__user":"x""#] {
        assert_eq!(of_sender("E09", &[&message(field)]), (Verdict::Passes, Vec::new()), "{field}");
    }
    let lost = "field user: expected \"x\", found none".to_owned();
    assert_eq!(of_sender("E09", &[&message("")]), (Verdict::Fails, vec![lost]));
}

#[test]
fn a_number_that_is_sent_as_a_string_is_a_deviation() {
    let message = |value: &str| format!(r#"{{"version":"1.1","host":"h","short_message":"m","_i":{value}}}"#);
    assert_eq!(of_sender("E16", &[&message("42")]), (Verdict::Passes, Vec::new()));
    let type_is_lost = "type of field i: expected 42, found \"42\"".to_owned();
    assert_eq!(of_sender("E16", &[&message("\"42\"")]), (Verdict::Deviates, vec![type_is_lost]));
}

#[test]
fn the_same_violation_of_many_datagrams_is_one_difference() {
    let chunks =
        [0, 1, 2].map(|number| format!("\x1e\x0f12345678{}\x03{}", char::from(number), "x".repeat(2000)));
    let (verdict, differences) = of_sender("E16", &chunks.each_ref().map(String::as_str));
    assert_eq!(verdict, Verdict::Fails);
    let sizes: Vec<_> = differences.iter().filter(|text| text.contains("DatagramSize")).collect();
    assert_eq!(sizes.len(), 1, "{differences:?}");
    assert!(sizes[0].contains("DatagramSize (3 times, first "), "{sizes:?}");
}

#[test]
fn a_timestamp_beyond_the_year_9999_is_reported_with_its_probable_unit() {
    let of = |timestamp: &str| {
        let sent = format!(r#"{{"version":"1.1","host":"h","short_message":"m","timestamp":{timestamp}}}"#);
        let violations = inspect::datagrams(&[sent.into_bytes()], None).violations;
        violations
            .iter()
            .map(|violation| format!("{} {}", violation.name, violation.text))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("1700000000.123"), [""; 0]);
    let named = |name: &str, timestamp: &str, unit: &str| {
        let text = format!("{name} {timestamp} is beyond the year 9999, probably {unit}");
        assert_eq!(of(timestamp), [text]);
    };
    named("TimestampTooLarge", "1700000000123", "milliseconds");
    named("TimestampTooLarge", "1.700000000123e12", "milliseconds");
    named("TimestampRange", "1700000000123456", "microseconds");
    named("TimestampRange", "1700000000123456789", "nanoseconds");
}
