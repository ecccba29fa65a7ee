use super::*;
use crate::clock::{EngineClock, later};
use crate::descriptors::Descriptors;
use crate::engine::{EngineAddress, EngineClient, Limits};
use crate::own_container::OwnContainer;
use crate::position::Positions;
use crate::record::RecordQueue;
use crate::stats::Stats;
use crate::timing::Timing;
use crate::warnings::Warnings;
use tokio::sync::Semaphore;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Returns a supervisor without an Engine. All requests of its followers fail.
fn supervisor() -> Supervisor {
    let timing = Timing::default();
    let client = EngineClient::new(
        EngineAddress::Unix("/nonexistent/docker.sock".into()),
        Limits { headers: timing.headers, log: timing.catch_up, body: timing.answer },
    );
    Supervisor::new(Arc::new(Context {
        client: client.clone(),
        engine_host: "host".into(),
        clock: EngineClock::starting_at(Timestamp::UNIX_EPOCH),
        start: Positions::from_time(Timestamp::UNIX_EPOCH),
        resumes: false,
        own_container: OwnContainer::default(),
        select: Box::new(|_| true),
        timing,
        log_files: None,
        held_bytes: Arc::default(),
        queue: RecordQueue::new().0,
        stats: Arc::new(Stats::new(client)),
        unavailable_logs: crate::UnavailableLogs::default(),
        catch_ups: Semaphore::new(1),
        descriptors: Descriptors::of_process(),

        stopping: Arc::new(crate::stopping::Stopping::new()),
        refused: tokio::sync::Notify::new(),
        warnings: Warnings::new(),
    }))
}

fn list(name: &str, state: &str) -> Vec<ContainerSummary> {
    let text = format!(r#"[{{"Id":"{ID}","Names":["/{name}"],"State":"{state}"}}]"#);
    serde_json::from_str(&text).unwrap()
}

fn event(action: Action, name: &str) -> Event {
    let id = ContainerId::parse(ID).unwrap();
    let attributes = [("name".to_owned(), name.to_owned())].into();
    Event { action, id, time: None, attributes, is_cut: false }
}

fn commands(supervisor: &Supervisor) -> FollowCommands {
    supervisor.entries[&ContainerId::parse(ID).unwrap()].commands.borrow().clone()
}

#[tokio::test]
async fn a_container_is_removed_when_the_second_list_in_a_row_misses_it() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("web", "running"), 0, true, Listing::Whole);
    supervisor.reconcile(Vec::new(), 0, false, Listing::Whole);
    assert!(!commands(&supervisor).removed);
    supervisor.reconcile(list("web", "running"), 0, false, Listing::Whole);
    supervisor.reconcile(Vec::new(), 0, false, Listing::Whole);
    assert!(!commands(&supervisor).removed);
    supervisor.reconcile(Vec::new(), 0, false, Listing::Whole);
    assert!(commands(&supervisor).removed);
}

#[tokio::test]
async fn a_list_that_was_requested_before_a_removal_does_not_undo_the_removal() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("web", "running"), 0, true, Listing::Whole);
    supervisor.apply(event(Action::Destroy, "web"));
    let ended = supervisor.followers.join_next_with_id().await.unwrap();
    supervisor.ended(ended);
    supervisor.reconcile(list("web", "running"), 0, false, Listing::Whole);
    assert_eq!((supervisor.entries.len(), supervisor.followers.len()), (0, 0));
}

#[tokio::test]
async fn a_list_that_is_not_whole_shows_no_removal() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("web", "running"), 0, true, Listing::Whole);
    for listing in [Listing::WithoutBadElements, Listing::BrokenOff].repeat(3) {
        supervisor.reconcile(Vec::new(), 0, false, listing);
    }
    assert!(!commands(&supervisor).removed);
}

#[tokio::test]
async fn a_source_that_stops_waits_for_a_list_that_has_not_broken_off() {
    let mut supervisor = supervisor();
    supervisor.unlisted = Some(supervisor.context.stopping.unproved());
    supervisor.reconcile(Vec::new(), 0, true, Listing::BrokenOff);
    assert!((supervisor.unlisted.is_some(), supervisor.has_listed) == (true, false));
    supervisor.reconcile(list("web", "running"), 0, true, Listing::WithoutBadElements);
    assert!((supervisor.unlisted.is_some(), supervisor.has_listed) == (false, true));
}

