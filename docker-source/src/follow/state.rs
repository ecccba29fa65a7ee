//! The state of a container's reading, for [`Stats::containers`](crate::Stats::containers).

use super::{ExitReason, Following, Step, Waiting};
use crate::follow_state::FollowState;

impl Step {
    /// Returns the state of the reading in this step.
    pub(super) fn state(&self) -> FollowState {
        match self {
            Self::Admit => FollowState::WaitingForDescriptor,
            Self::Wait(Waiting::Ended) => FollowState::Ended,
            Self::Wait(Waiting::Unreadable) => FollowState::Unreadable,
            Self::End(ExitReason::NotSelected(_)) => FollowState::NotSelected,
            _ => FollowState::Followed,
        }
    }
}

impl Following {
    /// Notes the container as it is known now, and the state of the reading if it has changed.
    pub(super) fn note(&self, state: Option<FollowState>) {
        self.sink.stats().note(self.metadata.container(), state);
    }
}
