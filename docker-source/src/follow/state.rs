//! The state of a container's reading, for [`Stats::containers`](crate::Stats::containers).

use super::{ExitReason, Following, Step, Waiting};
use crate::follow_state::FollowState;

impl Step {
    /// Returns the state of the reading at the begin of this step, if the step begins another state.
    pub(super) fn state(&self) -> Option<FollowState> {
        match self {
            Self::Turn => Some(FollowState::WaitingForDescriptor),
            Self::Follow { .. } | Self::Check => Some(FollowState::Opening),
            Self::Poll { .. } | Self::CatchUp(_) | Self::Leave(_) => Some(FollowState::Followed),
            Self::Wait(Waiting::Ended) => Some(FollowState::Ended),
            Self::Wait(Waiting::Unreadable) => Some(FollowState::Unreadable),
            Self::End(ExitReason::NotSelected(_)) => Some(FollowState::NotSelected),
            Self::Decide(_) | Self::End(_) => None,
        }
    }
}

impl Following {
    /// Notes the container as it is known now, and the state of the reading if it has changed.
    pub(super) fn note(&self, state: Option<FollowState>) {
        self.sink.stats().note(self.metadata.container(), state);
    }
}
