//! Provides `UdpSender`, which sends messages as datagrams.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use gelf_core::{DatagramWriter, Decoder, Fit, Message, Overflow};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::destination::Destination;
use super::pacing::Pacing;
use super::segmented_socket::SegmentedSocket;
use super::stats::UdpSenderStats;
use crate::endpoint::{Endpoint, Transport, UdpOptions};
use crate::resolve::{Resolve, SystemResolver};
use crate::send::SendError;

/// Sends messages to one destination, as datagrams.
///
/// Unlike a [`Client`](crate::Client), the sender adds no timestamp to messages.
///
/// Buffers and compression state are used again for each message, so a message that is no larger than the
/// messages before it allocates nothing. All chunks of a message leave in order and from the same port, by
/// which receivers tell senders apart.
///
/// ```
/// use gelf_tokio::gelf_core::Message;
/// use gelf_tokio::{UdpReceiver, UdpSender};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = UdpReceiver::bind("127.0.0.1:0").await?;
/// let endpoint = format!("gelf://{}", receiver.local_addr()?).parse()?;
///
/// let mut sender = UdpSender::connect(&endpoint).await?;
/// sender.send(&Message::new("web-1", "a long line ".repeat(1000))).await?;
/// assert_eq!(sender.stats().datagrams, 1); // compressed
/// # Ok(())
/// # }
/// ```
///
/// # One system call for many chunks
///
/// On Linux, one system call (`UDP_SEGMENT`, udp(7)) hands over up to 64 chunks of up to 65,507 bytes in
/// total. This call takes at most half the processor time of separate calls for the chunks. The route to the
/// destination may not support such a call, for example because datagrams are longer than a frame of the
/// interface. Then [`UdpSenderStats::fallbacks`] counts the address. These chunks and all later chunks are
/// sent one by one, until the [address changes](UdpSenderStats::reroutes). A capture on the sender's own
/// machine sees the bytes of a system call before they are cut into datagrams, and shows them as one
/// datagram; see [`set_segmentation`](Self::set_segmentation).
///
/// # Names
///
/// A task looks the host name up every 30 s. When the destination refuses datagrams, or when no route leads
/// to it or this machine prohibits sending, the task looks the name up immediately, but not more than once a
/// second. If a lookup no longer returns the current address, messages go to the first reachable one of the
/// returned addresses. If the current address fails, messages go to the next address, if there is another. A
/// failed lookup changes nothing. Up to 64 addresses are kept.
///
/// # Errors of the network
///
/// If no program listens at the destination, its host may report that, and the kernel returns the report in
/// place of sending the *next* datagram. The sender then tries once more to send that datagram, and
/// [`UdpSenderStats::refused`] counts the report. The sender does the same after other errors that hosts and
/// routers report. If the second attempt fails too, the error counts as an error of the datagram itself.
/// No error ends the sender. A [`Client`](crate::Client) keeps a message while there is no route or no local
/// address, and while a route or the packet filter of this machine prohibits sending. If the next host on the
/// link does not answer (ARP or neighbour discovery), Linux drops the datagrams and reports no error.
///
/// # Rate
///
/// [`UdpOptions::rate`] limits the datagrams, chunks included, by a token bucket that fills at that rate. A full
/// bucket holds one datagram plus what the rate permits in 21 ms. At more than 2,000 datagrams a second, this time
/// is shorter, but at least 10 ms.
///
/// A sender that finds the bucket empty waits until it may send several datagrams together: what the rate
/// permits in 16 ms, but at most 32 datagrams. At more than 6,400 datagrams a second, it waits for what the rate
/// permits in 5 ms, which is more than 32 datagrams. At less than 63 datagrams a second, it waits for a single
/// datagram. Receivers wait 5 s for all chunks of a message, so a message of 128 chunks cannot arrive at a rate of
/// less than 26 datagrams a second.
pub struct UdpSender {
    writer: DatagramWriter,
    overflow: Overflow,
    socket: SegmentedSocket,
    destination: Destination,
}

