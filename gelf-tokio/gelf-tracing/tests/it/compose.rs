//! Tests the layer together with other layers, filters and subscribers.

use std::fmt;

use gelf_tracing::{GelfLayer, Guard};
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, info_span, warn};
use tracing_subscriber::layer::Identity;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

use crate::support::Receiver;

fn layer() -> (Receiver, GelfLayer, Guard) {
    layer_with("")
}

fn layer_with(options: &str) -> (Receiver, GelfLayer, Guard) {
    let receiver = Receiver::tcp();
    let uri = format!("gelf+tcp://{}{options}", receiver.address);
    let (layer, guard) = GelfLayer::builder(&uri).unwrap().build().unwrap();
    (receiver, layer, guard)
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["short_message"].as_str().unwrap()).collect()
}

#[test]
fn a_filter_on_the_layer_filters_events_and_spans_and_can_be_reloaded() {
    let (receiver, layer, _guard) = layer();
    let (filter, handle) = reload::Layer::new(LevelFilter::WARN);
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("hidden", a = 1).entered();
        info!("no");
        warn!("yes");
        handle.modify(|filter| *filter = LevelFilter::DEBUG).unwrap();
        debug!("now");
        info_span!("shown", b = 1).in_scope(|| info!("the end"));
    });
    let sent = receiver.until("the end");
    assert_eq!(texts(&sent), ["yes", "now", "the end"]);
    assert_eq!(sent[0].get("_a"), None);
    assert_eq!(sent[2]["_b"], 1);
}

#[test]
fn a_layer_that_is_put_in_later_has_the_names_of_older_spans() {
    let (receiver, layer, _guard) = layer();
    let (slot, handle) = reload::Layer::new(None::<GelfLayer>);
    // The layer `Identity` enables spans while the slot is empty.
    let subscriber = tracing_subscriber::registry().with(slot).with(Identity::new());
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("older", a = 1).entered();
        handle.modify(|slot| *slot = Some(layer)).unwrap();
        info!("the end");
    });
    let sent = receiver.until("the end");
    assert_eq!((&sent[0]["_span"], sent[0].get("_a")), (&"older".into(), None));
}

#[test]
fn two_layers_send_to_two_receivers() {
    let ((first, first_layer, _first_guard), (second, second_layer, _second_guard)) = (layer(), layer());
    let subscriber = tracing_subscriber::registry().with(first_layer).with(second_layer);
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("shared", a = 1, b = tracing::field::Empty).entered();
        span.record("b", 2);
        info!("the end");
    });
    for receiver in [first, second] {
        let sent = receiver.until("the end");
        assert_eq!((&sent[0]["_a"], &sent[0]["_b"]), (&1.into(), &2.into()));
    }
}

#[test]
fn each_layer_cuts_the_values_of_spans_at_its_own_limit() {
    let layers = ["?max_value_bytes=16", "", "?max_value_bytes=20"].map(layer_with);
    let [(first, first_layer, _first), (second, second_layer, _second), (third, third_layer, _third)] =
        layers;
    let subscriber = tracing_subscriber::registry().with(first_layer).with(second_layer).with(third_layer);
    let value = "a value of more than twenty bytes";
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("shared", a = value, b = tracing::field::Empty).entered();
        span.record("b", value);
        info!("the end");
    });
    for (receiver, expected) in [(first, "a value of mo…"), (second, value), (third, "a value of more t…")]
    {
        let sent = receiver.until("the end");
        assert_eq!((&sent[0]["_a"], &sent[0]["_b"]), (&expected.into(), &expected.into()));
    }
}

#[test]
fn events_of_the_layer_and_its_transport_are_left_out() {
    let (receiver, layer, _guard) = layer();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        warn!(target: "gelf_tokio", "no");
        warn!(target: "gelf_tokio::client::link_state", "no");
        warn!(target: "gelf_tracing::report", "no");
        warn!(target: "log", { "log.target" = "gelf_tokio::client" }, "no");
        warn!(target: "gelf_tokio_like", "yes");
        warn!(target: "hyper::client", "of the program's own use");
        info!("the end");
    });
    assert_eq!(texts(&receiver.until("the end")), ["yes", "of the program's own use", "the end"]);
}

#[test]
fn the_events_of_many_threads_arrive_in_the_order_of_each_thread() {
    const EVENTS: u64 = 500;
    let receiver = Receiver::tcp();
    let uri = format!("gelf+tcp://{}?queue=100&when_full=wait", receiver.address);
    let (layer, _guard) = GelfLayer::builder(&uri).unwrap().build().unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let dispatch = &dispatch;
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    let _span = info_span!("worker", worker).entered();
                    (0..EVENTS).for_each(|number| info!(number, "event"));
                });
            });
        }
    });
    let mut next = [0; 8];
    for _ in 0..8 * EVENTS {
        let sent = receiver.next();
        let worker = &mut next[sent["_worker"].as_u64().unwrap() as usize];
        assert_eq!(sent["_number"], *worker);
        *worker += 1;
    }
    assert_eq!(next, [EVENTS; 8]);
}

#[test]
fn a_value_whose_formatting_logs_is_sent_with_its_event() {
    struct Chatty;
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!(chatty = 1, "inner");
            f.write_str("formatted")
        }
    }
    let (receiver, layer, _guard) = layer();
    // A global subscriber would dispatch the inner event. The subscriber of a thread does not dispatch an
    // event that is logged within another event. Both kinds of subscribers dispatch an event that is logged
    // while values of a span are recorded.
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("span", value = %Chatty).entered();
        span.record("value", tracing::field::display(Chatty));
        info!(value = %Chatty, "the end");
    });
    let sent = receiver.until("the end");
    assert_eq!(sent.last().unwrap()["_value"], "formatted");
}
