//! Counts the bytes written to a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that counts the bytes that the inner stream has taken.
///
/// Below TLS, these bytes are ciphertext. The count includes the handshake and the overhead of each record,
/// like the counts of the operating system. After a flush of the TLS stream, the count covers everything that
/// was written before. After a write without a flush, the count may be too low.
#[derive(Debug)]
pub(crate) struct Counting<IO> {
    inner: IO,
    written: u64,
}

impl<IO> Counting<IO> {
    pub(crate) fn new(inner: IO) -> Self {
        Self { inner, written: 0 }
    }

    /// Returns the number of bytes written to the inner stream since it was wrapped.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn get_ref(&self) -> &IO {
        &self.inner
    }

    fn count(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = &polled {
            self.written += *taken as u64;
        }
        polled
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counting<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counting<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use rustls::ServerConnection;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::super::Connector;
    use super::super::certificates::{Authority, Directory};
    use super::super::tests::{options, server_config};
    use super::*;

    const GUARD: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn bytes_that_the_inner_stream_took_are_counted_and_no_others() {
        let (inner, mut peer) = duplex(10);
        let mut stream = Counting::new(inner);
        stream.write_all(b"0123456").await.unwrap();
        assert_eq!(stream.written(), 7);
        // There is room for three bytes, and the rest has to wait.
        assert_eq!(stream.write(b"789abc").await.unwrap(), 3);
        assert_eq!(stream.written(), 10);
        let waits = timeout(Duration::from_millis(10), stream.write(b"abc")).await;
        assert!(waits.is_err());
        assert_eq!(stream.written(), 10);

        let mut read = [0; 10];
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"0123456789");
        peer.write_all(b"back").await.unwrap();
        stream.read_exact(&mut read[..4]).await.unwrap();
        assert_eq!((&read[..4], stream.written()), (&b"back"[..], 10));

        drop(peer);
        assert!(stream.write(b"x").await.is_err());
        assert_eq!(stream.written(), 10);
    }

    #[tokio::test]
    async fn vectored_writes_are_handed_on_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut stream = Counting::new(inner);
        assert!(stream.is_write_vectored());
        let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"three")];
        let taken = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &parts)).await.unwrap();
        assert_eq!((taken, stream.written()), (8, 8));
        let mut read = [0; 8];
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"onethree");
    }

    /// Decrypts bytes that the client has sent, with the session of the server.
    fn plaintext(server: &mut ServerConnection, ciphertext: &[u8]) -> Vec<u8> {
        let (mut rest, mut plain) = (ciphertext, Vec::new());
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            let state = server.process_new_packets().unwrap();
            let mut part = vec![0; state.plaintext_bytes_to_read()];
            io::Read::read_exact(&mut server.reader(), &mut part).unwrap();
            plain.append(&mut part);
        }
        plain
    }

    /// Performs the server's part of the handshake. Returns the number of bytes that the client has sent.
    async fn server_handshake(server: &mut ServerConnection, io: &mut DuplexStream) -> u64 {
        let (mut taken, mut buffer) = (0, [0; 4096]);
        while server.is_handshaking() {
            if server.wants_write() {
                let mut out = Vec::new();
                server.write_tls(&mut out).unwrap();
                io.write_all(&out).await.unwrap();
                continue;
            }
            let len = io.read(&mut buffer).await.unwrap();
            assert!(len > 0);
            taken += len as u64;
            assert!(plaintext(server, &buffer[..len]).is_empty());
        }
        taken
    }

    #[tokio::test]
    async fn after_a_flush_the_counted_bytes_contain_all_written_plaintext() {
        let (directory, authority) = (Directory::new(), Authority::new("a"));
        let ca = directory.write("ca.pem", &authority.pem());
        let mut connector = Connector::new(&options(Some(&ca), None), "h").unwrap();
        let config = server_config(&authority.issue(&["h"]), rustls::ALL_VERSIONS);

        for capacity in [100, 5_000, 1024 * 1024] {
            let (inner, mut peer) = duplex(capacity);
            let mut server = ServerConnection::new(config.clone()).unwrap();
            let handshake = async {
                tokio::join!(
                    connector.connect(Counting::new(inner)),
                    server_handshake(&mut server, &mut peer)
                )
            };
            let (connected, taken) = timeout(GUARD, handshake).await.unwrap();
            let mut stream = connected.unwrap();
            assert_eq!(stream.get_ref().0.written(), taken);

            // The message is larger than a record, and larger than the buffer of the TLS stream.
            let message: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
            let written = stream.write(&message).await.unwrap();
            let counted = stream.get_ref().0.written() - taken;
            if capacity < 10_000 {
                assert_eq!(counted, capacity as u64, "no more fits into the inner stream");
                assert!(counted < written as u64, "a write returns before all is written");
            }

            let mut ciphertext = Vec::new();
            let mut buffer = [0; 4096];
            {
                let mut flush = pin!(stream.flush());
                loop {
                    tokio::select! {
                        flushed = &mut flush => break flushed.unwrap(),
                        len = peer.read(&mut buffer) => ciphertext.extend_from_slice(&buffer[..len.unwrap()]),
                    }
                }
            }
            let counted = (stream.get_ref().0.written() - taken) as usize;
            let so_far = ciphertext.len();
            ciphertext.resize(counted, 0);
            timeout(GUARD, peer.read_exact(&mut ciphertext[so_far..])).await.unwrap().unwrap();
            let more = timeout(Duration::from_millis(10), peer.read_u8()).await;
            assert!(more.is_err(), "{more:?}");

            // Without the last byte, the last record is incomplete. With this byte, all records are complete.
            let (all_but_one, last) = ciphertext.split_at(ciphertext.len() - 1);
            let mut read = plaintext(&mut server, all_but_one);
            assert!(read.len() < written);
            read.extend(plaintext(&mut server, last));
            assert_eq!(read, message[..written]);
        }
    }
}
