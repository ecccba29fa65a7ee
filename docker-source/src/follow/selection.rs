//! The selection of a container, which is made for each run.
//!
//! When a run begins, the log of the previous run may not be read to its end yet. If the container was
//! renamed, the selection may differ between the two runs. An event reports the end of the earlier run, and
//! the time of this end divides the lines of the two runs.

use std::sync::Arc;
use std::time::Duration;

use gelf_core::Timestamp;
use tokio::time::timeout;

use super::{ExitReason, Following, Step};
use crate::container::Container;
use crate::log::Line;

/// The time limit for the event of an end after an inspection showed the end.
const EVENT_WITHIN: Duration = Duration::from_secs(1);

/// The state of the selection.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// `true` if the selection is made for the present run.
    is_made: bool,
    /// `true` if the container was selected for an earlier run.
    was_selected: bool,
    /// The last known end of a run at the time of the selection.
    made_after: Option<Timestamp>,
    /// The last end of a run that an inspection showed. The event of this end may arrive later.
    inspected_end: Option<Timestamp>,
    /// The end of the previous run, with the container as it was selected for that run.
    previous: Option<(Timestamp, Arc<Container>)>,
}

impl Selection {
    /// Notes that a run has ended.
    pub(super) fn ended(&mut self) {
        self.is_made = false;
    }

    /// Notes the last end of a run that an inspection showed. If the container runs, the end belongs to an
    /// earlier run than the present one. The event of an end is later than the end itself, so an end behind
    /// the last known one is a new one.
    pub(super) fn inspected(&mut self, finished_at: Option<Timestamp>) {
        if self.is_made && finished_at > self.made_after {
            self.ended();
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
        // An end that was known at the last selection belongs to an earlier run.
        let end = ended_at.filter(|_| self.selection.was_selected && ended_at != self.selection.made_after);
        let is_selected = self.metadata.select();
        self.selection.previous = end.map(|end| (end, previous.clone()));
        if is_selected {
            self.selection.is_made = true;
            self.selection.was_selected = true;
            self.selection.made_after = ended_at;
            return None;
        }
        self.announce(false);
        Some(match self.left.take() {
            Some(reader) => {
                self.metadata.set_container(previous);
                Step::Leave(reader)
            }
            None => Step::End(ExitReason::NotSelected),
        })
    }

    /// Returns the last known end of a run.
    fn last_end(&self) -> Option<Timestamp> {
        self.commands.borrow().ended_at.max(self.selection.inspected_end)
    }

    /// Waits for the event of the end that an inspection showed, if the container was renamed. The next run
    /// may begin while the rest of the log is read, and its lines may not be selected. Events may be lost, so
    /// the wait is short.
    pub(super) async fn end_is_known(&self) {
        if self.metadata.is_renamed() {
            let made_after = self.selection.made_after;
            let mut commands = self.commands.clone();
            // Without the event, all lines that the log has are lines of the run that ended.
            let _ = timeout(EVENT_WITHIN, commands.wait_for(|commands| commands.ended_at > made_after)).await;
        }
    }

    /// Returns the container that wrote the line, as it was selected for the run of the line. Returns `None`
    /// if the container is not selected for that run, or if the selection for that run is not made yet.
    pub(super) fn writer(&self, line: &Line) -> Option<&Arc<Container>> {
        let Selection { is_made, was_selected, made_after, previous, .. } = &self.selection;
        match previous {
            Some((end, previous)) if line.time <= *end => Some(previous),
            Some(_) if !is_made => None,
            _ if *was_selected && self.metadata.is_renamed() => {
                // A slow read of the log of a run returns lines of the next run, too.
                let end = self.commands.borrow().ended_at;
                let is_of_next_run = end > *made_after && Some(line.time) > end;
                (!is_of_next_run).then(|| self.metadata.container())
            }
            _ => Some(self.metadata.container()),
        }
    }
}
