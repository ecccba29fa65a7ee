//! Checks at an interval whether the Engine answers. A source notices immediately that the Engine has ended.
//! But a source does not notice that the Engine hangs, since the connections to a hanging Engine stay open.

use std::time::Duration;

use docker_source::{EngineAddress, ping};
use tokio::time::sleep;

use crate::condition::Condition;

/// The pause between two requests. A problem is known after at most 8 s: the sum of this pause and
/// [`WITHIN`].
const INTERVAL: Duration = Duration::from_secs(3);
/// The time within which the Engine has to answer a request.
const WITHIN: Duration = Duration::from_secs(5);

/// Notes in `answers` whether the Engine answers.
pub(super) async fn watch(address: EngineAddress, answers: Condition) {
    loop {
        match ping(address.clone(), WITHIN).await {
            Ok(_) => answers.holds(),
            Err(error) => answers.failed(error),
        }
        sleep(INTERVAL).await;
    }
}
