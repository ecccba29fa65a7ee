//! The embedded receiver: what came out of it, on stdout.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use gelf_tokio::UdpReceiver;
use gelf_tokio::gelf_core::{Decoder, encode};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::oneshot;

/// How long the receiver stays silent before it is taken to have nothing left. Over the loopback interface a datagram
/// is there when its sender's call returns.
const SILENCE: Duration = Duration::from_millis(100);

/// A receiver whose messages are printed, one JSON line each.
pub(crate) struct Printer {
    receiver: UdpReceiver,
    address: SocketAddr,
}

impl Printer {
    /// Binds a free UDP port of the loopback interface.
    pub(crate) async fn bind() -> io::Result<Self> {
        let receiver = UdpReceiver::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = receiver.local_addr()?;
        Ok(Self { receiver, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Prints until `finish` is sent or dropped, and then what has arrived by that time.
    ///
    /// # Errors
    /// When stdout cannot be written to, such as a pipe whose reader has seen enough.
    pub(crate) async fn run(mut self, mut finish: oneshot::Receiver<()>) -> io::Result<()> {
        let mut lines = Lines::new(tokio::io::stdout());
        loop {
            tokio::select! {
                biased;
                received = self.receiver.recv() => lines.print(received.as_ref().map(|received| &received.payload[..])).await?,
                _ = &mut finish => break,
            }
        }
        while let Ok(received) = tokio::time::timeout(SILENCE, self.receiver.recv()).await {
            lines.print(received.as_ref().map(|received| &received.payload[..])).await?;
        }
        lines.out.flush().await
    }
}

struct Lines<W> {
    out: BufWriter<W>,
    line: BytesMut,
}

impl<W: AsyncWrite + Unpin> Lines<W> {
    fn new(out: W) -> Self {
        Self { out: BufWriter::new(out), line: BytesMut::new() }
    }

    /// Reads the payload as any receiver would, and writes the message again: so it is one line, whoever sent it.
    async fn print<E: std::fmt::Display>(&mut self, payload: Result<&[u8], &E>) -> io::Result<()> {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                tracing::warn!("the embedded receiver got a bad datagram: {error}");
                return Ok(());
            }
        };
        match Decoder::lenient().decode(payload) {
            Ok(decoded) => {
                self.line.clear();
                encode(&decoded.message, &mut self.line);
                self.line.extend_from_slice(b"\n");
                self.out.write_all(&self.line).await?;
                // A person looks at it: a line is to be seen when it is there.
                self.out.flush().await
            }
            Err(error) => {
                tracing::warn!("the embedded receiver got a payload that is no message: {error}");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line_whoever_sent_it() {
        let mut lines = Lines::new(Vec::new());
        let payloads: [Result<&[u8], &io::Error>; 3] = [
            Ok(b"{\"version\":\"1.1\",\n\"host\":\"h\",\"short_message\":\"a\\nb\"}"),
            Ok(b"not json"),
            Ok(b"{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"c\",\"_n\":1}"),
        ];
        for payload in payloads {
            lines.print(payload).await.unwrap();
        }
        lines.out.flush().await.unwrap();
        assert_eq!(
            String::from_utf8(lines.out.into_inner()).unwrap(),
            "{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"a\\nb\"}\n{\"version\":\"1.1\",\"host\":\"h\",\"short_message\":\"c\",\"_n\":1}\n"
        );
    }
}
