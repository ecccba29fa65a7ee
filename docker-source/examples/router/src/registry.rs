//! Keeps the routes that run.
//!
//! A group consists of the routes that read from one source. The group reads the lines of a route, the state
//! folder keeps the positions of the route, and the account at the end shows the counters of the route. The
//! HTTP API shows, adds and removes routes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::account::RouteAccount;
use crate::condition::Condition;
use crate::deliver::Closer;
use crate::route::{Route, RouteUri};
use crate::settlement::RouteProgress;
use crate::tally::Tally;
use crate::task::task;

/// The time within which a removed route has to deliver its lines.
const GRACE: Duration = Duration::from_secs(8);
/// The time between two checks of the lines in flight of a removed route.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// A route that runs.
#[derive(Clone, Debug)]
pub(crate) struct RunningRoute {
    /// The id in the HTTP API.
    pub(crate) id: String,
    /// The name in the state folder.
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) tally: Arc<Tally>,
    pub(crate) removal: Removal,
    /// The condition that the destination can be reached. It is checked while the route is idle.
    pub(crate) is_reachable: Condition,
}

/// A route in the registry.
#[derive(Debug)]
struct Entry {
    route: RunningRoute,
    /// Closes the delivery. The delivery does not end while this handle exists. Therefore the handle is not a part
    /// of [`RunningRoute`], whose clones can exist for longer.
    closer: Option<Closer>,
}

/// The removal of a route, shared by the registry and by the reader of the route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal(Arc<AtomicBool>);

impl Removal {
    /// Returns whether the route is removed.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The routes that run, in the order in which they were added. Clones share the routes.
#[derive(Clone, Debug)]
pub(crate) struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: Mutex<Vec<Entry>>,
    removals: watch::Sender<u64>,
    progress: RouteProgress,
    removed: Mutex<Removed>,
}

/// The accounts of the removed routes.
#[derive(Debug, Default)]
struct Removed {
    /// The sum over the routes that have ended.
    ended: RouteAccount,
    /// The counters of the routes that can still send lines.
    ending: Vec<Arc<Tally>>,
}

impl Default for Registry {
    fn default() -> Self {
        let (removals, progress) = (watch::Sender::new(0), RouteProgress::default());
        let (routes, removed) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { routes, removals, progress, removed }))
    }
}

impl Registry {
    pub(crate) fn routes(&self) -> Vec<RunningRoute> {
        self.lock().iter().map(|entry| entry.route.clone()).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<RunningRoute> {
        self.lock().iter().map(|entry| &entry.route).find(|route| route.id == id).cloned()
    }

    /// Returns an id for a route that was given without an id. The id is made from the URI, and differs from
    /// the ids of all other routes.
    pub(crate) fn new_id(&self, uri: &RouteUri) -> String {
        let routes = self.lock();
        let ids = (0..).map(|number| id_of(uri, number));
        let mut free = ids.filter(|id| routes.iter().all(|entry| entry.route.id != *id));
        free.next().unwrap_or_default()
    }

    /// Returns a name for the state folder: the given name, with a number if another route has this name.
    pub(crate) fn new_name(&self, name: String) -> String {
        let routes = self.lock();
        let numbered = (2..).map(|number: u64| format!("{name} #{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| routes.iter().all(|entry| entry.route.name != *name)).unwrap_or(name)
    }

    pub(crate) fn add(&self, route: RunningRoute, closer: Closer) {
        self.lock().push(Entry { route, closer: Some(closer) });
    }

    /// Returns the progress of all routes.
    pub(crate) fn progress(&self) -> &RouteProgress {
        &self.0.progress
    }

    /// Returns a receiver that gets a new value at each removal.
    pub(crate) fn removals(&self) -> watch::Receiver<u64> {
        self.0.removals.subscribe()
    }

    /// Removes a route. A separate task waits up to 8 s until the lines of the route are delivered. Returns
    /// false if no route has this id.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let removed = {
            let mut routes = self.lock();
            let index = routes.iter().position(|entry| entry.route.id == id);
            index.map(|index| routes.remove(index))
        };
        let Some(entry) = removed else { return false };
        self.removed().ending.push(entry.route.tally.clone());
        self.progress().remove(&entry.route.name);
        entry.route.removal.0.store(true, Ordering::Release);
        self.0.removals.send_modify(|number| *number += 1);
        tokio::spawn(task(drain(entry)));
        true
    }

    /// Returns the sum of the accounts of all removed routes.
    pub(crate) fn removed_account(&self) -> RouteAccount {
        let Removed { ended, ending } = &mut *self.removed();
        ending.retain(|tally| {
            // Once nothing else holds the tally, its counters are final.
            let is_final = Arc::strong_count(tally) == 1;
            if is_final {
                *ended += RouteAccount::from(&tally.figures());
            }
            !is_final
        });
        let mut sum = *ended;
        ending.iter().for_each(|tally| sum += RouteAccount::from(&tally.figures()));
        sum
    }

    fn removed(&self) -> MutexGuard<'_, Removed> {
        self.0.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the handles that keep the deliveries running. The deliveries then end once the readers of the
    /// routes have ended.
    pub(crate) fn release(&self) {
        self.lock().iter_mut().for_each(|entry| entry.closer = None);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the id of a route that was given without an id: 12 hexadecimal digits, as in Logspout. The
/// same URI and number always give the same id. Another number gives another id, for a further route with the
/// same URI. The id does not depend on credentials.
pub(crate) fn id_of(uri: &RouteUri, number: u64) -> String {
    // The hash is FNV-1a, whose result is the same in each process.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(&uri.shown());
    add(uri.name.as_deref().unwrap_or_default());
    for (name, value) in uri.options.iter().filter(|(name, _)| name != "header") {
        add(name);
        add(value);
    }
    format!("{:012x}", hash.wrapping_add(number) & 0xffff_ffff_ffff)
}

/// Waits until the lines of a removed route are delivered, for at most [`GRACE`], and logs the route's
/// counters.
async fn drain(Entry { route: RunningRoute { route, tally, .. }, closer }: Entry) {
    let deadline = Instant::now() + GRACE;
    // The reader may be about to route a line.
    sleep(DRAIN_INTERVAL).await;
    while tally.in_flight() > 0 && Instant::now() < deadline {
        sleep(DRAIN_INTERVAL).await;
    }
    if let Some(closer) = closer {
        closer.close().await;
    }
    let destination = route.to_string();
    match tally.in_flight() {
        0 => tracing::info!(destination, "the route is removed: {tally}"),
        lines => tracing::warn!(destination, "the route is removed; {lines} lines were given up: {tally}"),
    }
}
