//! A queue in front of a destination, and what sends from it.
//!
//! ```text
//! Client::send --> Queue --> Driver --> datagrams, frames or requests
//!    (any task)              (one task)
//! Receipts <-- Queue <-- outcome of each message
//! ```

mod driver;
mod flight;
#[cfg(feature = "http")]
mod over_http;
mod over_tcp;
mod over_udp;
mod queue;
mod reach;
mod receipts;
mod refused;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gelf_core::{Encoder, Message};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::resolve::{Resolve, SystemResolver};
use crate::stats::ClientStats;

use queue::Queue;

pub use driver::Driver;
pub use receipts::Receipts;
pub use refused::{NotQueued, Refused};

/// A thread's encoding buffer larger than this is given back once it is used.
const RETAINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// Messages are encoded here first, so that each waits in memory of just its length.
    static ENCODED: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Sends messages to one destination, from any number of tasks.
///
/// A client only puts messages into a queue, which is bounded in messages and in bytes. Its [`Driver`] connects, as
/// often as it takes, and sends them in order. What became of each message is a [receipt](Receipts). Clients are cheap to
/// clone; when the last one is dropped, the driver sends what is left and ends.
///
/// ```
/// use std::time::Duration;
/// use gelf_tokio::gelf_core::Message;
/// use gelf_tokio::{Client, Outcome, TcpReceiver};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
/// let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
///
/// let (client, mut receipts, driver) = Client::new(&endpoint)?;
/// let driver = tokio::spawn(driver.run());
/// # let receiving = tokio::spawn(async move { receiver.recv().await });
///
/// client.send(&Message::new("web-1", "payment refused"), 4711).await?;
/// assert_eq!(receipts.recv().await, Some((4711, Outcome::Acknowledged)));
///
/// drop(client);
/// # receiving.await??;
/// driver.await?;
/// # Ok(())
/// # }
/// ```
pub struct Client<R> {
    queue: Arc<Queue<R>>,
    encoder: Encoder,
}

impl<R> Client<R> {
    /// A client for the endpoint, with the queue that it says; who reads its receipts, and what sends. Nothing is
    /// connected before the driver runs. `R` is whatever tells the caller's messages apart, or `()`.
    ///
    /// # Errors
    /// `InvalidInput`, or what the operating system says, when TLS cannot be set up: its files must be there.
    pub fn new(endpoint: &Endpoint) -> io::Result<(Self, Receipts<R>, Driver<R>)> {
        Self::with_resolver(endpoint, Arc::new(SystemResolver))
    }

    /// As [`new`](Self::new), with names looked up by `resolver`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_resolver(
        endpoint: &Endpoint,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<(Self, Receipts<R>, Driver<R>)> {
        let queue = Arc::new(Queue::new(endpoint.queue()));
        let driver = Driver::new(endpoint, resolver, Arc::clone(&queue))?;
        Ok((Self { queue: Arc::clone(&queue), encoder: Encoder::new() }, Receipts::new(queue), driver))
    }

    /// Encodes with other settings than the defaults.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// Queues a message. By [`WhenFull::Wait`](crate::WhenFull) it waits until there is room.
    ///
    /// If the future is dropped before it is ready, the message is not queued, and there is no receipt of it.
    ///
    /// # Errors
    /// [`NotQueued`], with the receipt; the message is counted in [`ClientStats::refused`].
    pub async fn send(&self, message: &Message<'_>, receipt: R) -> Result<(), NotQueued<R>> {
        self.queue.queue(self.encode(message), receipt).await
    }

    /// Queues a payload that is ready: JSON text, which is not checked any further. Else as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Refused::Invalid`] when the payload is blank or has a null byte.
    pub async fn send_payload(&self, payload: &[u8], receipt: R) -> Result<(), NotQueued<R>> {
        let receipt = self.check(payload, receipt)?;
        self.queue.queue(payload.into(), receipt).await
    }

    /// Queues a message at once or not at all: by [`WhenFull::Wait`](crate::WhenFull), too, a full queue refuses it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn try_send(&self, message: &Message<'_>, receipt: R) -> Result<(), NotQueued<R>> {
        self.queue.try_queue(self.encode(message), receipt)
    }

    /// As [`try_send`](Self::try_send), with a payload that is ready.
    ///
    /// # Errors
    /// As [`send_payload`](Self::send_payload).
    pub fn try_send_payload(&self, payload: &[u8], receipt: R) -> Result<(), NotQueued<R>> {
        let receipt = self.check(payload, receipt)?;
        self.queue.try_queue(payload.into(), receipt)
    }

    /// Waits until all that is queued now has its outcome. The driver never holds messages back, so this is only to
    /// know. Others may send meanwhile; theirs are not waited for.
    ///
    /// # Errors
    /// [`Unflushed`] after `within`: how many have no outcome yet. They stay queued.
    pub async fn flush(&self, within: Duration) -> Result<(), Unflushed> {
        match timeout(within, self.queue.flushed()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Unflushed { messages: self.queue.unsettled() }),
        }
    }

    /// What was done so far, of all clones together.
    pub fn stats(&self) -> ClientStats {
        self.queue.stats()
    }

    /// Whoever reports the figures keeps this, which does not keep the driver running.
    pub fn observer(&self) -> Observer<R> {
        Observer { queue: Arc::clone(&self.queue) }
    }

    fn encode(&self, message: &Message<'_>) -> Box<[u8]> {
        ENCODED.with_borrow_mut(|buffer| {
            buffer.clear();
            self.encoder.encode(message, buffer);
            let payload = Box::from(&buffer[..]);
            if buffer.capacity() > RETAINED_BYTES {
                *buffer = BytesMut::new();
            }
            payload
        })
    }

    fn check(&self, payload: &[u8], receipt: R) -> Result<R, NotQueued<R>> {
        if payload.trim_ascii().is_empty() || payload.contains(&0) {
            self.queue.refuse(Refused::Invalid);
            return Err(NotQueued { receipt, reason: Refused::Invalid });
        }
        Ok(receipt)
    }
}

impl<R> Clone for Client<R> {
    fn clone(&self) -> Self {
        self.queue.add_client();
        Self { queue: Arc::clone(&self.queue), encoder: self.encoder }
    }
}

impl<R> Drop for Client<R> {
    fn drop(&mut self) {
        self.queue.remove_client();
    }
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Reads the figures of a [`Client`], also when all of its clones are dropped and its driver has ended.
pub struct Observer<R> {
    queue: Arc<Queue<R>>,
}

impl<R> Observer<R> {
    /// What was done so far.
    pub fn stats(&self) -> ClientStats {
        self.queue.stats()
    }
}

impl<R> Clone for Observer<R> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl<R> fmt::Debug for Observer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Not all was sent in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unflushed {
    /// How many messages have no outcome yet.
    pub messages: usize,
}

impl fmt::Display for Unflushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages are not sent yet", self.messages)
    }
}

impl std::error::Error for Unflushed {}
