//! Sends messages as datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use gelf_core::{DatagramWriter, Message};
use tokio::time::Instant;

use super::destination::Destination;
use super::pacing::Pacing;
use super::wire::Wire;
use crate::endpoint::{Endpoint, Transport, UdpOptions};
use crate::resolve::{Resolve, SystemResolver};
use crate::send::SendError;

/// Sends messages to one destination, as datagrams.
///
/// Buffers and compression state are used again for each message, so one that is no larger than those before it
/// allocates nothing. All chunks of a message leave back to back from the same port, by which receivers tell senders
/// apart.
///
/// # One system call for many chunks
///
/// On Linux up to 64 chunks, of 65,507 bytes together, are handed over by one system call (`UDP_SEGMENT`, udp(7)), which
/// takes half the processor time or less. Where the way to the destination does not take them so, as with datagrams that
/// are longer than a frame of the interface, the same chunks leave one by one, and so do all others to that address;
/// [`UdpSenderStats::fallbacks`] counts it. A capture on the sender's own machine shows them as one datagram, since it is
/// made before they are cut; see [`set_segmentation`](Self::set_segmentation).
///
/// # Names
///
/// A host name is looked up every 30 s, by a task beside the sending, and at once, but not more than once a second, when
/// the destination refuses datagrams or cannot be reached. When the present address is not among what is found, messages
/// go to the first that is; when it fails and there are others, to the next. What fails to be looked up keeps its
/// addresses. Up to 64 of them are kept.
///
/// # Errors of the network
///
/// When nobody listens at the destination, its host may say so, and the kernel reports it in place of sending the
/// *next* datagram. That one is then sent again, and the report is in [`Sent::refused`]. The same holds for other errors
/// that hosts and routers report. A second error in a row is that of the datagram itself. None ends the sender.
///
/// # Rate
///
/// [`UdpOptions::rate`] limits the datagrams, chunks included, by a bucket that fills at that rate and holds one
/// datagram and what the rate makes in 10 ms. Receivers wait 5 s for all chunks of a message, so at less than 26
/// datagrams a second one of 128 chunks cannot arrive.
#[derive(Debug)]
pub struct UdpSender {
    writer: DatagramWriter,
    wire: Wire,
    destination: Destination,
}

/// A message that the operating system has taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// How many datagrams it took: 1, or the number of chunks.
    pub datagrams: usize,
    /// How many bytes they have together, headers of chunks included, those of UDP and IP not.
    pub bytes: usize,
    /// How many earlier datagrams, of this message or the one before, the destination's host was heard to refuse
    /// meanwhile. They are lost, and this message may be.
    pub refused: usize,
}

/// What a [`UdpSender`] has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct UdpSenderStats {
    /// Messages of which the operating system has taken all datagrams.
    pub messages: u64,
    /// Messages that failed: too large, or a datagram of them was not taken. One whose future was dropped before it was
    /// ready is not among them.
    pub failed: u64,
    /// Datagrams that the operating system has taken, those of messages that failed later included.
    pub datagrams: u64,
    /// How many bytes those have together, headers of chunks included, those of UDP and IP not.
    pub bytes: u64,
    /// How many of those datagrams left together with others, by one system call.
    pub segmented: u64,
    /// How often it was found that datagrams cannot leave together: once for an address.
    pub fallbacks: u64,
    /// Datagrams that the destination's host was heard to refuse.
    pub refused: u64,
    /// How often messages went on to another address, or from another one.
    pub reroutes: u64,
}

impl Sent {
    /// What was taken between two moments.
    pub(super) fn between(before: &UdpSenderStats, after: &UdpSenderStats) -> Self {
        let difference = |before, after: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
        Self {
            datagrams: difference(before.datagrams, after.datagrams),
            bytes: difference(before.bytes, after.bytes),
            refused: difference(before.refused, after.refused),
        }
    }
}

