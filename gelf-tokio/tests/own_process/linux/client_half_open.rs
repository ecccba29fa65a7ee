//! Tests a client whose connection loses all packets without an error. `iptables` drops the packets in a
//! network namespace.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::namespaces::{Namespace, or_skip, run};
use crate::support::account::assert_account;
use crate::support::outages::{Sending, Sink, tcp};

/// The role of the process in the namespace.
pub(crate) const INSIDE: &str = "half-open";

/// The client's `user_timeout` of 30 seconds, with a margin for a busy machine.
const DEAD_AFTER: Duration = Duration::from_secs(35);

pub(crate) fn a_connection_whose_packets_vanish_is_given_up_within_35_seconds() {
    let made = Namespace::new().and_then(|namespace| {
        namespace.ip("link set lo up")?;
        run(&format!("ip netns exec {} iptables --list INPUT", namespace.0))?;
        Ok(namespace)
    });
    let Some(namespace) = or_skip(made) else { return };
    namespace.start(INSIDE, "").says("given up");
}

pub(crate) async fn lose_packets() {
    tokio::join!(idle(), busy());
    eprintln!("given up");
}

/// Returns a client and the time at which its connection began to lose all packets. Before that time, the
/// connection delivered a hundred messages.
async fn half_open(sink: &Sink) -> (Sending, Instant) {
    sink.expect(0, 0..100);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..100).await;
    sink.wait_for_all().await;
    sending.wait_for("the acknowledgements", |stats| stats.acknowledged == 100).await;
    let port = sink.heard().peers[0].port().to_string();
    for side in ["--source-port", "--destination-port"] {
        run(&format!("iptables --append INPUT --protocol tcp {side} {port} --jump DROP")).unwrap();
    }
    (sending, Instant::now())
}

/// Waits until the client gives up its connection. Returns the time since `since`.
async fn given_up(sending: &Sending, since: Instant, mut meanwhile: impl AsyncFnMut()) -> Duration {
    while sending.stats().broken_connections == 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", sending.stats());
        meanwhile().await;
        sleep(Duration::from_millis(50)).await;
    }
    since.elapsed()
}

async fn idle() {
    let sink = Sink::start().await;
    let (sending, since) = half_open(&sink).await;
    let took = given_up(&sending, since, async || {}).await;
    assert!((Duration::from_secs(10)..DEAD_AFTER).contains(&took), "{took:?}");
    let stats = sending.stats();
    assert_account(&stats, 100);
    assert_eq!((stats.connections, stats.is_connected), (1, false));

    sink.expect(0, 100..200);
    sending.send(100..200).await;
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(200).await;
    assert_eq!((stats.connections, stats.failed_connects, stats.resent), (2, 0, 0));
    sink.assert_exact().await;
}

async fn busy() {
    let sink = Sink::start().await;
    let (sending, since) = half_open(&sink).await;
    let mut sent = 100;
    let took = given_up(&sending, since, async || {
        sending.send(sent..sent + 10).await;
        sent += 10;
    })
    .await;
    let stats = sending.stats();
    assert_account(&stats, sent);
    assert!((Duration::from_secs(10)..DEAD_AFTER).contains(&took), "{took:?}");

    sink.expect(0, 100..sent);
    sink.wait_for_all().await;
    let stats = sending.end_acknowledged(sent).await;
    assert_eq!((stats.connections, stats.broken_connections, stats.failed_connects), (2, 1, 0));
    assert!(stats.resent > 0);
    // No message arrived twice: the first connection delivered none of the messages that were sent again.
    sink.assert_exact().await;
}
