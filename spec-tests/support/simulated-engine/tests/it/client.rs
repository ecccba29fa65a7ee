//! A client that sends each request on a new connection.

use simulated_engine::{Container, SimulatedEngine, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// An answer as it arrives.
pub(crate) struct Answer {
    socket: UnixStream,
    received: Vec<u8>,
}

/// Sends a request. The answer is read later.
pub(crate) async fn get(engine: &SimulatedEngine, target: &str) -> Answer {
    let mut socket = UnixStream::connect(engine.socket()).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    Answer { socket, received: Vec::new() }
}

/// Requests the log of a container, with these further parameters.
pub(crate) async fn get_logs(engine: &SimulatedEngine, container: &Container, more: &str) -> Answer {
    let id = container.id();
    get(engine, &format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&{more}")).await
}

/// Returns the texts of a log without their stamps and line ends.
pub(crate) async fn texts(engine: &SimulatedEngine, container: &Container, more: &str) -> Vec<String> {
    get_logs(engine, container, more).await.texts().await
}

impl Answer {
    /// Reads until the connection is closed, and returns the head, the body without the sizes of its chunks,
    /// and whether the body is complete.
    pub(crate) async fn whole(mut self) -> (String, Vec<u8>, bool) {
        self.socket.read_to_end(&mut self.received).await.unwrap();
        let end = self.received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let (body, is_complete) = match head.contains("Transfer-Encoding: chunked") {
            true => unchunk(&self.received[end..]),
            false => (self.received[end..].to_vec(), true),
        };
        (head, body, is_complete)
    }

    /// Waits until this text has arrived.
    pub(crate) async fn has_received(&mut self, text: &str) {
        while !self.received.windows(text.len()).any(|window| window == text.as_bytes()) {
            assert_ne!(self.socket.read_buf(&mut self.received).await.unwrap(), 0);
        }
    }

    pub(crate) async fn records(self) -> Vec<(Stream, String)> {
        let (_, body, _) = self.whole().await;
        records(&body)
    }

    pub(crate) async fn texts(self) -> Vec<String> {
        let text = |(_, text): (Stream, String)| text.split_once(' ').unwrap().1.trim_end().to_owned();
        self.records().await.into_iter().map(text).collect()
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    (body, false)
}

/// Decodes frames into streams and texts with their stamps.
pub(crate) fn records(mut body: &[u8]) -> Vec<(Stream, String)> {
    let mut records = Vec::new();
    while let Some((head, rest)) = body.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(head[4..].try_into().unwrap()) as usize;
        let (text, next) = rest.split_at(length);
        let stream = if head[0] == 1 { Stream::Stdout } else { Stream::Stderr };
        records.push((stream, String::from_utf8_lossy(text).into_owned()));
        body = next;
    }
    records
}
