//! `UdpSender`: segmentation, oversized messages and lost datagrams.

use std::time::Duration;

use gelf_tokio::options::UdpReceiverOptions;
use gelf_tokio::{UdpReceiver, UdpSender};
use tokio::time::timeout;

async fn sender(to: &UdpReceiver, options: &str) -> UdpSender {
    let uri = format!("gelf://{}?compression=none&{options}", to.local_addr().unwrap());
    UdpSender::connect(&uri.parse().unwrap()).await.unwrap()
}

/// Returns a payload of `len` bytes.
fn payload(len: usize) -> Vec<u8> {
    let mut payload = br#"{"version":"1.1","host":"h","short_message":""#.to_vec();
    payload.resize(len - 2, b'x');
    payload.extend(b"\"}");
    payload
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn chunks_are_sent_by_segmented_calls() {
    let mut receiver = UdpReceiver::bind("127.0.0.1:0").await.unwrap();
    let mut sender = sender(&receiver, "datagram_size=1420").await;
    for (chunks, segmented) in [(1, 0), (8, 8), (1, 8), (47, 8 + 46), (1, 8 + 46)] {
        let payload = payload(if chunks == 1 { 1420 } else { chunks * 1408 });
        assert_eq!(sender.send_payload(&payload).await.unwrap().datagrams, chunks);
        let received = timeout(Duration::from_secs(30), receiver.recv()).await.unwrap().unwrap().unwrap();
        assert_eq!(received.payload, payload);
        assert_eq!(sender.stats().segmented, segmented);
    }
    let stats = sender.stats();
    assert_eq!((stats.messages, stats.failed, stats.datagrams), (5, 0, 58));
    assert_eq!((stats.fallbacks, stats.refused, stats.reroutes), (0, 0, 0));
    assert_eq!(stats.bytes, 58 * 1420);
    assert_eq!(receiver.stats().datagrams.datagrams, 58);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn each_sent_message_was_received_or_counted_as_dropped() {
    for segmentation in [true, false] {
        let mut options = UdpReceiverOptions::default();
        options.receive_buffer = 64 * 1024;
        let mut receiver = UdpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap();
        assert_eq!(receiver.stats().kernel_drops, Some(0));
        let mut sender = sender(&receiver, "datagram_size=1420").await;
        sender.set_segmentation(segmentation);
        for round in 1..=3 {
            for _ in 0..100 {
                sender.send_payload(&payload(8 * 1408)).await.unwrap();
            }
            // The receiver reads all buffered datagrams, which is not all of most messages.
            while timeout(Duration::from_millis(50), receiver.recv()).await.is_ok() {}
            let stats = receiver.stats();
            let sent = sender.stats();
            assert_eq!(sent.datagrams, round * 800);
            assert_eq!(sent.segmented, if segmentation { round * 800 } else { 0 });
            let dropped = stats.kernel_drops.unwrap();
            assert!(dropped >= round * 400 && stats.datagrams.datagrams >= round * 8, "{stats:?}");
            assert_eq!(stats.datagrams.datagrams + dropped, sent.datagrams);
        }
    }
}
