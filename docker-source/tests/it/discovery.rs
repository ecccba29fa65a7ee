//! Tests that each container is found and followed once, even if events are lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{
    Logged, assert_nothing_left, builder, connect, eventually, next, ready, text, texts, timing, within,
};
use docker_source::{NamePattern, Record, Source};
use simulated_engine::{Container, ContainerOptions, Fault, SimulatedEngine, Stream};
use tokio::time::timeout;

#[tokio::test]
async fn only_get_requests_of_the_six_endpoints_are_sent() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    web.rename("other");
    web.die();
    web.wait_for_log_requests(2).await;
    engine.end_events();
    engine.wait_for(2, "/containers/json?all=1").await;
    let id = web.id();
    let allowed = [
        "GET /_ping".to_owned(),
        "GET /v1.41/info".to_owned(),
        "GET /v1.41/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22rename%22%2C%22destroy%22%5D%7D".to_owned(),
        "GET /v1.41/containers/json?all=1".to_owned(),
        format!("GET /v1.41/containers/{id}/json"),
        format!("GET /v1.41/containers/{id}/logs"),
    ];
    let requests = engine.requests();
    for request in &requests {
        let (target, _) = request.split_once("?follow=").unwrap_or((request, ""));
        assert!(allowed.iter().any(|allowed| allowed == target), "{request}");
    }
    for target in &allowed {
        assert!(requests.iter().any(|request| request.starts_with(target)), "{target} was never requested");
    }
    assert_eq!(source.stats().snapshot().engine_requests, engine.requests().len() as u64);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn events_are_subscribed_to_before_the_containers_are_listed() {
    let engine = SimulatedEngine::start().await;
    let _source = connect(&engine).await;
    let requests = engine.requests();
    let place = |part| requests.iter().position(|request| request.contains(part)).unwrap();
    assert!(place("/events") < place("/containers/json"), "{requests:?}");
}

#[tokio::test]
async fn a_log_is_requested_without_waiting_for_the_inspection() {
    let engine = SimulatedEngine::start().await;
    let source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.fail_inspect(Fault::Hang);
    web.start();
    web.wait_for_log_requests(1).await;
    assert_eq!(source.stats().snapshot().total.read, 0, "no line is read before the container is selected");
}

