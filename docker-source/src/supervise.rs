//! One follower for each container, whatever the events miss.
//!
//! Subscribing to the events comes first and listing the containers second: what starts between the two is in the list or
//! in the events or in both, and being told twice does no harm. But the Engine drops events when it is busy, and a restarted
//! one remembers none. So the list is read again every 30 s and whenever the events were interrupted.

use std::collections::HashMap;
use std::collections::hash_map;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::container::Glimpse;
use crate::cursor::Cursor;
use crate::engine::{ContainerId, ContainerSummary, EngineError};
use crate::events::{Action, Event, EventReader};
use crate::follow::{Beginning, Follower, Orders, Outcome, Shared};
use crate::timing::Backoff;

/// How long the first followers have to open their logs before the source calls itself ready without them.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// In so many lists in a row a container must be missing to count as removed: it may have been created while the
/// first was written.
const LISTS_WITHOUT: u32 = 2;

type Listing = Pin<Box<dyn Future<Output = Result<(Vec<ContainerSummary>, u64), EngineError>> + Send>>;

/// Keeps one follower for each container.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    entries: HashMap<ContainerId, Entry>,
    followers: JoinSet<Outcome>,
    /// Which container a follower's task is for.
    tasks: HashMap<task::Id, ContainerId>,
    /// How many events were applied, to tell whether a list is older than what one of them said.
    events: u64,
    /// A list was compared since the source connected.
    has_listed: bool,
}

