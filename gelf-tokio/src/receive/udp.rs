//! Receives messages as datagrams.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;
use std::{future, io};

use bytes::Bytes;
use gelf_core::{DatagramError, DatagramLimits, DatagramReader, DatagramStats, wire::Dropped};
use socket2::SockRef;
use tokio::net::{ToSocketAddrs, UdpSocket};
use tokio::task::coop;
use tokio::time::{self, Instant};

use super::datagrams::Datagrams;
use super::{ReceiveError, Received, kernel};
use crate::sys;

/// The size, in bytes, of the largest receive buffer that a system can be asked for. The size is an `int`,
/// and Linux doubles it.
const MAX_RECEIVE_BUFFER: usize = i32::MAX as usize / 2;

/// The pause after an error of the socket, so that a persistent error cannot keep a processor busy.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// Limits of a [`UdpReceiver`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UdpReceiverOptions {
    /// The size of the receive buffer that the kernel is asked for, in bytes. The kernel holds datagrams in
    /// this buffer until they are read. The default is 4 MiB, enough for several thousand log lines. The kernel
    /// grants no more than its own limit, and drops datagrams that do not fit; see
    /// [`UdpReceiver::receive_buffer`]. On Linux, the limit is `net.core.rmem_max`, often 208 KiB, unless the
    /// process has `CAP_NET_ADMIN`. The receiver logs a warning if the kernel grants less than half of the
    /// size.
    pub receive_buffer: usize,
    /// Limits of pending chunks and of inflated payloads.
    pub limits: DatagramLimits,
}

impl Default for UdpReceiverOptions {
    fn default() -> Self {
        Self { receive_buffer: 4 * 1024 * 1024, limits: DatagramLimits::default() }
    }
}

/// Receives messages from any number of senders. The receiver distinguishes senders by address and port.
///
/// The receiver never answers. If a proxy sends the chunks of one message from several ports, these chunks
/// cannot be reassembled.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use gelf_tokio::gelf_core::{Decoder, Message};
/// use gelf_tokio::{UdpReceiver, UdpSender};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = UdpReceiver::bind("127.0.0.1:0").await?;
///
/// let endpoint = format!("gelf://{}", receiver.local_addr()?).parse()?;
/// let mut sender = UdpSender::connect(&endpoint).await?;
/// sender.send(&Message::new("web-1", "payment refused")).await?;
///
/// receiver.close(Duration::from_secs(5));
/// let mut decoder = Decoder::lenient();
/// while let Some(received) = receiver.recv().await {
///     match received {
///         Ok(received) => println!("{}", received.decode(&mut decoder)?.message.short_message()),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// assert_eq!(receiver.stats().datagrams.payloads, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpReceiver {
    socket: UdpSocket,
    reader: DatagramReader<SocketAddr>,
    datagrams: Datagrams,
    /// The time at which reading ends, once `close` was called.
    read_until: Option<Instant>,
    socket_errors: u64,
    /// The last known count of datagrams that the kernel has dropped. The kernel's own count has only 32
    /// bits.
    kernel_drops: AtomicU64,
}

/// Counters of a [`UdpReceiver`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(default))]
#[non_exhaustive]
pub struct UdpReceiverStats {
    /// The counters of datagrams, payloads and errors.
    pub datagrams: DatagramStats,
    /// Datagrams that the kernel dropped before they were read. The kernel drops a datagram if the receive
    /// buffer is full, if a checksum is wrong, or after [`close`](UdpReceiver::close). On a network without
    /// loss, the number of sent datagrams is the sum of `datagrams.datagrams`, `kernel_drops` and the
    /// datagrams that wait to be read. The value is `None` on systems other than Linux, and on Linux before
    /// version 4.12. The count is exact if the counters are read at least once in 2^32 drops.
    pub kernel_drops: Option<u64>,
    /// Errors of the socket that belong to no datagram.
    pub socket_errors: u64,
}

