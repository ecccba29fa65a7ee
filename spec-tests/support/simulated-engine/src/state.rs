//! The state of the Engine, and notifications of its changes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::files::JsonFiles;
use crate::log::Log;
use crate::request::Request;
use crate::stamp::rfc3339;
use crate::{ContainerOptions, Fault, Options, RequestKind, START, Stream};

/// The number of events that an Engine keeps for later subscribers.
const EVENTS_KEPT: usize = 256;

/// The state, and the notifications of its changes.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The number of changes.
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(options: Options, folder: PathBuf) -> Self {
        Self { state: Mutex::new(State::new(options, folder)), changes: watch::Sender::new(0) }
    }

    /// Reads the state by `look`, and returns the result.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    /// Changes the state by `change`, notifies the waiting tasks, and returns the result.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Returns a receiver that is notified of changes after the call.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `until` returns true for the state.
    pub(crate) async fn wait(&self, until: impl Fn(&State) -> bool) {
        let mut changes = self.changes();
        while !self.look(&until) {
            changes.changed().await.unwrap();
        }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    /// The folder of the log files.
    folder: PathBuf,
    /// The time that the clock showed at `clock_set`, in nanoseconds since the Unix epoch, plus a microsecond for
    /// each tick since then.
    clock: i64,
    clock_set: Instant,
    pub(crate) requests: Vec<Request>,
    pub(crate) events: Vec<Event>,
    /// The number of times that all event streams were ended.
    pub(crate) events_ended: u64,
    pub(crate) loses_events: bool,
    /// The lists at the time of the freeze: of the running containers, and of all containers.
    pub(crate) frozen_lists: Option<[Value; 2]>,
    pub(crate) ping_faults: VecDeque<Fault>,
    pub(crate) info_faults: VecDeque<Fault>,
    pub(crate) list_faults: VecDeque<Fault>,
    /// The number of open connections.
    pub(crate) connections: usize,
    containers: Vec<ContainerState>,
}

#[derive(Debug)]
pub(crate) struct ContainerState {
    pub(crate) id: String,
    pub(crate) options: ContainerOptions,
    pub(crate) created: i64,
    pub(crate) is_running: bool,
    pub(crate) is_removed: bool,
    /// The number of starts.
    pub(crate) runs: u64,
    pub(crate) finished: Option<i64>,
    /// The status of the last run that ended.
    exit_status: u8,
    pub(crate) log: Log,
    pub(crate) files: Option<JsonFiles>,
    pub(crate) log_faults: VecDeque<Fault>,
    pub(crate) inspect_faults: VecDeque<Fault>,
    pub(crate) unreadable: bool,
    /// The number of times that all followers were cut.
    pub(crate) cuts: u64,
    /// The number of times that all followers were ended with the final chunk.
    pub(crate) ends: u64,
    /// The number of followers that are open.
    pub(crate) followers: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) line: String,
}

impl State {
    fn new(options: Options, folder: PathBuf) -> Self {
        Self {
            options,
            folder,
            clock: START,
            clock_set: Instant::now(),
            requests: Vec::new(),
            events: Vec::new(),
            events_ended: 0,
            loses_events: false,
            frozen_lists: None,
            ping_faults: VecDeque::new(),
            info_faults: VecDeque::new(),
            list_faults: VecDeque::new(),
            connections: 0,
            containers: Vec::new(),
        }
    }

    /// Advances the clock by a microsecond, and returns the time.
    pub(crate) fn tick(&mut self) -> i64 {
        self.clock += 1000;
        self.now()
    }

    pub(crate) fn set_clock(&mut self, nanos: i64) {
        (self.clock, self.clock_set) = (nanos, Instant::now());
    }

    pub(crate) fn now(&self) -> i64 {
        match self.options.clock_runs {
            true => self.clock + i64::try_from(self.clock_set.elapsed().as_nanos()).unwrap(),
            false => self.clock,
        }
    }

    /// Returns the number of requests of this kind. If a container is given, only its requests count.
    pub(crate) fn count_kind(&self, kind: RequestKind, container: Option<&str>) -> usize {
        let is_counted = |request: &&Request| {
            request.kind == kind && container.is_none_or(|container| request.container == container)
        };
        self.requests.iter().filter(is_counted).count()
    }

