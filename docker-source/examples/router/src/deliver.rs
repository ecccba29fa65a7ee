//! The way of a route's records to its destination.
//!
//! A destination that is down is tried for ever, and said to be down once. While a connection is, records wait: the
//! queue fills, reading pauses, and the Engine's own log files hold the rest. Over UDP a host without a listener
//! refuses what it got, and says so after the fact; such a line is dropped and counted, since nothing tells when one
//! would be taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use docker_source::Record;
use gelf_tokio::{Endpoint, SendError, TcpSender, Transport, UdpSender};
use tokio::sync::mpsc;

use crate::print::Window;
use crate::tally::Tally;

/// How many records are sent before it is looked whether the kernel took them.
const BATCH: usize = 256;

/// The first and the longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the other side has to end the connection too, which tells that it has read to its end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends every record of the queue, until the queue is closed and empty.
///
/// With a `window`, each waits until the receiver behind it has room.
pub(crate) async fn deliver(
    endpoint: Endpoint,
    window: Option<Window>,
    mut records: mpsc::Receiver<Arc<Record>>,
    tally: Arc<Tally>,
) {
    let mut link =
        Link { destination: endpoint.to_string(), endpoint, window, connection: None, is_down: false };
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            received = records.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    break;
                }
                link.send(&batch, &tally).await;
                batch.clear();
            }
            // Not first with the first record, so that a wrong destination is known when the router starts.
            connection = link.connect(), if link.connection.is_none() => link.connection = Some(connection),
        }
    }
    link.close().await;
}

/// The connection to a destination, or the lack of one.
struct Link {
    endpoint: Endpoint,
    /// As it is named in diagnostics.
    destination: String,
    window: Option<Window>,
    connection: Option<Connection>,
    is_down: bool,
}

enum Connection {
    Tcp(TcpSender),
    Udp(Box<UdpSender>),
}

impl Link {
    /// Sends all of the batch, over as many connections as it takes.
    async fn send(&mut self, batch: &[Arc<Record>], tally: &Tally) {
        let mut rest = batch;
        while !rest.is_empty() {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect().await,
            };
            let sent = match &mut connection {
                Connection::Tcp(sender) => send_frames(sender, rest, tally).await,
                Connection::Udp(sender) => self.send_datagrams(sender, rest, tally).await,
            };
            match sent {
                Ok(()) => {
                    self.connection = Some(connection);
                    return;
                }
                Err(Interrupted { settled, error }) => {
                    rest = rest.get(settled..).unwrap_or_default();
                    self.down(&error);
                    tokio::time::sleep(BACKOFF.0).await;
                }
            }
        }
    }

    async fn send_datagrams(
        &mut self,
        sender: &mut UdpSender,
        batch: &[Arc<Record>],
        tally: &Tally,
    ) -> Result<(), Interrupted> {
        for (settled, record) in batch.iter().enumerate() {
            if let Some(window) = &self.window {
                window.enter().await;
            }
            match sender.send(&record.to_message()).await {
                Ok(sent) => {
                    tally.delivered(1);
                    if sent.refused == 0 {
                        self.up();
                    } else {
                        tally.refused_after_all();
                        self.down(&"the datagrams are refused");
                    }
                }
                Err(error) if error.is_refused() => {
                    tally.refused();
                    self.down(&error);
                }
                Err(SendError::Io(error)) => {
                    return Err(Interrupted { settled, error: error.to_string() });
                }
                Err(error) => {
                    tally.too_large();
                    tracing::warn!(
                        destination = self.destination,
                        container = record.container().name(),
                        time = %record.time(),
                        "a line was dropped: {error}"
                    );
                }
            }
        }
        Ok(())
    }

    /// Connects, as often as it takes.
    async fn connect(&mut self) -> Connection {
        let mut pause = BACKOFF.0;
        loop {
            let attempt = async {
                Ok(match self.endpoint.transport() {
                    Transport::Tcp(_) => Connection::Tcp(TcpSender::connect(&self.endpoint).await?),
                    _ => Connection::Udp(Box::new(UdpSender::connect(&self.endpoint).await?)),
                })
            };
            let attempt = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await;
            match attempt.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))) {
                Ok(connection) => {
                    if matches!(connection, Connection::Tcp(_)) {
                        self.up();
                    }
                    return connection;
                }
                Err(error) => self.down(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Says so, once for each time that it goes down.
    fn down(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::warn!(destination = self.destination, "the destination is down, trying on: {error}");
        }
    }

    fn up(&mut self) {
        if std::mem::replace(&mut self.is_down, false) {
            tracing::info!(destination = self.destination, "the destination is back");
        }
    }

    async fn close(self) {
        if let Some(Connection::Tcp(sender)) = self.connection
            && let Err(error) = sender.close(CLOSE_TIMEOUT).await
        {
            tracing::warn!(destination = self.destination, "the connection did not end cleanly: {error}");
        }
    }
}

/// A connection ended before all of a batch was sent.
struct Interrupted {
    /// How many records of the batch, from its beginning, need not be sent again.
    settled: usize,
    error: String,
}

/// Sends a batch as frames; none of it is settled before all of it is with the kernel.
async fn send_frames(
    sender: &mut TcpSender,
    batch: &[Arc<Record>],
    tally: &Tally,
) -> Result<(), Interrupted> {
    let sent = async {
        for record in batch {
            sender.feed(&record.to_message()).await?;
        }
        sender.flush().await
    };
    match sent.await {
        Ok(()) => {
            tally.delivered(batch.len());
            Ok(())
        }
        Err(error) => Err(Interrupted { settled: 0, error: error.to_string() }),
    }
}