impl UdpSender {
    /// Looks the host up by the operating system, and takes the first of its addresses that there is a way to. Nothing
    /// is sent.
    ///
    /// If the future is dropped before it is ready, nothing has happened.
    ///
    /// # Errors
    /// `InvalidInput` for an endpoint that is not UDP; why the host was not found; else why the last address failed.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Self::connect_with(endpoint, Arc::new(SystemResolver)).await
    }

    /// As [`connect`](Self::connect), with a resolver of the caller's, for this time and later ones. It is not asked when
    /// the host of the endpoint is an address.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(endpoint: &Endpoint, resolver: Arc<dyn Resolve>) -> io::Result<Self> {
        let Transport::Udp(options) = endpoint.transport() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the endpoint is not UDP"));
        };
        Self::with_options(options, endpoint.host(), endpoint.port(), resolver).await
    }

    async fn with_options(
        options: &UdpOptions,
        host: &str,
        port: u16,
        resolver: Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        let UdpOptions { compression, datagram_size, rate, .. } = *options;
        let destination = Destination::connect(resolver, host, port).await?;
        let pacing = rate.map(|rate| Pacing::new(rate, Instant::now().into_std()));
        Ok(Self {
            writer: DatagramWriter::new(compression, datagram_size),
            wire: Wire::new(datagram_size, pacing, destination.socket()),
            destination,
        })
    }

    /// Whether chunks may leave several by one system call, where that is possible: they may, unless this says
    /// otherwise. Some network interfaces are said to do it wrongly.
    pub fn set_segmentation(&mut self, allowed: bool) {
        self.wire.set_segmentation(allowed);
    }

    /// Sends a message. It waits while the operating system has no room, and as the rate demands.
    ///
    /// If the future is dropped before it is ready, some chunks may be sent, and the receiver drops the message.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] when it does not fit into 128 chunks, and [`SendError::Io`] when a datagram was not
    /// taken: then the rest of the message is not sent either. The sender is as good as before.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        self.follow();
        let result = match self.writer.write(message) {
            Ok(written) => self.wire.send(self.destination.socket(), written.datagrams).await,
            Err(error) => Err(error.into()),
        };
        self.judge(&result);
        result
    }

    /// Sends a payload that is ready: JSON text, not compressed and not chunked yet.
    ///
    /// If the future is dropped before it is ready, some chunks may be sent, and the receiver drops the message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_payload(&mut self, payload: &[u8]) -> Result<Sent, SendError> {
        self.follow();
        let result = match self.writer.write_payload(payload) {
            Ok(datagrams) => self.wire.send(self.destination.socket(), datagrams).await,
            Err(error) => Err(error.into()),
        };
        self.judge(&result);
        result
    }

    /// Whether the destination's host was heard to refuse a datagram since the last one was sent. Each refusal is told
    /// once: here, or by the next message's [`Sent::refused`].
    pub fn take_refusal(&mut self) -> bool {
        let error = self.destination.socket().take_error().ok().flatten();
        let is_refused = error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if is_refused {
            self.wire.heard_refusal();
            self.destination.failed(true);
        }
        is_refused
    }

    /// What it has done so far.
    pub fn stats(&self) -> UdpSenderStats {
        self.wire.stats()
    }

    /// Where the datagrams come from.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.destination.socket().local_addr()
    }

    /// Where they go: the present one of the addresses of the host.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.destination.socket().peer_addr()
    }

    fn follow(&mut self) {
        if self.destination.follow() {
            self.wire.rerouted(self.destination.socket());
        }
    }

    /// Counts a message, and concludes from what became of it whether the next should go elsewhere.
    fn judge(&mut self, result: &Result<Sent, SendError>) {
        self.wire.concluded(result.is_ok());
        match result {
            Ok(sent) if sent.refused > 0 => self.destination.failed(true),
            Err(SendError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.destination.failed(true);
            }
            Err(SendError::Io(error)) if is_unreachable(error) => self.destination.failed(false),
            _ => {}
        }
    }
}

