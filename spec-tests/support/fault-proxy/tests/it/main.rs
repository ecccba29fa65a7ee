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

/// Maximum time of a step, generous for any machine.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Fails a test that hangs.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, future).await.expect("no timeout")
}
