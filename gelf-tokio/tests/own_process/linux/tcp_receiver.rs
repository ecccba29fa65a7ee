//! Runs a TCP receiver in a separate process, so that its memory and processor time can be measured, and its file
//! descriptors limited. The receiver counts the [`GOOD`] frames separately from the other frames.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::process::{Other, memory};
use gelf_tokio::TcpReceiver;
use gelf_tokio::options::TcpReceiverOptions;
use tokio::net::{TcpSocket, TcpStream};

/// The role of the process.
pub(crate) const RECEIVER: &str = "tcp-receiver";

pub(crate) const GOOD: &[u8] = b"good\0";

/// Receives until standard input ends, and writes a report for each line of it.
pub(crate) async fn receive(argument: &str) {
    let (max_connections, frame_seconds) = argument.split_once(' ').unwrap();
    let mut options = TcpReceiverOptions::default();
    options.max_connections = max_connections.parse().unwrap();
    options.frame_timeout = Duration::from_secs(frame_seconds.parse().unwrap());
    let mut receiver = TcpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap();
    eprintln!("listening {}", receiver.local_addr().unwrap());
    let (asks, mut asked) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            asks.blocking_send(()).unwrap();
        }
    });
    let (mut good, mut other, mut errors) = (0u64, 0u64, 0u64);
    loop {
        tokio::select! {
            received = receiver.recv() => match received.unwrap() {
                Ok(received) if received.payload == GOOD[..4] => good += 1,
                Ok(_) => other += 1,
                Err(_) => errors += 1,
            },
            ask = asked.recv() => {
                if ask.is_none() {
                    return;
                }
                let stats = receiver.stats();
                let given = stats.frames + stats.too_long_frames - stats.waiting_frames;
                assert_eq!(good + other + errors, given, "{stats:?}");
                eprintln!(
                    "report good={good} other={other} errors={errors} connections={} open={} over_limit={} slow={} \
                     evicted={} cut={} accept_errors={}",
                    stats.connections,
                    stats.open_connections,
                    stats.over_limit_connections,
                    stats.slow_connections,
                    stats.evicted_connections,
                    stats.cut_frames,
                    stats.accept_errors,
                );
            }
        }
    }
}

/// A receiver in a separate process.
pub(crate) struct ReceiverProcess {
    process: Other,
    pub(crate) address: SocketAddr,
}

impl ReceiverProcess {
    pub(crate) fn start(max_connections: usize, frame_seconds: u64) -> Self {
        let process = Other::start(&[], RECEIVER, &format!("{max_connections} {frame_seconds}"));
        let address = process.says("listening ").parse().unwrap();
        Self { process, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the receiver's counters by name.
    pub(crate) fn report(&mut self) -> HashMap<String, u64> {
        self.process.ask();
        let figures = self.process.says("report ");
        let figures = figures.split_whitespace().map(|figure| figure.split_once('=').unwrap());
        figures.map(|(name, figure)| (name.to_owned(), figure.parse().unwrap())).collect()
    }

    /// Waits until the report meets a condition, and returns the report.
    pub(crate) fn until(&mut self, wanted: impl Fn(&HashMap<String, u64>) -> bool) -> HashMap<String, u64> {
        let started = Instant::now();
        loop {
            let report = self.report();
            if wanted(&report) {
                return report;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{report:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resets [`peak`](Self::peak) to the current resident memory, and returns this memory in bytes.
    pub(crate) fn forget_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
        memory(self.id(), "VmRSS")
    }

    pub(crate) fn peak(&self) -> u64 {
        memory(self.id(), "VmHWM")
    }

    /// Returns the used processor time.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        // The fields utime and stime (proc(5)) are in hundredths of a second.
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }
}

/// Sends a [`GOOD`] frame every 10 ms on one connection until [stopped](Self::stop).
pub(crate) struct GoodSender {
    stop: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<u64>,
}

impl GoodSender {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while stopped.recv_timeout(Duration::from_millis(10)).is_err() {
                stream.write_all(GOOD).unwrap();
                sent += 1;
            }
            sent
        });
        Self { stop, thread }
    }

    /// Stops sending. Returns the number of sent frames.
    pub(crate) fn stop(self) -> u64 {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

/// Connects from the loopback address 127.0.0.`host`.
pub(crate) async fn connect_from(host: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
    socket.connect(to).await
}
