//! The guard, which sends the queued messages at the end of a program.

use std::fmt;
use std::time::Duration;

use gelf_tokio::{Client, Unsent};

/// Closes the layer or logger when it is dropped: sends the queued messages, and refuses further events.
///
/// The guard belongs in a variable of `main` such as `_guard`, declared before the variables whose drop may
/// log. The pattern `_` is not a variable: it drops the guard at once, and nothing is sent.
///
/// The drop blocks the thread for at most the time of [`Builder::close_within`], 5 s by default. A panic that
/// unwinds drops the guard, too. A guard in a `static` is never dropped, and [`std::process::exit`] drops
/// nothing: call [`close`](Self::close) or [`close_blocking`](Self::close_blocking) there.
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
    /// If the future is dropped before it completes, events are refused, and the queued messages are sent
    /// within the given time if the program goes on.
    pub async fn close(&self, within: Duration) -> Result<(), Unsent> {
        self.client.close(within).await
    }

    /// Closes as [`close`](Self::close) does, but blocks the thread. The messages are sent by another thread,
    /// so the call may be made within a tokio runtime too, if nothing else there has to go on meanwhile.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_blocking(&self, within: Duration) -> Result<(), Unsent> {
        self.client.close_blocking(within)
    }

    /// Returns the client of the layer, for its counters, its state, its last error, a flush before the end,
    /// and messages of the program's own.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The client logs the number of messages that are not sent, for other layers.
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