#[tokio::test]
async fn an_inspection_that_hangs_delays_no_other_container() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.headers = Duration::from_secs(2);
    let mut source = ready(builder(&engine).timing(timing)).await;
    let slow = engine.create(ContainerOptions::named("slow"));
    slow.fail_inspect(Fault::Hang);
    slow.start();
    slow.line(Stream::Stdout, "slow");
    slow.wait_for_log_requests(1).await;
    let quick = engine.create(ContainerOptions::named("quick"));
    quick.start();
    quick.line(Stream::Stdout, "quick");
    assert_eq!(texts(&mut source, 2).await, ["quick", "slow"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_inspections_fail_is_read_right_after_the_last_attempt() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    (timing.resume_min, timing.resume_max) = (Duration::from_secs(1), Duration::from_secs(60));
    let mut source = ready(builder(&engine).timing(timing)).await;
    let web = engine.create(ContainerOptions::named("web"));
    for _ in 0..3 {
        web.fail_inspect(Fault::Status(500, "busy".into()));
    }
    let started = tokio::time::Instant::now();
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    // The wait after the first attempt takes one second, and the wait after the second attempt takes two seconds.
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_start_takes_effect_while_the_check_of_an_earlier_run_hangs() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.headers = Duration::from_secs(3600);
    timing.list_interval = Duration::from_millis(10);
    let mut source = ready(builder(&engine).timing(timing)).await;
    engine.lose_events(true);
    let job = engine.create(ContainerOptions::named("job"));
    job.fail_inspect(Fault::Hang);
    job.start();
    job.die();
    engine.wait_for(1, &format!("{}/json", job.id())).await;
    engine.lose_events(false);
    job.start();
    job.line(Stream::Stdout, "second run");
    assert_eq!(texts(&mut source, 1).await, ["second run"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_created_container_is_neither_inspected_nor_followed_before_it_starts() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.list_interval = Duration::from_millis(10);
    let mut source = ready(builder(&engine).timing(timing)).await;
    let job = engine.create(ContainerOptions::named("job"));
    let lists = source.stats().snapshot().lists;
    eventually(&source.stats(), |stats| stats.snapshot().lists >= lists + 3).await;
    assert_eq!((engine.count(&format!("{}/json", job.id())), job.log_requests()), (0, 0));
    job.start();
    job.line(Stream::Stdout, "first run");
    assert_eq!(texts(&mut source, 1).await, ["first run"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn containers_that_opt_out_or_are_not_selected_are_not_read() {
    let engine = SimulatedEngine::start().await;
    let pattern = NamePattern::new("web-*").unwrap();
    let mut source = ready(builder(&engine).select(move |container| pattern.matches(container.name()))).await;
    let ignored = engine.create(ContainerOptions::named("web-ignored").env("LOGSPOUT=Ignore"));
    let other = engine.create(ContainerOptions::named("db"));
    let web = engine.create(ContainerOptions::named("web-1"));
    for container in [&ignored, &other, &web] {
        container.start();
        container.line(Stream::Stdout, "line");
        container.wait_for_log_requests(1).await;
    }
    let record = next(&mut source).await;
    assert_eq!(record.container().name(), "web-1");
    // A restart does not change the selection, since the names are the same.
    for container in [&ignored, &other, &web] {
        container.die();
        container.start();
        container.line(Stream::Stdout, "again");
    }
    assert_eq!(texts(&mut source, 1).await, ["again"]);
    assert_eq!((ignored.log_requests(), other.log_requests()), (1, 1));
    let total = source.stats().snapshot().total;
    assert_eq!((total.yielded, total.in_flight), (2, 0));
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn records_of_a_renamed_container_have_the_new_name() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("old"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(next(&mut source).await.container().name(), "old");
    web.rename("new");
    // The event and the log arrive on different connections, so the next lines can still have the old name.
    let named = async {
        loop {
            web.line(Stream::Stdout, "more");
            let record = next(&mut source).await;
            if record.container().name() == "new" {
                return record;
            }
            assert_eq!(record.container().name(), "old");
        }
    };
    let record = within(named).await;
    assert_eq!((record.container().id(), record.container().image()), (web.id(), "busybox:1"));
    assert_eq!(engine.count(&format!("{}/json", web.id())), 1, "the event has the name");
}

#[tokio::test]
async fn the_selection_holds_for_a_run_and_is_made_again_at_the_next_start() {
    let engine = SimulatedEngine::start().await;
    let pattern = NamePattern::new("web-*").unwrap();
    let (sender, mut seen) = tokio::sync::watch::channel(String::new());
    let select = move |container: &docker_source::Container| {
        sender.send_replace(container.name().to_owned());
        pattern.matches(container.name())
    };
    let mut source = ready(builder(&engine).select(select)).await;
    let web = engine.create(ContainerOptions::named("web-1"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    web.rename("old");
    let named = async {
        loop {
            web.line(Stream::Stdout, "more");
            let record = next(&mut source).await;
            assert_eq!(record.container().selected_name(), "web-1");
            if record.container().name() == "old" {
                return;
            }
        }
    };
    within(named).await;
    // The source reads the rest of the present run, although the new name is not selected.
    web.line(Stream::Stdout, "last");
    web.die();
    assert_eq!(texts(&mut source, 1).await, ["last"]);
    web.start();
    web.line(Stream::Stdout, "not selected");
    within(seen.wait_for(|name| name == "old")).await.unwrap();
    web.line(Stream::Stdout, "not selected");
    // When the line of another container arrives, the follower of `web` has certainly ended.
    let other = engine.create(ContainerOptions::named("web-other"));
    other.start();
    other.line(Stream::Stdout, "other");
    assert_eq!(texts(&mut source, 1).await, ["other"]);
    web.rename("web-2");
    let record = within(next_of(&mut source, &web)).await;
    assert_eq!((text(&record), record.container().selected_name()), ("again".to_owned(), "web-2"));
}

#[tokio::test]
async fn each_line_has_the_selection_of_its_run_even_if_the_next_run_begins_immediately() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web-0"));
    web.start();
    web.line(Stream::Stdout, "0");
    assert_eq!(texts(&mut source, 1).await, ["0"]);
    for number in 1..20 {
        web.rename(&format!("web-{number}"));
        web.line(Stream::Stdout, "last");
        // Without events, only inspections show the end of the run.
        engine.lose_events(number % 4 == 0);
        web.die();
        let is_read_first = number % 2 == 0;
        if is_read_first {
            assert_eq!(selected_next(&mut source).await, ("last".into(), format!("web-{}", number - 1)));
        }
        web.start();
        engine.lose_events(false);
        web.line(Stream::Stdout, number.to_string());
        if !is_read_first {
            assert_eq!(selected_next(&mut source).await, ("last".into(), format!("web-{}", number - 1)));
        }
        assert_eq!(selected_next(&mut source).await, (number.to_string(), format!("web-{number}")));
    }
}

/// Returns the text of the next line, and the name by which its container was selected.
async fn selected_next(source: &mut Source) -> (String, String) {
    let record = next(source).await;
    (text(&record), record.container().selected_name().to_owned())
}

/// Writes lines until a line of the container is read, and returns the line.
async fn next_of(source: &mut Source, container: &Container) -> Record {
    loop {
        container.line(Stream::Stdout, "again");
        if let Ok(record) = timeout(Duration::from_millis(10), source.next()).await {
            let record = record.unwrap().expect("the source ended");
            if record.container().id() == container.id() {
                return record;
            }
        }
    }
}

#[tokio::test]
async fn a_container_that_is_renamed_into_the_selection_is_read_from_then_on() {
    let engine = SimulatedEngine::start().await;
    let pattern = NamePattern::new("web-*").unwrap();
    let mut often = timing();
    often.list_interval = Duration::from_millis(10);
    let select = move |container: &docker_source::Container| pattern.matches(container.name());
    let mut source = ready(builder(&engine).timing(often).select(select)).await;
    for (name, is_event_lost) in [("web-1", false), ("web-2", true)] {
        let job = engine.create(ContainerOptions::named("temporary"));
        job.start();
        let before = job.line(Stream::Stdout, "before");
        job.wait_for_log_requests(1).await;
        // If the event is lost, the source finds the new name in a list, and reads only lines that are newer
        // than the list. The source takes the time of the list from its own clock. Therefore the test sets
        // the Engine's clock ahead, so that later lines are newer than the list.
        engine.set_clock(before + 10_000_000_000);
        engine.lose_events(is_event_lost);
        job.rename(name);
        engine.lose_events(false);
        let record = within(next_of(&mut source, &job)).await;
        assert_eq!((record.container().name(), record.container().selected_name()), (name, name));
    }
}

#[tokio::test]
async fn a_start_whose_event_was_lost_is_found_in_the_list() {
    let engine = SimulatedEngine::start().await;
    let known = engine.create(ContainerOptions::named("known"));
    let mut often = timing();
    often.list_interval = Duration::from_millis(10);
    let mut source = ready(builder(&engine).timing(often)).await;
    engine.lose_events(true);
    known.start();
    known.line(Stream::Stdout, "known");
    assert_eq!(texts(&mut source, 1).await, ["known"]);
    let new = engine.create(ContainerOptions::named("new"));
    new.start();
    new.line(Stream::Stdout, "new");
    assert_eq!(texts(&mut source, 1).await, ["new"]);
    let short = engine.create(ContainerOptions::named("short"));
    engine.freeze_list(true);
    short.start();
    short.line(Stream::Stdout, "short");
    short.die();
    engine.freeze_list(false);
    assert_eq!(texts(&mut source, 1).await, ["short"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_run_between_two_lists_is_read_although_its_events_were_lost() {
    let engine = SimulatedEngine::start().await;
    let mut often = timing();
    often.list_interval = Duration::from_secs(1);
    let mut source = ready(builder(&engine).timing(often)).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    job.line(Stream::Stdout, "run 0");
    job.die();
    assert_eq!(texts(&mut source, 1).await, ["run 0"]);
    job.wait_for_log_requests(2).await;
    engine.lose_events(true);
    for run in 1..3 {
        job.start();
        job.line(Stream::Stdout, format!("run {run}"));
        job.die();
        assert_eq!(texts(&mut source, 1).await, [format!("run {run}")]);
    }
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_run_that_begins_and_ends_before_the_first_list_is_read() {
    let engine = SimulatedEngine::start().await;
    let old = engine.create(ContainerOptions::named("old"));
    old.start();
    engine.set_clock(old.line(Stream::Stdout, "before") + 1);
    old.die();
    let mut source = builder(&engine).connect().await.unwrap();
    // The source has not subscribed to the events yet.
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    job.line(Stream::Stdout, "after");
    job.die();
    assert_eq!(texts(&mut source, 1).await, ["after"]);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_run_during_an_interruption_of_the_events_is_read_afterwards() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    job.line(Stream::Stdout, "first run");
    job.die();
    assert_eq!(texts(&mut source, 1).await, ["first run"]);
    eventually(&source.stats(), |stats| stats.snapshot().total.skipped_repeated == 1).await;
    engine.lose_events(true);
    job.start();
    job.line(Stream::Stdout, "unseen run");
    job.die();
    engine.lose_events(false);
    engine.end_events();
    assert_eq!(texts(&mut source, 1).await, ["unseen run"]);
    assert_eq!(source.stats().snapshot().events_connections, 2);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn an_idle_container_is_inspected_without_a_log_request_when_the_events_come_back() {
    let engine = SimulatedEngine::start().await;
    let old = engine.create(ContainerOptions::named("old"));
    old.start();
    old.line(Stream::Stdout, "long ago");
    old.die();
    let mut source = connect(&engine).await;
    let read = engine.create(ContainerOptions::named("read"));
    read.start();
    read.line(Stream::Stdout, "all of it");
    assert_eq!(texts(&mut source, 1).await, ["all of it"]);
    read.die();
    read.wait_for_log_requests(2).await;
    engine.end_events();
    engine.wait_for(1, &format!("{}/json", old.id())).await;
    // `read` is inspected at its start, at its end, and now.
    engine.wait_for(3, &format!("{}/json", read.id())).await;
    // When the line of another container arrives, the followers have certainly handled the answers to the
    // inspections.
    let other = engine.create(ContainerOptions::named("other"));
    other.start();
    other.line(Stream::Stdout, "other");
    assert_eq!(texts(&mut source, 1).await, ["other"]);
    assert_eq!((old.log_requests(), read.log_requests()), (0, 2));
}

#[tokio::test]
async fn an_outdated_list_ends_no_follower() {
    let engine = SimulatedEngine::start().await;
    engine.freeze_list(true);
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    engine.end_events();
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().lists == 2).await;
    web.line(Stream::Stdout, "two");
    assert_eq!(texts(&mut source, 1).await, ["two"]);
    engine.freeze_list(false);
    engine.end_events();
    eventually(&stats, |stats| stats.snapshot().lists == 3).await;
    web.line(Stream::Stdout, "three");
    assert_eq!(texts(&mut source, 1).await, ["three"]);
    assert_eq!(web.log_requests(), 1);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_removed_container_is_read_to_the_end_and_disappears_from_the_statistics() {
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let stats = source.stats();
    for round in 1..=20 {
        let job = engine.create(ContainerOptions::named("job"));
        job.start();
        job.wait_for_log_requests(1).await;
        for number in 0..10 {
            job.line(Stream::Stdout, format!("line {number}"));
        }
        job.destroy();
        assert_eq!(texts(&mut source, 10).await.last().unwrap(), "line 9");
        eventually(&stats, |stats| stats.snapshot().containers.is_empty()).await;
        assert_eq!(stats.snapshot().total.yielded, 10 * round);
    }
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_removal_whose_event_was_lost_is_found_by_the_lists() {
    let engine = SimulatedEngine::start().await;
    let mut often = timing();
    often.list_interval = Duration::from_millis(10);
    let mut source = ready(builder(&engine).timing(often)).await;
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    job.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    engine.lose_events(true);
    job.destroy();
    let stats = source.stats();
    eventually(&stats, |stats| stats.snapshot().containers.is_empty()).await;
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn a_follower_that_panics_is_counted_and_started_again() {
    let engine = SimulatedEngine::start().await;
    let calls = AtomicU64::new(0);
    let select = move |_: &docker_source::Container| {
        assert!(calls.fetch_add(1, Ordering::Relaxed) >= 2, "this panic is part of the test");
        true
    };
    let mut source = ready(builder(&engine).select(select)).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    for number in 0..10 {
        web.line(Stream::Stdout, format!("line {number}"));
    }
    assert_eq!(texts(&mut source, 10).await[9], "line 9");
    assert_eq!(source.stats().snapshot().follower_restarts, 2);
    assert_nothing_left(&mut source).await;
}

#[tokio::test]
async fn readiness_is_logged_once_with_the_number_of_followed_containers() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let options = [
        ContainerOptions::named("a"),
        ContainerOptions::named("b"),
        ContainerOptions::named("c").env("LOGSPOUT=ignore"),
        ContainerOptions::named("d"),
    ];
    let containers = options.map(|options| engine.create(options));
    for container in &containers[..3] {
        container.start();
    }
    let mut source = connect(&engine).await;
    containers[0].line(Stream::Stdout, "one");
    let record = next(&mut source).await;
    assert_eq!(text(&record), "one");
    let stats = source.stats();
    let logs = async {
        while logged.matching("ready").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(logs).await;
    engine.end_events();
    eventually(&stats, |stats| stats.snapshot().lists == 2).await;
    let logs = logged.matching("ready");
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert!(logs[0].starts_with("INFO ready: following 2 containers of engine-host (unix://"), "{logs:?}");
    assert!(logs[0].ends_with(", API 1.41)"), "{logs:?}");
}