/// A container that the Engine has, or had a moment ago.
struct Entry {
    orders: watch::Sender<Orders>,
    glimpse: Glimpse,
    cursor: Arc<Mutex<Cursor>>,
    /// It was last seen running.
    is_running: bool,
    /// No follower is needed: the container is not wanted.
    is_unwanted: bool,
    /// When the name was told, in events.
    named_at: u64,
    /// In how many lists in a row it was missing.
    missing: u32,
    /// The waits before a follower that panicked is started again.
    restarts: Backoff,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            entries: HashMap::new(),
            followers: JoinSet::new(),
            tasks: HashMap::new(),
            events: 0,
            has_listed: false,
        }
    }

    /// Runs until it is dropped, and its followers with it.
    pub(crate) async fn run(mut self) {
        let timing = self.shared.timing;
        let mut backoff = Backoff::new(timing.reconnect_min, timing.reconnect_max);
        let mut outage = Outage::default();
        loop {
            let started = Instant::now();
            if let Err(error) = self.session(&mut outage).await {
                outage.failed(&error);
            }
            // The Engine or a proxy may end the events now and then; only when it does so all the time is it an effort
            // to open them again.
            if started.elapsed() > timing.reconnect_max {
                backoff.reset();
            }
            sleep(backoff.next()).await;
        }
    }

    /// Follows the events for as long as they come.
    async fn session(&mut self, outage: &mut Outage) -> Result<(), EngineError> {
        let shared = self.shared.clone();
        shared.client.negotiate().await?;
        let mut stream = shared.client.events().await?;
        shared.stats.events_connected();
        let mut reader = EventReader::default();
        let mut ticks = interval(shared.timing.list_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listing: Option<(Listing, u64)> = None;
        let mut is_first_list = true;
        loop {
            tokio::select! {
                part = stream.next() => {
                    let Some(part) = part.transpose()? else {
                        return Ok(());
                    };
                    reader.push(&part);
                    while let Some(event) = reader.next() {
                        self.apply(event);
                    }
                    shared.stats.bad_events(reader.take_bad());
                }
                list = finished(&mut listing) => {
                    let (containers, bad) = list?;
                    let asked_at = listing.take().map_or(0, |(_, asked_at)| asked_at);
                    shared.stats.listed(bad);
                    self.reconcile(containers, asked_at, is_first_list);
                    is_first_list = false;
                    outage.over();
                }
                _ = ticks.tick(), if listing.is_none() => {
                    let client = shared.client.clone();
                    listing = Some((Box::pin(async move { client.containers().await }), self.events));
                }
                Some(ended) = self.followers.join_next_with_id(), if !self.followers.is_empty() => {
                    self.ended(ended);
                }
            }
        }
    }

    /// An event may be told twice, and may be about what a list has told already.
    fn apply(&mut self, event: Event) {
        self.events += 1;
        let Event { action, id, mut attributes } = event;
        match (action, self.entries.get_mut(&id)) {
            (Action::Start, Some(entry)) => {
                entry.is_running = true;
                entry.orders.send_modify(|orders| orders.starts += 1);
            }
            (Action::Start, None) => {
                let glimpse = Glimpse::from_event_attributes(attributes);
                self.add(id, glimpse, true, Beginning::Started, None);
            }
            (Action::Die, Some(entry)) => {
                // Whoever reads its log sees the end there. A container whose start was missed has nobody who does.
                if !std::mem::take(&mut entry.is_running) {
                    entry.orders.send_modify(|orders| orders.starts += 1);
                }
            }
            (Action::Die, None) => {
                let glimpse = Glimpse::from_event_attributes(attributes);
                self.add(id, glimpse, false, Beginning::Started, None);
            }
            (Action::Rename, Some(entry)) => {
                if let Some(name) = attributes.remove("name") {
                    entry.named_at = self.events;
                    entry.rename(name.strip_prefix('/').unwrap_or(&name));
                }
            }
            (Action::Destroy, Some(_)) => self.removed(&id),
            (Action::Rename | Action::Destroy, None) => {}
        }
    }

    /// Makes what is followed agree with a list that was asked for when `asked_at` events had come.
    fn reconcile(&mut self, containers: Vec<ContainerSummary>, asked_at: u64, is_first_of_session: bool) {
        for entry in self.entries.values_mut() {
            entry.missing += 1;
        }
        let mut decisions = Vec::new();
        for summary in containers {
            let is_running = summary.is_running();
            let glimpse = Glimpse::from_summary(&summary);
            let Some(entry) = self.entries.get_mut(&summary.id) else {
                let beginning = match (self.has_listed, is_running) {
                    (false, true) => Beginning::RanBefore,
                    (false, false) => Beginning::Stopped,
                    (true, true) => Beginning::Started,
                    (true, false) => Beginning::Unclear,
                };
                let (decided, decision) = oneshot::channel();
                decisions.push(decision);
                self.add(summary.id, glimpse, is_running, beginning, Some(decided));
                continue;
            };
            entry.missing = 0;
            if entry.named_at <= asked_at && !glimpse.name.is_empty() {
                entry.rename(&glimpse.name);
            }
            // An event that came after the list was asked for knows better, and the next list is not far.
            entry.is_running = is_running;
            if is_running {
                entry.orders.send_modify(|orders| orders.sightings += 1);
            } else if is_first_of_session {
                entry.orders.send_modify(|orders| orders.checks += 1);
            }
        }
        let missing: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.missing >= LISTS_WITHOUT)
            .map(|(id, _)| id.clone())
            .collect();
        for id in missing {
            self.removed(&id);
        }
        if !std::mem::replace(&mut self.has_listed, true) {
            let client = &self.shared.client;
            let engine =
                format!("{} ({}, API {})", self.shared.engine_host, client.address(), client.version());
            task::spawn(say_ready(engine, decisions));
        }
    }

    fn add(
        &mut self,
        id: ContainerId,
        glimpse: Glimpse,
        is_running: bool,
        beginning: Beginning,
        decided: Option<oneshot::Sender<bool>>,
    ) {
        if self.shared.own_container.as_ref() == Some(&id) {
            return;
        }
        let timing = self.shared.timing;
        let entry = Entry {
            orders: watch::Sender::new(Orders::default()),
            glimpse,
            cursor: Arc::default(),
            is_running,
            is_unwanted: false,
            named_at: self.events,
            missing: 0,
            restarts: Backoff::new(timing.resume_min, timing.resume_max),
        };
        self.start_follower(&id, &entry, beginning, decided, Duration::ZERO);
        self.entries.insert(id, entry);
    }

    fn start_follower(
        &mut self,
        id: &ContainerId,
        entry: &Entry,
        beginning: Beginning,
        decided: Option<oneshot::Sender<bool>>,
        delay: Duration,
    ) {
        let follower = Follower {
            shared: self.shared.clone(),
            id: id.clone(),
            orders: entry.orders.subscribe(),
            glimpse: entry.glimpse.clone(),
            cursor: entry.cursor.clone(),
            stats: self.shared.stats.container(id),
            decided,
        };
        let started = self.followers.spawn(async move {
            if !delay.is_zero() {
                sleep(delay).await;
            }
            follower.run(beginning).await
        });
        self.tasks.insert(started.id(), id.clone());
    }

    /// The Engine has the container no more: its follower reads what is left and ends.
    fn removed(&mut self, id: &ContainerId) {
        if let hash_map::Entry::Occupied(entry) = self.entries.entry(id.clone()) {
            entry.get().orders.send_modify(|orders| orders.removed = true);
            if entry.get().is_unwanted {
                entry.remove();
                self.shared.stats.forget(id);
            }
        }
    }

    /// A follower ended.
    fn ended(&mut self, ended: Result<(task::Id, Outcome), JoinError>) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(id) = self.tasks.remove(&task) else {
            return;
        };
        let is_removed = self.entries.get(&id).is_none_or(|entry| entry.orders.borrow().removed);
        match ended {
            Ok((_, Outcome::Unwanted)) if !is_removed => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.is_unwanted = true;
                }
            }
            Ok(_) => {
                self.entries.remove(&id);
                self.shared.stats.forget(&id);
            }
            Err(error) => {
                tracing::error!(container = %id, %error, "its follower failed and is started again");
                self.shared.stats.follower_restarted();
                if let Some(mut entry) = self.entries.remove(&id) {
                    let delay = entry.restarts.next();
                    self.start_follower(&id, &entry, Beginning::Started, None, delay);
                    self.entries.insert(id, entry);
                }
            }
        }
    }
}

impl Entry {
    fn rename(&mut self, name: &str) {
        if self.glimpse.name != name {
            self.glimpse.name = name.into();
            self.orders.send_modify(|orders| orders.name = Some(name.into()));
        }
    }
}

