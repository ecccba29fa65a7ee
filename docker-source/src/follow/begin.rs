//! Finds the place at which reading begins if only the last records of a log are wanted.

use super::{Following, Step};
use crate::record::QueueClosed;

impl Following {
    /// Moves the floor, the time at which reading begins, back to the first of the last `records` records of
    /// the log. Returns the next step if the container is not selected or its log cannot be read.
    pub(super) async fn begin_at_tail(&mut self, records: u32) -> Result<Option<Step>, QueueClosed> {
        if let Some(step) = self.decide_to_follow().await {
            return Ok(Some(step));
        }
        let begin = match self.sample(records, 1).await {
            Ok(sample) => sample.first,
            Err(error) => return self.not_opened(&error).await.map(Some),
        };
        self.floor = self.floor.min(begin.unwrap_or(self.floor));
        self.tail = None;
        Ok(None)
    }
}
