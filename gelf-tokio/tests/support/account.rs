//! Checks the invariants of a client's counters.

use gelf_tokio::stats::ClientStats;

/// Asserts that `offered = queued + not queued` and `queued = delivered + dropped + waiting + in flight`.
pub(crate) fn assert_account(stats: &ClientStats, offered: u64) {
    assert_eq!(offered, stats.queued + stats.not_queued.total(), "{stats:?}");
    let unsettled = (stats.waiting + stats.in_flight) as u64;
    assert_eq!(stats.queued, stats.delivered() + stats.dropped.total() + unsettled, "{stats:?}");
}
