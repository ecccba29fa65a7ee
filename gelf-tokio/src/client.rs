//! The queue of messages for a destination, and the driver that sends the messages.
//!
//! ```text
//! Client::send --> Queue --> Driver --> datagrams, frames or requests
//!    (any task)              (one task)
//! Receipts <-- Queue <-- outcome of each message
//! ```

mod blocking;
mod builder;
mod driver;
mod in_flight;
mod link_state;
mod queue;
mod receipts;
mod state;
mod transport;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use gelf_core::{Delimiter, Encoder, Message};
use tokio::time::timeout;

use crate::codec::is_framable;
use crate::endpoint::Endpoint;
use crate::outcome::{NotQueued, NotQueuedReason};
use crate::stats::ClientStats;

use blocking::block_on;
use queue::Queue;

pub use builder::ClientBuilder;
pub use driver::Driver;
pub use receipts::Receipts;
pub use state::ClientState;

/// The maximum capacity in bytes of a thread's encoding buffer. A larger buffer is freed after use.
const RETAINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// The buffer into which a message is encoded if the queue gives no spare buffer. The queue then gets a
    /// copy of exactly the message's length.
    static ENCODED: Cell<BytesMut> = Cell::default();
}

/// Sends messages to one destination, from any number of tasks.
///
/// A client puts messages into a queue, which is bounded in messages and in bytes. Its [`Driver`] connects,
/// reconnects when a connection breaks, and sends the messages in order. Clients are cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use gelf_tokio::gelf_core::Message;
/// use gelf_tokio::{Client, TcpReceiver};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
/// let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
/// # tokio::spawn(async move { while receiver.recv().await.is_some() {} });
///
/// let client = Client::connect(&endpoint)?;
/// client.send(&Message::new("web-1", "payment refused")).await?;
/// client.close(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Timestamps
///
/// A message without a timestamp gets the time at which it is passed to the client. Otherwise, the receiver would
/// use the time of arrival, which is later if the message had to wait. The GELF specification says that `timestamp`
/// "SHOULD be set by client library". [`ClientBuilder::stamp`] can turn the timestamps off. A payload that is
/// already JSON text is never changed.
///
/// # The end of a program
///
/// A program that returns from `main` drops its runtime, and the driver with it. Before the return, call
/// [`close`](Self::close), which sends the queued messages and reports how many could not be sent. If the
/// program drops all clones of the client instead, the driver has 10 s by default to send the queued messages,
/// and the runtime must keep running for this time.
///
/// # Receipts
///
/// [`ClientBuilder::connect_with_receipts`] returns a client and its [`Receipts`]. The receipts report the
/// [`Outcome`](crate::Outcome) of each message of the client:
///
/// ```
/// # use gelf_tokio::gelf_core::Message;
/// # use gelf_tokio::{Client, Outcome, TcpReceiver};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
/// # let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
/// # tokio::spawn(async move { while receiver.recv().await.is_some() {} });
/// let (client, mut receipts) = Client::builder(&endpoint).connect_with_receipts()?;
/// client.send_with_receipt(&Message::new("web-1", "payment refused"), 4711).await?;
/// # #[cfg(target_os = "linux")]
/// assert_eq!(receipts.recv().await, Some((4711, Outcome::Acknowledged)));
/// # Ok(())
/// # }
/// ```
///
/// # Logging
///
/// A client and its driver log with [`tracing`]. The targets of their events begin with `gelf_tokio`. A
/// subscriber that sends its events through a client must leave out the events with these targets.
pub struct Client<R = ()> {
    queue: Arc<Queue<R>>,
    encoder: Encoder,
    /// The delimiter of frames. No payload may contain it.
    delimiter: Delimiter,
    /// `true` if a message without a timestamp gets the time at which it is passed to the client.
    stamps: bool,
}

