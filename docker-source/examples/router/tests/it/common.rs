//! Runs the router as a process, and reads its outputs line by line.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use gelf_tokio::TcpReceiver;
use tokio::net::TcpSocket;

/// The time limit for each expected event. The limit is long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A running router. Dropping this value kills the process.
pub(crate) struct Router {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    /// The lines of stderr that were received so far.
    logged: Vec<String>,
}

impl Router {
    /// Starts the router with these arguments.
    pub(crate) fn start(docker_host: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
        command.args(arguments).env("DOCKER_HOST", docker_host).env_remove("ROUTE_URIS");
        Self::spawn(command)
    }

    /// Starts a command that runs the router.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the router starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr, logged: Vec::new() }
    }

    /// Waits until a line on stderr contains the word, and returns that line.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) => {
                    self.logged.push(line.clone());
                    if line.contains(word) {
                        return line;
                    }
                }
                Err(error) => panic!("the router never logged {word:?} ({error}): {:#?}", self.logged),
            }
        }
    }

    /// Waits until the router logs that it follows the existing containers. Does not wait if a previous call
    /// of [`wait_for`](Self::wait_for) has already read this log line.
    #[track_caller]
    pub(crate) fn wait_until_ready(&mut self) {
        const READY: &str = "ready: following";
        if !self.logged.iter().any(|line| line.contains(READY)) {
            self.wait_for(READY);
        }
    }

    /// Returns the next line on stdout.
    #[track_caller]
    pub(crate) fn next_line(&mut self) -> String {
        match self.stdout.recv_timeout(TIMEOUT) {
            Ok(line) => line,
            Err(error) => panic!("nothing on stdout ({error}); stderr: {:#?}", self.all_logged()),
        }
    }

    /// Returns the next line on stdout, parsed as JSON.
    #[track_caller]
    pub(crate) fn next_message(&mut self) -> serde_json::Value {
        let line = self.next_line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Returns the lines that arrive on stdout until no line arrives for this time.
    pub(crate) fn lines_until_silent(&self, silence: Duration) -> Vec<String> {
        std::iter::from_fn(|| self.stdout.recv_timeout(silence).ok()).collect()
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end of the process. Returns the exit status, the rest of stdout, and all of stderr.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            match self.child.try_wait().expect("waitable") {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                None => panic!("the router does not end: {:#?}", self.all_logged()),
            }
        };
        // The threads that read the pipes end when the pipes close, and then these iterators end.
        let stdout = self.stdout.iter().collect();
        let mut logged = std::mem::take(&mut self.logged);
        logged.extend(self.stderr.iter());
        (status.code(), stdout, logged)
    }

    /// Sends SIGTERM and waits like [`wait`](Self::wait). Asserts that the exit status is 0.
    #[track_caller]
    pub(crate) fn terminate(self) -> (Vec<String>, Vec<String>) {
        self.signal("TERM");
        let (status, stdout, logged) = self.wait();
        assert_eq!(status, Some(0), "{logged:#?}");
        (stdout, logged)
    }

    fn all_logged(&mut self) -> &[String] {
        self.logged.extend(self.stderr.try_iter());
        &self.logged
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns an address that refuses TCP connections, and the socket that reserves its port. Until the socket
/// is dropped, no other test can listen there.
pub(crate) fn refusing_tcp() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Returns an address that refuses datagrams, and the socket that reserves its port. A connected socket takes
/// datagrams of its peer only, and this peer is the socket itself.
pub(crate) fn refusing_udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}

/// Listens at an address that another socket has just released. Tries again while the address is in use,
/// because a child process of another test can hold a copy of the released socket for a moment.
pub(crate) async fn listen_again(address: SocketAddr) -> TcpReceiver {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match TcpReceiver::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            result => return result.unwrap(),
        }
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if line.map(|line| sender.send(line)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns the number in front of the words `name`, from the last line of the log that has this number.
#[track_caller]
pub(crate) fn figure(logged: &[String], name: &str) -> u64 {
    let before = format!(" {name}");
    let number = logged.iter().rev().find_map(|line| {
        let (head, _) = line.split_once(&before)?;
        head.rsplit(' ').next()?.parse().ok()
    });
    number.unwrap_or_else(|| panic!("no figure {name:?} in {logged:#?}"))
}

/// Returns the number of lines that were read for the first time. Before it ends, the router reads the latest
/// lines of some logs again, because a stream can omit lines.
#[track_caller]
pub(crate) fn new_lines(logged: &[String]) -> u64 {
    figure(logged, "lines read") - figure(logged, "read again")
}

/// Returns a script that writes `lines` numbered lines and then waits until its container is removed. The
/// even numbers go to stdout, and the odd numbers to stderr. After each burst of `burst` lines, the script
/// sleeps for the time `sleep`.
pub(crate) fn numbered_lines(lines: usize, burst: usize, sleep: Duration) -> String {
    let (pairs, microseconds) = (burst / 2, sleep.as_micros());
    format!(
        "i=0
while [ $i -lt {lines} ]; do
  n=0
  while [ $n -lt {pairs} ]; do
    echo \"line $i\"
    echo \"line $((i + 1))\" >&2
    i=$((i + 2))
    n=$((n + 1))
  done
  usleep {microseconds}
done
sleep 600"
    )
}

/// Returns the number of a line of [`numbered_lines`].
pub(crate) fn number_of(line: &str) -> usize {
    line.strip_prefix("line ").unwrap().parse().unwrap()
}
