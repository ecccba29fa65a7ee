//! The HTTP API: Logspout's surface, and the state of the router.
//!
//! `serve` accepts connections within limits, and `stall` ends those whose client takes no bytes. `caller`
//! refuses requests that a page of another site makes, `dispatch` finds the answer of a path, and `answer`
//! has the types of answers. `engine` asks the Engine whether it answers, `idle` tries destinations without a
//! connection, `progress` notices lines that wait, and `health` answers with the problems. `metrics` answers
//! with all counters, in the format that `exposition` writes, and `containers` with the containers. `logs`
//! answers with a live tail of `tail`, in the form of `tail_text` and through the buffer of `tail_buffer`,
//! also as a `web_socket`. `routes` shows and changes the routes. `time` writes times.

mod answer;
mod caller;
mod containers;
mod dispatch;
mod engine;
mod exposition;
mod health;
mod idle;
mod logs;
mod metrics;
mod progress;
mod routes;
mod serve;
mod stall;
mod tail;
mod tail_buffer;
mod tail_text;
mod time;
mod web_socket;

use std::sync::Arc;

use docker_source::EngineAddress;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::condition::Condition;
use crate::group::{Shared, Sources};
use crate::http_options::HttpOptions;
use crate::logspout::Environment;
use crate::registry::Registry;
use crate::routes_folder::RoutesFolder;
use crate::stop::Stop;

use self::idle::IdleRoutes;
use self::progress::Progress;

pub(crate) use self::routes::Addition;

/// The parts of the router that the API shows and changes.
pub(crate) struct Api {
    options: HttpOptions,
    registry: Registry,
    sources: Sources,
    address: EngineAddress,
    /// Holds while the state folder can be written.
    is_writable: Condition,
    /// Holds while the Engine answers.
    engine: Condition,
    progress: Progress,
    idle: IdleRoutes,
    /// The live tails that are still possible.
    tails: Arc<Semaphore>,
    stop: Stop,
    /// The folder of the routes that were added.
    folder: Option<RoutesFolder>,
    /// The variables that set options of routes.
    environment: Environment,
    /// Takes the routes to start.
    adding: mpsc::Sender<Addition>,
    /// Is locked while routes change.
    changing: Mutex<()>,
}

/// The limit of live tails. Each reads the logs of its containers once more.
const MAX_TAILS: usize = 4;

impl Api {
    pub(crate) fn new(
        options: HttpOptions,
        registry: Registry,
        sources: Sources,
        is_writable: Condition,
        shared: &Shared,
        (environment, folder): (Environment, Option<RoutesFolder>),
        adding: mpsc::Sender<Addition>,
    ) -> Self {
        Self {
            options,
            registry,
            sources,
            address: shared.address.clone(),
            is_writable,
            engine: Condition::default(),
            progress: Progress::default(),
            idle: IdleRoutes::default(),
            tails: Arc::new(Semaphore::new(MAX_TAILS)),
            stop: shared.stop.clone(),
            folder,
            environment,
            adding,
            changing: Mutex::default(),
        }
    }
}

/// Starts the API. It ends when the result is dropped.
pub(crate) fn start(api: Api) -> JoinSet<()> {
    let api = Arc::new(api);
    let mut tasks = JoinSet::new();
    tasks.spawn(engine::watch(api.address.clone(), api.engine.clone()));
    tasks.spawn(progress::watch(api.clone()));
    tasks.spawn(idle::watch(api.clone()));
    tasks.spawn(serve::run(api));
    tasks
}
