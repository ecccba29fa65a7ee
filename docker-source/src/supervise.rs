//! Runs one follower for each container, even if events are lost. A follower is the task that reads the log
//! of a container.
//!
//! The supervisor subscribes to the events before it lists the containers. A container that starts between
//! these two requests is in the list, in the events, or in both. A second report of the same start creates no
//! second follower. However, a busy Engine drops events, and a restarted Engine has forgotten earlier events.
//! Therefore the supervisor reads the list again at an interval of 30 s by default, after each interruption of
//! the events, and soon after an event that cannot be read.

use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gelf_core::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::Backoff;
use crate::container::PartialMetadata;
use crate::context::Context;
use crate::cursor::Cursor;
use crate::engine::{
    Action, Body, ContainerId, ContainerList, ContainerSummary, EngineError, Event, EventReader,
};
use crate::follow::{ExitReason, FollowCommands, Follower, StartReason};
use crate::lists::{Listed, Lists};
use crate::outage::Outage;
use crate::stopping::Unproved;

/// The longest time that the source waits for the first followers to open their logs. After this time, the
/// source logs that it is ready, without waiting for the other followers.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// The time after which an event stream counts as stable, as a multiple of the shortest wait between two
/// attempts to reach the Engine.
const STABLE_AFTER: u32 = 10;
/// The number of consecutive lists without a container after which the container counts as removed. One list
/// is not enough, since a list can lack a container that was created while the list was written.
const LISTS_WITHOUT: u32 = 2;

/// Runs one follower for each container.
pub(crate) struct Supervisor {
    context: Arc<Context>,
    entries: HashMap<ContainerId, Entry>,
    followers: JoinSet<ExitReason>,
    /// The container of each follower's task.
    tasks: HashMap<task::Id, ContainerId>,
    /// The number of applied events. It shows whether a list was requested before an event arrived.
    events: u64,
    /// Makes a source that is being stopped wait for the first complete list, since containers can have lines from
    /// before the source connected. `None` after this list, and if there are no such lines.
    unlisted: Option<Unproved>,
    /// True if a complete list was applied since the source connected.
    has_listed: bool,
    /// The removed containers, each with the number of applied events at the time of its removal. A list that
    /// was requested before the removal can still contain the container.
    left: HashMap<ContainerId, u64>,
}

/// Which of the Engine's containers a list has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Listing {
    /// All containers.
    Whole,
    /// All containers but those whose elements cannot be read. Each list can lack these containers.
    WithoutBadElements,
    /// The containers before the place where the list broke off. The next list can have the other containers.
    BrokenOff,
}

/// A container that the Engine has, or had until recently.
struct Entry {
    commands: watch::Sender<FollowCommands>,
    partial: PartialMetadata,
    cursor: Arc<Mutex<Cursor>>,
    /// True if the last event or list showed the container as running.
    is_running: bool,
    /// True if the container is not selected, so that it needs no follower.
    is_excluded: bool,
    /// The time of the last renaming, until it is certain that a follower decides by the new name whether the
    /// container is selected.
    renamed_at: Option<Timestamp>,
    /// The earliest stamp of the lines to read. A container that is selected after a renaming is read from
    /// the time of the renaming on.
    since: Timestamp,
    /// The number of applied events when the container was added, or when an event last renamed it.
    named_at: u64,
    /// The number of consecutive lists without the container.
    missing: u32,
    /// The waits before a follower that panicked is started again.
    restarts: Backoff,
    /// The decision whether the follower opens the log. `None` after the first complete list.
    decision: Option<oneshot::Receiver<bool>>,
}

