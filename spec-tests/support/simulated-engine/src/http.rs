//! The part of HTTP/1.1 that an Engine needs: one request per connection, and chunked answers.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Reads a request up to its empty line, and returns the method and the target.
pub(crate) async fn read_request(socket: &mut UnixStream) -> io::Result<(String, String)> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = socket.read(&mut buffer).await?;
        if count == 0 || head.len() > 64 * 1024 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split([' ', '\r']);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok((method.into(), target.into()))
}

/// Sends a complete answer.
pub(crate) async fn answer(
    socket: &mut UnixStream,
    status: u16,
    headers: &str,
    body: &str,
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    socket.shutdown().await
}

/// Starts a chunked answer.
pub(crate) async fn start_chunks(socket: &mut UnixStream, headers: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await
}

pub(crate) async fn chunk(socket: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    socket.write_all(&chunk).await
}

pub(crate) async fn end_chunks(socket: &mut UnixStream) -> io::Result<()> {
    socket.write_all(b"0\r\n\r\n").await?;
    socket.shutdown().await
}