impl UdpSender {
    /// Looks the host up with the operating system's resolver, and connects a socket to the first reachable
    /// address. Nothing is sent.
    ///
    /// # Errors
    /// Returns `InvalidInput` for an endpoint that is not UDP, the error of the lookup if the lookup fails,
    /// and otherwise the error of the last address.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing stays open.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        Self::connect_with_resolver(endpoint, Arc::new(SystemResolver)).await
    }

    /// Connects as [`connect`](Self::connect) does, with the caller's resolver for this lookup and later
    /// lookups. If the host of the endpoint is an address, nothing is looked up.
    ///
    /// # Errors
    /// Returns the same errors as [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// The same as for [`connect`](Self::connect).
    pub async fn connect_with_resolver(endpoint: &Endpoint, resolver: Arc<dyn Resolve>) -> io::Result<Self> {
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
        let UdpOptions { compression, datagram_size, overflow, rate } = *options;
        let destination = Destination::connect(resolver, host, port).await?;
        let pacing = rate.map(|rate| Pacing::new(rate, Instant::now().into_std()));
        Ok(Self {
            writer: DatagramWriter::new(compression, datagram_size).with_overflow(overflow),
            overflow,
            socket: SegmentedSocket::new(datagram_size, pacing, destination.socket()),
            destination,
        })
    }

    /// Sets whether several chunks may be sent by one system call; true by default. Some network interfaces
    /// are reported to cut such chunks wrongly.
    pub fn set_segmentation(&mut self, allowed: bool) {
        self.socket.set_segmentation(allowed);
    }

    /// Sends a message. The call waits while the operating system has no room, and while the rate is
    /// exceeded.
    ///
    /// # Errors
    /// Returns [`SendError::TooLarge`] if the message does not fit into 128 chunks and
    /// [`UdpOptions::overflow`] says not to cut it. Returns [`SendError::Io`] if the operating system did not
    /// take a datagram; the rest of the message is then not sent. The sender stays usable.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, some chunks may have been sent. The receiver drops an
    /// incomplete message.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        self.follow();
        let refused = self.stats().refused;
        let (result, fit) = match self.writer.write(message) {
            Ok((datagrams, fit)) => {
                let result = self.socket.send(self.destination.socket(), datagrams).await;
                (result.map_err(SendError::Io), fit)
            }
            Err(error) => (Err(SendError::TooLarge(error)), Fit::Whole),
        };
        self.conclude(refused, fit, result)
    }

    /// Sends a payload, which is plain JSON text. The sender compresses the payload as
    /// [`UdpOptions::compression`] says, and cuts it into chunks if necessary.
    ///
    /// If the payload does not fit into 128 chunks and [`UdpOptions::overflow`] says to cut it, the sender
    /// decodes the payload and sends the message that it contains.
    ///
    /// # Errors
    /// Returns the errors of [`send`](Self::send). [`SendError::TooLarge`] is also the error for a payload
    /// that has to be cut but is not a message.
    ///
    /// # Cancel safety
    /// The same as for [`send`](Self::send).
    pub async fn send_payload(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.follow();
        let refused = self.stats().refused;
        let error = match self.writer.write_payload(payload) {
            Ok(datagrams) => {
                let result = self.socket.send(self.destination.socket(), datagrams).await;
                return self.conclude(refused, Fit::Whole, result.map_err(SendError::Io));
            }
            Err(error) => error,
        };
        if self.overflow == Overflow::Truncate {
            if let Ok(decoded) = Decoder::lenient().decode(payload) {
                return self.send(&decoded.message).await;
            }
        }
        self.conclude(refused, Fit::Whole, Err(SendError::TooLarge(error)))
    }

    /// Returns whether a refusal by the destination's host was received since the last datagram was sent.
    /// The operating system hands out each refusal once: to this method, or to the next send. In both cases,
    /// [`UdpSenderStats::refused`] counts the refusal.
    pub fn take_refusal(&mut self) -> bool {
        let is_refused = holds_refusal(self.destination.socket());
        if is_refused {
            self.socket.heard_refusal();
            self.destination.failed(true);
        }
        is_refused
    }

    /// Returns the counters.
    pub fn stats(&self) -> UdpSenderStats {
        self.socket.stats()
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.destination.socket().local_addr()
    }

    /// Returns the current address of the destination.
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.destination.socket().peer_addr()
    }

    fn follow(&mut self) {
        if let Some(replaced) = self.destination.follow() {
            if holds_refusal(&replaced) {
                self.socket.heard_refusal();
            }
            self.socket.rerouted(self.destination.socket());
        }
    }

    /// Counts a message, and decides by its result whether the next message should go to another address.
    /// `refused` is the number of refusals before the message.
    fn conclude(&mut self, refused: u64, fit: Fit, result: Result<(), SendError>) -> Result<(), SendError> {
        self.socket.concluded(result.is_ok(), fit);
        match &result {
            Ok(()) if self.stats().refused > refused => self.destination.failed(true),
            Err(SendError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.destination.failed(true);
            }
            Err(SendError::Io(error)) if is_unreachable(error) => self.destination.failed(false),
            _ => {}
        }
        result
    }
}