    pub(crate) fn log_requests(&self, id: &str) -> usize {
        let kinds = [RequestKind::Follow, RequestKind::Tail, RequestKind::TailUntil, RequestKind::Whole];
        kinds.into_iter().map(|kind| self.count_kind(kind, Some(id))).sum()
    }

    /// Adds a request, and returns the id of its container, or an empty text if there is none.
    pub(crate) fn add_request(&mut self, mut request: Request) -> String {
        let name = std::mem::take(&mut request.container);
        let is_named = |container: &&ContainerState| {
            !container.is_removed
                && (container.options.name == name || (!name.is_empty() && container.id.starts_with(&name)))
        };
        if let Some(container) = self.containers.iter().find(is_named) {
            request.container.clone_from(&container.id);
        }
        let id = request.container.clone();
        // A request that gives the full id of a removed container counts as a request for that container.
        if id.is_empty() {
            request.container = name;
        }
        self.requests.push(request);
        id
    }

    pub(crate) fn container(&self, id: &str) -> &ContainerState {
        self.containers.iter().find(|container| container.id == id).unwrap()
    }

    pub(crate) fn container_mut(&mut self, id: &str) -> &mut ContainerState {
        self.containers.iter_mut().find(|container| container.id == id).unwrap()
    }

    pub(crate) fn create(&mut self, options: ContainerOptions) -> String {
        let number = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(self.containers.len() as u64 + 1);
        let id = format!("{number:016x}").repeat(4);
        let created = self.tick();
        self.containers.push(ContainerState {
            id: id.clone(),
            log: Log::new(options.log.clone()),
            files: options.has_files.then(|| JsonFiles::create(&self.folder, &id, options.log.clone())),
            options,
            created,
            is_running: false,
            is_removed: false,
            runs: 0,
            finished: None,
            exit_status: 0,
            log_faults: VecDeque::new(),
            inspect_faults: VecDeque::new(),
            unreadable: false,
            cuts: 0,
            ends: 0,
            followers: 0,
        });
        id
    }

    pub(crate) fn start(&mut self, id: &str) {
        self.tick();
        let container = self.container_mut(id);
        assert!(!container.is_running && !container.is_removed, "the container is running or removed");
        container.is_running = true;
        container.runs += 1;
        self.event(id, "start", &[]);
    }

    pub(crate) fn die(&mut self, id: &str, status: u8) {
        let now = self.tick();
        let container = self.container_mut(id);
        assert!(container.is_running, "the container is not running");
        container.is_running = false;
        container.finished = Some(now);
        container.exit_status = status;
        container.log.end_run();
        self.event(id, "die", &[("exitCode", &status.to_string())]);
    }

    pub(crate) fn kill(&mut self, id: &str, signal: u8) {
        self.tick();
        assert!(self.container(id).is_running, "the container is not running");
        self.event(id, "kill", &[("signal", &signal.to_string())]);
    }

    pub(crate) fn rename(&mut self, id: &str, name: &str) {
        self.tick();
        let container = self.container_mut(id);
        let old = format!("/{}", std::mem::replace(&mut container.options.name, name.into()));
        self.event(id, "rename", &[("oldName", &old)]);
    }

    pub(crate) fn destroy(&mut self, id: &str) {
        if self.container(id).is_running {
            self.die(id, 0);
        }
        self.tick();
        let container = self.container_mut(id);
        container.is_removed = true;
        container.files.iter().for_each(JsonFiles::remove);
        self.event(id, "destroy", &[]);
    }

    pub(crate) fn write(&mut self, id: &str, stream: Stream, stamp: i64, bytes: &[u8]) {
        let container = self.container_mut(id);
        assert!(container.is_running, "the container is not running");
        let stream = if container.options.tty { Stream::Stdout } else { stream };
        let rotates = container.log.write(stream, stamp, bytes, container.runs);
        if let Some(files) = &container.files {
            files.append(stream, stamp, bytes, rotates);
        }
    }

