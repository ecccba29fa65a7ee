//! Limits the rate of a warning, and counts the occurrences between two warnings.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two warnings.
const INTERVAL: Duration = Duration::from_secs(30);

/// A counter of the occurrences since the last warning.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    count: u64,
    warned: Option<Instant>,
}

impl Throttle {
    /// Counts occurrences. Returns the number of occurrences since the last warning if a warning is due. A
    /// warning is due every 30 s at most.
    pub(crate) fn add(&mut self, count: u64) -> Option<u64> {
        self.count += count;
        if self.count == 0 || self.warned.is_some_and(|warned| warned.elapsed() < INTERVAL) {
            return None;
        }
        self.warned = Some(Instant::now());
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_is_due_every_30_seconds_at_most() {
        let mut throttle = Throttle::default();
        assert_eq!([0, 1, 1, 1].map(|count| throttle.add(count)), [None, Some(1), None, None]);
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(throttle.add(1), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(throttle.add(1), Some(4));
    }
}
