//! The selection of a container, which is made for each run.
//!
//! When a run begins, the log of the previous run may not be read to its end yet. If the container was
//! renamed, the selection may differ between the two runs. An event reports the end of the earlier run, and
//! the time of this end divides the lines of the two runs.

use std::sync::Arc;

use gelf_core::Timestamp;

use super::{ExitReason, Following, Step};
use crate::container::Container;
use crate::log::Line;

/// The state of the selection.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// `true` if the selection is made for the present run.
    is_made: bool,
    /// `true` if the container was selected for an earlier run.
    was_selected: bool,
    /// The last known end of a run at the time of the selection.
    made_after: Option<Timestamp>,
    /// The end of the previous run, with the container as it was selected for that run.
    previous: Option<(Timestamp, Arc<Container>)>,
}

impl Selection {
    /// Notes that a run has ended.
    pub(super) fn ended(&mut self) {
        self.is_made = false;
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
            self.selection.made_after = self.commands.borrow().ended_at;
            return None;
        }
        let previous = self.metadata.container().clone();
        let ended_at = self.commands.borrow().ended_at;
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

    /// Returns the container that wrote the line, as it was selected for the run of the line. Returns `None`
    /// if the container is not selected for that run.
    pub(super) fn writer(&self, line: &Line) -> Option<&Arc<Container>> {
        match &self.selection.previous {
            Some((end, previous)) if line.time <= *end => Some(previous),
            Some(_) if !self.selection.is_made => None,
            _ => Some(self.metadata.container()),
        }
    }
}