impl Supervisor {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            unlisted: context.resumes.then(|| context.stopping.unproved()),
            context,
            entries: HashMap::new(),
            followers: JoinSet::new(),
            tasks: HashMap::new(),
            events: 0,
            has_listed: false,
            left: HashMap::new(),
        }
    }

    /// Runs until further attempts to reach the Engine are useless, and returns the last error. Dropping the
    /// future also ends the followers.
    pub(crate) async fn run(mut self, mut outage: Outage) -> EngineError {
        let timing = self.context.timing;
        let mut backoff = Backoff::new(timing.reconnect_min, timing.reconnect_max);
        loop {
            let ended = match self.connect().await {
                Ok(events) => {
                    let connected = Instant::now();
                    let ended = self.session(events, &mut outage).await;
                    // It is normal that an Engine restarts now and then, or that the Engine or a proxy ends
                    // the event stream. Only streams that end soon after they began need longer waits.
                    if connected.elapsed() >= timing.reconnect_min * STABLE_AFTER {
                        backoff.reset();
                    }
                    ended
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended.or_else(|error| outage.failed(error)) {
                return error;
            }
            sleep(backoff.next()).await;
        }
    }

    /// Subscribes to the events.
    async fn connect(&self) -> Result<Body, EngineError> {
        let Context { client, stats, .. } = &*self.context;
        client.negotiate().await?;
        let events = client.events().await?;
        stats.events_connected();
        Ok(events)
    }

    /// Applies events and lists until the event stream ends or is possibly broken. A list that fails does not
    /// end the session, unless further attempts are useless.
    async fn session(&mut self, mut events: Body, outage: &mut Outage) -> Result<(), EngineError> {
        let context = self.context.clone();
        let mut reader = EventReader::default();
        let mut lists = Lists::new(&context.timing);
        let mut is_first_list = true;
        let mut was_silent = false;
        loop {
            tokio::select! {
                part = events.next() => {
                    let Some(part) = part.transpose()? else {
                        return Ok(());
                    };
                    let mut rest = &part[..];
                    while let Some(event) = reader.next(&mut rest) {
                        self.apply(event);
                    }
                    if self.unreadable_events(reader.take_bad()) {
                        lists.soon();
                    }
                }
                listed = lists.next(&context.client, self.events) => {
                    let Listed { list: ContainerList { containers, bad, error }, events_before } = match listed {
                        Ok(listed) => listed,
                        Err(error) => {
                            context.stats.list_failed();
                            was_silent |= error.is_silence();
                            outage.failed(error)?;
                            continue;
                        }
                    };
                    let listing = match error {
                        Some(_) => Listing::BrokenOff,
                        None if bad > 0 => Listing::WithoutBadElements,
                        None => Listing::Whole,
                    };
                    self.reconcile(containers, events_before, is_first_list, listing);
                    self.unreadable_elements(bad);
                    if error.is_none() {
                        context.stats.listed();
                        is_first_list = false;
                    }
                    match error {
                        Some(error) => {
                            context.stats.list_failed();
                            outage.failed(error)?;
                        }
                        None => outage.over(context.client.dialect()),
                    }
                    if was_silent {
                        // After a silence, the connection of the events may be broken, too, even if it has
                        // reported no error.
                        return Ok(());
                    }
                }
                () = context.refused.notified() => return Ok(()),
                Some(ended) = self.followers.join_next_with_id(), if !self.followers.is_empty() => {
                    self.ended(ended);
                }
            }
        }
    }

    /// Counts unreadable events and returns whether there are any.
    fn unreadable_events(&self, count: u64) -> bool {
        self.context.stats.bad_events(count);
        let text = "cannot read an event of the Engine; listing all containers instead";
        self.context.warnings.events.warn_of(count, None, text);
        count > 0
    }

    /// Counts the unreadable elements of a list.
    fn unreadable_elements(&self, count: u64) {
        self.context.stats.bad_list_elements(count);
        let text = "cannot read an element of the list of containers; the other containers are followed";
        self.context.warnings.list_elements.warn_of(count, None, text);
    }

    /// Applies an event. The same event can arrive twice, and a list can have reported the change before.
    fn apply(&mut self, event: Event) {
        self.events += 1;
        let Event { action, id, time, mut attributes, is_cut } = event;
        match (action, self.entries.get_mut(&id)) {
            (Action::Start, Some(entry)) => {
                entry.is_running = true;
                entry.commands.send_modify(|commands| commands.starts += 1);
            }
            (Action::Start, None) => {
                let partial = PartialMetadata::from_event_attributes(attributes, is_cut);
                self.add(id, partial, true, StartReason::Started);
            }
            (Action::Die, Some(entry)) => {
                // A follower that reads the log notices the end of the run by itself. However, if the start
                // of the run was missed, the follower does not read the log, so this event counts as the
                // start, too.
                let was_missed = !std::mem::take(&mut entry.is_running);
                entry.commands.send_modify(|commands| {
                    commands.starts += u64::from(was_missed);
                    commands.ended_at = time;
                });
            }
            (Action::Die, None) => {
                let partial = PartialMetadata::from_event_attributes(attributes, is_cut);
                self.add(id, partial, false, StartReason::Resumed);
            }
            (Action::Rename, Some(entry)) => {
                if let Some(name) = attributes.remove("name") {
                    entry.named_at = self.events;
                    let now = self.context.clock.now();
                    // A time in the future would hide the lines that are written before this time.
                    let renamed_at = time.map_or(now, |time| time.min(now));
                    entry.rename(name.strip_prefix('/').unwrap_or(&name), renamed_at);
                    self.select_again(&id);
                }
            }
            (Action::Destroy, Some(_)) => self.removed(&id),
            (Action::Rename | Action::Destroy, None) | (Action::Kill, _) => {}
        }
    }

    /// Updates the followers from a list that was requested after `events_before` events. Containers count as
    /// missing only from a whole list. A list that broke off adds containers and updates the state of known
    /// containers, but the next list still counts as the first one: the containers of the missing part may have
    /// run before the source connected.
    fn reconcile(
        &mut self,
        containers: Vec<ContainerSummary>,
        events_before: u64,
        is_first_of_session: bool,
        listing: Listing,
    ) {
        self.left.retain(|_, left_at| *left_at > events_before);
        for entry in self.entries.values_mut() {
            entry.missing += u32::from(listing == Listing::Whole);
        }
        let mut renamed = Vec::new();
        // A run that ended within this time may have begun and ended between two lists, and its events may have
        // been lost.
        let between_lists = 2 * self.context.timing.list_interval;
        for summary in containers {
            let is_running = summary.is_running();
            let has_just_ended = summary.has_ended_within(between_lists);
            let partial = PartialMetadata::from_summary(&summary);
            let Some(entry) = self.entries.get_mut(&summary.id) else {
                if self.left.contains_key(&summary.id) {
                    continue;
                }
                let reason = match (self.has_listed || self.context.resumes, is_running) {
                    _ if summary.never_ran() => StartReason::Stopped,
                    (false, true) => StartReason::RanBefore,
                    (false, false) if has_just_ended => StartReason::Unclear,
                    (false, false) => StartReason::Stopped,
                    (true, true) if self.has_listed => StartReason::Started,
                    (true, true) => StartReason::Resumed,
                    (true, false) => StartReason::Unclear,
                };
                self.add(summary.id, partial, is_running, reason);
                continue;
            };
            entry.missing = 0;
            if entry.named_at <= events_before && !partial.name.is_empty() {
                entry.rename(&partial.name, self.context.clock.now());
                renamed.push(summary.id.clone());
            }
            // An event that arrived after the request is possibly more recent than the list. In this case, the
            // state can be wrong until the next list.
            entry.is_running = is_running;
            if is_running {
                entry.commands.send_modify(|commands| commands.sightings += 1);
            } else if is_first_of_session || has_just_ended {
                entry.commands.send_modify(|commands| commands.checks += 1);
            }
        }
        for id in renamed {
            self.select_again(&id);
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
        if listing == Listing::BrokenOff {
            return;
        }
        self.unlisted = None;
        if !std::mem::replace(&mut self.has_listed, true) {
            let decisions = self.entries.values_mut().filter_map(|entry| entry.decision.take()).collect();
            let client = &self.context.client;
            let engine =
                format!("{} ({}, API {})", self.context.engine_host, client.address(), client.version());
            task::spawn(log_ready(engine, decisions));
        }
    }

    fn add(&mut self, id: ContainerId, partial: PartialMetadata, is_running: bool, reason: StartReason) {
        let (decided, decision) = match self.has_listed {
            false => Some(oneshot::channel()).unzip(),
            true => (None, None),
        };
        let timing = self.context.timing;
        let entry = Entry {
            commands: watch::Sender::new(FollowCommands::default()),
            partial,
            cursor: self.cursor(&id),
            is_running,
            is_excluded: false,
            renamed_at: None,
            since: self.context.start.time_of(id.as_str()),
            named_at: self.events,
            missing: 0,
            restarts: Backoff::new(timing.resume_min, timing.resume_max),
            decision,
        };
        self.start_follower(id, entry, reason, decided, Duration::ZERO);
    }

    /// Starts a new follower if the container was not selected by its previous name and has been renamed
    /// since. Otherwise does nothing.
    fn select_again(&mut self, id: &ContainerId) {
        let hash_map::Entry::Occupied(entry) = self.entries.entry(id.clone()) else { return };
        let Some(renamed_at) = entry.get().renamed_at.filter(|_| entry.get().is_excluded) else { return };
        // The id of the entry is kept, since formatters recognize by it that the container still exists.
        let (id, mut entry) = entry.remove_entry();
        entry.since = renamed_at.max(entry.since);
        self.start_follower(id, entry, StartReason::Resumed, None, Duration::ZERO);
    }

    /// Returns a cursor for a container's log. The cursor starts behind the lines that an earlier source has
    /// [settled](crate::Progress).
    fn cursor(&self, id: &ContainerId) -> Arc<Mutex<Cursor>> {
        let settled = self.context.start.containers.get(id.as_str());
        Arc::new(Mutex::new(settled.map(Cursor::resumed).unwrap_or_default()))
    }

    fn start_follower(
        &mut self,
        id: ContainerId,
        mut entry: Entry,
        reason: StartReason,
        decided: Option<oneshot::Sender<bool>>,
        delay: Duration,
    ) {
        (entry.is_excluded, entry.renamed_at) = (false, None);
        let is_behind = reason == StartReason::Resumed && self.context.resumes;
        let follower = Follower {
            context: self.context.clone(),
            id: id.clone(),
            commands: entry.commands.subscribe(),
            partial: entry.partial.clone(),
            cursor: entry.cursor.clone(),
            stats: self.context.stats.container(&id),
            since: entry.since,
            unproved: is_behind.then(|| self.context.stopping.unproved()),
            decided,
        };
        let started = self.followers.spawn(async move {
            if !delay.is_zero() {
                sleep(delay).await;
            }
            follower.run(reason).await
        });
        self.tasks.insert(started.id(), id.clone());
        self.entries.insert(id, entry);
    }

    /// Handles the removal of a container: its follower, if it has one, reads the rest of the log and ends.
    fn removed(&mut self, id: &ContainerId) {
        if let hash_map::Entry::Occupied(entry) = self.entries.entry(id.clone()) {
            entry.get().commands.send_modify(|commands| commands.removed = true);
            if entry.get().is_excluded {
                entry.remove();
                self.left.insert(id.clone(), self.events);
                self.context.stats.forget(id);
            }
        }
    }

    /// Handles the end of a follower.
    fn ended(&mut self, ended: Result<(task::Id, ExitReason), JoinError>) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(id) = self.tasks.remove(&task) else {
            return;
        };
        let is_removed = self.entries.get(&id).is_none_or(|entry| entry.commands.borrow().removed);
        match ended {
            Ok((_, ExitReason::NotSelected(name))) if !is_removed => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.is_excluded = true;
                    if entry.partial.name == name {
                        entry.renamed_at = None;
                    }
                }
                // Possibly the follower decided before it knew the new name.
                self.select_again(&id);
            }
            Ok(_) => {
                self.entries.remove(&id);
                self.context.stats.forget(&id);
                self.left.insert(id, self.events);
            }
            Err(error) => {
                tracing::error!(container = %id, %error, "the follower of this container panicked; starting it again");
                self.context.stats.follower_restarted();
                if let Some(mut entry) = self.entries.remove(&id) {
                    let delay = entry.restarts.next();
                    self.start_follower(id, entry, StartReason::Resumed, None, delay);
                }
            }
        }
    }
}

impl Entry {
    fn rename(&mut self, name: &str, renamed_at: Timestamp) {
        if self.partial.name != name {
            self.partial.name = name.into();
            self.renamed_at = Some(renamed_at);
            self.commands.send_modify(|commands| commands.name = Some(name.into()));
        }
    }
}

/// Logs that the source is ready. Before that, waits for at most [`READY_WITHIN`] until each follower that was
/// started before the end of the first complete list has opened its log or decided not to open it.
async fn log_ready(engine: String, decisions: Vec<oneshot::Receiver<bool>>) {
    let following = count_following(decisions).await;
    tracing::info!("ready: following {following} containers of {engine}");
}

/// Returns the number of followers that decide within [`READY_WITHIN`] to open their log.
async fn count_following(decisions: Vec<oneshot::Receiver<bool>>) -> usize {
    let ends = Instant::now() + READY_WITHIN;
    let mut following = 0;
    for decision in decisions {
        // After this time, the decisions that have been made by then still count.
        following += usize::from(matches!(timeout_at(ends, decision).await, Ok(Ok(true))));
    }
    following
}

#[cfg(test)]
mod tests;
