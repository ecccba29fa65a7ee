//! Joins a route's lines into messages, and keeps the messages until the destination takes them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use docker_source::content::{ContainerContent, ContentOptions, container_content};
use docker_source::multiline::{JoinedLines, MultilineJoiner, Rule, container_rule};
use docker_source::{Container, Record};

use crate::route::{Joining, Route};
use crate::settlement::Settlement;

/// One or several lines that are sent as one message.
pub(crate) type Lines = JoinedLines<Settlement>;

/// The open and completed messages of a route. A message is open while further lines may continue it.
#[derive(Debug)]
pub(crate) struct LineStage {
    joiner: MultilineJoiner<Settlement>,
    containers: Containers,
}

impl LineStage {
    pub(crate) fn new(route: &Route, warned: WarnedContainers) -> Self {
        let (joining, content) = (route.joining.clone(), route.content);
        let joiner = MultilineJoiner::new(joining.options.clone());
        Self { joiner, containers: Containers::new(joining, content, warned) }
    }

    /// Takes a line. `now` returns the time, and is called only if the lines of the container are joined.
    pub(crate) fn push(&mut self, record: &Arc<Record>, settlement: Settlement, now: impl Fn() -> Instant) {
        match self.containers.rule(record.container()) {
            Some(rule) => self.joiner.push(Arc::clone(record), settlement, rule, now()),
            None => self.joiner.pass(Arc::clone(record), settlement),
        }
    }

    /// Returns whether there is no completed message.
    pub(crate) fn is_empty(&self) -> bool {
        self.joiner.peek().is_none()
    }

    /// Returns the first completed message, and the reader that finds fields in the text of the message. The
    /// reader is `None` if the settings of the container do not enable it. It is also `None` if the message
    /// announces a gap, since such a message is not a line of the container.
    pub(crate) fn first(&mut self) -> Option<(&Lines, Option<&mut ContainerContent>)> {
        let lines = self.joiner.peek()?;
        let content = match lines.record().gap() {
            Some(_) => None,
            None => self.containers.content(lines.record().container()),
        };
        Some((lines, content))
    }

    /// Removes the first completed message.
    pub(crate) fn pop(&mut self) {
        self.joiner.pop();
    }

    /// Returns the time at which [`expire`](Self::expire) completes a message, if a message is open.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.joiner.due()
    }

    /// Completes the open messages whose time limit has passed at `now`.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.joiner.expire(now);
    }

    /// Prolongs the time limit of the open messages by the time `by`, during which no line is read.
    pub(crate) fn delay(&mut self, by: Duration) {
        self.joiner.delay(by);
    }

    /// Completes all messages.
    pub(crate) fn flush(&mut self) {
        self.joiner.flush();
    }
}

/// The settings for a container's lines on a route. Labels of the container override the settings of the
/// route.
#[derive(Clone, Debug)]
pub(crate) struct LineSettings {
    pub(crate) rule: Option<Rule>,
    pub(crate) content: ContentOptions,
    /// One text for each label that cannot be used.
    pub(crate) problems: Vec<String>,
}

impl LineSettings {
    /// Returns the settings of a container on a route with the defaults `joining` and `content`.
    pub(crate) fn of(container: &Container, joining: &Joining, content: ContentOptions) -> Self {
        let mut problems = Vec::new();
        let mut note = |problem: &dyn Display| {
            problems.push(format!("{problem}; the default of the route is used"));
        };
        let rule = container_rule(container, joining.rule.as_ref(), !joining.is_opt_in);
        let rule = rule.unwrap_or_else(|error| {
            note(&error);
            joining.default().cloned()
        });
        let content = container_content(container, content).unwrap_or_else(|error| {
            note(&error);
            content
        });
        Self { rule, content, problems }
    }
}

/// The containers about whose labels a warning was logged. All routes share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarnedContainers(Arc<Mutex<Vec<String>>>);

impl WarnedContainers {
    /// The maximum number of containers that are remembered: enough for a host. Beyond this number, the
    /// oldest containers are forgotten, and a warning about them may be logged again.
    const MAX: usize = 1024;

