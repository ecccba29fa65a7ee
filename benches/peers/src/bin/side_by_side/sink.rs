//! Receives and counts messages on the loopback, and discards them.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

/// The time without a message after which a caller no longer waits.
const QUIET: Duration = Duration::from_secs(2);

/// The maximum time for which a caller waits for messages.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    fn add(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// A receiver with counters, whose thread runs until the program ends.
pub(crate) struct Sink {
    /// The port, on 127.0.0.1.
    pub(crate) port: u16,
    counts: Arc<Counts>,
}

impl Sink {
    /// Binds a UDP socket with a large buffer. A message counts when its first chunk arrives.
    pub(crate) fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        // Only root may set a size above the limit of the system.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, 64 << 20));
        let (port, counts) = (socket.local_addr().expect("bound").port(), Arc::<Counts>::default());
        let sink = Self { port, counts: Arc::clone(&counts) };
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length) = socket.recv(&mut buffer) {
                let later_chunk = length > 10 && buffer.starts_with(&[0x1e, 0x0f]) && buffer[10] != 0;
                counts.add(usize::from(!later_chunk), length);
            }
        });
        sink
    }

    /// Binds a TCP socket. A message counts when its null byte arrives.
    pub(crate) fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let (port, counts) = (listener.local_addr().expect("bound").port(), Arc::<Counts>::default());
        let sink = Self { port, counts: Arc::clone(&counts) };
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 18];
            for mut stream in listener.incoming().flatten() {
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    counts.add(buffer[..length].iter().filter(|byte| **byte == 0).count(), length);
                }
            }
        });
        sink
    }

    /// Waits until `expected` messages have arrived since the last call, until no message has arrived for
    /// [`QUIET`], or until [`PATIENCE`] has passed. Returns the numbers of messages and of bytes that have
    /// arrived since the last call.
    pub(crate) fn take(&self, expected: u64) -> (u64, u64) {
        let started = Instant::now();
        let (mut last, mut since) = (self.counts.messages.load(Relaxed), Instant::now());
        while last < expected && since.elapsed() < QUIET && started.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5));
            let now = self.counts.messages.load(Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        (self.counts.messages.swap(0, Relaxed), self.counts.bytes.swap(0, Relaxed))
    }
}
