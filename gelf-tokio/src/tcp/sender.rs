//! Provides `TcpSender`, which sends messages over one connection.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::task::{Context, Waker};
use std::time::Duration;

use gelf_core::Message;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::codec::{write_message, write_payload};
use crate::endpoint::{Endpoint, Transport};
use crate::resolve::SystemResolver;
use crate::send::SendError;

use super::connection::{Connection, Dialer};

/// The number of buffered bytes at which the buffer is written. A write for each message would cost seven
/// times as much processor time, and a buffer of more than 64 KiB gains nothing.
pub(crate) const FLUSH_AT: usize = 64 * 1024;

/// The maximum number of successive reads whose bytes are discarded. GELF has no answers.
const MAX_DISCARDED_READS: usize = 16;

/// Sends messages on one connection, as frames, over TCP or TLS.
///
/// Unlike a [`Client`](crate::Client), the sender adds no timestamp to messages.
///
/// [`feed`](Self::feed) buffers a message, and [`flush`](Self::flush) writes the buffered messages. A sender
/// that has failed stays closed. The caller then connects a new sender, and sends again all messages that
/// were not completely [acknowledged](Self::acknowledged), each from its first byte. Some of these messages
/// may have arrived, so the receiver may see them twice. A [`Client`](crate::Client) does all of this.
///
/// ```
/// use std::time::Duration;
/// use gelf_tokio::gelf_core::Message;
/// use gelf_tokio::{TcpReceiver, TcpSender};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
/// let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
/// # tokio::spawn(async move { while receiver.recv().await.is_some() {} });
///
/// let mut sender = TcpSender::connect(&endpoint).await?;
/// for number in 0..1000 {
///     sender.feed(&Message::new("web-1", format!("line {number}"))).await?;
/// }
/// sender.close(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpSender {
    connection: Connection,
    closed: bool,
}

impl TcpSender {
    /// Looks the host up and connects to the first of its addresses that answers. If no address answers, the
    /// sender does the same with each host of
    /// [`TcpOptions::failover`](crate::options::TcpOptions::failover) in turn. The time limit
    /// [`TcpOptions::connect_timeout`](crate::options::TcpOptions::connect_timeout) applies to each address
    /// and, separately, to the TLS handshake. A lookup takes at most 30 s.
    ///
    /// # Errors
    /// Returns `InvalidInput` for an endpoint that is not TCP or whose TLS options are invalid, `Unsupported` for TLS
    /// without the feature `tls`, and otherwise the error of the lookup or of the last address. With failover hosts,
    /// the error contains the errors of all hosts.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing stays open.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        let Transport::Tcp(options) = endpoint.transport() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the endpoint is not TCP"));
        };
        let connection = Dialer::new(endpoint, options)?.connect(&SystemResolver).await?;
        Ok(Self { connection, closed: false })
    }

    /// Buffers a message for the next flush. If 64 KiB are buffered already, the call flushes them first.
    ///
    /// # Errors
    /// See [`flush`](Self::flush). After an error, the message is not buffered.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the message is not buffered.
    pub async fn feed(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        self.make_room().await?;
        write_message(message, self.connection.delimiter(), self.connection.buffer());
        Ok(())
    }

    /// Buffers a payload as [`feed`](Self::feed) does. The payload must be JSON text.
    ///
    /// # Errors
    /// Returns the errors of [`feed`](Self::feed), and [`SendError::Io`] of the kind `InvalidInput` if the
    /// payload is blank, or contains a null byte or the delimiter. The connection stays open after an invalid
    /// payload.
    ///
    /// # Cancel safety
    /// See [`feed`](Self::feed).
    pub async fn feed_payload(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.make_room().await?;
        Ok(write_payload(payload, self.connection.delimiter(), self.connection.buffer())?)
    }

    /// Writes all buffered messages to the operating system. The call waits while the operating system has no room, for
    /// example because the receiver does not read.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`] if the connection is over already, and [`SendError::Io`] if the
    /// connection breaks during the flush.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the next flush continues where the dropped flush
    /// stopped.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if self.connection.has_to_write() {
            if let Err(error) = self.connection.drive().await {
                self.closed = true;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Buffers a message and flushes.
    ///
    /// # Errors
    /// See [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the message may not be buffered yet, or may be buffered
    /// and written in part. The next flush writes what is still in the buffer.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Returns whether the connection is known to be over: a write has failed, or the other side has ended or
    /// reset the connection, or has answered with TLS or HTTP.
    ///
    /// Each flush calls this method first. Otherwise the first write to an ended connection would succeed,
    /// and its bytes would be lost.
    pub fn is_closed(&mut self) -> bool {
        self.closed = self.closed || self.has_ended();
        self.closed
    }

    /// Returns the number of bytes, including delimiters, that the receiver's operating system has
    /// acknowledged. With TLS, the bytes of a flush count only once all of them are acknowledged. Returns
    /// `None` on systems other than Linux, which do not report this number.
    ///
    /// Acknowledged bytes are lost only if the receiver ends, or closes the connection, before it has read
    /// them. The number stays valid after the end of the connection.
    pub fn acknowledged(&mut self) -> Option<u64> {
        self.connection.acknowledged()
    }

    /// Flushes, ends the sending side of the connection, and waits until the receiver has ended the
    /// connection: a receiver that reads to the end has then read everything. The time limit of all steps
    /// together is `grace`.
    ///
    /// # Errors
    /// Returns the errors of [`flush`](Self::flush), and [`SendError::Io`] if the connection breaks later, or
    /// of the kind `TimedOut` after `grace`. After an error, the receiver may have read any part of the messages.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the connection is closed, and messages that are not
    /// written yet are lost.
    pub async fn close(mut self, grace: Duration) -> Result<(), SendError> {
        let end = async {
            self.flush().await?;
            Ok(self.connection.shut_down().await?)
        };
        let too_late = || Err(io::Error::from(io::ErrorKind::TimedOut).into());
        timeout(grace, end).await.unwrap_or_else(|_| too_late())
    }

    /// Returns the local address of the connection.
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.connection.socket().local_addr()
    }

    /// Returns the address of the receiver.
    ///
    /// # Errors
    /// Returns errors of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.connection.socket().peer_addr()
    }

    async fn make_room(&mut self) -> Result<(), SendError> {
        if self.connection.buffer().len() >= FLUSH_AT {
            return self.flush().await;
        }
        if self.closed { Err(SendError::Closed) } else { Ok(()) }
    }

    fn has_ended(&mut self) -> bool {
        if self.connection.poll_end(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        // With TLS, the function only peeks at the socket, since bytes that it reads from the socket would be
        // missing in the TLS stream.
        has_ended(self.connection.socket(), self.connection.is_plain())
    }
}

