//! Tests the message of an event, which the table in the documentation of the crate describes.

use std::error::Error;
use std::{fmt, io, thread};

use gelf_tracing::{BuildError, Builder, GelfLayer, Guard};
use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, trace, warn};
use tracing_subscriber::prelude::*;

use crate::support::Receiver;

/// Runs `log` in a subscriber with a layer, and returns the messages of the layer.
fn messages(configure: impl FnOnce(Builder) -> Builder, log: impl FnOnce()) -> Vec<Value> {
    let receiver = Receiver::tcp();
    let builder = GelfLayer::builder(&format!("gelf+tcp://{}", receiver.address)).unwrap().host("web-1");
    let (layer, _guard): (_, Guard) = configure(builder).build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        log();
        info!("the end");
    });
    let mut messages = receiver.until("the end");
    messages.pop();
    messages
}

fn message(log: impl FnOnce()) -> Value {
    messages(|builder| builder, log).remove(0)
}

#[derive(Debug)]
struct Refused(io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("payment failed")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn each_type_of_value_has_its_json_type() {
    let refused = Refused(io::Error::other("connection refused"));
    let sent = message(|| {
        info!(
            text = "Grüße 🦀",
            debug = ?Some(1),
            float = 0.1,
            whole = 2.0,
            nan = f64::NAN,
            negative = -5,
            big = u64::MAX,
            huge = i128::MAX,
            yes = true,
            error = &refused as &dyn Error,
            bytes = &[1_u8, 255][..],
            empty = tracing::field::Empty,
            "shown"
        );
    });
    let expected = json!({
        "_text": "Grüße 🦀",
        "_debug": "Some(1)",
        "_float": 0.1,
        "_whole": 2.0,
        "_negative": -5,
        "_big": "18446744073709551615",
        "_huge": "170141183460469231731687303715884105727",
        "_yes": "true",
        "_error": "payment failed: connection refused",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&sent[name], value, "{name}");
    }
    assert_eq!(sent["_bytes"], "[01 ff]");
    assert_eq!((sent.get("_nan"), sent.get("_empty")), (None, None));
}

#[test]
fn an_event_has_its_level_origin_and_thread() {
    let thread = thread::Builder::new().name("worker".to_owned());
    let sent = thread
        .spawn(|| {
            messages(
                |builder| builder,
                || {
                    error!("e");
                    warn!("w");
                    info!(target: "audit", "i");
                    debug!("d");
                    trace!("t");
                },
            )
        })
        .unwrap()
        .join()
        .unwrap();
    let levels: Vec<_> = sent.iter().map(|message| message["level"].as_u64().unwrap()).collect();
    assert_eq!(levels, [3, 4, 6, 7, 7]);
    let first = &sent[0];
    assert_eq!(first["host"], "web-1");
    assert_eq!(first["_target"], module_path!());
    assert_eq!(first["_module"], module_path!());
    assert!(first["_file"].as_str().unwrap().ends_with("mapping.rs"));
    assert!(first["_line"].as_u64().unwrap() > 70);
    assert_eq!(first["_thread"], "worker");
    assert!(first["timestamp"].as_f64().unwrap() > 1.7e9);
    assert_eq!(sent[2]["_target"], "audit");
}

#[test]
fn a_text_of_several_lines_is_a_full_message() {
    let sent = messages(
        |builder| builder,
        || {
            info!("\nfirst\n  second\n");
            info!("one line\n");
            info!(answer = 42);
            info!(message = 42);
        },
    );
    assert_eq!(sent[0]["short_message"], "first");
    assert_eq!(sent[0]["full_message"], "\nfirst\n  second\n");
    assert_eq!((&sent[1]["short_message"], sent[1].get("full_message")), (&json!("one line"), None));
    assert!(sent[2]["short_message"].as_str().unwrap().starts_with("event "), "{}", sent[2]);
    assert_eq!(sent[3]["short_message"], "42");
}

#[test]
fn fields_of_spans_are_in_their_events_and_the_nearest_value_wins() {
    let sent = messages(
        |builder| builder.field("service", "shop").field("user", "nobody"),
        || {
            let outer = info_span!("request", user = "anna", order = 1, status = tracing::field::Empty);
            let _outer = outer.enter();
            let inner = info_span!("payment", order = 2, amount = 9.5, message = "of a span");
            inner.in_scope(|| info!(amount = 10.0, "paid"));
            outer.record("status", 200);
            outer.record("status", 404);
            info!("after");
        },
    );
    let inside = &sent[0];
    assert_eq!(inside["_span"], "payment");
    assert_eq!(inside["_spans"], "request:payment");
    assert_eq!(inside["_span_id"].as_str().unwrap().len(), 16);
    assert_eq!((&inside["_user"], &inside["_service"]), (&json!("anna"), &json!("shop")));
    assert_eq!((&inside["_order"], &inside["_amount"]), (&json!(2), &json!(10.0)));
    assert_eq!((&inside["short_message"], &inside["_message_2"]), (&json!("paid"), &json!("of a span")));
    let after = &sent[1];
    assert_eq!((&after["_spans"], &after["_order"]), (&json!("request"), &json!(1)));
    assert_eq!((&after["_status"], after.get("_amount")), (&json!(404), None));
    assert_ne!(inside["_span_id"], after["_span_id"]);
}

#[test]
fn names_that_receivers_or_the_layer_use_get_a_suffix() {
    let sent = message(|| {
        info!(level = "high", target = "moon", source = 1, "a/b" = 1, "a b" = 2, id = 7, "collide");
    });
    assert_eq!((&sent["level"], &sent["_level_2"]), (&json!(6), &json!("high")));
    assert_eq!((&sent["_target"], &sent["_target_2"]), (&json!(module_path!()), &json!("moon")));
    assert_eq!((&sent["_a_b"], &sent["_a_b_2"]), (&json!(1), &json!(2)));
    assert_eq!((&sent["_source_2"], &sent["_id_"]), (&json!(1), &json!(7)));
}

#[test]
fn a_field_of_the_program_must_have_a_valid_name_that_is_not_reserved() {
    let build = |name: &str| GelfLayer::builder("gelf://127.0.0.1").unwrap().field(name, 1).build();
    assert!(matches!(build("a b"), Err(BuildError::InvalidField { .. })));
    assert!(matches!(build("_level"), Err(BuildError::ReservedField { .. })));
    assert!(build("_service").is_ok());
}

#[test]
fn values_texts_and_paths_have_limits() {
    let sent = messages(
        |builder| builder,
        || {
            info!(text = "ä".repeat(40_000), debug = ?vec![7; 40_000], "{}", "x".repeat(100_000));
            let spans: Vec<_> = (0..40).map(|_| info_span!("deep", a = 1).entered()).collect();
            info!("in 40 spans");
            spans.into_iter().rev().for_each(drop);
        },
    );
    let bytes = |name: &str| sent[0][name].as_str().unwrap().len();
    assert!((32_763..=32_766).contains(&bytes("_text")), "{}", bytes("_text"));
    assert_eq!((bytes("_debug"), bytes("short_message")), (32_766, 65_536));
    assert!(sent[0]["_debug"].as_str().unwrap().ends_with('…'));
    assert_eq!(sent[1]["_spans"].as_str().unwrap(), format!("…{}", ":deep".repeat(32)));
    assert_eq!(sent[1].get("_fields_left_out"), None);

    let limit = |sent: &[Value]| sent[0]["_text"].as_str().unwrap().len();
    let receiver = Receiver::udp();
    let uri = format!("gelf://{}?max_value_bytes=100", receiver.address);
    let (layer, _guard) = GelfLayer::builder(&uri).unwrap().build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        info!(text = "x".repeat(1000), "the end");
    });
    assert_eq!(limit(&receiver.until("the end")), 100);
}

