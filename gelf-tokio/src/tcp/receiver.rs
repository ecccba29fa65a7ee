//! Receives messages as frames, from many connections at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gelf_core::{FrameTooLong, Framer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::receive::{ReceiveError, Received};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A read buffer larger than this is given back once what needed it is read.
const RETAINED_BYTES: usize = 256 * 1024;

/// How long no connection is accepted after the system could not give one: file descriptors do not come back faster.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// When a silent connection is asked whether it is still there: its place may be wanted.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));

/// How much a [`TcpReceiver`] holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpReceiverOptions {
    /// How many connections may be open: 1,024, at least 1. Further ones wait, unaccepted, until one ends. Each holds
    /// up to 64 KiB, and while it reads a longer frame twice the length of that.
    pub max_connections: usize,
    /// How long a frame may be: 2 MiB, as Graylog's `max_message_size`. It stops a stream without a delimiter.
    pub max_frame_len: usize,
    /// How many frames may wait to be received: 1,024, at least 1. Connections are not read meanwhile, so that senders
    /// wait too.
    pub max_queued_frames: usize,
    /// How many bytes they may have together: 16 MiB. A single frame may be larger.
    pub max_queued_bytes: usize,
}

impl Default for TcpReceiverOptions {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_frame_len: Framer::DEFAULT_MAX_FRAME_LEN,
            max_queued_frames: 1024,
            max_queued_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Receives messages from any number of connections: those of each in order, those of different ones as they come.
///
/// Connections are accepted while [`recv`](Self::recv) is waited for, and each is read by a task of its own. They end
/// when the receiver is dropped.
#[derive(Debug)]
pub struct TcpReceiver {
    listener: TcpListener,
    max_connections: usize,
    no_accept_before: Option<Instant>,
    connections: JoinSet<()>,
    queued: mpsc::Receiver<Queued>,
    shared: Arc<Shared>,
}

/// What the tasks have in common.
#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Queued>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    max_queued_bytes: usize,
    max_frame_len: usize,
    counters: Counters,
}

#[derive(Debug)]
struct Queued {
    item: Result<Received, ReceiveError>,
    /// Gives the room back when it is dropped.
    _room: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Counters {
    accept_errors: AtomicU64,
    broken_connections: AtomicU64,
    connections: AtomicU64,
    cut_frames: AtomicU64,
    empty_frames: AtomicU64,
    frames: AtomicU64,
    too_long_frames: AtomicU64,
}

/// What a [`TcpReceiver`] has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpReceiverStats {
    /// Times that the system could not give a connection, as when all file descriptors are in use.
    pub accept_errors: u64,
    /// Connections that ended with an error, such as a reset.
    pub broken_connections: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Frames lost because their connection broke in the middle of them.
    pub cut_frames: u64,
    /// Frames of nothing but white space, which are left out.
    pub empty_frames: u64,
    /// Frames read and handed out, or waiting to be.
    pub frames: u64,
    /// Connections that are open now.
    pub open_connections: usize,
    /// Frames that were too long, and skipped.
    pub too_long_frames: u64,
}

