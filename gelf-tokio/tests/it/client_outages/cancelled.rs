//! Tests a driver whose future is dropped before it is ready, after different numbers of polls.

use fault_proxy::{TcpOptions, TcpPlan, TcpProxy};
use gelf_tokio::{Client, DropReason, Outcome};

use crate::support::account::assert_account;
use crate::support::outages::{LIMIT, Ledger, Sending, Sink, send_padded, tcp, within};
use crate::support::polled::polled;

async fn slow_proxy(sink: &Sink) -> TcpProxy {
    let plan = TcpPlan::new().throttle(10_000_000);
    let options = TcpOptions { plan, max_held: 32 * 1024 };
    TcpProxy::start_with(sink.address, options).await.unwrap()
}

#[tokio::test]
async fn another_client_takes_over_from_a_driver_that_is_dropped_after_some_polls() {
    let mut given_up = 0;
    for times in (1..16).chain([25, 40, 65]) {
        let sink = Sink::start().await;
        sink.expect(0, 0..400);
        let proxy = slow_proxy(&sink).await;
        let endpoint = tcp(proxy.address());
        let (client, mut receipts, driver) = Client::builder(&endpoint).build_with_receipts().unwrap();
        for number in 0..400 {
            send_padded(&client, number, 10_000).await.unwrap();
        }
        let ended = within("the driver", async {
            tokio::select! {
                ended = polled(driver.run(), times) => ended,
                flushed = client.flush(LIMIT) => flushed.map(|()| None).unwrap(),
            }
        });
        assert_eq!(ended.await, None);
        let mut ledger = Ledger::default();
        while let Some(receipt) = receipts.recv().await {
            ledger.add(receipt);
        }
        let stats = client.stats();
        assert_account(&stats, 400);
        ledger.assert_matches(&stats);
        assert_eq!((ledger.0.len(), stats.resent), (400, 0));

        let again = ledger.with(Outcome::Dropped(DropReason::Ended));
        given_up += again.len();
        let sending = Sending::start(&endpoint);
        for receipt in &again {
            send_padded(&sending.client, *receipt, 10_000).await.unwrap();
        }
        proxy.set_plan(TcpPlan::new());
        let (stats, _) = sending.end(again.len() as u64).await;
        assert_eq!(stats.resent, 0);
        sink.wait_for_all().await;
        sink.wait_for("the end of both connections", |heard| heard.open == 0).await;
        let (report, heard) = (sink.report(), sink.heard());
        assert!(report.is_complete(), "{report:?}");
        // Only the messages that were given up and sent again by the other client may arrive twice.
        for receipt in &again {
            assert!(heard.arrivals.iter().filter(|arrived| *arrived == receipt).count() <= 2);
        }
        assert!(report.duplicated <= again.len() as u64);
        for receipt in ledger.with(Outcome::Acknowledged) {
            assert_eq!(heard.arrivals.iter().filter(|arrived| **arrived == receipt).count(), 1);
        }
    }
    assert!(given_up > 0);
}
