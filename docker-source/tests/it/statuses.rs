//! Tests of the list of containers in the statistics, and of `ping`.

use crate::support::{builder, eventually, ready, texts, within};
use docker_source::{FollowState, ping};
use simulated_engine::{ContainerOptions, Fault, SimulatedEngine, Stream};
use std::time::Duration;

#[tokio::test]
async fn the_statistics_list_each_container_with_its_state_and_the_time_of_its_last_line() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    let quiet = engine.create(ContainerOptions::named("quiet").env("LOGSPOUT=ignore"));
    let other = engine.create(ContainerOptions::named("other"));
    let splunk = engine.create(ContainerOptions::named("splunk"));
    engine.create(ContainerOptions::named("created"));
    let hanging = engine.create(ContainerOptions::named("hanging"));
    splunk.unreadable();
    hanging.fail_logs(Fault::Hang);
    [&web, &quiet, &other, &splunk, &hanging].iter().for_each(|container| container.start());
    let mut source = ready(builder(&engine).select(|container| container.name() != "other")).await;
    web.wait_for_followers(1).await;
    let stamp = web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    let stats = source.stats();
    let states = || {
        let mut states: Vec<_> = stats
            .containers()
            .into_iter()
            .map(|status| (status.container.name().to_owned(), status.state))
            .collect();
        states.sort_by(|one, other| one.0.cmp(&other.0));
        states
    };
    let expected = [
        ("created", FollowState::Ended),
        ("hanging", FollowState::Opening),
        ("other", FollowState::NotSelected),
        ("quiet", FollowState::NotSelected),
        ("splunk", FollowState::Unreadable),
        ("web", FollowState::Followed),
    ];
    let expected = expected.map(|(name, state)| (name.to_owned(), state));
    eventually(&stats, |_| states() == expected).await;
    let containers = stats.containers();
    let status = containers.iter().find(|status| status.container.name() == "web").unwrap();
    assert_eq!((status.counts.yielded, status.container.tty()), (1, Some(false)));
    let nanos = status.last_line.unwrap().as_unix();
    assert_eq!(nanos.0 * 1_000_000_000 + i64::from(nanos.1), stamp);
    web.rename("renamed");
    eventually(&stats, |_| states().iter().any(|(name, _)| name == "renamed")).await;
    web.die();
    web.destroy();
    eventually(&stats, |stats| stats.containers().iter().all(|status| status.container.id() != web.id()))
        .await;
}

#[tokio::test]
async fn a_ping_fails_if_the_engine_is_gone_or_does_not_answer_in_time() {
    let engine = SimulatedEngine::start().await;
    let address = || engine.docker_host().parse().unwrap();
    let short = Duration::from_millis(50);
    within(ping(address(), Duration::from_secs(60))).await.unwrap();
    engine.fail_ping(Fault::Hang);
    assert!(within(ping(address(), short)).await.unwrap_err().to_string().contains("_ping"));
    engine.go_away().await;
    within(ping(address(), Duration::from_secs(60))).await.unwrap_err();
}