impl TcpReceiver {
    /// Listens at an address, with the default options; port 0 is any free one.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(address, TcpReceiverOptions::default()).await
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub async fn bind_with(address: impl ToSocketAddrs, options: TcpReceiverOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (queue, queued) = mpsc::channel(options.max_queued_frames.max(1));
        let max_queued_bytes = options.max_queued_bytes.min(Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            queue,
            room: Arc::new(Semaphore::new(max_queued_bytes)),
            max_queued_bytes,
            max_frame_len: options.max_frame_len,
            counters: Counters::default(),
        });
        Ok(Self {
            listener,
            max_connections: options.max_connections.max(1),
            no_accept_before: None,
            connections: JoinSet::new(),
            queued,
            shared,
        })
    }

    /// Waits for the next payload. No message is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// A frame that is too long. The next call goes on behind it.
    pub async fn recv(&mut self) -> Result<Received, ReceiveError> {
        loop {
            tokio::select! {
                Some(queued) = self.queued.recv() => return queued.item,
                Some(_) = self.connections.join_next() => {}
                accepted = accept(&self.listener, self.no_accept_before),
                    if self.connections.len() < self.max_connections =>
                {
                    self.handle(accepted);
                }
            }
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> TcpReceiverStats {
        let counters = &self.shared.counters;
        TcpReceiverStats {
            accept_errors: counters.accept_errors.load(Relaxed),
            broken_connections: counters.broken_connections.load(Relaxed),
            connections: counters.connections.load(Relaxed),
            cut_frames: counters.cut_frames.load(Relaxed),
            empty_frames: counters.empty_frames.load(Relaxed),
            frames: counters.frames.load(Relaxed),
            open_connections: self.connections.len(),
            too_long_frames: counters.too_long_frames.load(Relaxed),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn handle(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let counters = &self.shared.counters;
        match accepted {
            Ok((stream, from)) => {
                self.no_accept_before = None;
                counters.connections.fetch_add(1, Relaxed);
                if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE) {
                    tracing::debug!(%error, %from, "no TCP keepalive");
                }
                self.connections.spawn(read_connection(stream, from, Arc::clone(&self.shared)));
            }
            Err(error) => {
                counters.accept_errors.fetch_add(1, Relaxed);
                if is_of_one_connection(&error) {
                    return;
                }
                if self.no_accept_before.is_none() {
                    tracing::warn!(%error, "no TCP connection can be accepted; trying again");
                }
                self.no_accept_before = Some(Instant::now() + PAUSE_AFTER_ERROR);
            }
        }
    }
}

async fn accept(listener: &TcpListener, not_before: Option<Instant>) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(instant) = not_before {
        sleep_until(instant).await;
    }
    listener.accept().await
}

/// Whether the connection that was to be accepted is at fault, and the next one may do.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn read_connection(mut stream: TcpStream, from: SocketAddr, shared: Arc<Shared>) {
    let counters = &shared.counters;
    let mut framer = Framer::new(shared.max_frame_len);
    let mut buffer = BytesMut::new();
    loop {
        if buffer.is_empty() && buffer.capacity() > RETAINED_BYTES {
            buffer = BytesMut::new();
        }
        buffer.reserve(READ_BYTES);
        match stream.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                counters.broken_connections.fetch_add(1, Relaxed);
                counters.cut_frames.fetch_add(u64::from(!buffer.is_empty()), Relaxed);
                tracing::debug!(%error, %from, "a TCP connection broke");
                return;
            }
        }
        let empty_frames = framer.empty_frames();
        while let Some(frame) = framer.next_frame(&mut buffer) {
            if !shared.hand_over(from, frame).await {
                return;
            }
        }
        counters.empty_frames.fetch_add(framer.empty_frames() - empty_frames, Relaxed);
    }
    if let Some(frame) = framer.finish(&mut buffer) {
        shared.hand_over(from, Ok(frame)).await;
    }
}