    /// Logs the warning, unless a warning about the container was logged before.
    fn warn(&self, container: &Container, problems: &str) {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.iter().any(|id| id == container.id()) {
            return;
        }
        if warned.len() == Self::MAX {
            warned.remove(0);
        }
        warned.push(container.id().to_owned());
        tracing::warn!(container = container.name(), "{problems}");
    }
}

/// The settings of containers, which their labels and the options of the route determine.
#[derive(Debug)]
struct Containers {
    joining: Joining,
    content: ContentOptions,
    warned: WarnedContainers,
    /// The container of the last line, and its rule. This saves the lookup for most lines.
    last: Option<(Arc<Container>, Option<Rule>)>,
    /// True if the content of any container is read. If false, messages need no lookup of their settings.
    reads_content: bool,
    /// The settings of each container. The key is the address of the [`Container`] in memory, which no other
    /// container can have as long as the `Weak` in [`Known`] exists.
    known: BTreeMap<usize, Known>,
    /// The length of `known` at which the settings of dropped containers are removed.
    prune_at: usize,
}

/// The settings of a container.
#[derive(Debug)]
struct Known {
    container: Weak<Container>,
    rule: Option<Rule>,
    content: ContainerContent,
}

impl Containers {
    /// The smallest value of `prune_at`.
    const PRUNE_AT: usize = 64;

    fn new(joining: Joining, content: ContentOptions, warned: WarnedContainers) -> Self {
        Self {
            joining,
            content,
            warned,
            last: None,
            reads_content: false,
            known: BTreeMap::new(),
            prune_at: Self::PRUNE_AT,
        }
    }

    /// Returns the rule by which lines of the container are joined.
    fn rule(&mut self, container: &Arc<Container>) -> Option<&Rule> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, container));
        if !is_last {
            let rule = self.find(container).rule.clone();
            self.last = Some((Arc::clone(container), rule));
        }
        self.last.as_ref()?.1.as_ref()
    }

    /// Returns the reader that finds fields in the container's lines, or `None` if the container's settings
    /// do not enable a reader.
    fn content(&mut self, container: &Arc<Container>) -> Option<&mut ContainerContent> {
        if !self.reads_content {
            return None;
        }
        Some(&mut self.find(container).content).filter(|content| !content.is_off())
    }

    fn find(&mut self, container: &Arc<Container>) -> &mut Known {
        if self.known.len() >= self.prune_at {
            self.known.retain(|_, known| known.container.strong_count() > 0);
            self.prune_at = (2 * self.known.len()).max(Self::PRUNE_AT);
        }
        let Self { joining, content, warned, reads_content, known, .. } = self;
        known.entry(Arc::as_ptr(container).addr()).or_insert_with(|| {
            let LineSettings { rule, content, problems } = LineSettings::of(container, joining, *content);
            if !problems.is_empty() {
                warned.warn(container, &problems.join("; "));
            }
            *reads_content |= !content.is_off();
            Known { container: Arc::downgrade(container), rule, content: ContainerContent::new(content) }
        })
    }
}

#[cfg(test)]
mod tests {
    use docker_source::GapReason;

    use super::*;

    #[test]
    fn a_gap_ends_the_message_before_it_and_the_text_of_the_gap_is_not_read() {
        let route = Route::parse("gelf://h?content=all&multiline=java").unwrap();
        let mut stage = LineStage::new(&route, WarnedContainers::default());
        let container = Arc::new(Container::builder("shop").build());
        let line = |text: &'static str| Record::builder(Arc::clone(&container), text);
        let start = Instant::now();
        for record in [
            line("ERROR failed").build(),
            line("\tat a").build(),
            line("ERROR lines may be missing").gap(None, None, GapReason::Rotated).build(),
            line("\tat b").build(),
        ] {
            stage.push(&Arc::new(record), Settlement::default(), || start);
        }
        stage.flush();
        let mut messages = Vec::new();
        while let Some((lines, content)) = stage.first() {
            messages.push((String::from_utf8_lossy(lines.text()).into_owned(), content.is_some()));
            stage.pop();
        }
        let expected =
            [("ERROR failed\n\tat a", true), ("ERROR lines may be missing", false), ("\tat b", true)];
        assert_eq!(messages, expected.map(|(text, is_read)| (text.to_owned(), is_read)));
    }
}
