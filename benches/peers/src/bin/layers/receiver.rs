//! A receiver of frames over TCP that can go down.

use std::collections::HashSet;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which the threads check whether the receiver is down.
const POLL: Duration = Duration::from_millis(5);

/// Counts the frames, and the distinct values of their field `number`. Keeps the last frame.
#[derive(Default)]
pub(crate) struct Counts {
    frames: AtomicUsize,
    numbers: Mutex<HashSet<u64>>,
    last: Mutex<String>,
}

impl Counts {
    pub(crate) fn frames(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn distinct(&self) -> usize {
        self.numbers.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> String {
        self.last.lock().unwrap().clone()
    }

    fn add(&self, frame: &[u8]) {
        let text = String::from_utf8_lossy(frame);
        if let Some((_, rest)) = text.split_once("\"_number\":") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            self.numbers.lock().unwrap().insert(digits.parse().unwrap());
        }
        *self.last.lock().unwrap() = text.into_owned();
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// How a receiver that goes down ends its connections.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// The receiver shuts down its sending direction, and reads for another 300 ms, so that bytes that are on
    /// their way still arrive.
    Orderly,
    /// The receiver closes the connections immediately, and the system resets them, at the latest when further
    /// bytes arrive. The bytes that the system has acknowledged but the receiver has not read are lost. A
    /// sender over TCP cannot find out which bytes these are.
    Reset,
}

/// A receiver that is up until it is dropped.
pub(crate) struct Receiver {
    is_down: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Receiver {
    /// Binds the address. If `reads` is false, the receiver accepts connections, but reads nothing.
    pub(crate) fn up(address: SocketAddr, counts: &Arc<Counts>, reads: bool, end: End) -> (Self, SocketAddr) {
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(_) => thread::sleep(POLL),
            }
        };
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let is_down = Arc::new(AtomicBool::new(false));
        let (down, counts) = (Arc::clone(&is_down), Arc::clone(counts));
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            while !down.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (down, counts) = (Arc::clone(&down), Arc::clone(&counts));
                        connections.push(thread::spawn(move || read(stream, &down, &counts, reads, end)));
                    }
                    Err(_) => thread::sleep(POLL),
                }
            }
            drop(listener);
            connections.into_iter().for_each(|connection| connection.join().unwrap());
        });
        (Self { is_down, threads: vec![accepting] }, address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_down.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Counts the frames of a connection until the connection ends, or until the receiver goes down and has ended
/// the connection as `end` says.
fn read(mut stream: TcpStream, is_down: &AtomicBool, counts: &Counts, reads: bool, end: End) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(POLL)).unwrap();
    let (mut buffer, mut pending) = (vec![0; 64 * 1024], Vec::new());
    let mut deadline = None;
    loop {
        if deadline.is_none() && is_down.load(Ordering::Relaxed) {
            let End::Orderly = end else { return };
            let _ = stream.shutdown(std::net::Shutdown::Write);
            deadline = Some(Instant::now() + Duration::from_millis(300));
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return;
        }
        if !reads {
            thread::sleep(POLL);
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => pending.extend_from_slice(&buffer[..len]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => continue,
            Err(_) => return,
        }
        while let Some(end) = pending.iter().position(|byte| *byte == 0) {
            counts.add(&pending[..end]);
            pending.drain(..=end);
        }
    }
}
