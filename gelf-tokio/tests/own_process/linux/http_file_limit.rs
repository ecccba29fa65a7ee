//! Tests an HTTP receiver that runs out of file descriptors. The test uses up all descriptors of its process, so
//! it is part of this program, in which tests run one after another.

use std::fs::File;
use std::time::Duration;

use super::process::limit_files;
use crate::support::http_client::{Client, M, assert_adds_up, during, post};
use gelf_tokio::HttpReceiver;
use tokio::time::timeout;

pub(crate) async fn a_receiver_without_file_descriptors_waits_until_there_are_some() {
    // If the limit of open files cannot be lowered, the test opens more files and takes longer.
    limit_files(std::process::id(), 256);
    let mut receiver = HttpReceiver::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    client.send(post("", M)).await;
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
    let (answer, items) = during(&mut receiver, client.answer()).await;
    assert_eq!((answer.status, items), (202, vec![Ok(M.to_owned())]));
    assert_eq!(receiver.stats().connections, 1);
    assert_adds_up(&receiver.stats());
}
