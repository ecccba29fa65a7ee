//! Decides for each run of a container whether the container is selected.
//!
//! A run can begin before the log of the previous run is read to its end. If the container was renamed
//! meanwhile, the two runs can have different selections. The lines of the two runs are told apart by the
//! time of the event that reports the end of the previous run.

use std::sync::Arc;
use std::time::Duration;

use gelf_core::Timestamp;
use tokio::time::timeout;

use super::{ExitReason, Following, Step};
use crate::container::Container;
use crate::log::Line;

/// The longest wait for the event of a container's end after an inspection showed this end.
const EVENT_WITHIN: Duration = Duration::from_secs(1);

/// The state of the selection.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// `true` if the selection is made for the present run.
    is_made: bool,
    /// The name by which the selection was made last.
    name: String,
    /// `true` once the container was selected for a run.
    was_selected: bool,
    /// The latest end of a run that was known when the selection was made.
    made_after: Option<Timestamp>,
    /// The latest end of a run that an inspection showed. The event of this end may arrive later.
    inspected_end: Option<Timestamp>,
    /// The end of the previous run, and the container as it was selected for that run.
    previous: Option<(Timestamp, Arc<Container>)>,
}

impl Selection {
    /// Notes that a run has ended.
    pub(super) fn note_end(&mut self) {
        self.is_made = false;
    }

    /// Notes the latest end of a run, as an inspection showed it. If the container runs, this end belongs to
    /// a previous run. The event of an end has a later time than the inspected end. Therefore an inspected
    /// end that is later than the latest known end is a new end.
    pub(super) fn note_inspection(&mut self, finished_at: Option<Timestamp>) {
        if self.is_made && finished_at > self.made_after {
            self.note_end();
        }
        self.inspected_end = self.inspected_end.max(finished_at);
    }
}

impl Following {
    /// Makes the selection for the present run, unless it is already made. Returns the next step if the
    /// container is not selected.
    pub(super) fn select(&mut self) -> Option<Step> {
        self.take_name();
        if self.selection.is_made {
            return None;
        }
        if self.selection.was_selected && !self.metadata.is_renamed() {
            self.selection.is_made = true;
            self.selection.made_after = self.last_end();
            return None;
        }
        let previous = self.metadata.container().clone();
        let ended_at = self.last_end();
        // An end that was already known at the last selection is not the end of the run for which this
        // selection was made.
        let end = ended_at.filter(|_| self.selection.was_selected && ended_at != self.selection.made_after);
        self.selection.name = self.metadata.name().to_owned();
        let is_selected = self.metadata.select();
        self.selection.previous = end.map(|end| (end, previous.clone()));
        if is_selected {
            self.selection.is_made = true;
            self.selection.was_selected = true;
            self.selection.made_after = ended_at;
            return None;
        }
        self.send_decision(false);
        Some(match self.left.take() {
            Some(reader) => {
                self.metadata.set_container(previous);
                Step::Leave(reader)
            }
            None => self.not_selected(),
        })
    }

    /// Returns the step that ends the follower, because its container is not selected.
    pub(super) fn not_selected(&self) -> Step {
        Step::End(ExitReason::NotSelected(self.selection.name.clone()))
    }

    /// Returns the latest known end of a run.
    fn last_end(&self) -> Option<Timestamp> {
        self.commands.borrow().ended_at.max(self.selection.inspected_end)
    }

    /// If the container was renamed, waits for the event of the end that an inspection showed. The time of
    /// the event is needed to recognize lines of the next run: this run can begin while the rest of the log
    /// is read, and the filter possibly does not select it. Returns false if the event does not arrive.
    pub(super) async fn end_is_known(&self) -> bool {
        let made_after = self.selection.made_after;
        let mut commands = self.commands.clone();
        let event = commands.wait_for(|commands| commands.ended_at > made_after);
        !self.metadata.is_renamed() || timeout(EVENT_WITHIN, event).await.is_ok()
    }

    /// Returns the container that wrote the line, as it was selected for the run that the line belongs to.
    /// Returns `None` if the container is not selected for this run, or if the selection for this run is not
    /// made yet.
    pub(super) fn writer(&self, line: &Line) -> Option<&Arc<Container>> {
        let Selection { is_made, was_selected, made_after, previous, .. } = &self.selection;
        match previous {
            Some((end, previous)) if line.time <= *end => Some(previous),
            Some(_) if !is_made => None,
            _ if *was_selected && self.metadata.is_renamed() => {
                // The next run can begin while the log of this run is still being read. The response then has
                // lines of the next run, too.
                let end = self.commands.borrow().ended_at;
                let is_of_next_run = end > *made_after && Some(line.time) > end;
                (!is_of_next_run).then(|| self.metadata.container())
            }
            _ => Some(self.metadata.container()),
        }
    }
}
