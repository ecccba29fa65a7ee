//! One connection to a receiver of frames, with or without TLS.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use gelf_core::Delimiter;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::{Endpoint, TcpOptions};
use crate::hosts::Hosts;
use crate::resolve::{Resolve, addresses};
use crate::sys;
#[cfg(feature = "tls")]
use crate::tls::{AckMap, Counting};

/// The options of keepalive: the idle time before the first probe, the interval of probes, and their maximum
/// number.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(10))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// The maximum size, in bytes, of a write buffer that is kept. A larger buffer is freed once all of its bytes
/// are written.
pub(crate) const RETAINED_BYTES: usize = 256 * 1024;

/// The maximum size, in bytes, of a read whose bytes are discarded, since GELF has no answers.
const DISCARD_BYTES: usize = 512;

/// The maximum number of bytes of the receiver's answer that an error or a log message shows.
const SHOWN_BYTES: usize = 40;

/// The maximum number of reads in a row whose bytes are discarded. After that, the task yields.
const MAX_DISCARDS: usize = 16;

/// Makes the connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Dialer {
    hosts: Hosts,
    connect_timeout: Duration,
    delimiter: Delimiter,
    reconnect: Option<Duration>,
    user_timeout: Duration,
}

impl Dialer {
    /// Creates a dialer. This call reads no file.
    ///
    /// # Errors
    /// Returns the errors of [`Hosts::new`].
    pub(crate) fn new(endpoint: &Endpoint, options: &TcpOptions) -> io::Result<Self> {
        let host = (endpoint.host(), endpoint.port());
        Ok(Self {
            hosts: Hosts::new(host, &options.failover, options.tls.as_ref())?,
            connect_timeout: options.connect_timeout,
            delimiter: options.delimiter,
            reconnect: options.reconnect,
            user_timeout: options.user_timeout,
        })
    }

    /// Returns the hosts. The current host is the host of the connection. Without a connection, it is the
    /// host that [`connect`](Self::connect) tries first.
    pub(crate) fn hosts(&mut self) -> &mut Hosts {
        &mut self.hosts
    }

    /// Returns the time after which a connection is to be replaced.
    pub(crate) fn reconnect(&self) -> Option<Duration> {
        self.reconnect
    }

    /// Connects to the current host, or to the first host after it that can be reached. The name of each host
    /// is looked up, for at most 30 s, and the addresses are tried in order. [`TcpOptions::connect_timeout`]
    /// limits the time of each connection attempt and, separately, the time of each TLS handshake.
    ///
    /// # Errors
    /// Returns an error if no host could be reached. The error of a host is the error of its lookup or of
    /// its last address.
    pub(crate) async fn connect(&mut self, resolver: &dyn Resolve) -> io::Result<Connection> {
        loop {
            match self.connect_to_host(resolver).await {
                Ok(connection) => return Ok(connection),
                Err(error) => match self.hosts.failed(error) {
                    Some(error) => return Err(error),
                    None => continue,
                },
            }
        }
    }

    async fn connect_to_host(&mut self, resolver: &dyn Resolve) -> io::Result<Connection> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        let host = self.hosts.current();
        for address in addresses(resolver, &host.name, host.port).await? {
            result = self.connect_to(address).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::needless_pass_by_ref_mut, reason = "with TLS, the method changes the connector")
    )]
    async fn connect_to(&mut self, address: SocketAddr) -> io::Result<Connection> {
        let stream = timeout(self.connect_timeout, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the host does not answer")))?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&KEEPALIVE)?;
        sys::set_user_timeout(&socket, self.user_timeout)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.hosts.connector() {
            let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake takes too long"));
            let stream = timeout(self.connect_timeout, tls.connect(Counting::new(stream)))
                .await
                .unwrap_or_else(late)?;
            return Ok(Connection::new(Stream::Tls(Box::new(stream)), self.delimiter));
        }
        Ok(Connection::new(Stream::Plain(stream), self.delimiter))
    }
}

/// The error for a receiver whose answer shows that it expects another protocol.
#[derive(Debug)]
struct AnswerOfAnotherProtocol(String);

impl fmt::Display for AnswerOfAnotherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AnswerOfAnotherProtocol {}

/// Returns whether the error says that the receiver has answered with TLS or HTTP.
pub(crate) fn is_answer_of_another_protocol(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<AnswerOfAnotherProtocol>())
}

/// Keeps the first bytes that the receiver has sent. Returns an error if they show that the receiver expects
/// TLS or HTTP. Other bytes are logged once and the connection stays open, since some receivers send a
/// greeting.
fn hear(answer: &mut Vec<u8>, bytes: &[u8]) -> Option<io::Error> {
    let is_first = answer.is_empty();
    answer.extend(bytes.iter().take(SHOWN_BYTES.saturating_sub(answer.len())));
    let first_line = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let expected = match answer.as_slice() {
        // This is a record of the type alert, in any version (RFC 8446, section 5.1).
        [0x15, 0x03, ..] => "it answered with a TLS alert (15 03), so it expects TLS".to_owned(),
        [b'H', b'T', b'T', b'P', b'/', ..] => {
            format!("it answered \"{}\", so it expects HTTP", first_line.escape_ascii())
        }
        _ => {
            if is_first {
                let shown = answer.escape_ascii();
                tracing::warn!(
                    "the receiver answered \"{shown}\", which is no GELF: it may expect another protocol"
                );
            }
            return None;
        }
    };
    Some(io::Error::new(io::ErrorKind::InvalidData, AnswerOfAnotherProtocol(expected)))
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Counting<TcpStream>>>),
}

