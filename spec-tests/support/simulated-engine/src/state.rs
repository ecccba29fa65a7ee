//! The state of the Engine, and notifications of its changes.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::stamp::rfc3339;
use crate::{ContainerOptions, Fault, Options, START, Stream};

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self { state: Mutex::new(State::new(options)), changes: watch::Sender::new(0) }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Returns a receiver that is notified of each change after the call.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

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
    pub(crate) clock: i64,
    pub(crate) requests: Vec<String>,
    pub(crate) events: Vec<String>,
    /// The number of times that all event streams were ended.
    pub(crate) events_ended: u64,
    pub(crate) loses_events: bool,
    pub(crate) frozen_list: Option<Value>,
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
    pub(crate) log: Vec<Piece>,
    pub(crate) log_faults: VecDeque<Fault>,
    pub(crate) inspect_faults: VecDeque<Fault>,
    pub(crate) unreadable: bool,
    /// The index of the piece that cannot be decoded.
    pub(crate) damaged: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The number of the run that wrote the piece.
    pub(crate) run: u64,
    pub(crate) stream: Stream,
    pub(crate) stamp: i64,
    pub(crate) bytes: Vec<u8>,
}

impl State {
    fn new(options: Options) -> Self {
        Self {
            options,
            clock: START,
            requests: Vec::new(),
            events: Vec::new(),
            events_ended: 0,
            loses_events: false,
            frozen_list: None,
            ping_faults: VecDeque::new(),
            info_faults: VecDeque::new(),
            list_faults: VecDeque::new(),
            connections: 0,
            containers: Vec::new(),
        }
    }

    pub(crate) fn tick(&mut self) -> i64 {
        self.clock += 1000;
        self.clock
    }

    pub(crate) fn find(&self, id: &str) -> Option<&ContainerState> {
        self.containers.iter().find(|container| container.id == id)
    }

    pub(crate) fn container(&self, id: &str) -> &ContainerState {
        self.find(id).unwrap()
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
            options,
            created,
            is_running: false,
            is_removed: false,
            runs: 0,
            finished: None,
            log: Vec::new(),
            log_faults: VecDeque::new(),
            inspect_faults: VecDeque::new(),
            unreadable: false,
            damaged: None,
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

    pub(crate) fn die(&mut self, id: &str) {
        let now = self.tick();
        let container = self.container_mut(id);
        assert!(container.is_running, "the container is not running");
        container.is_running = false;
        container.finished = Some(now);
        self.event(id, "die", &[("exitCode", "0")]);
    }

    pub(crate) fn rename(&mut self, id: &str, name: &str) {
        self.tick();
        let container = self.container_mut(id);
        let old = format!("/{}", std::mem::replace(&mut container.options.name, name.into()));
        self.event(id, "rename", &[("oldName", &old)]);
    }

    pub(crate) fn destroy(&mut self, id: &str) {
        if self.container(id).is_running {
            self.die(id);
        }
        self.tick();
        self.container_mut(id).is_removed = true;
        self.event(id, "destroy", &[]);
    }

    pub(crate) fn write(&mut self, id: &str, stream: Stream, stamp: i64, bytes: &[u8]) {
        let container = self.container_mut(id);
        assert!(container.is_running, "the container is not running");
        let stream = if container.options.tty { Stream::Stdout } else { stream };
        container.log.push(Piece { run: container.runs, stream, stamp, bytes: bytes.into() });
    }

    fn event(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        if self.loses_events {
            return;
        }
        let container = self.container(id);
        let mut attributes = container.labels();
        attributes["name"] = json!(container.options.name);
        attributes["image"] = json!("busybox:1");
        for (name, value) in more {
            attributes[*name] = json!(value);
        }
        let event = json!({
            "status": action, "id": id, "from": "busybox:1", "Type": "container", "Action": action,
            "Actor": {"ID": id, "Attributes": attributes}, "scope": "local",
            "time": self.clock / 1_000_000_000, "timeNano": self.clock,
        });
        self.events.push(event.to_string());
    }

    pub(crate) fn info(&self) -> Value {
        json!({"ID": "simulated", "Name": self.options.name, "SystemTime": rfc3339(self.clock)})
    }

    pub(crate) fn list(&self) -> Value {
        let listed = self.containers.iter().filter(|container| !container.is_removed);
        listed
            .map(|container| {
                let state = match (container.is_running, container.runs) {
                    (true, _) => "running",
                    (false, 0) => "created",
                    (false, _) => "exited",
                };
                json!({
                    "Id": container.id, "Names": [format!("/{}", container.options.name)], "Image": "busybox:1",
                    "ImageID": "sha256:abcd", "Command": "/bin/sh -c true", "Created": container.created / 1_000_000_000,
                    "Labels": container.labels(), "State": state, "Status": "",
                })
            })
            .collect()
    }
}

impl ContainerState {
    fn labels(&self) -> Value {
        self.options.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    }

    pub(crate) fn inspect(&self) -> Value {
        let finished = self.finished.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339);
        json!({
            "Id": self.id, "Name": format!("/{}", self.options.name), "Created": rfc3339(self.created),
            "Path": self.options.program.as_deref().unwrap_or("/bin/sh"), "Args": ["-c", "true"], "Image": "sha256:abcd",
            "State": {"Running": self.is_running, "Restarting": false, "FinishedAt": finished},
            "Config": {
                "Env": self.options.env, "Labels": self.labels(), "Tty": self.options.tty, "Image": "busybox:1",
            },
        })
    }
}
