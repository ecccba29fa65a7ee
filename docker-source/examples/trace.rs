//! Groups the lines of two services by the id of their trace, as a search for `_trace_id` in a log store
//! does.
//!
//! The front-end event service writes the events of browsers in the format of pino. The backend writes in the
//! format of logback. The two services use different names for the time, the message and the id of the trace,
//! and write the level differently, but the parts of the GELF messages have the same names. The example needs
//! no Engine. Run `cargo run -p docker-source --example trace`.

use std::collections::BTreeMap;
use std::sync::Arc;

use docker_source::content::{ContainerContent, ContentLifter, ContentOptions};
use docker_source::gelf::{GelfFormat, GelfFormatter};
use docker_source::gelf_core::{Message, Timestamp};
use docker_source::{Container, Record};

/// The lines of the two services, with Docker's stamps.
const LINES: [(&str, &str, &str); 5] = [
    (
        "2026-11-22T22:44:18.105Z",
        "frontend-events",
        r#"{"level":30,"time":1795387458101,"event":"click","page":"/cart","traceId":"4bf92f3577b34da6","msg":"order button"}"#,
    ),
    (
        "2026-11-22T22:44:18.140Z",
        "backend",
        r#"{"@timestamp":"2026-11-22T23:44:18.132+01:00","level":"INFO","message":"order accepted","order":4711,"mdc":{"trace_id":"4bf92f3577b34da6"}}"#,
    ),
    (
        "2026-11-22T22:44:18.141Z",
        "backend",
        r#"{"@timestamp":"2026-11-22T23:44:18.133+01:00","level":"INFO","message":"order accepted","order":4712,"mdc":{"trace_id":"00f067aa0ba902b7"}}"#,
    ),
    (
        "2026-11-22T22:44:19.410Z",
        "backend",
        r#"{"@timestamp":"2026-11-22T23:44:19.402+01:00","level":"ERROR","message":"payment refused","order":4711,"mdc":{"trace_id":"4bf92f3577b34da6"},"stack_trace":"shop.Refused: insufficient funds\n\tat shop.Orders.pay(Orders.java:17)"}"#,
    ),
    (
        "2026-11-22T22:44:19.520Z",
        "frontend-events",
        r#"{"level":50,"time":1795387459515,"event":"error","page":"/cart","traceId":"4bf92f3577b34da6","status":402,"msg":"POST /orders failed"}"#,
    ),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (id, messages) in traces()? {
        println!("_trace_id:{id}");
        for message in messages {
            let text = |name| message.field(name).map(ToString::to_string).unwrap_or_default();
            let time = message.timestamp().and_then(Timestamp::to_rfc3339).unwrap_or_default();
            let level = message.level().map(|level| level.to_string()).unwrap_or_default();
            println!(
                "  {time:24} {level:13} {:15} {} {}",
                text("container_name"),
                message.short_message(),
                text("order")
            );
        }
    }
    Ok(())
}

/// Returns the messages of each trace, in the order of their times.
fn traces() -> Result<BTreeMap<String, Vec<Message<'static>>>, Box<dyn std::error::Error>> {
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    let mut lifter = ContentLifter::default();
    let options: ContentOptions = "json".parse()?;
    let mut traces: BTreeMap<String, Vec<Message<'static>>> = BTreeMap::new();
    for (stamp, service, line) in LINES {
        let container = Arc::new(Container::builder(service).build());
        let record = Record::builder(container, line).time(Timestamp::from_rfc3339(stamp)?).build();
        let text = formatter.text(record.bytes());
        let mut message = formatter.message(&record);
        lifter.apply(&mut ContainerContent::new(options), text, &mut message);
        let id = message.field("trace_id").and_then(|id| id.as_str()).unwrap_or("none").to_owned();
        traces.entry(id).or_default().push(message.into_owned());
    }
    for messages in traces.values_mut() {
        messages.sort_by_key(Message::timestamp);
    }
    Ok(traces)
}

#[test]
fn one_trace_has_the_lines_of_both_services_with_typed_fields() {
    let traces = traces().unwrap();
    let described = |message: &Message<'_>| {
        let service = message.field("container_name").unwrap().to_string();
        (service, message.short_message().to_owned(), message.field("order").and_then(|order| order.as_i64()))
    };
    let joined: Vec<_> = traces["4bf92f3577b34da6"].iter().map(described).collect();
    let expected = [
        ("frontend-events", "order button", None),
        ("backend", "order accepted", Some(4711)),
        ("backend", "payment refused", Some(4711)),
        ("frontend-events", "POST /orders failed", None),
    ];
    let expected = expected.map(|(service, text, order)| (service.to_owned(), text.to_owned(), order));
    assert_eq!(joined, expected);
    assert_eq!(traces["00f067aa0ba902b7"].len(), 1);
}
