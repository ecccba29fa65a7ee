//! A minimal client of the Engine's API. It sends requests over HTTP/1.0, so that each answer ends with its
//! connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Sends a request and returns the status and the body of the answer.
///
/// # Panics
/// Panics if the Engine cannot be reached, or if its answer is not HTTP.
pub fn request(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut connection = UnixStream::connect(socket).expect("the Engine accepts connections");
    write_request(&mut connection, method, path, body);
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("the Engine answers");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("an answer has a status"), body.to_owned())
}

fn write_request(connection: &mut UnixStream, method: &str, path: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    connection.write_all(head.as_bytes()).expect("the Engine reads the request");
}

/// Reads logs with a plain `follow`, as `docker logs --follow` does, in one thread for each container.
/// Dropping the handle ends the threads.
#[derive(Debug)]
pub struct PlainFollow {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl PlainFollow {
    /// Follows the logs of these containers from now on.
    pub fn start<'a>(socket: &Path, ids: impl IntoIterator<Item = &'a str>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let start_one = |id: &str| {
            let (socket, id, ended) = (socket.to_owned(), id.to_owned(), ended.clone());
            thread::spawn(move || follow(socket, &id, &ended))
        };
        let threads = ids.into_iter().map(start_one).collect();
        Self { ended, threads }
    }
}

impl Drop for PlainFollow {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn follow(socket: PathBuf, id: &str, ended: &AtomicBool) {
    let mut connection = UnixStream::connect(socket).expect("the Engine accepts connections");
    let path = format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1&timestamps=1&tail=0");
    write_request(&mut connection, "GET", &path, "");
    connection.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit can be set");
    let mut block = vec![0; 1 << 16];
    // A read that reaches its time limit is not an error here.
    while !ended.load(Ordering::Relaxed) {
        if matches!(connection.read(&mut block), Ok(0)) {
            return;
        }
    }
}
