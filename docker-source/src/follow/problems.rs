//! Handles the problems of a container's log, and logs each kind of problem once for each container.

use std::fmt;

use super::{Following, Step, TAIL, Waiting};
use crate::engine::EngineError;
use crate::follow_state::FollowState;
use crate::record::QueueClosed;

/// The number of consecutive refusals after which a log counts as unavailable. The requests for the log
/// continue after that.
///
/// The log does not count as unavailable after a single refusal, because an Engine that starts or is busy
/// refuses some requests. However, a single request that times out is enough. With the default waits, the fifth
/// refusal follows the first after 1.5 seconds at the earliest.
const REFUSALS: u32 = 5;

/// The number of requests that fail at an unreadable part of the log before this part is skipped.
pub(super) const ATTEMPTS_AT_DAMAGE: u32 = 3;

/// A problem of a container's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    NoFiles,
    SkippedPart,
    SkippedRecord,
    Unavailable,
}

impl Following {
    pub(super) fn unreadable(&mut self, error: &EngineError) -> Step {
        self.is_unread = true;
        self.unavailable(error);
        Step::Wait(Waiting::Unreadable)
    }

    /// Counts the log as unavailable, unless the log was read to its end or was counted before.
    pub(super) fn unavailable(&mut self, reason: impl fmt::Display) {
        if std::mem::take(&mut self.is_unread) {
            self.count_unavailable();
            self.warn(
                Problem::Unavailable,
                format_args!("the log cannot be read; lines may be missing: {reason}"),
            );
        }
    }

    /// Counts the log of a removed container as unavailable and announces a gap. Does nothing if the whole
    /// log was read, or if the log was counted before. The announcement logs a warning, so this method logs
    /// none.
    pub(super) async fn note_removal(&mut self) -> Result<(), QueueClosed> {
        if std::mem::take(&mut self.is_unread) {
            self.count_unavailable();
            let container = self.metadata.container().clone();
            self.sink.announce_removal(&container).await?;
        }
        Ok(())
    }

    fn count_unavailable(&self) {
        self.sink.stats().unavailable_log(&self.id, &self.context.unavailable_logs);
    }

    /// Notes a temporary refusal. The supervisor handles an Engine that cannot be reached at all.
    pub(super) fn refused(&mut self, error: &EngineError) {
        tracing::debug!(container = self.metadata.name(), %error, "requesting again");
        if error.is_connection_refused() {
            self.context.refused.notify_waiters();
        }
        if error.is_out_of_descriptors() {
            self.waiting.get_or_insert_with(|| self.context.stats.wait_for_descriptor());
        }
        self.note(Some(FollowState::Opening));
        // The follower can be behind only if it has requested the log before.
        self.is_behind |= self.sink.has_requested();
        self.refusals += u32::from(!matches!(error, EngineError::Connect { .. }));
        if self.refusals >= REFUSALS || matches!(error, EngineError::TimedOut { .. }) {
            self.unavailable(error);
        }
    }

    pub(super) fn warn(&mut self, problem: Problem, text: impl fmt::Display) {
        if !self.warned.contains(&problem) {
            self.warned.push(problem);
            self.context.warnings.logs.warn(Some(self.metadata.name()), text);
        }
    }
}

impl Following {
    /// Returns the number of records to request from the end of the log, or `None` for no limit. If the Engine
    /// reads a log from its beginning, it meets a damaged record each time. If the Engine reads only the last
    /// records, it can avoid the record.
    ///
    /// Once [`ATTEMPTS_AT_DAMAGE`] requests have failed, each further attempt requests fewer records, in the
    /// end none, and the earlier records that were not read are lost. If windows can [pass a damaged
    /// record](Self::passes_damage), there is no limit.
    pub(super) fn past_damage(&self) -> Option<u32> {
        records_past_damage(self.stuck).filter(|_| !self.passes_damage())
    }
}

fn records_past_damage(stuck: u32) -> Option<u32> {
    match stuck {
        0..ATTEMPTS_AT_DAMAGE => None,
        ATTEMPTS_AT_DAMAGE => Some(TAIL),
        _ if stuck == ATTEMPTS_AT_DAMAGE + 1 => Some(TAIL / 32),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_part_is_skipped_after_three_attempts() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 9].map(records_past_damage),
            [None, None, None, Some(1024), Some(32), Some(0), Some(0)]
        );
    }
}
