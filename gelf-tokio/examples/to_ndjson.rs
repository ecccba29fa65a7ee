//! Receives messages over UDP and TCP, and over HTTP with the feature `http`. Writes each message to standard
//! output as a line of JSON without characters that control a terminal. After SIGTERM or Ctrl-C, the program
//! writes the messages that have arrived, and ends. If standard output is blocked meanwhile for more than 5 s,
//! messages can be lost.
//!
//! ```text
//! cargo run -p gelf-tokio --features http --example to_ndjson -- 127.0.0.1:12201 >>messages.ndjson
//! ```
//!
//! UDP and TCP share the port; HTTP uses the next port. Input that is no message is counted, and shown on
//! standard error at most once a second.
//!
//! Exit status: 0 after a signal; 1 after an error, with the reason on standard error.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

#[cfg(feature = "http")]
use gelf_tokio::HttpReceiver;
use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{ReceiveError, Received, TcpReceiver, UdpReceiver};
use tokio::sync::mpsc;

type Item = Result<Received, ReceiveError>;

/// The time limit for receiving, after a signal, the messages that have arrived already or whose arrival has begun.
const GRACE: Duration = Duration::from_secs(5);

/// Forwards received payloads until a signal has closed the receiver and the receiver is empty.
macro_rules! forward {
    ($receiver:expr, $items:expr) => {{
        let (mut receiver, items) = ($receiver, $items.clone());
        tokio::spawn(async move {
            let mut stopped = pin!(stop());
            let mut is_closing = false;
            loop {
                let item = tokio::select! {
                    item = receiver.recv() => item,
                    () = &mut stopped, if !is_closing => {
                        is_closing = true;
                        receiver.close(GRACE);
                        continue;
                    }
                };
                let Some(item) = item else { break };
                if items.send(item).await.is_err() {
                    break;
                }
            }
        });
    }};
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12201".to_owned()).parse()?;
    // Writing blocks this thread, so the receivers have another thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let received = runtime.block_on(receive(address))?;
    write(received)?;
    Ok(())
}

/// Starts the receivers.
async fn receive(address: SocketAddr) -> io::Result<mpsc::Receiver<Item>> {
    // When this channel is full, the receivers wait. Over TCP and HTTP, the senders then wait, too.
    let (items, received) = mpsc::channel::<Item>(256);
    forward!(UdpReceiver::bind(address).await?, items);
    forward!(TcpReceiver::bind(address).await?, items);
    eprintln!("listening on {address}, UDP and TCP");
    #[cfg(feature = "http")]
    {
        let port = address.port().checked_add(1).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no port for HTTP follows port 65535")
        })?;
        let address = SocketAddr::new(address.ip(), port);
        forward!(HttpReceiver::bind(address).await?, items);
        eprintln!("listening on {address}, HTTP");
    }
    Ok(received)
}

/// Writes until all receivers are closed.
fn write(mut received: mpsc::Receiver<Item>) -> io::Result<()> {
    let mut decoder = Decoder::lenient();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut faults = Faults { count: 0, shown: None };
    let mut written: u64 = 0;
    while let Some(item) = received.blocking_recv() {
        match item {
            Ok(received) => match received.decode(&mut decoder) {
                Ok(decoded) => {
                    writeln!(output, "{}", decoded.message)?;
                    written += 1;
                }
                Err(error) => faults.add(&format_args!("from {}: {error}", received.from)),
            },
            Err(error) => faults.add(&error),
        }
        // If no further message waits, the buffered lines are written now.
        if received.is_empty() {
            output.flush()?;
        }
    }
    output.flush()?;
    eprintln!("{written} messages written, {} faults in the input", faults.count);
    Ok(())
}

/// Counts and shows input that is no message.
struct Faults {
    count: u64,
    shown: Option<Instant>,
}

impl Faults {
    fn add(&mut self, fault: &dyn std::fmt::Display) {
        self.count += 1;
        if self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_secs(1)) {
            self.shown = Some(Instant::now());
            eprintln!("{fault} ({} so far)", self.count);
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