/// An open connection, and the frames that are to be written to it.
pub(crate) struct Connection {
    stream: Stream,
    delimiter: Delimiter,
    /// The frames to write. The beginning of the first frame may have been written already.
    buffer: BytesMut,
    /// The number of bytes that have gone from the buffer into the stream.
    written: u64,
    /// `true` if bytes that have gone into the stream are not flushed yet. A TLS stream keeps bytes that the
    /// socket has no room for.
    is_unflushed: bool,
    /// The first bytes that the receiver has sent.
    answer: Vec<u8>,
    #[cfg(feature = "tls")]
    acks: AckMap,
}

impl Connection {
    fn new(stream: Stream, delimiter: Delimiter) -> Self {
        Self {
            stream,
            delimiter,
            buffer: BytesMut::new(),
            written: 0,
            is_unflushed: false,
            answer: Vec::new(),
            #[cfg(feature = "tls")]
            acks: AckMap::default(),
        }
    }

    /// Returns the delimiter of the frames.
    pub(crate) fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// Returns the write buffer, to which whole frames are to be appended.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Returns whether bytes are left to write or to flush.
    pub(crate) fn has_to_write(&self) -> bool {
        !self.buffer.is_empty() || self.is_unflushed
    }

    /// Writes and flushes the whole buffer, and meanwhile watches whether the connection ends. If nothing is left
    /// to write or to flush, waits for the end of the connection.
    ///
    /// # Errors
    /// Returns an error if the connection is over: `UnexpectedEof` if the other side has ended it, an error
    /// that [`is_answer_of_another_protocol`] recognizes if the other side has answered with TLS or HTTP, and
    /// otherwise the error of the socket or of TLS.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the next call continues where this call stopped.
    pub(crate) async fn drive(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drive(cx)).await
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end is polled first, so that nothing more is written to an ended connection.
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        if !self.has_to_write() {
            return Poll::Pending;
        }
        self.poll_write_out(cx)
    }

    /// Polls for the end of the connection by the other side.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut discarded = [0; DISCARD_BYTES];
        for _ in 0..MAX_DISCARDS {
            let mut discarded = ReadBuf::new(&mut discarded);
            let result = match &mut self.stream {
                Stream::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, &mut discarded)),
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => ready!(Pin::new(stream).poll_read(cx, &mut discarded)),
            };
            match result {
                Err(error) => return Poll::Ready(error),
                Ok(()) if discarded.filled().is_empty() => {
                    let error =
                        io::Error::new(io::ErrorKind::UnexpectedEof, "the receiver has ended the connection");
                    return Poll::Ready(error);
                }
                Ok(()) => {
                    if let Some(error) = hear(&mut self.answer, discarded.filled()) {
                        return Poll::Ready(error);
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let written = match &mut self.stream {
                Stream::Plain(stream) => ready!(Pin::new(stream).poll_write(cx, &self.buffer))?,
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => ready!(Pin::new(stream).poll_write(cx, &self.buffer))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(written);
            self.written += written as u64;
            self.is_unflushed = true;
        }
        self.poll_flush(cx).map_ok(|()| {
            self.is_unflushed = false;
            if self.buffer.capacity() > RETAINED_BYTES {
                self.buffer = BytesMut::new();
            }
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                self.acks.flushed(self.written, stream.get_ref().0.written());
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Returns the number of bytes that were written from the buffer and that the receiver's operating system
    /// has acknowledged. With TLS, the bytes of a flush count only once all of them are acknowledged. Returns
    /// `None` on systems that do not report acknowledgements. The number stays valid after the connection has
    /// ended.
    pub(crate) fn acknowledged(&mut self) -> Option<u64> {
        // If the system call fails, no further byte counts as acknowledged.
        let unacknowledged = sys::unacknowledged_bytes(self.socket()).unwrap_or(Some(u64::MAX))?;
        Some(match &mut self.stream {
            Stream::Plain(_) => self.written.saturating_sub(unacknowledged),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let ciphertext = stream.get_ref().0.written();
                self.acks.acknowledge(ciphertext.saturating_sub(unacknowledged))
            }
        })
    }

    /// Ends a connection whose bytes are all acknowledged. On systems that do not report acknowledgements,
    /// waits as [`shut_down`](Self::shut_down) does.
    ///
    /// # Errors
    /// Returns an error if the connection broke.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        if self.acknowledged().is_none() {
            return self.shut_down().await;
        }
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Ends this side of the connection, and waits until the receiver has ended its side too. A receiver that
    /// reads to the end has then read everything. Bytes that the receiver sends meanwhile are discarded.
    ///
    /// # Errors
    /// Returns an error if the connection broke, or if the receiver has answered with TLS or HTTP.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await?;
        match self.ended().await {
            error if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            error => Err(error),
        }
    }

    /// Waits until the other side ends the connection, or answers with TLS or HTTP. Returns `UnexpectedEof` if
    /// the other side has closed the connection without an error, and another error otherwise.
    pub(crate) async fn ended(&mut self) -> io::Error {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Returns whether the connection is without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.stream, Stream::Plain(_))
    }

    /// Returns the TCP socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.get_ref().0.get_ref(),
        }
    }
}

/// Shows no frame: payloads are private.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("socket", self.socket())
            .field("buffered", &self.buffer.len())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
