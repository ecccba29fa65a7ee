//! Derives the state of a log from the steps of its follower, the task that reads the log.
//! [`Stats::containers`](crate::Stats::containers) shows this state.

use super::{ExitReason, Following, Step, Waiting};
use crate::follow_state::FollowState;

impl Step {
    /// Returns the state that begins with this step, or `None` if the state does not change.
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
    /// Updates the container's entry in the statistics with its present metadata. Also updates the state of
    /// its log, unless `state` is `None`.
    pub(super) fn note(&self, state: Option<FollowState>) {
        self.sink.stats().note(self.metadata.container(), state);
    }
}
