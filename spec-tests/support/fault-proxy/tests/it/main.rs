//! Integration tests of the proxies.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod tcp;
mod udp;

use std::time::Duration;

/// Time limit of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Panics if a future takes longer than [`STEP_TIMEOUT`].
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, future).await.expect("the step ends in time")
}