/// Returns whether the socket holds the report of a refusal. The call clears the report.
fn holds_refusal(socket: &UdpSocket) -> bool {
    let error = socket.take_error().ok().flatten();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Returns whether the error says that no route leads to the destination, or none from the socket's local
/// address, or that this machine prohibits sending to the destination. Linux returns `InvalidInput` if the local
/// address no longer belongs to the machine, and `PermissionDenied` for a route of the type `prohibit` (`EACCES`)
/// and for a datagram that the packet filter drops (`EPERM`).
pub(crate) fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, InvalidInput, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    matches!(
        error.kind(),
        AddrNotAvailable
            | HostUnreachable
            | InvalidInput
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
    )
}

/// Shows no payload.
impl fmt::Debug for UdpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSender")
            .field("destination", &self.destination)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {

    use std::time::Duration;

    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn a_message_no_larger_than_the_first_uses_the_same_buffer_for_its_chunks() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf://{}?datagram_size=100", sink.local_addr().unwrap());
        let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
        let text = "0123456789".repeat(1000);
        sender.send(&Message::new("h", text.as_str())).await.unwrap();
        let before = sender.socket.buffer().as_ptr();
        for len in (0..text.len()).step_by(97) {
            sender.send(&Message::new("h", &text[..len])).await.unwrap();
        }
        assert_eq!(sender.socket.buffer().as_ptr(), before);
    }

    #[tokio::test]
    async fn the_send_buffer_is_at_least_as_large_as_the_default() {
        let endpoint = "gelf://127.0.0.1:9".parse().unwrap();
        let sender = UdpSender::connect(&endpoint).await.unwrap();
        let plain = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let granted = |socket: &UdpSocket| SockRef::from(socket).send_buffer_size().unwrap();
        assert!(granted(sender.destination.socket()) >= granted(&plain));
    }

    /// Sends messages of eight chunks and of one chunk in turns. Returns the number of datagrams.
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
    async fn a_rate_is_kept_with_and_without_chunks() {
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for rate in [1_u64, 10, 100, 1000, 20_000] {
            let uri = format!("gelf://{}?compression=none&rate={rate}", sink.local_addr().unwrap());
            let mut sender = UdpSender::connect(&uri.parse().unwrap()).await.unwrap();
            let seconds = if rate == 1 { 100 } else { 10 };
            let sent = send_for(&mut sender, Duration::from_secs(seconds)).await;
            let expected = seconds * rate;
            // At the highest rate, a full bucket has 1 + rate / 100 datagrams. At some lower rates, it has more than
            // that. The other 9 datagrams are for this difference, for the messages that end the span, and for the
            // time by which the paused clock advances during the first wait for a new socket.
            let most = expected + 1 + rate / 100 + 9;
            assert!((expected..=most).contains(&sent), "{rate}: {sent}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_of_routes_filters_and_local_addresses_mean_that_the_destination_is_unreachable() {
        let error = io::Error::from_raw_os_error;
        for waits in [1, 13, 22, 99, 100, 101, 113] {
            assert!(is_unreachable(&error(waits)), "{}", error(waits));
        }
        for fails in [5, 12, 90, 105, 111] {
            assert!(!is_unreachable(&error(fails)), "{}", error(fails));
        }
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