/// The list, when it is there; without one on its way, never.
async fn finished(listing: &mut Option<(Listing, u64)>) -> Result<(Vec<ContainerSummary>, u64), EngineError> {
    match listing {
        Some((list, _)) => list.await,
        None => pending().await,
    }
}

/// Says so once the followers of all containers that were there have opened their logs, or decided not to.
async fn say_ready(engine: String, decisions: Vec<oneshot::Receiver<bool>>) {
    let mut following = 0;
    let _ = timeout(READY_WITHIN, async {
        for decision in decisions {
            following += usize::from(decision.await.unwrap_or(false));
        }
    })
    .await;
    tracing::info!("ready: following {following} containers of {engine}");
}

/// Says once that the Engine is away, and once that it is back.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
}

impl Outage {
    pub(crate) fn failed(&mut self, error: &EngineError) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("{error}; trying until it works");
        }
    }

    pub(crate) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!("the Engine answers again after {:.1} s", since.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineAddress, EngineClient, Limits};
    use crate::record::RecordQueue;
    use crate::stats::Stats;
    use crate::timing::Timing;
    use gelf_core::Timestamp;
    use tokio::sync::Semaphore;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// A supervisor without an Engine: its followers find nobody to ask.
    fn supervisor() -> Supervisor {
        let timing = Timing::default();
        let client = EngineClient::new(
            EngineAddress::Unix("/nonexistent/docker.sock".into()),
            Limits { headers: timing.headers, body: timing.answer },
        );
        Supervisor::new(Arc::new(Shared {
            client: client.clone(),
            engine_host: "host".into(),
            floor: Timestamp::UNIX_EPOCH,
            own_container: None,
            select: Box::new(|_| true),
            timing,
            queue: RecordQueue::new().0,
            stats: Arc::new(Stats::new(client)),
            catch_ups: Semaphore::new(1),
        }))
    }

    fn list(name: &str, state: &str) -> Vec<ContainerSummary> {
        let text = format!(r#"[{{"Id":"{ID}","Names":["/{name}"],"State":"{state}"}}]"#);
        serde_json::from_str(&text).unwrap()
    }

    fn event(action: Action, name: &str) -> Event {
        let id = ContainerId::parse(ID).unwrap();
        Event { action, id, attributes: [("name".to_owned(), name.to_owned())].into() }
    }

    fn orders(supervisor: &Supervisor) -> Orders {
        supervisor.entries[&ContainerId::parse(ID).unwrap()].orders.borrow().clone()
    }

    #[tokio::test]
    async fn a_container_is_removed_when_the_second_list_in_a_row_is_without_it() {
        let mut supervisor = supervisor();
        supervisor.reconcile(list("web", "running"), 0, true);
        supervisor.reconcile(Vec::new(), 0, false);
        assert!(!orders(&supervisor).removed);
        supervisor.reconcile(list("web", "running"), 0, false);
        supervisor.reconcile(Vec::new(), 0, false);
        assert!(!orders(&supervisor).removed);
        supervisor.reconcile(Vec::new(), 0, false);
        assert!(orders(&supervisor).removed);
    }

    #[tokio::test]
    async fn a_list_that_was_asked_for_before_a_renaming_does_not_undo_it() {
        let mut supervisor = supervisor();
        supervisor.reconcile(list("old", "running"), 0, true);
        let asked_at = supervisor.events;
        supervisor.apply(event(Action::Rename, "new"));
        assert_eq!(orders(&supervisor).name.as_deref(), Some("new"));
        supervisor.reconcile(list("old", "running"), asked_at, false);
        assert_eq!(orders(&supervisor).name.as_deref(), Some("new"));
        supervisor.reconcile(list("newest", "running"), supervisor.events, false);
        assert_eq!(orders(&supervisor).name.as_deref(), Some("newest"));
    }

    #[tokio::test]
    async fn an_end_without_a_start_tells_of_a_run_that_was_not_seen() {
        let mut supervisor = supervisor();
        supervisor.reconcile(list("web", "running"), 0, true);
        supervisor.apply(event(Action::Die, "web"));
        assert_eq!(orders(&supervisor).starts, 0);
        supervisor.apply(event(Action::Die, "web"));
        assert_eq!(orders(&supervisor).starts, 1);
        supervisor.apply(event(Action::Start, "web"));
        supervisor.apply(event(Action::Die, "web"));
        assert_eq!(orders(&supervisor).starts, 2);
    }

    #[tokio::test]
    async fn one_follower_is_there_for_a_container_however_often_it_is_told_of() {
        let mut supervisor = supervisor();
        supervisor.apply(event(Action::Start, "web"));
        supervisor.apply(event(Action::Start, "web"));
        supervisor.reconcile(list("web", "running"), 2, true);
        supervisor.reconcile(list("web", "running"), 2, false);
        assert_eq!((supervisor.entries.len(), supervisor.followers.len()), (1, 1));
        assert_eq!((orders(&supervisor).starts, orders(&supervisor).sightings), (1, 2));
    }
}
