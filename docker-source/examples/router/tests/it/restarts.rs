//! Tests restarts of the router with `--state` while a container of a real Engine writes lines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{Router, number_of, numbered_lines};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use real_engine::{Engine, RunOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// The number of lines. The container writes about 1,000 lines a second.
const LINES: usize = 10_000;

/// A state folder. Dropping this value removes the folder.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Restarts the router repeatedly while the container writes. Each restart calls `end` to end the router.
/// Returns how often each number arrived, or `None` if there is no Engine.
async fn restarted(
    name: &str,
    restarts: u64,
    shortest_run: Duration,
    end: impl Fn(Router),
) -> Option<BTreeMap<usize, usize>> {
    let engine = Engine::find()?;
    let folder = Folder(std::env::temp_dir().join(format!("gelf-router-{name}-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&folder.0);
    let state = folder.0.to_str().unwrap();
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    let route = format!("gelf+tcp://127.0.0.1:{port}?filter.name={name}-*");
    let (sender, mut numbers) = tokio::sync::mpsc::unbounded_channel();
    let receiving = tokio::spawn(async move {
        while let Some(Ok(received)) = receiver.recv().await {
            let message = Decoder::strict().decode(&received.payload).unwrap().message;
            sender.send(number_of(message.short_message())).unwrap();
        }
    });
    let start = || {
        let mut router = Router::start(engine.docker_host(), &["--state", state, &route]);
        router.wait_until_ready();
        router
    };
    let first = start();
    let script = numbered_lines(LINES, 50, Duration::from_millis(45));
    let _container = engine.run(RunOptions::shell(name, &script));
    let router = tokio::task::block_in_place(|| {
        let mut router = first;
        for restart in 0..restarts {
            // The runs differ in length, so that they end at different times after a write of the state.
            sleep(shortest_run + Duration::from_millis(restart * 211 % 700));
            end(router);
            sleep(Duration::from_millis(restart * 97 % 300));
            router = start();
        }
        router
    });
    let arrived = all(&mut numbers).await;
    router.terminate();
    receiving.abort();
    Some(arrived)
}

/// Receives numbers until all have arrived, and then until none arrives for a second. Gives up if numbers are
/// missing and none arrives for a minute. Returns how often each number arrived.
async fn all(numbers: &mut UnboundedReceiver<usize>) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    loop {
        let limit = if counts.len() < LINES { 60 } else { 1 };
        match timeout(Duration::from_secs(limit), numbers.recv()).await {
            Ok(Some(number)) => *counts.entry(number).or_default() += 1,
            _ => return counts,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_lose_no_line_and_repeat_none() {
    let run = Duration::from_millis(137);
    let Some(counts) = restarted("terminated", 10, run, |router| drop(router.terminate())).await else {
        return;
    };
    assert_eq!(counts.len(), LINES, "lines that arrived");
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_no_line_and_repeat_only_the_lines_of_a_few_seconds() {
    const KILLS: u64 = 5;
    // Each run takes longer than the second between two writes of the state.
    let Some(counts) = restarted("killed", KILLS, Duration::from_millis(1337), drop).await else { return };
    assert_eq!(counts.len(), LINES, "lines that arrived");
    let repeated: usize = counts.values().map(|count| count - 1).sum();
    // The container writes 1,000 lines a second. A kill repeats the lines since the last write of the state,
    // which is up to one second ago. It can also repeat the lines of the first 500 ms of a connection, since these
    // lines count as delivered only after this time. The rest of the limit is a margin for a loaded machine.
    eprintln!("{KILLS} kills repeated {repeated} lines");
    assert!(repeated <= 3_000 * KILLS as usize, "{repeated}");
}