impl Client {
    /// Creates a client without receipts and spawns its driver on the current tokio runtime. The call does
    /// not wait for a connection: see [`state`](Self::state).
    ///
    /// # Errors
    /// Returns an error that names the file if a TLS file is missing or invalid, an error if the cargo feature
    /// of the transport is off, and an error if the caller is not within a tokio runtime. The call blocks the
    /// thread while it reads the TLS files.
    pub fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Self::builder(endpoint).connect()
    }

    /// Returns a builder for a client with receipts, or for a client whose driver the caller runs.
    pub fn builder(endpoint: &Endpoint) -> ClientBuilder {
        ClientBuilder::new(endpoint)
    }

    /// Queues a message. With [`WhenFull::Wait`](crate::WhenFull::Wait), the call waits until the queue has
    /// room.
    ///
    /// # Errors
    /// Returns [`NotQueued`] if the message is not queued. The message is counted in
    /// [`ClientStats::not_queued`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the message is not queued.
    pub async fn send(&self, message: &Message<'_>) -> Result<(), NotQueued> {
        self.send_with_receipt(message, ()).await
    }

    /// Queues a message as [`send`](Self::send) does, but does not count it if it is not queued. This call is for
    /// messages that the program does not know of, such as those in which gelf-tracing reports lost events.
    #[doc(hidden)]
    pub async fn send_uncounted(&self, message: &Message<'_>) -> Result<(), NotQueued> {
        self.queue.queue_uncounted(self.encode(message), ()).await
    }

    /// Queues a payload as [`send`](Self::send) queues a message. A payload is JSON text, which is not
    /// parsed.
    ///
    /// # Errors
    /// Returns the errors of [`send`](Self::send), and [`NotQueuedReason::Invalid`] if the payload is blank
    /// or contains a null byte or the endpoint's delimiter.
    ///
    /// # Cancel safety
    /// The same as for [`send`](Self::send).
    pub async fn send_payload(&self, payload: &[u8]) -> Result<(), NotQueued> {
        self.send_payload_with_receipt(payload, ()).await
    }

    /// Queues a message without waiting. With [`WhenFull::Wait`](crate::WhenFull::Wait), a full queue refuses
    /// the message.
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send).
    pub fn try_send(&self, message: &Message<'_>) -> Result<(), NotQueued> {
        self.try_send_with_receipt(message, ())
    }

    /// Queues a payload without waiting. A payload is JSON text, which is not parsed.
    ///
    /// # Errors
    /// Returns the same errors as [`send_payload`](Self::send_payload).
    pub fn try_send_payload(&self, payload: &[u8]) -> Result<(), NotQueued> {
        self.try_send_payload_with_receipt(payload, ())
    }

    /// Queues a message as [`send`](Self::send) does, but blocks the thread while it waits for room. The
    /// driver must run on another thread, as for [`flush_blocking`](Self::flush_blocking).
    ///
    /// # Errors
    /// Returns the same errors as [`send`](Self::send).
    pub fn send_blocking(&self, message: &Message<'_>) -> Result<(), NotQueued> {
        // `block_on` returns `None` only when its time is over, and this call has no time limit.
        block_on(Duration::MAX, self.send(message)).unwrap_or(Ok(()))
    }
}

impl<R> Client<R> {
    /// Queues a message with its receipt. With [`WhenFull::Wait`](crate::WhenFull::Wait), the call waits
    /// until the queue has room.
    ///
    /// # Errors
    /// Returns [`NotQueued`] with the receipt if the message is not queued. The message is counted in
    /// [`ClientStats::not_queued`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the message is not queued, and no receipt comes.
    pub async fn send_with_receipt(&self, message: &Message<'_>, receipt: R) -> Result<(), NotQueued<R>> {
        self.queue.queue(self.encode(message), receipt).await
    }

    /// Queues a payload with its receipt, as [`send_with_receipt`](Self::send_with_receipt) queues a message.
    /// A payload is JSON text, which is not parsed.
    ///
    /// # Errors
    /// Returns the errors of [`send_with_receipt`](Self::send_with_receipt), and
    /// [`NotQueuedReason::Invalid`] if the payload is blank or contains a null byte or the endpoint's
    /// delimiter.
    ///
    /// # Cancel safety
    /// The same as for [`send_with_receipt`](Self::send_with_receipt).
    pub async fn send_payload_with_receipt(&self, payload: &[u8], receipt: R) -> Result<(), NotQueued<R>> {
        let receipt = self.check(payload, receipt)?;
        self.queue.queue(payload.into(), receipt).await
    }

