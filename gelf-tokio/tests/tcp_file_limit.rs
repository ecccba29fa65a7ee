//! A receiver that runs out of file descriptors. It is a program of its own, since it takes all of them.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests state what they know")]

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use gelf_tokio::TcpReceiver;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn a_receiver_without_file_descriptors_waits_until_there_are_some() {
    // Where the limit cannot be lowered, the test takes more files, and longer.
    let lowered =
        Command::new("prlimit").arg(format!("--pid={}", std::process::id())).arg("--nofile=256:").status();
    println!("prlimit: {lowered:?}");

    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(receiver.local_addr().unwrap()).await.unwrap();
    peer.write_all(b"{}\0").await.unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    while receiver.stats().accept_errors < 3 {
        let nothing = timeout(Duration::from_millis(10), receiver.recv()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    assert_eq!(receiver.stats().connections, 0);

    drop(files);
    let received = timeout(Duration::from_secs(30), receiver.recv()).await.expect("it comes").unwrap();
    assert_eq!(received.payload, "{}");
    assert_eq!(receiver.stats().connections, 1);
}