#[tokio::test]
async fn a_list_that_was_requested_before_a_renaming_does_not_undo_the_renaming() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("old", "running"), 0, true, Listing::Whole);
    let events_before = supervisor.events;
    supervisor.apply(event(Action::Rename, "new"));
    assert_eq!(commands(&supervisor).name.as_deref(), Some("new"));
    supervisor.reconcile(list("old", "running"), events_before, false, Listing::Whole);
    assert_eq!(commands(&supervisor).name.as_deref(), Some("new"));
    supervisor.reconcile(list("newest", "running"), supervisor.events, false, Listing::Whole);
    assert_eq!(commands(&supervisor).name.as_deref(), Some("newest"));
}

/// Reports that the follower of the container ended because the container is not selected.
fn not_selected(supervisor: &mut Supervisor) {
    let task = *supervisor.tasks.keys().next().unwrap();
    supervisor.ended(Ok((task, ExitReason::NotSelected(String::new()))));
}

#[tokio::test]
async fn a_container_that_is_not_selected_gets_a_new_follower_after_a_renaming_but_not_after_a_start() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("db", "running"), 0, true, Listing::Whole);
    not_selected(&mut supervisor);
    supervisor.apply(event(Action::Start, "db"));
    supervisor.reconcile(list("db", "running"), supervisor.events, false, Listing::Whole);
    supervisor.apply(event(Action::Rename, "db"));
    assert_eq!(supervisor.tasks.len(), 0);
    let since = |supervisor: &Supervisor| supervisor.entries[&ContainerId::parse(ID).unwrap()].since;
    assert_eq!(since(&supervisor), supervisor.context.start.start);
    let time = supervisor.context.clock.now();
    supervisor.apply(Event { time: Some(time), ..event(Action::Rename, "web") });
    assert_eq!((supervisor.tasks.len(), since(&supervisor)), (1, time));
    not_selected(&mut supervisor);
    let future = later(time, Duration::from_secs(3600));
    supervisor.apply(Event { time: Some(future), ..event(Action::Rename, "web-1") });
    assert!(since(&supervisor) > time && since(&supervisor) < future);
    not_selected(&mut supervisor);
    supervisor.reconcile(list("web-2", "running"), supervisor.events, false, Listing::Whole);
    assert_eq!(supervisor.tasks.len(), 1, "a list shows the renaming, too");
}

#[tokio::test]
async fn a_container_that_was_renamed_before_its_follower_decided_gets_a_second_follower() {
    let mut supervisor = supervisor();
    supervisor.apply(event(Action::Start, "temporary"));
    supervisor.apply(event(Action::Rename, "web"));
    not_selected(&mut supervisor);
    assert_eq!(supervisor.tasks.len(), 1);
    not_selected(&mut supervisor);
    assert_eq!(supervisor.tasks.len(), 0);
}

#[tokio::test]
async fn an_end_event_without_a_start_event_counts_as_a_missed_run() {
    let mut supervisor = supervisor();
    supervisor.reconcile(list("web", "running"), 0, true, Listing::Whole);
    supervisor.apply(event(Action::Die, "web"));
    assert_eq!(commands(&supervisor).starts, 0);
    supervisor.apply(event(Action::Die, "web"));
    assert_eq!(commands(&supervisor).starts, 1);
    supervisor.apply(event(Action::Start, "web"));
    supervisor.apply(event(Action::Die, "web"));
    assert_eq!(commands(&supervisor).starts, 2);
}

#[tokio::test]
async fn a_container_has_one_follower_however_often_it_is_reported() {
    let mut supervisor = supervisor();
    supervisor.apply(event(Action::Start, "web"));
    supervisor.apply(event(Action::Start, "web"));
    supervisor.reconcile(list("web", "running"), 2, true, Listing::Whole);
    supervisor.reconcile(list("web", "running"), 2, false, Listing::Whole);
    assert_eq!((supervisor.entries.len(), supervisor.followers.len()), (1, 1));
    assert_eq!((commands(&supervisor).starts, commands(&supervisor).sightings), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_does_not_decide_hides_no_other_follower_from_the_count() {
    let (_undecided, hanging) = oneshot::channel();
    let (decided, following) = oneshot::channel();
    decided.send(true).unwrap();
    assert_eq!(count_following(vec![hanging, following]).await, 1);
}