    /// Queues a message with its receipt, without waiting. With [`WhenFull::Wait`](crate::WhenFull::Wait), a
    /// full queue refuses the message.
    ///
    /// # Errors
    /// Returns the same errors as [`send_with_receipt`](Self::send_with_receipt).
    pub fn try_send_with_receipt(&self, message: &Message<'_>, receipt: R) -> Result<(), NotQueued<R>> {
        self.queue.try_queue(self.encode(message), receipt)
    }

    /// Queues a payload with its receipt, without waiting.
    ///
    /// # Errors
    /// Returns the same errors as [`send_payload_with_receipt`](Self::send_payload_with_receipt).
    pub fn try_send_payload_with_receipt(&self, payload: &[u8], receipt: R) -> Result<(), NotQueued<R>> {
        let receipt = self.check(payload, receipt)?;
        self.queue.try_queue(payload.into(), receipt)
    }

    /// Refuses a message before the program makes it, if an earlier message found no room in the queue and no
    /// message in flight has got its outcome since. A refused message is counted. If the queue still has room for
    /// a message of 1 KiB, or of a 64th of the queue's limit of bytes if that is less, nothing is refused, since
    /// shorter messages may fit. With this call, a program that has more messages than the destination takes need
    /// not make the messages that would be refused. The call takes no lock. `Ok` does not promise room.
    ///
    /// ```
    /// # fn log(client: &gelf_tokio::Client, make: impl FnOnce() -> gelf_tokio::gelf_core::Message<'static>) {
    /// if client.refuse_if_full().is_ok() {
    ///     // A message that is not queued is counted.
    ///     let _ = client.try_send(&make());
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`NotQueuedReason::Full`].
    pub fn refuse_if_full(&self) -> Result<(), NotQueued> {
        self.queue.refuse_if_full()
    }

    /// Waits until each message that was queued before the call has its outcome. The driver does not collect
    /// messages before it sends them, so a flush only waits.
    ///
    /// # Errors
    /// Returns [`Unsent`] if messages have no outcome after `within`. These messages stay queued.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the messages stay queued.
    pub async fn flush(&self, within: Duration) -> Result<(), Unsent> {
        let end = self.queue.next_number();
        let _ = timeout(within, self.queue.flushed(end)).await;
        self.flush_result(end)
    }

    /// Waits as [`flush`](Self::flush) does, but blocks the thread. The driver must run on another thread: in
    /// a runtime of one thread, the driver would be blocked too.
    ///
    /// # Errors
    /// Returns the same errors as [`flush`](Self::flush).
    pub fn flush_blocking(&self, within: Duration) -> Result<(), Unsent> {
        let end = self.queue.next_number();
        block_on(within, self.queue.flushed(end));
        self.flush_result(end)
    }

    /// Refuses further messages from all clones, sends the queued messages, and ends the driver.
    ///
    /// # Errors
    /// Returns [`Unsent`] if messages were dropped during the call. Messages that are not delivered after `within`
    /// are dropped as [`DropReason::Ended`](crate::DropReason::Ended).
    ///
    /// # Cancel safety
    /// The first poll of the future closes the client. If the future is dropped later, the driver has `within`
    /// to send the queued messages.
    pub async fn close(&self, within: Duration) -> Result<(), Unsent> {
        let dropped_before = self.begin_close(within);
        self.close_result(dropped_before, timeout(within, self.queue.ended()).await.ok())
    }

    /// Closes the client as [`close`](Self::close) does, but blocks the thread. The driver must run on
    /// another thread, as for [`flush_blocking`](Self::flush_blocking).
    ///
    /// # Errors
    /// Returns the same errors as [`close`](Self::close).
    pub fn close_blocking(&self, within: Duration) -> Result<(), Unsent> {
        let dropped_before = self.begin_close(within);
        self.close_result(dropped_before, block_on(within, self.queue.ended()))
    }

    /// Returns the counters of all clones together.
    pub fn stats(&self) -> ClientStats {
        self.queue.stats()
    }

    /// Returns the state of the link to the destination.
    pub fn state(&self) -> ClientState {
        self.queue.link()
    }

    /// Returns the text of the last error of connecting or sending. The text remains after the destination
    /// has recovered.
    pub fn last_error(&self) -> Option<Arc<str>> {
        self.queue.last_error()
    }

    /// Returns a handle that reads the counters and does not keep the driver running.
    pub fn observer(&self) -> Observer<R> {
        Observer { queue: Arc::clone(&self.queue) }
    }

    /// Returns the result of a flush of the messages with a number below `end`. The last of them may get its
    /// outcome between the end of the time and this call.
    fn flush_result(&self, end: u64) -> Result<(), Unsent> {
        match self.queue.unflushed(end) {
            0 => Ok(()),
            messages => Err(Unsent { messages: messages as u64 }),
        }
    }

    /// Begins to close the client. Returns how many messages had been dropped before the call.
    fn begin_close(&self, within: Duration) -> u64 {
        let dropped = self.stats().dropped.total();
        self.queue.close(within);
        dropped
    }

    fn close_result(&self, dropped_before: u64, ended: Option<()>) -> Result<(), Unsent> {
        if ended.is_none() {
            self.queue.abort();
        }
        let stats = self.stats();
        // The driver settles the messages in flight a little later. Until then, they count as unsent.
        match stats.dropped.total() - dropped_before + stats.in_flight as u64 {
            0 => Ok(()),
            messages => Err(Unsent { messages }),
        }
    }

    fn encode(&self, message: &Message<'_>) -> BytesMut {
        let encoder = match self.stamps && message.timestamp().is_none() {
            true => self.encoder.with_default_timestamp(SystemTime::now()),
            false => self.encoder,
        };
        if let Some(mut payload) = self.queue.spare() {
            encoder.encode(message, &mut payload);
            return payload;
        }
        // While the thread drops its thread-local values, `ENCODED` is not available, and the message gets a
        // new buffer.
        let mut buffer = ENCODED.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        encoder.encode(message, &mut buffer);
        let payload = BytesMut::from(&buffer[..]);
        if buffer.capacity() <= RETAINED_BYTES {
            let _ = ENCODED.try_with(|retained| retained.set(buffer));
        }
        payload
    }

    fn check(&self, payload: &[u8], receipt: R) -> Result<R, NotQueued<R>> {
        if is_framable(payload, self.delimiter) {
            return Ok(receipt);
        }
        self.queue.count_not_queued(NotQueuedReason::Invalid);
        Err(NotQueued { receipt, reason: NotQueuedReason::Invalid })
    }
}