/// Returns whether the other side has ended the connection. The function asks the socket itself, since tokio
/// may not have polled the socket yet. With `discard`, it reads and discards the bytes that have arrived
/// before the end; otherwise, it only peeks at the first byte.
fn has_ended(stream: &TcpStream, discard: bool) -> bool {
    let socket = SockRef::from(stream);
    let mut discarded = [0; 512];
    for _ in 0..MAX_DISCARDED_READS {
        let result = match discard {
            true => (&*socket).read(&mut discarded),
            false => socket.peek(&mut [std::mem::MaybeUninit::uninit()]),
        };
        match result {
            Ok(0) => return true,
            Ok(_) if discard => {}
            Ok(_) => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::connection::RETAINED_BYTES;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn connected() -> (TcpSender, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("gelf+tcp://{}", listener.local_addr().unwrap());
        let sender = TcpSender::connect(&uri.parse().unwrap()).await.unwrap();
        (sender, listener.accept().await.unwrap().0)
    }

    fn message(text: &str) -> Message<'_> {
        Message::new("h", text)
    }

    fn frame(text: &str) -> Vec<u8> {
        format!("{{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"{text}\"}}\0").into_bytes()
    }

    /// Waits until the end of the connection has come through the loopback.
    async fn closed(sender: &mut TcpSender) {
        let started = Instant::now();
        while !sender.is_closed() {
            assert!(started.elapsed() < Duration::from_secs(30), "the end is not noticed");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_flush_writes_whole_frames_and_nothing_is_written_before_it() {
        let (mut sender, mut peer) = connected().await;
        sender.feed(&message("a")).await.unwrap();
        sender.feed_payload(b"{}").await.unwrap();
        assert_eq!(*sender.connection.buffer(), [frame("a"), b"{}\0".to_vec()].concat());
        sender.flush().await.unwrap();
        assert!(sender.connection.buffer().is_empty());
        let mut read = vec![0; frame("a").len() + 3];
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [frame("a"), b"{}\0".to_vec()].concat());
    }

    #[tokio::test]
    async fn the_buffer_holds_at_most_64_kib_and_a_message() {
        let (mut sender, mut peer) = connected().await;
        let reader = tokio::spawn(async move { tokio::io::copy(&mut peer, &mut tokio::io::sink()).await });
        let text = "x".repeat(10_000);
        let len = frame(&text).len();
        for fed in 1..=6 {
            sender.feed(&message(&text)).await.unwrap();
            assert_eq!(sender.connection.buffer().len(), fed * len);
        }
        sender.feed(&message(&text)).await.unwrap();
        assert_eq!(sender.connection.buffer().len(), 7 * len);
        sender.feed(&message(&text)).await.unwrap();
        assert_eq!(sender.connection.buffer().len(), len);
        sender.close(Duration::from_secs(60)).await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 8 * len as u64);
    }

    #[tokio::test]
    async fn a_huge_message_does_not_pin_its_buffer() {
        let (mut sender, mut peer) = connected().await;
        let reader = tokio::spawn(async move { tokio::io::copy(&mut peer, &mut tokio::io::sink()).await });
        sender.send(&message(&"x".repeat(4 << 20))).await.unwrap();
        assert!(sender.connection.buffer().capacity() <= RETAINED_BYTES);
        sender.close(Duration::from_secs(60)).await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), frame("").len() as u64 + (4 << 20));
    }

    #[tokio::test]
    async fn a_flush_that_is_given_up_goes_on_where_it_stopped() {
        let (mut sender, mut peer) = connected().await;
        let text = "x".repeat(8 << 20);
        sender.feed(&message(&text)).await.unwrap();
        // The peer does not read, so the buffers of the two sockets fill up and the flush cannot end.
        let given_up = timeout(Duration::from_millis(50), sender.flush()).await;
        assert!(given_up.is_err());
        assert!(sender.connection.buffer().len() < frame(&text).len(), "nothing was written");
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            peer.read_to_end(&mut read).await.map(|_| read)
        });
        sender.send(&message("last")).await.unwrap();
        sender.close(Duration::from_secs(60)).await.unwrap();
        assert!(reader.await.unwrap().unwrap() == [frame(&text), frame("last")].concat());
    }

    #[tokio::test]
    async fn an_ended_or_reset_connection_is_noticed_before_anything_is_written_to_it() {
        for reset in [false, true] {
            let (mut sender, peer) = connected().await;
            sender.feed(&message("m")).await.unwrap();
            assert!(!sender.is_closed());
            if reset {
                SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            closed(&mut sender).await;
            assert!(matches!(sender.feed(&message("m")).await, Err(SendError::Closed)));
            assert!(matches!(sender.send(&message("m")).await, Err(SendError::Closed)));
            assert!(matches!(sender.flush().await, Err(SendError::Closed)));
            assert_eq!(*sender.connection.buffer(), frame("m"));
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_closes_the_sender() {
        let (mut sender, peer) = connected().await;
        sender.feed(&message(&"x".repeat(8 << 20))).await.unwrap();
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        let (flushed, ()) = tokio::join!(sender.flush(), async {
            peer.readable().await.unwrap();
            drop(peer);
        });
        assert!(matches!(flushed, Err(SendError::Io(_))), "{flushed:?}");
        assert!(matches!(sender.flush().await, Err(SendError::Closed)));
    }

    #[tokio::test]
    async fn bytes_of_the_other_side_are_discarded() {
        let (mut sender, mut peer) = connected().await;
        peer.write_all(&[b'x'; 1000]).await.unwrap();
        sender.send(&message("a")).await.unwrap();
        let mut read = vec![0; frame("a").len()];
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(read, frame("a"));
        assert!(!sender.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_no_longer_than_its_grace() {
        let (sender, _peer) = connected().await;
        let started = tokio::time::Instant::now();
        match sender.close(Duration::from_secs(3)).await {
            Err(SendError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
            other => panic!("{other:?}"),
        }
        assert_eq!(started.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn the_socket_has_nodelay_keepalive_and_a_user_timeout_of_30_s() {
        let (sender, _peer) = connected().await;
        assert!(sender.connection.socket().nodelay().unwrap());
        let socket = SockRef::from(sender.connection.socket());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
