//! What is acknowledged above TLS when its records are below.

use std::collections::VecDeque;

/// What has to be acknowledged below TLS, for what was written above it.
///
/// After each flush all records are below: so when those are acknowledged, what was written before
/// the flush is.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Bytes written above and below, at the flushes whose bytes are not all acknowledged.
    flushes: VecDeque<(u64, u64)>,
    acknowledged: u64,
}

impl Marks {
    /// At the end of a flush, so many bytes were written above and below in all.
    pub(crate) fn flushed(&mut self, above: u64, below: u64) {
        if self.flushes.back().is_none_or(|(last, _)| *last < above) && self.acknowledged < above {
            self.flushes.push_back((above, below));
        }
    }

    /// Of all bytes below, so many are acknowledged. How many that is above.
    pub(crate) fn acknowledge(&mut self, below: u64) -> u64 {
        while let Some((above, end)) = self.flushes.front()
            && *end <= below
        {
            self.acknowledged = *above;
            self.flushes.pop_front();
        }
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_is_acknowledged_when_all_below_is() {
        let mut marks = Marks::default();
        marks.flushed(0, 500);
        assert_eq!(marks.acknowledge(500), 0);
        marks.flushed(100, 700);
        marks.flushed(100, 730);
        marks.flushed(250, 900);
        assert_eq!(marks.acknowledge(699), 0);
        assert_eq!(marks.acknowledge(700), 100);
        assert_eq!(marks.acknowledge(899), 100);
        assert_eq!(marks.acknowledge(1000), 250);
        assert!(marks.flushes.is_empty());
    }
}