impl<R> Clone for Client<R> {
    fn clone(&self) -> Self {
        self.queue.add_client();
        Self {
            queue: Arc::clone(&self.queue),
            encoder: self.encoder,
            delimiter: self.delimiter,
            stamps: self.stamps,
        }
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

/// Reads the counters of a [`Client`], even after all of its clones are dropped and its driver has ended.
pub struct Observer<R = ()> {
    queue: Arc<Queue<R>>,
}

impl<R> Observer<R> {
    /// Returns the counters.
    pub fn stats(&self) -> ClientStats {
        self.queue.stats()
    }

    /// Returns the state of the link to the destination.
    pub fn state(&self) -> ClientState {
        self.queue.link()
    }

    /// Returns the text of the last error of connecting or sending. The text remains after the destination
    /// has recovered.
    pub fn last_error(&self) -> Option<Arc<str>> {
        self.queue.last_error()
    }

    /// Returns the local address of the socket. A receiver on this machine recognizes the client's messages
    /// by this address. Returns `None` before the socket is bound, and over transports other than UDP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.queue.local_addr()
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

/// The error of a flush or a close that did not send all messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unsent {
    /// The number of unsent messages. After a flush, these are all messages without an outcome, including
    /// messages that were queued during the flush; they stay in the queue. A close drops the unsent messages,
    /// but some of them may have arrived nevertheless.
    pub messages: u64,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages are not sent", self.messages)
    }
}

impl std::error::Error for Unsent {}