#[test]
fn the_limit_of_values_also_applies_to_the_fields_of_the_program() {
    let sent = messages(|builder| builder.field("constant", "x".repeat(40_000)), || info!("an event"));
    let value = sent[0]["_constant"].as_str().unwrap();
    assert_eq!((value.len(), value.ends_with('…')), (32_766, true));
}

#[test]
fn with_close_events_the_end_of_a_span_is_a_message_with_its_durations() {
    let sent = messages(
        |builder| builder.close_events(true),
        || {
            let _outer = info_span!("request", user = "anna").entered();
            let inner = tracing::warn_span!("payment", order = 7, duration_ms = "mine");
            inner.in_scope(|| thread::sleep(std::time::Duration::from_millis(20)));
            thread::sleep(std::time::Duration::from_millis(20));
        },
    );
    let closed = &sent[0];
    assert_eq!((&closed["short_message"], &closed["level"]), (&json!("payment closed"), &json!(4)));
    assert_eq!((&closed["_span"], &closed["_spans"]), (&json!("payment"), &json!("request:payment")));
    assert_eq!((&closed["_user"], &closed["_order"]), (&json!("anna"), &json!(7)));
    assert_eq!(closed["_duration_ms_2"], "mine");
    let [all, busy, idle] =
        ["_duration_ms", "_busy_ms", "_idle_ms"].map(|name| closed[name].as_f64().unwrap());
    assert!(busy >= 20.0 && idle >= 20.0 && (busy + idle - all).abs() < 0.01, "{closed}");
    assert_eq!(sent[1]["short_message"], "request closed");
}

#[test]
fn a_record_of_log_that_tracing_log_converts_has_its_own_origin() {
    let sent = message(|| {
        info!(
            target: "log",
            {
                "log.target" = "sqlx",
                "log.module_path" = "sqlx::query",
                "log.file" = "query.rs",
                "log.line" = 7_u64
            },
            "selected"
        );
    });
    assert_eq!((&sent["_target"], &sent["_module"]), (&json!("sqlx"), &json!("sqlx::query")));
    assert_eq!((&sent["_file"], &sent["_line"]), (&json!("query.rs"), &json!(7)));
    assert_eq!(sent.get("_log.target"), None);
}

#[test]
fn a_function_of_the_program_gives_the_ids_of_the_trace() {
    let sent = messages(
        |builder| {
            builder.trace_context(|id, dispatch| {
                use tracing_subscriber::registry::LookupSpan as _;
                let registry = dispatch.downcast_ref::<tracing_subscriber::Registry>().unwrap();
                assert_eq!(registry.span(id).unwrap().name(), "inside");
                Some(([0xab; 16], [1; 8]))
            })
        },
        || {
            info!("outside");
            info_span!("inside").in_scope(|| info!("inside"));
        },
    );
    assert_eq!((sent[0].get("_trace_id"), sent[0].get("_span_id")), (None, None));
    assert_eq!(sent[1]["_trace_id"], "ab".repeat(16));
    assert_eq!(sent[1]["_span_id"], "01".repeat(8));
}
