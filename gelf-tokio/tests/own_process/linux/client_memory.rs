//! Measures the memory of a client while its destination is down.

use super::process::memory;
use crate::support::account::assert_account;
use fault_proxy::TcpProxy;
use gelf_tokio::gelf_core::Message;
use gelf_tokio::options::QueueOptions;
use gelf_tokio::{Client, DropReason, Endpoint, Outcome, WhenFull};

const MIB: usize = 1024 * 1024;

const BUDGET: usize = 8 * MIB;

fn peak() -> usize {
    memory(std::process::id(), "VmHWM") as usize
}

pub(crate) async fn an_outage_takes_no_more_memory_than_the_budget_and_32_mib() {
    let proxy = TcpProxy::start("127.0.0.1:9".parse().unwrap()).await.unwrap();
    proxy.refuse().await;
    let endpoint: Endpoint = format!("gelf+tcp://{}", proxy.address()).parse().unwrap();
    let mut queue = QueueOptions::default();
    (queue.max_bytes, queue.when_full) = (BUDGET, WhenFull::DropOldest);
    let (client, mut receipts, driver) =
        Client::builder(&endpoint.with_queue(queue).unwrap()).build_with_receipts::<u64>().unwrap();
    let driver = tokio::spawn(driver.run());

    // Lengths vary, so that a freed message does not leave exactly the room for the next.
    let text = "0123456789abcdef".repeat(256);
    let before = peak();
    let (mut offered, mut bytes, mut dropped, mut delivered) = (0, 0, 0, 0);
    while bytes < 100 * MIB {
        let len = 1 + (offered as usize * 7919) % text.len();
        client.send_with_receipt(&Message::new("h", &text[..len]), offered).await.unwrap();
        offered += 1;
        bytes += len;
        while let Some((_, outcome)) = receipts.try_recv() {
            match outcome {
                Outcome::Dropped(DropReason::QueueFull) => dropped += 1,
                _ => delivered += 1,
            }
        }
        if offered % 64 == 0 {
            // Lets the driver attempt to connect.
            tokio::task::yield_now().await;
        }
    }
    let growth = peak() - before;
    let stats = client.stats();
    assert!(growth <= BUDGET + 32 * MIB, "{growth}");
    assert_account(&stats, offered);
    assert!(stats.failed_connects > 0, "{stats:?}");
    assert_eq!((stats.queued, stats.not_queued.total(), delivered), (offered, 0, 0));
    assert_eq!((stats.dropped.queue_full, stats.waiting as u64), (dropped, offered - dropped));

    driver.abort();
    for number in dropped..offered {
        assert_eq!(receipts.recv().await, Some((number, Outcome::Dropped(DropReason::Ended))));
    }
    assert_eq!(receipts.recv().await, None);
    assert_account(&client.stats(), offered);
}
