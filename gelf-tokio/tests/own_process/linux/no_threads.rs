//! Tests a client in a process to which the system gives no thread. The client runs in a separate process,
//! since a process in which threads have ended can use the memory of these threads for a new thread.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use gelf_tokio::gelf_core::Message;
use gelf_tokio::{Client, Endpoint};

use super::process::{Other, memory};

pub(crate) const CLIENT: &str = "client-without-threads";

pub(crate) fn a_client_without_threads_tries_again_and_sends_when_there_are_some() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Other::start(&[], CLIENT, &port.to_string());
    let error = client.says("error");
    assert!(error.contains("os error 11"), "{error}");
    let mut frame = Vec::new();
    BufReader::new(listener.accept().unwrap().0).read_until(0, &mut frame).unwrap();
    assert!(frame.starts_with(b"{"), "{}", frame.escape_ascii());
    client.says("sent");
}

/// Sends a message to a host name, whose lookup needs a thread.
pub(crate) async fn send(port: &str) {
    // A thread needs 2 MiB of address space, but only 1 MiB is left.
    limit_address_space(&(memory(std::process::id(), "VmSize") + 1024 * 1024).to_string());
    let endpoint: Endpoint = format!("gelf+tcp://localhost:{port}").parse().unwrap();
    let (client, driver) = Client::builder(&endpoint).build().unwrap();
    let driver = tokio::spawn(driver.run());
    client.send(&Message::new("h", "m")).await.unwrap();
    while client.stats().failed_connects < 3 {
        assert!(!driver.is_finished(), "the driver has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    eprintln!("error {}", client.last_error().unwrap());
    limit_address_space("unlimited");
    client.flush(Duration::from_secs(30)).await.unwrap();
    eprintln!("sent");
}

fn limit_address_space(limit: &str) {
    let process = format!("--pid={}", std::process::id());
    let status = Command::new("prlimit").arg(process).arg(format!("--as={limit}:")).status();
    assert!(status.unwrap().success());
}