impl Shared {
    /// Waits for room in the queue; whether the receiver is still there.
    async fn hand_over(&self, from: SocketAddr, frame: Result<Bytes, FrameTooLong>) -> bool {
        let bytes = frame.as_ref().map_or(0, Bytes::len).min(self.max_queued_bytes);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(permits).await else { return false };
        let item = match frame {
            Ok(frame) => {
                self.counters.frames.fetch_add(1, Relaxed);
                // A copy, for the frame shares the read buffer and would keep all of it.
                Ok(Received { payload: Bytes::copy_from_slice(&frame), from })
            }
            Err(error) => {
                self.counters.too_long_frames.fetch_add(1, Relaxed);
                Err(ReceiveError::Frame { from, error })
            }
        };
        self.queue.send(Queued { item, _room: room }).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn receiver(change: impl FnOnce(&mut TcpReceiverOptions)) -> TcpReceiver {
        let mut options = TcpReceiverOptions::default();
        change(&mut options);
        TcpReceiver::bind_with("127.0.0.1:0", options).await.unwrap()
    }

    async fn connect(receiver: &TcpReceiver) -> TcpStream {
        TcpStream::connect(receiver.local_addr().unwrap()).await.unwrap()
    }

    async fn payload(receiver: &mut TcpReceiver) -> Bytes {
        receiver.recv().await.unwrap().payload
    }

    /// Lets the receiver work until its figures are as wanted; it must not receive anything meanwhile.
    async fn until(receiver: &mut TcpReceiver, wanted: impl Fn(TcpReceiverStats) -> bool) {
        let started = std::time::Instant::now();
        while !wanted(receiver.stats()) {
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}", receiver.stats());
            tokio::select! {
                biased;
                received = receiver.recv() => panic!("{received:?}, which nobody waits for"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    #[tokio::test]
    async fn frames_are_read_wherever_they_are_cut() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        peer.set_nodelay(true).unwrap();
        let from = peer.local_addr().unwrap();
        let sending = async {
            for byte in b"{\"a\":1}\0\0{\"b\":2}\0\n\0{\"c\":3}\0" {
                peer.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let receiving = async {
            for payload in ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"] {
                let payload = Bytes::from_static(payload.as_bytes());
                assert_eq!(receiver.recv().await, Ok(Received { payload, from }));
            }
        };
        tokio::join!(sending, receiving);
        let stats = receiver.stats();
        assert_eq!((stats.connections, stats.frames, stats.empty_frames), (1, 3, 2));
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_is_an_error_and_those_behind_it_are_received() {
        let mut receiver = receiver(|options| options.max_frame_len = 100_000).await;
        let mut peer = connect(&receiver).await;
        let from = peer.local_addr().unwrap();
        let longest = vec![b'x'; 100_000];
        let stream = [&longest[..], b"\0", &longest, b"y\0{}\0", &longest, &longest, b"\0[]\0"].concat();
        let sending = tokio::spawn(async move { peer.write_all(&stream).await });
        assert_eq!(payload(&mut receiver).await, longest);
        for good in ["{}", "[]"] {
            match receiver.recv().await {
                Err(ReceiveError::Frame { from: who, error }) => {
                    assert_eq!((who, error.max), (from, 100_000));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(payload(&mut receiver).await, good);
        }
        sending.await.unwrap().unwrap();
        assert_eq!((receiver.stats().frames, receiver.stats().too_long_frames), (3, 2));
    }

    #[tokio::test]
    async fn an_unterminated_last_frame_is_delivered_at_the_end_of_the_connection() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        peer.write_all(b"{\"a\":1}\0{\"b\":2}").await.unwrap();
        drop(peer);
        assert_eq!(payload(&mut receiver).await, "{\"a\":1}");
        assert_eq!(payload(&mut receiver).await, "{\"b\":2}");
        until(&mut receiver, |stats| stats.open_connections == 0).await;
        assert_eq!((receiver.stats().broken_connections, receiver.stats().cut_frames), (0, 0));
    }

    #[tokio::test]
    async fn half_a_frame_before_a_reset_is_counted_and_the_next_connection_is_served() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        peer.write_all(b"{\"a\":1}\0{\"b\":").await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{\"a\":1}");
        drop(peer);
        until(&mut receiver, |stats| stats.broken_connections == 1 && stats.open_connections == 0).await;
        assert_eq!((receiver.stats().cut_frames, receiver.stats().frames), (1, 1));

        let mut peer = connect(&receiver).await;
        peer.write_all(b"{}\0").await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{}");
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_until_another_ends() {
        let mut receiver = receiver(|options| options.max_connections = 2).await;
        let mut first = connect(&receiver).await;
        let _second = connect(&receiver).await;
        until(&mut receiver, |stats| stats.open_connections == 2).await;
        let mut third = connect(&receiver).await;
        third.write_all(b"{\"third\":1}\0").await.unwrap();
        first.write_all(b"{\"first\":1}\0").await.unwrap();
        assert_eq!(payload(&mut receiver).await, "{\"first\":1}");
        assert_eq!(receiver.stats().connections, 2);
        drop(first);
        assert_eq!(payload(&mut receiver).await, "{\"third\":1}");
        assert_eq!((receiver.stats().connections, receiver.stats().open_connections), (3, 2));
    }

    #[tokio::test]
    async fn frames_that_nobody_receives_make_the_sender_wait() {
        let mut receiver = receiver(|options| options.max_queued_bytes = 1000).await;
        let mut peer = connect(&receiver).await;
        let frame = [&[b'x'; 400][..], b"\0"].concat();
        let reader = tokio::spawn(async move {
            for _ in 0..100 {
                peer.write_all(&frame).await.unwrap();
            }
            peer
        });
        assert_eq!(payload(&mut receiver).await.len(), 400);
        let mut peer = reader.await.unwrap();
        // Two wait in the queue. The third waits for room, however often the task gets its turn.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(receiver.stats().frames, 3);
        for _ in 0..99 {
            assert_eq!(payload(&mut receiver).await.len(), 400);
        }
        // A frame larger than all of the room is received nevertheless.
        peer.write_all(&[&[b'y'; 5000][..], b"\0"].concat()).await.unwrap();
        assert_eq!(payload(&mut receiver).await.len(), 5000);
        assert_eq!(receiver.shared.room.available_permits(), 1000);
    }

    #[tokio::test]
    async fn a_dropped_receiver_ends_its_connections() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        until(&mut receiver, |stats| stats.open_connections == 1).await;
        let shared = Arc::downgrade(&receiver.shared);
        drop(receiver);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(shared.strong_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_of_the_system_nothing_is_accepted_for_a_moment() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        peer.write_all(b"{}\0").await.unwrap();
        let before = Instant::now();
        receiver.handle(Err(io::Error::other("no file descriptors")));
        assert_eq!(payload(&mut receiver).await, "{}");
        assert_eq!(before.elapsed(), PAUSE_AFTER_ERROR);
        receiver.handle(Err(io::ErrorKind::ConnectionAborted.into()));
        assert_eq!(receiver.no_accept_before, None);
        assert_eq!(receiver.stats().accept_errors, 2);
    }

    #[tokio::test]
    async fn a_small_frame_does_not_keep_the_buffer_of_a_large_one() {
        let mut receiver = receiver(|_| {}).await;
        let mut peer = connect(&receiver).await;
        let stream = [&vec![b'x'; 1 << 20][..], b"\0{}\0"].concat();
        let sending = tokio::spawn(async move { peer.write_all(&stream).await });
        assert_eq!(payload(&mut receiver).await.len(), 1 << 20);
        let small = payload(&mut receiver).await;
        let memory = small.try_into_mut().unwrap();
        assert!(memory.capacity() < 100, "{}", memory.capacity());
        sending.await.unwrap().unwrap();
    }
}
