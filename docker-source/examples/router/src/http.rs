//! Serves the HTTP API: the paths of Logspout's API, and the state of the router.
//!
//! `serve` accepts connections up to a maximum number, and `stall` ends connections whose client takes no
//! bytes. `caller` refuses requests that a page of another site makes, `dispatch` calls the module that
//! answers a path, and `answer` has the types of answers. `engine` checks whether the Engine answers,
//! `idle` tries to connect to the destinations of idle routes, `progress` notices parts that stall, and
//! `health` answers with the problems. `metrics` answers with all counters, in the format that `exposition`
//! writes. `containers` lists the containers. `status` answers with everything that `page` shows in a
//! browser, including the rates of the last 15 minutes that `history` keeps. `logs` answers with a live
//! tail, which is a stream of the new lines: `tail` reads the lines, `tail_text` formats them,
//! `tail_buffer` buffers them, and `web_socket` sends them over a WebSocket. `routes` shows and changes the
//! routes. `time` writes times.

mod answer;
mod caller;
mod containers;
mod dispatch;
mod engine;
mod exposition;
mod health;
mod history;
mod idle;
mod logs;
mod metrics;
mod page;
mod progress;
mod routes;
mod serve;
mod stall;
mod status;
mod tail;
mod tail_buffer;
mod tail_text;
mod time;
mod web_socket;

use std::sync::Arc;
use std::time::SystemTime;

use docker_source::EngineAddress;
use docker_source::gelf_core::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::condition::Condition;
use crate::group::{Shared, Sources};
use crate::http_options::HttpOptions;
use crate::logspout::Environment;
use crate::registry::Registry;
use crate::routes_folder::RoutesFolder;
use crate::stop::Stop;
use crate::task::task;

use self::history::History;
use self::progress::Progress;

pub(crate) use self::routes::{Adding, Addition};

/// The parts of the router that the API shows and changes.
pub(crate) struct Api {
    options: HttpOptions,
    registry: Registry,
    sources: Sources,
    address: EngineAddress,
    /// The condition that the state folder can be written.
    is_writable: Condition,
    /// The condition that the Engine answers.
    engine: Condition,
    progress: Progress,
    history: History,
    /// The time at which the API was started.
    started: Timestamp,
    /// Limits the number of live tails.
    tails: Arc<Semaphore>,
    stop: Stop,
    /// The folder with the files of the routes that the API has added.
    folder: Option<RoutesFolder>,
    /// The variables that set options of routes.
    environment: Environment,
    adding: Adding,
    /// The lock that a task holds while it changes the routes.
    changing: Arc<Mutex<()>>,
}

/// The maximum number of live tails. Each live tail reads the logs of its containers once more.
const MAX_TAILS: usize = 4;

impl Api {
    pub(crate) fn new(
        options: HttpOptions,
        registry: Registry,
        sources: Sources,
        is_writable: Condition,
        shared: &Shared,
        (environment, folder): (Environment, Option<RoutesFolder>),
        adding: Adding,
    ) -> Self {
        Self {
            options,
            registry,
            sources,
            address: shared.address.clone(),
            is_writable,
            engine: Condition::default(),
            progress: Progress::default(),
            history: History::default(),
            started: Timestamp::from(SystemTime::now()),
            tails: Arc::new(Semaphore::new(MAX_TAILS)),
            stop: shared.stop.clone(),
            folder,
            environment,
            adding,
            changing: Arc::default(),
        }
    }
}

/// Starts the API. The API ends when the returned set of tasks is dropped, except that WebSockets end when the
/// router stops.
pub(crate) fn start(api: Api) -> JoinSet<()> {
    let api = Arc::new(api);
    let mut tasks = JoinSet::new();
    tasks.spawn(task(engine::watch(api.address.clone(), api.engine.clone())));
    tasks.spawn(task(progress::watch(api.clone())));
    tasks.spawn(task(idle::watch(api.clone())));
    tasks.spawn(task(history::watch(api.clone())));
    tasks.spawn(task(serve::run(api)));
    tasks
}
