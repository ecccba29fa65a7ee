//! Tests that each container is followed even if lists or events are long, unreadable, cut or refused.

use std::time::Duration;

use crate::support::{
    Logged, assert_nothing_left, builder, connect, eventually, next, texts, timing, within,
};
use simulated_engine::{ContainerOptions, Fault, RequestKind, SimulatedEngine, Stream};

#[tokio::test]
async fn after_an_unreadable_event_the_containers_are_listed_again() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    engine.lose_events(true);
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    engine.send_event(r#"{"Type":"container","Action":"start","Actor":{"ID":["#);
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    let snapshot = source.stats().snapshot();
    assert_eq!((snapshot.events_bad, snapshot.lists, snapshot.events_connections), (1, 2, 1));
    assert_eq!(logged.matching("cannot read an event").len(), 1);
    assert_nothing_left(&mut source).await;
}

/// Returns options with 17.5 MB of labels. One of the labels becomes a field of messages.
fn labelled(name: &str) -> ContainerOptions {
    let value = "x".repeat(100_000);
    let labels = (0..175).map(|number| (format!("label{number}"), value.clone()));
    let own = [("gelf_team".to_owned(), "blue".to_owned())];
    ContainerOptions { labels: labels.chain(own).collect(), ..ContainerOptions::named(name) }
}

#[tokio::test]
async fn a_container_with_long_labels_is_read_like_other_containers_and_named_in_a_warning() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    // The list shows the first container of each kind, and an event shows the second container of each kind.
    let first =
        [labelled("long-1"), ContainerOptions::named("short-1")].map(|options| engine.create(options));
    first.iter().for_each(|container| container.start());
    let mut source = connect(&engine).await;
    let later =
        [labelled("long-2"), ContainerOptions::named("short-2")].map(|options| engine.create(options));
    later.iter().for_each(|container| container.start());
    for container in first.iter().chain(&later) {
        container.line(Stream::Stdout, "line");
        let record = next(&mut source).await;
        assert_eq!(record.container().id(), container.id());
        let labels = record.container().labels();
        let is_long = record.container().name().starts_with("long");
        assert_eq!(labels.get("gelf_team").map(String::as_str), is_long.then_some("blue"));
        assert!(labels.values().map(String::len).sum::<usize>() < 64 * 1024);
    }
    let snapshot = source.stats().snapshot();
    assert_eq!((snapshot.metadata_cut, snapshot.lists, snapshot.list_bad, snapshot.events_bad), (2, 1, 0, 0));
    let warnings = logged.matching("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(first[0].id()), "{warnings:?}");
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn events_are_applied_while_each_list_fails() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    for _ in 0..10_000 {
        engine.fail_list(Fault::Status(500, "busy".into()));
    }
    let mut source = within(builder(&engine).connect()).await.unwrap();
    engine.wait_for(3, "/containers/json").await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    let snapshot = source.stats().snapshot();
    assert_eq!((snapshot.lists, snapshot.events_connections), (0, 1));
    assert!(snapshot.list_failures >= 2);
    assert_eq!(logged.matching("WARN").len(), 1);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn containers_of_a_list_that_breaks_off_are_followed_and_the_list_is_requested_again() {
    let engine = SimulatedEngine::start().await;
    let first = engine.create(ContainerOptions::named("first"));
    let second = engine.create(labelled("second"));
    first.start();
    second.start();
    engine.set_clock(second.line(Stream::Stdout, "before the source") + 1);
    for _ in 0..3 {
        engine.fail_list(Fault::CutAfter(5_000));
    }
    let mut source = within(builder(&engine).connect()).await.unwrap();
    let stats = source.stats();
    // The lists without the second container do not show that the container does not exist.
    eventually(&stats, |stats| {
        let failures = stats.snapshot().list_failures;
        assert!(failures == 3 || stats.knows(second.id()));
        failures == 3
    })
    .await;
    first.line(Stream::Stdout, "first");
    assert_eq!(texts(&mut source, 1).await, ["first"]);
    eventually(&stats, |stats| stats.snapshot().lists > 0).await;
    second.line(Stream::Stdout, "second");
    assert_eq!(texts(&mut source, 1).await, ["second"], "the container ran before the source connected");
    let snapshot = stats.snapshot();
    assert_eq!((snapshot.lists, snapshot.list_failures, snapshot.events_connections), (1, 3, 1));
    assert_eq!((first.count(RequestKind::Follow), second.count(RequestKind::Follow)), (1, 1));
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn the_source_subscribes_to_the_events_again_after_the_engine_was_silent() {
    let engine = SimulatedEngine::start().await;
    engine.fail_list(Fault::Hang);
    let mut timing = timing();
    timing.headers = Duration::from_millis(500);
    let mut source = within(builder(&engine).timing(timing).connect()).await.unwrap();
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().events_connections >= 2).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    assert_nothing_left(&mut source).await;
}