    fn event(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        if self.loses_events {
            return;
        }
        let container = self.container(id);
        let mut attributes = container.labels();
        attributes["name"] = json!(container.options.name);
        attributes["image"] = json!(container.options.image_or_default());
        for (name, value) in more {
            attributes[*name] = json!(value);
        }
        let time = self.now();
        let mut event = json!({
            "Type": "container", "Action": action, "Actor": {"ID": id, "Attributes": attributes},
            "scope": "local", "time": time / 1_000_000_000, "timeNano": time,
        });
        if self.options.has_legacy_event_members {
            event["status"] = json!(action);
            event["id"] = json!(id);
            event["from"] = json!(container.options.image_or_default());
        }
        self.push_event(event.to_string());
    }

    pub(crate) fn push_event(&mut self, line: String) {
        self.events.push(Event { time: self.now(), line });
    }

    /// Returns the index of the first event for a subscriber that requests the events since a time. Without a
    /// time, this is the next event. The Engine keeps only the last [`EVENTS_KEPT`] events.
    pub(crate) fn first_event(&self, since: Option<i64>) -> usize {
        let kept = self.events.len().saturating_sub(EVENTS_KEPT);
        let is_older = |event: &Event| since.is_none_or(|since| event.time < since);
        kept + self.events[kept..].iter().take_while(|event| is_older(event)).count()
    }

    pub(crate) fn info(&self) -> Value {
        json!({"ID": "simulated", "Name": self.options.name, "SystemTime": rfc3339(self.now())})
    }

    pub(crate) fn version(&self) -> Value {
        let Options { api_version, min_api_version, .. } = &self.options;
        json!({"Version": "simulated", "ApiVersion": api_version, "MinAPIVersion": min_api_version})
    }

    pub(crate) fn list(&self, has_ended_ones: bool) -> Value {
        let is_listed =
            |container: &&ContainerState| !container.is_removed && (has_ended_ones || container.is_running);
        let listed = self.containers.iter().filter(is_listed);
        listed
            .map(|container| {
                let (state, status) = match container.finished.filter(|_| !container.is_running) {
                    None if container.is_running => ("running", "Up 5 seconds".to_owned()),
                    None => ("created", "Created".to_owned()),
                    Some(finished) => {
                        let age = age(self.now() - finished);
                        ("exited", format!("Exited ({}) {age} ago", container.exit_status))
                    }
                };
                json!({
                    "Id": container.id, "Names": [format!("/{}", container.options.name)],
                    "Image": container.options.image_or_default(), "ImageID": "sha256:abcd", "Command": "/bin/sh -c true",
                    "Created": container.created / 1_000_000_000,
                    "Labels": container.labels(), "State": state, "Status": status,
                })
            })
            .collect()
    }
}

/// Describes a time span in the Engine's words, such as `5 seconds`.
fn age(nanos: i64) -> String {
    match nanos / 1_000_000_000 {
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        seconds @ 2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        seconds @ 120..3600 => format!("{} minutes", seconds / 60),
        3600..7200 => "About an hour".into(),
        seconds => format!("{} hours", seconds / 3600),
    }
}

impl ContainerState {
    fn labels(&self) -> Value {
        self.options.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    }

    pub(crate) fn inspect(&self) -> Value {
        let exit_status = if self.is_running { 0 } else { self.exit_status };
        let finished = self.finished.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339);
        json!({
            "Id": self.id, "Name": format!("/{}", self.options.name), "Created": rfc3339(self.created),
            "Path": self.options.program.as_deref().unwrap_or("/bin/sh"), "Args": ["-c", "true"],
            "Image": "sha256:abcd",
            "LogPath": self.files.as_ref().map_or_else(Default::default, |files| files.path().to_string_lossy()),
            "State": {
                "Running": self.is_running, "Restarting": false, "ExitCode": exit_status, "FinishedAt": finished,
            },
            "Config": {
                "Env": self.options.env, "Labels": self.labels(), "Tty": self.options.tty,
                "Image": self.options.image_or_default(),
            },
            "HostConfig": {
                "AutoRemove": self.options.is_removed_at_end,
                "LogConfig": {
                    "Type": self.options.log_driver.as_deref().unwrap_or("json-file"), "Config": {},
                },
            },
        })
    }
}
