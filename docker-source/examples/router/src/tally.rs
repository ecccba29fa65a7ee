//! What became of the lines of a route.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The figures of one route: `routed = delivered + refused + too_large + in flight`.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    routed: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    too_large: AtomicU64,
}

impl Tally {
    pub(crate) fn routed(&self) {
        self.routed.fetch_add(1, Ordering::Relaxed);
    }

    /// So many lines were taken by the kernel, as datagrams or on a connection.
    pub(crate) fn delivered(&self, lines: usize) {
        self.delivered.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// A line was dropped, since nobody listens at the destination.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A line that counts as delivered was refused by the destination's host, as it says only now.
    pub(crate) fn refused_after_all(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.delivered.fetch_sub(1, Ordering::Relaxed);
    }

    /// A line was dropped, since 128 datagrams do not hold it.
    pub(crate) fn too_large(&self) {
        self.too_large.fetch_add(1, Ordering::Relaxed);
    }

    /// How many lines are neither delivered nor dropped.
    pub(crate) fn in_flight(&self) -> u64 {
        let [routed, delivered, refused, too_large] = self.figures();
        routed.saturating_sub(delivered + refused + too_large)
    }

    fn figures(&self) -> [u64; 4] {
        // What is counted first is read last, so that a sum never exceeds it.
        let [too_large, refused, delivered, routed] =
            [&self.too_large, &self.refused, &self.delivered, &self.routed]
                .map(|figure| figure.load(Ordering::Acquire));
        [routed, delivered, refused, too_large]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [routed, delivered, refused, too_large] = self.figures();
        write!(f, "{routed} lines routed = {delivered} delivered")?;
        write!(f, " + {refused} dropped as refused + {too_large} dropped as too large")?;
        write!(f, " + {} in flight", routed.saturating_sub(delivered + refused + too_large))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_somewhere() {
        let tally = Tally::default();
        (0..10).for_each(|_| tally.routed());
        tally.delivered(4);
        tally.refused();
        tally.refused_after_all();
        tally.too_large();
        assert_eq!(tally.in_flight(), 4);
        assert_eq!(
            tally.to_string(),
            "10 lines routed = 3 delivered + 2 dropped as refused + 1 dropped as too large + 4 in flight"
        );
    }
}
