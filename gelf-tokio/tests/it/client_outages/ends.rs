//! Tests the end of the driver, and the outcomes of the remaining messages.

use std::time::Duration;

use fault_proxy::TcpProxy;
use gelf_tokio::{Client, DropReason, Endpoint, Outcome};
use tokio::time::Instant;

use crate::support::account::assert_account;
use crate::support::outages::{Answer, LIMIT, ScriptedResolver, Sending, Sink, tcp};

const ENDED: Outcome = Outcome::Dropped(DropReason::Ended);

fn start_with_grace(endpoint: &Endpoint, grace: Duration) -> Sending {
    let (client, receipts, driver) = Client::builder(endpoint).build_with_receipts().unwrap();
    Sending::run((client, receipts, driver.with_grace(grace)))
}

#[tokio::test]
async fn with_the_destination_down_the_driver_drops_all_messages_after_its_grace() {
    let proxy = TcpProxy::start("127.0.0.1:9".parse().unwrap()).await.unwrap();
    proxy.refuse().await;
    let sending = start_with_grace(&tcp(proxy.address()), Duration::from_secs(1));
    sending.send(0..100).await;
    assert_account(&sending.stats(), 100);
    let started = Instant::now();
    let ledger = sending.drop_client().await;
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert_eq!(ledger.with(ENDED), (0..100).collect::<Vec<_>>());
    assert_eq!(ledger.0.len(), 100);
}

#[tokio::test]
async fn a_driver_sends_all_messages_and_ends_its_connection_with_a_fin() {
    let sink = Sink::start().await;
    sink.expect(0, 0..5000);
    let sending = start_with_grace(&tcp(sink.address), LIMIT * 2);
    sending.send(0..5000).await;
    assert_account(&sending.stats(), 5000);
    let observer = sending.client.observer();
    let ledger = sending.drop_client().await;
    assert_eq!(observer.stats().acknowledged, 5000);
    assert_eq!(ledger.with(Outcome::Acknowledged), (0..5000).collect::<Vec<_>>());
    assert_eq!(ledger.0.len(), 5000);
    let heard = sink.wait_for("the end of the connection", |heard| heard.open == 0).await;
    assert_eq!((heard.peers.len(), heard.ended, heard.reset, heard.cut_frames), (1, 1, 0, 0));
    sink.assert_exact().await;
}

/// The grace exceeds the time limit of the test, so a driver that waited for the FIN would fail the test.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_driver_does_not_wait_for_the_fin_of_a_receiver_that_has_acknowledged_all() {
    let sink = Sink::start().await;
    sink.set_ending(false);
    sink.expect(0, 0..100);
    let sending = start_with_grace(&tcp(sink.address), LIMIT * 4);
    sending.send(0..100).await;
    assert_account(&sending.stats(), 100);
    let ledger = sending.drop_client().await;
    assert_eq!(ledger.with(Outcome::Acknowledged), (0..100).collect::<Vec<_>>());
    sink.assert_exact().await;
}

#[tokio::test]
async fn after_its_grace_the_driver_gives_up_on_a_receiver_that_does_not_read() {
    let sink = Sink::start().await;
    sink.leave_unread(1);
    let sending = start_with_grace(&tcp(sink.address), Duration::from_secs(1));
    sending.send(0..20_000).await;
    assert_account(&sending.stats(), 20_000);
    let started = Instant::now();
    let ledger = sending.drop_client().await;
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let acknowledged = ledger.with(Outcome::Acknowledged).len() as u64;
    assert!((1..20_000).contains(&acknowledged), "{acknowledged}");
    assert_eq!(ledger.with(Outcome::Acknowledged), (0..acknowledged).collect::<Vec<_>>());
    assert_eq!(ledger.with(ENDED), (acknowledged..20_000).collect::<Vec<_>>());
}

/// After 300 s on the paused clock, the driver is in a pause of up to 5 s between two attempts.
#[tokio::test(start_paused = true)]
async fn a_driver_without_messages_ends_immediately_with_the_last_client_even_during_a_pause() {
    for uri in ["gelf+tcp://logs.example", "gelf://logs.example"] {
        let resolver = ScriptedResolver::new([Answer::Unknown]);
        let sending = Sending::start_with(&uri.parse().unwrap(), &resolver);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(sending.stats().failed_connects >= 5, "{:?}", sending.stats());
        assert_account(&sending.stats(), 0);
        let started = Instant::now();
        let ledger = sending.drop_client().await;
        assert_eq!((started.elapsed(), ledger.0.len()), (Duration::ZERO, 0), "{uri}");
    }
}
