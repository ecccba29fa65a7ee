//! Reads the client's address, which a proxy sends at the beginning of a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy_header::{InvalidHeader, MAX_LEN, Parsed, parse};
use crate::receive::IpNetwork;

/// The proxies whose connections begin with a header of the PROXY protocol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) networks: Vec<IpNetwork>,
    /// The time limit of a header.
    pub(crate) timeout: Duration,
}

impl Proxies {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Reads the header of a connection, and nothing after it. Returns the address of the client, if the
    /// header names a client.
    ///
    /// # Errors
    /// Returns [`InvalidData`](io::ErrorKind::InvalidData) if the connection does not begin with a header,
    /// and [`TimedOut`](io::ErrorKind::TimedOut) if the header is not complete in time. Also returns the
    /// errors of the connection.
    pub(super) async fn read_header(&self, stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
        timeout(self.timeout, read_header(stream)).await?
    }
}

async fn read_header(stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; MAX_LEN];
    let mut consumed = 0;
    loop {
        // An incomplete header is shorter than the buffer, so there is room.
        let peeked = stream.peek(bytes.get_mut(consumed..).unwrap_or_default()).await?;
        if peeked == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = consumed + peeked;
        let parsed = parse(bytes.get(..there).unwrap_or_default());
        let (source, end) = match parsed {
            Ok(Parsed::Header { source, len }) => (Some(source), len),
            // These bytes are consumed below. Otherwise, the next peek would return the same bytes and not
            // wait for more.
            Ok(Parsed::Incomplete) => (None, there),
            Err(InvalidHeader) => return Err(io::ErrorKind::InvalidData.into()),
        };
        if let Some(rest) = bytes.get_mut(consumed..end) {
            read_exact(stream, rest).await?;
        }
        if let Some(source) = source {
            return Ok(source);
        }
        consumed = end;
    }
}

async fn read_exact(stream: &TcpStream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => bytes = bytes.split_at_mut(len).1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