/// Whether there is no way to the destination, or none from the sender's own address, which may have changed: Linux calls
/// that invalid.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkDown, NetworkUnreachable};
    matches!(
        error.kind(),
        AddrNotAvailable | HostUnreachable | InvalidInput | NetworkDown | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use gelf_core::Compression;
    use socket2::SockRef;
    use tokio::net::UdpSocket;

    use super::*;

    #[tokio::test]
    async fn a_message_no_larger_than_the_first_needs_no_new_memory() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf://{}?datagram_size=100", sink.local_addr().unwrap());
        let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
        let text = "0123456789".repeat(1000);
        sender.send(&Message::new("h", text.as_str())).await.unwrap();
        let before = sender.wire.buffer().as_ptr();
        for len in (0..text.len()).step_by(97) {
            sender.send(&Message::new("h", &text[..len])).await.unwrap();
        }
        assert_eq!(sender.wire.buffer().as_ptr(), before);
    }

    #[tokio::test]
    async fn the_send_buffer_holds_more_than_by_default() {
        let endpoint = "gelf://127.0.0.1:9".parse().unwrap();
        let sender = UdpSender::connect(&endpoint).await.unwrap();
        let plain = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let granted = |socket: &UdpSocket| SockRef::from(socket).send_buffer_size().unwrap();
        assert!(granted(sender.destination.socket()) >= granted(&plain));
    }

    async fn paced(rate: u32, to: SocketAddr) -> UdpSender {
        let options = UdpOptions {
            compression: Compression::None,
            rate: NonZeroU32::new(rate),
            ..UdpOptions::default()
        };
        let resolver = Arc::new(SystemResolver);
        UdpSender::with_options(&options, &to.ip().to_string(), to.port(), resolver).await.unwrap()
    }

    /// Messages of eight chunks and of one, in turns.
    async fn send_for(sender: &mut UdpSender, duration: Duration) -> u64 {
        let started = Instant::now();
        let long = [b'{'; 8 * 1408];
        while started.elapsed() < duration {
            sender.send_payload(&long).await.unwrap();
            sender.send_payload(b"{}").await.unwrap();
            assert!(sender.stats().datagrams < 1_000_000, "there is no rate");
        }
        sender.stats().datagrams
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_with_chunks_and_without_to_a_datagram() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for rate in [1, 10, 100, 1000, 20_000] {
            let mut sender = paced(rate, sink.local_addr().unwrap()).await;
            let seconds = if rate == 1 { 100 } else { 10 };
            let sent = send_for(&mut sender, Duration::from_secs(seconds)).await;
            let expected = seconds * u64::from(rate);
            // A bucket full more, the message that ends it, and what the first wait for a new socket takes of a clock
            // that goes on by itself.
            let most = expected + 1 + u64::from(rate) / 100 + 9;
            assert!((expected..=most).contains(&sent), "{rate}: {sent}");
        }
    }

    #[tokio::test]
    async fn a_rate_is_kept_within_a_tenth_by_the_clock_on_the_wall() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut shares = Vec::new();
        // A machine that is busy with something else may make a sender slow, but never too fast.
        for _ in 0..5 {
            let mut sender = paced(5000, sink.local_addr().unwrap()).await;
            let started = Instant::now();
            let sent = send_for(&mut sender, Duration::from_secs(2)).await;
            let share = sent as f64 / (5000.0 * started.elapsed().as_secs_f64());
            shares.push(share);
            assert!(share <= 1.1, "{shares:?}");
            if share >= 0.9 {
                println!("{sent} datagrams, of what the rate permits: {shares:.4?}");
                return;
            }
        }
        panic!("{shares:?}");
    }

    #[test]
    fn a_future_may_go_to_another_thread() {
        fn is_send<T: Send>(_: &T) {}
        fn check(mut sender: UdpSender, endpoint: &Endpoint) {
            is_send(&UdpSender::connect(endpoint));
            is_send(&sender.send_payload(b"{}"));
        }
        let _ = check;
    }
}
