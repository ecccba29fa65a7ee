//! Logs the beginning and the end of an outage of the Engine, once each.

use tokio::time::Instant;

use crate::engine::EngineError;

#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
}

impl Outage {
    /// Logs the error as the beginning of an outage, unless one has already begun.
    pub(crate) fn failed(&mut self, error: &EngineError) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("{error}; retrying");
        }
    }

    /// Logs the end of the outage, if there is one.
    pub(crate) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!("the Engine answers again after {:.1} s", since.elapsed().as_secs_f64());
        }
    }
}
