//! A TCP receiver in a separate process, so that its memory, processor time and file descriptors can be
//! measured.
//!
//! It counts the received frames and measures the delay of each [`timed_frame`].

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::process::ROLE;
use gelf_tokio::TcpReceiver;
use gelf_tokio::options::TcpReceiverOptions;
use tokio::net::{TcpSocket, TcpStream};

/// Role of the process.
pub(crate) const RECEIVER: &str = "tcp-receiver";

/// Receives until standard input ends, and writes a report for each line of it.
pub(crate) async fn receive(argument: &str) {
    let (max_connections, frame_seconds) = argument.split_once(' ').unwrap();
    let mut options = TcpReceiverOptions::default();
    options.max_connections = max_connections.parse().unwrap();
    options.frame_timeout = Duration::from_secs(frame_seconds.parse().unwrap());
    let mut receiver = TcpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap();
    println!("listening {}", receiver.local_addr().unwrap());
    let (asks, mut asked) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            asks.blocking_send(()).unwrap();
        }
    });
    let (mut timed, mut other, mut errors, mut worst) = (0u64, 0u64, 0u64, Duration::ZERO);
    loop {
        tokio::select! {
            received = receiver.recv() => match received.unwrap() {
                Ok(received) => match received.payload.strip_prefix(b"t=") {
                    Some(time) => {
                        let sent: u64 = std::str::from_utf8(time).unwrap().parse().unwrap();
                        worst = worst.max(Duration::from_nanos(now().saturating_sub(sent)));
                        timed += 1;
                    }
                    None => other += 1,
                },
                Err(_) => errors += 1,
            },
            ask = asked.recv() => {
                if ask.is_none() {
                    return;
                }
                let stats = receiver.stats();
                let over = stats.ended_connections
                    + stats.broken_connections
                    + stats.closed_connections
                    + stats.over_limit_connections
                    + stats.failed_handshakes
                    + stats.failed_proxy_headers
                    + stats.silent_connections
                    + stats.idle_connections
                    + stats.slow_connections
                    + stats.evicted_connections;
                assert_eq!(stats.connections, stats.open_connections as u64 + over, "{stats:?}");
                let given = stats.frames + stats.too_long_frames - stats.waiting_frames;
                assert_eq!(timed + other + errors, given, "{stats:?}");
                println!(
                    "report timed={timed} other={other} errors={errors} worst_us={} connections={} open={} ended={} \
                     over_limit={} silent={} slow={} evicted={} cut={} accept_errors={}",
                    worst.as_micros(),
                    stats.connections,
                    stats.open_connections,
                    stats.ended_connections,
                    stats.over_limit_connections,
                    stats.silent_connections,
                    stats.slow_connections,
                    stats.evicted_connections,
                    stats.cut_frames,
                    stats.accept_errors,
                );
            }
        }
    }
}

/// A receiver in a separate process, killed on drop.
pub(crate) struct ReceiverProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl ReceiverProcess {
    pub(crate) fn start(max_connections: usize, frame_seconds: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, format!("{RECEIVER} {max_connections} {frame_seconds}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let address = line_after(&mut stdout, "listening ").parse().unwrap();
        Self { child, stdin, stdout, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the receiver's counters by name.
    pub(crate) fn report(&mut self) -> HashMap<String, u64> {
        self.stdin.write_all(b"report\n").unwrap();
        let figures = line_after(&mut self.stdout, "report ");
        let figures = figures.split_whitespace().map(|figure| figure.split_once('=').unwrap());
        figures.map(|(name, figure)| (name.to_owned(), figure.parse().unwrap())).collect()
    }

    /// Waits until the report meets a condition. Returns the report and the elapsed time.
    pub(crate) fn until(
        &mut self,
        wanted: impl Fn(&HashMap<String, u64>) -> bool,
    ) -> (HashMap<String, u64>, Duration) {
        let started = std::time::Instant::now();
        loop {
            let report = self.report();
            let waited = started.elapsed();
            if wanted(&report) {
                return (report, waited);
            }
            assert!(waited < Duration::from_secs(60), "{report:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the peak resident memory since the last [`forget_peak`](Self::forget_peak), in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").unwrap();
    }

    /// Returns the used processor time.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        // utime and stime of proc(5), in hundredths of a second.
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_after(lines: &mut impl BufRead, start: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the receiver has ended");
        if let Some(rest) = line.strip_prefix(start) {
            return rest.trim().to_owned();
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Returns a frame with the current time.
pub(crate) fn timed_frame() -> Vec<u8> {
    format!("t={}\0", now()).into_bytes()
}

/// Sends a [`timed_frame`] every 10 ms on one connection until [stopped](Self::stop).
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
                stream.write_all(&timed_frame()).unwrap();
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

/// Sets the maximum number of open files of a process.
pub(crate) fn limit_files(process: u32, limit: u32) {
    let limit = format!("--nofile={limit}:");
    let status = Command::new("prlimit").arg(format!("--pid={process}")).arg(limit).status();
    assert!(status.unwrap().success());
}
