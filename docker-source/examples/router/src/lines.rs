//! The lines of a route that wait for its destination, and the joining of lines into messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use docker_source::multiline::{JoinedLines, MultilineJoiner, Rule, container_rule};
use docker_source::{Container, Record};

use crate::route::{Joining, Route};
use crate::settlement::Settlement;

/// One or several lines that are sent as one message.
pub(crate) type Lines = JoinedLines<Settlement>;

/// The open and completed messages of a route.
#[derive(Debug)]
pub(crate) struct LineStage {
    joining: Joining,
    joiner: MultilineJoiner<Settlement>,
    rules: ContainerRules,
}

impl LineStage {
    pub(crate) fn new(route: &Route, warned: WarnedContainers) -> Self {
        let joining = route.joining.clone();
        let joiner = MultilineJoiner::new(joining.options.clone());
        Self { joining, joiner, rules: ContainerRules { warned, ..ContainerRules::default() } }
    }

    /// Takes a line. `now` returns the time, and is called only if the lines of the container are joined.
    pub(crate) fn push(&mut self, record: &Arc<Record>, settlement: Settlement, now: impl Fn() -> Instant) {
        match self.rules.get(record.container(), &self.joining) {
            Some(rule) => self.joiner.push(Arc::clone(record), settlement, rule, now()),
            None => self.joiner.pass(Arc::clone(record), settlement),
        }
    }

    /// Returns the first completed message.
    pub(crate) fn peek(&self) -> Option<&Lines> {
        self.joiner.peek()
    }

    /// Removes the first completed message.
    pub(crate) fn pop(&mut self) {
        self.joiner.pop();
    }

    /// Returns the time at which [`expire`](Self::expire) completes a message, if a message is open.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.joiner.due()
    }

    /// Completes the messages that no line has continued for long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.joiner.expire(now);
    }

    /// Gives the open messages more time, since no line was read for this time.
    pub(crate) fn delay(&mut self, by: Duration) {
        self.joiner.delay(by);
    }

    /// Completes all messages.
    pub(crate) fn flush(&mut self) {
        self.joiner.flush();
    }
}

/// The containers whose labels were warned about, shared by all routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarnedContainers(Arc<Mutex<Vec<String>>>);

impl WarnedContainers {
    /// The number of containers that are remembered: enough for a host. Beyond it, the oldest are forgotten,
    /// and may be warned about again.
    const MAX: usize = 1024;

    /// Logs the warning, unless one was logged about the container.
    fn warn(&self, container: &Container, problem: &dyn std::fmt::Display) {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.iter().any(|id| id == container.id()) {
            return;
        }
        if warned.len() == Self::MAX {
            warned.remove(0);
        }
        warned.push(container.id().to_owned());
        tracing::warn!(container = container.name(), "{problem}; the default of the route is used");
    }
}

/// The rules of containers. Lines of the container that wrote the last line cost no lookup.
#[derive(Debug, Default)]
struct ContainerRules {
    warned: WarnedContainers,
    last: Option<(Arc<Container>, Option<Rule>)>,
    /// The rules by the address of the container in memory, which is unique as long as the `Weak` exists.
    known: HashMap<usize, (Weak<Container>, Option<Rule>)>,
    /// The length of `known` at which the rules of dropped containers are removed.
    prune_at: usize,
}

impl ContainerRules {
    /// The smallest value of `prune_at`.
    const PRUNE_AT: usize = 64;

    fn get(&mut self, container: &Arc<Container>, joining: &Joining) -> Option<&Rule> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, container));
        if !is_last {
            self.last = Some((Arc::clone(container), self.find(container, joining)));
        }
        self.last.as_ref()?.1.as_ref()
    }

    fn find(&mut self, container: &Arc<Container>, joining: &Joining) -> Option<Rule> {
        if self.known.len() >= self.prune_at {
            self.known.retain(|_, (container, _)| container.strong_count() > 0);
            self.prune_at = (2 * self.known.len()).max(Self::PRUNE_AT);
        }
        let warned = &self.warned;
        let (_, rule) = self.known.entry(Arc::as_ptr(container).addr()).or_insert_with(|| {
            let default = joining.rule.as_ref().filter(|_| !joining.is_opt_in);
            let rule = container_rule(container, joining.rule.as_ref(), !joining.is_opt_in);
            let rule = rule.unwrap_or_else(|error| {
                warned.warn(container, &error);
                default.cloned()
            });
            (Arc::downgrade(container), rule)
        });
        rule.clone()
    }
}
