//! Defines the guard, which sends the queued messages at the end of a program.

use std::fmt;
use std::time::Duration;

use gelf_tokio::{Client, Unsent};

/// Closes the layer or logger. The drop of the guard sends the queued messages, and refuses further events.
///
/// The guard belongs in a variable of `main` such as `_guard`, declared before the variables whose drop may
/// log. The pattern `_` is not a variable: it drops the guard immediately, and later events are refused.
///
/// The drop blocks the thread for at most the time of [`Builder::close_within`], 5 s by default. A panic that
/// unwinds drops the guard, too. A guard in a `static` is never dropped, and [`std::process::exit`] drops no
/// values. In these two cases, call [`close`](Self::close) or [`close_blocking`](Self::close_blocking).
///
/// [`Builder::close_within`]: crate::Builder::close_within
#[must_use = "events are refused once the guard is dropped"]
pub struct Guard {
    client: Client,
    close_within: Duration,
}

impl Guard {
    pub(crate) fn new(client: Client, close_within: Duration) -> Self {
        Self { client, close_within }
    }

    /// Sends the queued messages within the given time, and refuses events that are logged later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gelf_tracing::GelfLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (_layer, guard) = GelfLayer::builder("gelf://127.0.0.1:12201")?.build()?;
    /// if let Err(unsent) = guard.close(Duration::from_secs(5)).await {
    ///     eprintln!("{unsent}: {:?}", guard.client().last_error());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`Unsent`] with the number of messages that were dropped.
    ///
    /// # Cancel safety
    /// From the first poll of the future on, the layer or logger refuses events. If the future is dropped later
    /// and the program goes on, the queued messages are sent within the given time.
    pub async fn close(&self, within: Duration) -> Result<(), Unsent> {
        self.client.close(within).await
    }

    /// Closes as [`close`](Self::close) does, but blocks the thread. Another thread sends the messages. So
    /// the call also works within a tokio runtime, but other tasks of the blocked thread do not run
    /// meanwhile.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`close`](Self::close).
    pub fn close_blocking(&self, within: Duration) -> Result<(), Unsent> {
        self.client.close_blocking(within)
    }

    /// Returns the client of the layer. With the client, a program can read the counters, the state and the
    /// last error, flush the queue before the end, and send messages that are not events.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The error is ignored, since the client logs the number of unsent messages for other layers.
        let _ = self.client.close_blocking(self.close_within);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("client", &self.client)
            .field("close_within", &self.close_within)
            .finish()
    }
}