impl UdpReceiver {
    /// Listens at an address with the default options. Port 0 means any free port.
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the socket is closed.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with_options(address, UdpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// Returns errors of the operating system, such as an address in use.
    ///
    /// # Cancel safety
    /// The same as for [`bind`](Self::bind).
    pub async fn bind_with_options(
        address: impl ToSocketAddrs,
        options: UdpReceiverOptions,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let receiver = Self {
            socket,
            reader: DatagramReader::lenient(options.limits),
            datagrams: Datagrams::new(),
            read_until: None,
            socket_errors: 0,
            kernel_drops: AtomicU64::new(0),
        };
        receiver.ask_for_buffer(options.receive_buffer)?;
        Ok(receiver)
    }

    /// Waits for the next payload. Returns `None` once [`close`](Self::close) was called and either all payloads
    /// are returned or the time for closing is over.
    ///
    /// # Errors
    /// Returns an error for an invalid datagram. The next call continues with the next datagram. Empty datagrams,
    /// as health checks send them, are not returned as errors, but they are
    /// [counted](UdpReceiverStats::datagrams) among the invalid datagrams.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no message is lost.
    pub async fn recv(&mut self) -> Option<Result<Received, ReceiveError>> {
        loop {
            // Lets other tasks run. Otherwise, a flood of chunks would occupy the task's thread.
            coop::consume_budget().await;
            if self.read_until.is_some_and(|end| end <= Instant::now()) {
                return None;
            }
            if let Some((read_at, from, datagram)) = self.datagrams.take() {
                match self.reader.read(read_at, from, datagram) {
                    Ok(Some(payload)) => {
                        return Some(Ok(Received { payload: Bytes::copy_from_slice(payload), from }));
                    }
                    // Health checks of load balancers send empty datagrams. The reader counts them.
                    Ok(None) | Err(DatagramError::Empty) => {}
                    Err(error) => return Some(Err(ReceiveError::Datagram { from, error })),
                }
                continue;
            }
            match self.datagrams.receive(&self.socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.read_until.is_some() && kernel::is_drained(&SockRef::from(&self.socket)) {
                        self.read_until = Some(Instant::now());
                        return None;
                    }
                    self.wait().await;
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Begins to close the receiver. Closing is complete when [`recv`](Self::recv) returns `None`. Later calls of
    /// `close` change nothing.
    ///
    /// The receiver still receives the datagrams that the kernel holds, for the time `within` at most. On
    /// Linux the kernel takes no further datagrams; on other systems, datagrams that arrive before the last
    /// datagram is read are received too. Messages with missing chunks are lost. The port is free when the
    /// receiver is dropped.
    pub fn close(&mut self, within: Duration) {
        if self.read_until.is_some() {
            return;
        }
        if let Err(error) = kernel::drop_incoming(&SockRef::from(&self.socket)) {
            tracing::debug!(%error, "the kernel still takes new datagrams while the receiver closes");
        }
        // A limit of thirty years keeps the time within the range of the clock.
        self.read_until = Some(Instant::now() + within.min(Duration::from_secs(30 * 365 * 24 * 3600)));
    }

    /// Returns the next message that was dropped before it was complete. At most 1,024 dropped messages wait to
    /// be returned. Further drops are only counted.
    pub fn poll_dropped(&mut self) -> Option<Dropped<SocketAddr>> {
        self.reader.reassembler_mut().poll_dropped()
    }

    /// Returns the counters. A system call asks the kernel for its count of dropped datagrams.
    pub fn stats(&self) -> UdpReceiverStats {
        UdpReceiverStats {
            datagrams: self.reader.stats(),
            kernel_drops: self.kernel_drops(|| sys::dropped_datagrams(&self.socket).ok().flatten()),
            socket_errors: self.socket_errors,
        }
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the size in bytes of the receive buffer that the kernel has granted. The size that was asked for
    /// is [`UdpReceiverOptions::receive_buffer`].
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        let reported = SockRef::from(&self.socket).recv_buffer_size()?;
        // Linux doubles the granted size for its bookkeeping, and reports the doubled size (socket(7)).
        Ok(if cfg!(target_os = "linux") { reported / 2 } else { reported })
    }

    fn ask_for_buffer(&self, bytes: usize) -> io::Result<()> {
        let wanted = bytes.min(MAX_RECEIVE_BUFFER);
        if let Err(error) = SockRef::from(&self.socket).set_recv_buffer_size(wanted) {
            // Some systems refuse a size beyond their limit. Linux reduces the size to its limit.
            tracing::debug!(%error, "the UDP receive buffer keeps its size");
        }
        let mut granted = self.receive_buffer()?;
        if granted < wanted && sys::force_receive_buffer(&self.socket, wanted).is_ok() {
            granted = self.receive_buffer()?;
        }
        if let Some(warning) = small_buffer(granted, bytes) {
            tracing::warn!(granted, asked = bytes, "{warning}");
        }
        Ok(())
    }

    /// Extends the kernel's count, which `ask` returns, to 64 bits.
    fn kernel_drops(&self, ask: impl FnOnce() -> Option<u32>) -> Option<u64> {
        // The known count is loaded before the kernel is asked. Otherwise another thread could store a higher
        // count in between, and the kernel's count would seem to have wrapped.
        let known = self.kernel_drops.load(Acquire);
        let count = ask()?;
        let new = known + u64::from(count.wrapping_sub(known as u32));
        Some(self.kernel_drops.fetch_max(new, Release).max(new))
    }

    /// Waits until there is something to read, until pending chunks are overdue, or until the time for
    /// closing is over. Drops overdue chunks.
    async fn wait(&mut self) {
        let reassembler = self.reader.reassembler_mut();
        let timeout = sleep_until(reassembler.poll_timeout().map(Instant::from_std));
        tokio::select! {
            readable = self.socket.readable() => if let Err(error) = readable {
                self.pause(&error).await;
            },
            () = timeout => reassembler.handle_timeout(Instant::now().into_std()),
            () = sleep_until(self.read_until) => {}
        }
    }

    async fn pause(&mut self, error: &io::Error) {
        self.socket_errors += 1;
        tracing::debug!(%error, "the UDP socket failed; receiving continues");
        time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

/// Waits until an instant, or for ever if there is no instant.
async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => future::pending().await,
    }
}

/// Returns a warning if the kernel has granted less than half of the receive buffer that was asked for.
fn small_buffer(granted: usize, asked: usize) -> Option<String> {
    (granted < asked / 2).then(|| {
        // Linux refuses a larger value of this setting.
        let limit = asked.min(i32::MAX as usize);
        format!(
            "the kernel holds less UDP data than asked for, and drops the rest of a burst; `sysctl -w \
             net.core.rmem_max={limit}` raises the limit on Linux"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_core::wire::{InvalidChunk, ReassemblyDropReason};

    const MESSAGE: &[u8] = br#"{"version":"1.1","host":"h","short_message":"m"}"#;

    async fn receiver_and_socket() -> (UdpReceiver, UdpSocket) {
        let receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(receiver.local_addr().unwrap()).await.unwrap();
        (receiver, socket)
    }

    #[tokio::test]
    async fn an_empty_datagram_is_counted_and_not_returned_as_an_error() {
        let (mut receiver, socket) = receiver_and_socket().await;
        for datagram in [b"", b"", MESSAGE, b""] {
            socket.send(datagram).await.unwrap();
        }
        assert_eq!(receiver.recv().await.unwrap().unwrap().payload, MESSAGE);
        receiver.close(Duration::from_secs(30));
        assert_eq!(receiver.recv().await, None);
        let stats = receiver.stats().datagrams;
        assert_eq!((stats.datagrams, stats.payloads, stats.errors.empty, stats.errors.total()), (4, 1, 3, 3));
    }

    /// The burst takes several system calls, and has a datagram of the largest length.
    #[tokio::test]
    async fn a_burst_of_several_senders_is_received_in_order() {
        let (mut receiver, first) = receiver_and_socket().await;
        let second = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        second.connect(receiver.local_addr().unwrap()).await.unwrap();
        let message = |number: usize| Bytes::from(vec![b'{'; if number == 20 { 65_507 } else { 2 + number }]);
        for number in 0..50 {
            let socket = if number % 3 == 0 { &second } else { &first };
            socket.send(&message(number)).await.unwrap();
        }
        for number in 0..50 {
            let from = if number % 3 == 0 { &second } else { &first }.local_addr().unwrap();
            let expected = Received { payload: message(number), from };
            assert_eq!(receiver.recv().await, Some(Ok(expected)), "{number}");
        }
    }

    #[tokio::test]
    async fn each_bad_datagram_between_good_datagrams_is_an_error() {
        let (mut receiver, socket) = receiver_and_socket().await;
        let from = socket.local_addr().unwrap();
        let bad = |error| Err(ReceiveError::Datagram { from, error });
        let good = Ok(Received { payload: Bytes::from_static(MESSAGE), from });
        for (datagram, expected) in [
            (MESSAGE, good.clone()),
            (b"\x1e\x0f", bad(DatagramError::Chunk(InvalidChunk::HeaderTruncated { len: 2 }))),
            (b"\x1f\x8b", bad(DatagramError::Decompress(gelf_core::wire::DecompressError::Truncated))),
            (b"\x78\x00", bad(DatagramError::UnknownMagic)),
            (MESSAGE, good.clone()),
        ] {
            socket.send(datagram).await.unwrap();
            assert_eq!(receiver.recv().await, Some(expected));
        }
        let stats = receiver.stats();
        assert_eq!(
            (stats.datagrams.datagrams, stats.datagrams.payloads, stats.datagrams.errors.total()),
            (5, 2, 3)
        );
        assert_eq!(stats.socket_errors, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_incomplete_message_is_given_up_5_seconds_after_its_first_chunk() {
        let (mut receiver, socket) = receiver_and_socket().await;
        socket.send(b"\x1e\x0fmessage1\x00\x02foo").await.unwrap();
        // The paused clock advances while a datagram is in transit, so the first wait does not use this
        // clock.
        while receiver.stats().datagrams.chunks == 0 {
            tokio::select! {
                biased;
                received = receiver.recv() => panic!("{received:?} of half a message"),
                () = tokio::task::yield_now() => {}
            }
        }
        let waited = time::timeout(Duration::from_millis(5000), receiver.recv()).await;
        assert!(waited.is_err());
        assert_eq!(receiver.stats().datagrams.reassembly.pending, 1);
        let waited = time::timeout(Duration::from_millis(2), receiver.recv()).await;
        assert!(waited.is_err());
        let dropped = receiver.poll_dropped().unwrap();
        assert_eq!((dropped.reason, dropped.received, dropped.count), (ReassemblyDropReason::Expired, 1, 2));
        assert_eq!(dropped.source, socket.local_addr().unwrap());
        assert_eq!(receiver.poll_dropped(), None);
        let stats = receiver.stats().datagrams.reassembly;
        assert_eq!((stats.pending, stats.expired), (0, 1));
    }

    #[tokio::test]
    async fn a_datagram_that_comes_after_calls_of_recv_were_dropped_is_received() {
        let (mut receiver, socket) = receiver_and_socket().await;
        for _ in 0..100 {
            tokio::select! {
                biased;
                received = receiver.recv() => panic!("{received:?} of nothing"),
                () = tokio::task::yield_now() => {}
            }
        }
        socket.send(MESSAGE).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap().payload, MESSAGE);
    }

    #[tokio::test]
    async fn the_granted_receive_buffer_is_reported() {
        let granted = |receive_buffer| async move {
            let options = UdpReceiverOptions { receive_buffer, ..UdpReceiverOptions::default() };
            UdpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap().receive_buffer().unwrap()
        };
        assert_eq!(granted(32 * 1024).await, 32 * 1024);
        let most = granted(1 << 30).await;
        assert_eq!(granted(4 * 1024 * 1024).await, most.min(4 * 1024 * 1024));
    }

    #[test]
    fn a_warning_about_a_small_receive_buffer_names_the_setting_that_raises_it() {
        assert_eq!(small_buffer(32 * 1024, 32 * 1024), None);
        let warning = small_buffer(MAX_RECEIVE_BUFFER, 3_221_225_469).unwrap();
        assert!(warning.contains("`sysctl -w net.core.rmem_max=2147483647`"), "{warning}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernels_count_of_drops_goes_on_beyond_32_bits() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let receiver = runtime.block_on(UdpReceiver::bind("127.0.0.1:0")).unwrap();
        for (known, expected) in [(0, 0), (1, 1 << 32), ((5 << 32) - 1, 5 << 32)] {
            receiver.kernel_drops.store(known, Release);
            // The kernel's count, which has 32 bits, is 0. If drops are already known, the count must have
            // wrapped.
            assert_eq!(receiver.stats().kernel_drops, Some(expected));
            assert_eq!(receiver.stats().kernel_drops, Some(expected));
        }
    }

    #[tokio::test]
    async fn a_higher_count_that_another_thread_stores_is_no_wrap_of_the_kernels_count() {
        let (receiver, _) = receiver_and_socket().await;
        let count = receiver.kernel_drops(|| {
            assert_eq!(receiver.kernel_drops(|| Some(2)), Some(2));
            Some(1)
        });
        assert_eq!(count, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_socket_is_counted_and_followed_by_a_pause() {
        let (mut receiver, socket) = receiver_and_socket().await;
        let before = Instant::now();
        receiver.pause(&io::ErrorKind::ConnectionReset.into()).await;
        assert_eq!(before.elapsed(), PAUSE_AFTER_ERROR);
        assert_eq!(receiver.stats().socket_errors, 1);
        socket.send(MESSAGE).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap().payload, MESSAGE);
    }

    #[tokio::test]
    async fn a_closed_receiver_returns_the_datagrams_that_the_kernel_holds_and_ends() {
        let (mut receiver, socket) = receiver_and_socket().await;
        for _ in 0..50 {
            socket.send(MESSAGE).await.unwrap();
        }
        socket.send(b"\x1e\x0fmessage1\x00\x02half").await.unwrap();
        receiver.close(Duration::from_secs(30));
        // The kernel of Linux takes no further datagrams.
        #[cfg(target_os = "linux")]
        socket.send(MESSAGE).await.unwrap();
        for _ in 0..50 {
            assert_eq!(receiver.recv().await.unwrap().unwrap().payload, MESSAGE);
        }
        let started = Instant::now();
        assert_eq!(receiver.recv().await, None);
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        assert_eq!(receiver.recv().await, None);
        let stats = receiver.stats();
        assert_eq!((stats.datagrams.datagrams, stats.datagrams.reassembly.pending), (51, 1));
        #[cfg(target_os = "linux")]
        assert_eq!(stats.kernel_drops, Some(1));
    }
}
