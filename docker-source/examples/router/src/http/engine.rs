//! Asks the Engine at an interval whether it answers. A source notices at once that an Engine is gone, but an
//! Engine that hangs keeps its connections.

use std::time::Duration;

use docker_source::{EngineAddress, ping};
use tokio::time::sleep;

use crate::condition::Condition;

/// The time between two questions. Together with [`WITHIN`], a problem is known within 8 s.
const INTERVAL: Duration = Duration::from_secs(3);
/// The time that the Engine has to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Notes in `answers` whether the Engine answers.
pub(super) async fn watch(address: EngineAddress, answers: Condition) {
    loop {
        match ping(address.clone(), WITHIN).await {
            Ok(()) => answers.holds(),
            Err(error) => answers.failed(error),
        }
        sleep(INTERVAL).await;
    }
}
