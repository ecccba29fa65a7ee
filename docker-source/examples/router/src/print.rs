//! Defines the embedded receiver, which prints messages to stdout.
//!
//! A terminal or a pipe is slower than the sender. As UDP does not slow a sender down, the kernel would drop
//! datagrams. Therefore, the route to the receiver has a [`Window`], which limits the messages in flight to
//! the receiver.

use std::future::ready;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{Observer, ReceiveError, Received, UdpReceiver};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::receipt::LineReceipt;

/// The maximum number of messages in flight to the receiver. If the system grants the receive buffer of 4 MiB that
/// the receiver asks for, the buffer has room for a dozen of the largest messages, which have 128 datagrams each. A
/// few more can be in flight, since the receiver reads while messages arrive. If the buffer is smaller, the kernel
/// can drop datagrams of such large messages.
const WINDOW: usize = 16;

/// The maximum time for which a message waits for room. After this time, one of the messages in flight counts as
/// lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Limits the messages in flight to the receiver, and tells the receiver which client sends them.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    room: Arc<Semaphore>,
    sender: Arc<OnceLock<Observer<LineReceipt>>>,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(WINDOW)), sender: Arc::default() }
    }

    /// Sets the client whose messages are printed.
    pub(crate) fn set_sender(&self, sender: Observer<LineReceipt>) {
        // Each window belongs to one route, which has one client.
        let _ = self.sender.set(sender);
    }

    /// Returns the number of messages for which there is room.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.room.available_permits()
    }

    /// Returns whether a datagram comes from the client's socket. The check is necessary, since any user of
    /// the machine can send to the receiver's port.
    fn is_own(&self, from: SocketAddr) -> bool {
        self.sender.get().and_then(Observer::local_addr) == Some(from)
    }

    /// Waits until there is room for one more message, for `LOST_AFTER` at most. If there is none by then, the message
    /// takes the room of a message that counts as lost.
    pub(crate) async fn enter(&self) -> Room<'_> {
        match timeout(LOST_AFTER, self.room.acquire()).await {
            Ok(Ok(room)) => room.forget(),
            // The receiver has ended, and nothing leaves the window any more.
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!("a message to the embedded receiver is lost, or stdout is blocked"),
        }
        Room(Some(self))
    }

    /// Frees the room of a message that was printed or dropped.
    pub(crate) fn leave(&self) {
        if self.room.available_permits() < WINDOW {
            self.room.add_permits(1);
        }
    }
}

/// The room of a message in a [`Window`]. It is free again when this value is dropped, unless the message was queued.
#[must_use]
pub(crate) struct Room<'a>(Option<&'a Window>);

impl Room<'_> {
    /// Keeps the room taken, because the message was queued.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(window) = self.0 {
            window.leave();
        }
    }
}

/// A receiver that prints each message as one JSON line.
pub(crate) struct Printer {
    receiver: UdpReceiver,
    address: SocketAddr,
    window: Window,
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.window.room.close();
    }
}

impl Printer {
    /// Binds a free UDP port of the loopback interface.
    pub(crate) async fn bind() -> io::Result<Self> {
        let receiver = UdpReceiver::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = receiver.local_addr()?;
        Ok(Self { receiver, address, window: Window::new() })
    }

    /// Returns the local address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the window that the sender has to enter.
    pub(crate) fn window(&self) -> Window {
        self.window.clone()
    }

    /// Prints messages until `finish` is sent or dropped, and then prints the messages that have arrived by
    /// that time.
    ///
    /// # Errors
    /// Returns an error if writing to stdout fails, for example to a pipe whose reader has ended.
    pub(crate) async fn run(mut self, mut finish: oneshot::Receiver<()>) -> io::Result<()> {
        let mut lines = Lines::new(tokio::io::stdout());
        let mut finishing = false;
        let mut ignored: u64 = 0;
        loop {
            // The buffer is flushed before waiting. So a single line appears on stdout immediately, and many
            // lines are written together.
            let at_once = tokio::select! {
                biased;
                received = self.receiver.recv() => Some(received),
                () = ready(()) => None,
            };
            let received = match at_once {
                Some(received) => received,
                None => {
                    lines.out.flush().await?;
                    tokio::select! {
                        received = self.receiver.recv() => received,
                        _ = &mut finish, if !finishing => {
                            finishing = true;
                            // On the loopback interface, a datagram has arrived when the call that sent it
                            // returns.
                            self.receiver.close(Duration::MAX);
                            continue;
                        }
                    }
                }
            };
            let Some(received) = received else {
                lines.out.flush().await?;
                if ignored > 0 {
                    tracing::info!("the embedded receiver has ignored {ignored} messages of other programs");
                }
                return Ok(());
            };
            let from = received.as_ref().map_or_else(ReceiveError::sender, |received| received.from);
            if !self.window.is_own(from) {
                if ignored == 0 {
                    tracing::warn!(
                        "the embedded receiver ignores messages of other programs, such as {from}"
                    );
                }
                ignored += 1;
                continue;
            }
            lines.print(received).await?;
            self.window.leave();
        }
    }
}

struct Lines<W> {
    out: BufWriter<W>,
}

impl<W: AsyncWrite + Unpin> Lines<W> {
    fn new(out: W) -> Self {
        Self { out: BufWriter::new(out) }
    }

    /// Decodes the payload and encodes the message again, so that the output is one line without characters that
    /// control a terminal.
    async fn print(&mut self, received: Result<Received, ReceiveError>) -> io::Result<()> {
        match received {
            Ok(received) => self.print_payload(&received.payload).await,
            Err(error) => {
                tracing::warn!("invalid datagram at the embedded receiver: {error}");
                Ok(())
            }
        }
    }

    async fn print_payload(&mut self, payload: &[u8]) -> io::Result<()> {
        match Decoder::lenient().decode(payload) {
            Ok(decoded) => self.out.write_all(format!("{}\n", decoded.message).as_bytes()).await,
            Err(error) => {
                tracing::warn!("invalid message at the embedded receiver: {error}");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_message_is_one_line_without_characters_that_control_a_terminal() {
        let mut lines = Lines::new(Vec::new());
        let payloads: [&[u8]; 3] = [
            b"{\"version\":\"1.1\",\n\"host\":\"h\",\"short_message\":\"a\\nb\xc2\x9b\"}",
            b"not json",
            b"{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"c\",\"_n\":1}",
        ];
        for payload in payloads {
            lines.print_payload(payload).await.unwrap();
        }
        lines.out.flush().await.unwrap();
        assert_eq!(
            String::from_utf8(lines.out.into_inner()).unwrap(),
            "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"a\\nb\\u009b\"}\n{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"c\",\"_n\":1}\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_holds_16_messages_and_admits_one_more_for_each_message_that_leaves() {
        let window = Window::new();
        // Messages that are not queued take no room.
        for _ in 0..WINDOW {
            drop(window.enter().await);
        }
        for _ in 0..WINDOW {
            window.enter().await.keep();
        }
        assert!(timeout(Duration::from_secs(1), window.enter()).await.is_err());
        window.leave();
        timeout(Duration::from_secs(1), window.enter()).await.unwrap().keep();
        // A message that never arrives does not block the window for ever.
        assert!(timeout(LOST_AFTER * 2, window.enter()).await.is_ok());
    }
}
