//! The first request for a log that is not read from its start on.

use super::{Following, Step};
use crate::engine::LogsQuery;
use crate::record::QueueClosed;

impl Following {
    /// Inspects the container, unless that was done before, and makes the selection. Returns the next step if
    /// the container is not selected.
    pub(super) async fn inspect_and_select(&mut self) -> Option<Step> {
        if !self.metadata.is_inspected() {
            let inspected = self.metadata.inspect().await;
            if !self.inspected(inspected) {
                return Some(self.not_selected());
            }
        }
        self.select()
    }

    /// Moves the start of reading before the last records of the log. Returns the next step if the log cannot
    /// be read.
    pub(super) async fn begin_at_tail(&mut self, records: u32) -> Result<Option<Step>, QueueClosed> {
        if let Some(step) = self.inspect_and_select().await {
            return Ok(Some(step));
        }
        let context = self.context.clone();
        let query = LogsQuery { follow: false, since: None, tail: Some(records) };
        let begin = match context.client.logs(&self.id, query).await {
            Ok((content_type, body)) => self.first_stamp(content_type, body).await,
            Err(error) => return self.not_opened(&error).await.map(Some),
        };
        self.floor = self.floor.min(begin.unwrap_or(self.floor));
        self.tail = None;
        Ok(None)
    }

    /// Begins to read behind lines that were read before, by this source or an earlier one. Returns `None` if
    /// the log is read by a stream.
    pub(super) async fn resume(&mut self) -> Option<Step> {
        if let Some(step) = self.inspect_and_select().await {
            return Some(step);
        }
        self.announce(true);
        self.can_window().then_some(Step::Poll { left: self.left.take(), lines_behind: 0 })
    }
}
