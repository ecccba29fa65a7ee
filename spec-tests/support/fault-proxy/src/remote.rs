//! The test's side of a proxy: its address, counters and task.

use std::io;
use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// A command to the task of a proxy.
#[derive(Debug)]
pub(crate) enum Command {
    /// Closes the listening port.
    Refuse(oneshot::Sender<()>),
    /// Opens the listening port again.
    Accept(oneshot::Sender<io::Result<()>>),
}

/// Controls the task of a proxy. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Remote<C> {
    pub(crate) address: SocketAddr,
    pub(crate) counters: watch::Sender<C>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) task: JoinHandle<()>,
}

impl<C: Copy> Remote<C> {
    /// Closes the listening port.
    pub(crate) async fn refuse(&self) {
        let (done, refused) = oneshot::channel();
        if self.commands.send(Command::Refuse(done)).await.is_ok() {
            // The task answers every command, and lives as long as the proxy.
            let _ = refused.await;
        }
    }

    /// Opens the listening port again.
    pub(crate) async fn accept_again(&self) -> io::Result<()> {
        let (done, accepts) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.commands.send(Command::Accept(done)).await.map_err(|_| gone())?;
        accepts.await.map_err(|_| gone())?
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> C {
        *self.counters.borrow()
    }

    /// Waits until the counters meet a condition, and returns them.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&C) -> bool) -> C {
        let mut receiver = self.counters.subscribe();
        // The sender is a field of the remote, so the channel stays open.
        receiver.wait_for(wanted).await.map_or_else(|_| self.counters(), |counters| *counters)
    }
}

impl<C> Drop for Remote<C> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
