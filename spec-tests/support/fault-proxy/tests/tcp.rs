//! Tests of the TCP proxy: connections have exactly the faults of their plan.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use fault_proxy::{BlackHole, Cut, End, Sides, TcpCounters, TcpOptions, TcpPlan, TcpProxy};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Time limit of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Panics if a future takes longer than [`STEP_TIMEOUT`].
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, future).await.expect("the step ends in time")
}

struct Test {
    target: TcpListener,
    proxy: TcpProxy,
}

impl Test {
    async fn start(plan: TcpPlan) -> Self {
        Self::start_with(TcpOptions { plan, ..TcpOptions::default() }).await
    }

    async fn start_with(options: TcpOptions) -> Self {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpProxy::start_with(target.local_addr().unwrap(), options).await.unwrap();
        Self { target, proxy }
    }

    /// Returns both ends of a connection through the proxy.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (server, _) = within(self.target.accept()).await.unwrap();
        (client, server)
    }
}

/// Reads until the end. Returns the bytes and the kind of end.
async fn read_all(socket: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = within(socket.read_to_end(&mut bytes)).await;
    (bytes, end.map(|_| ()).map_err(|error| error.kind()))
}

async fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within(socket.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Asserts that nothing arrives for a while. A slow machine cannot cause a failure.
async fn assert_silent(socket: &mut TcpStream) {
    let read = tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0])).await;
    assert!(read.is_err(), "{read:?}");
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn reset() -> Result<(), ErrorKind> {
    Err(ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn bytes_and_ends_are_passed_both_ways() {
    let test = Test::start(TcpPlan::new()).await;
    let (mut client, mut server) = test.connect().await;
    let sent = text(1_000_000);
    let write = async {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let (got, ()) = tokio::join!(read_all(&mut server), write);
    assert_eq!(got, (sent, Ok(())));
    server.write_all(b"answer").await.unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).await, (b"answer".to_vec(), Ok(())));
    within(test.proxy.wait_until_idle()).await;
    let mut expected = TcpCounters::default();
    expected.connections_accepted = 1;
    expected.bytes_from_client = 1_000_000;
    expected.bytes_to_target = 1_000_000;
    expected.bytes_from_target = 6;
    expected.bytes_to_client = 6;
    assert_eq!(test.proxy.counters(), expected);
}

#[tokio::test]
async fn a_reset_of_one_end_is_passed_to_the_other() {
    let test = Test::start(TcpPlan::new()).await;
    let (client, mut server) = test.connect().await;
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).await, (vec![], reset()));
    let (mut client, server) = test.connect().await;
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).await, (vec![], reset()));
    within(test.proxy.wait_until_idle()).await;
    assert_eq!(test.proxy.counters().cuts, 0);
}

#[tokio::test]
async fn a_reset_occurs_at_its_exact_byte() {
    let test = Test::start(TcpPlan::new()).await;
    let sent = text(40);
    for after in 0..=40 {
        test.proxy.plan_next(TcpPlan::new().cut(Cut::reset(after)));
        let (mut client, mut server) = test.connect().await;
        if after > 0 {
            client.write_all(&sent).await.unwrap();
        }
        assert_eq!(read_all(&mut server).await, (sent[..after as usize].to_vec(), reset()), "{after}");
        assert_eq!(read_all(&mut client).await, (vec![], reset()), "{after}");
    }
    within(test.proxy.wait_until_idle()).await;
    let counters = test.proxy.counters();
    assert_eq!(counters.cuts, 41);
    assert_eq!(counters.bytes_to_target, (0..=40).sum::<u64>());
    assert_eq!(counters.bytes_from_client, counters.bytes_to_target + counters.bytes_discarded);
}

#[tokio::test]
async fn a_target_receives_all_bytes_before_a_reset() {
    let test = Test::start(TcpPlan::new().cut(Cut::reset_target(3_000_000))).await;
    let (mut client, mut server) = test.connect().await;
    let sent = text(4_000_000);
    let (got, written) = tokio::join!(read_all(&mut server), client.write_all(&sent));
    written.unwrap();
    assert_eq!((got.0.len(), got.1), (3_000_000, reset()));
    assert_eq!(got.0, sent[..3_000_000]);
}

#[tokio::test]
async fn an_orderly_end_occurs_at_its_exact_byte() {
    let test = Test::start(TcpPlan::new().cut(Cut::fin(5))).await;
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"hello world").await.unwrap();
    assert_eq!(read_all(&mut server).await, (b"hello".to_vec(), Ok(())));
    assert_eq!(read_all(&mut client).await, (vec![], Ok(())));
    client.write_all(b"!").await.unwrap();
    within(test.proxy.wait_for(|counters| counters.bytes_discarded == 7)).await;
    assert_eq!(test.proxy.counters().connections_open, 1, "the peers have not closed the connection yet");
    drop((client, server));
    within(test.proxy.wait_until_idle()).await;
}

#[tokio::test]
async fn a_cut_of_one_side_is_not_noticed_on_the_other() {
    let test = Test::start(TcpPlan::new()).await;
    for (cut, end) in [(Cut::reset_client(3), reset()), (Cut::fin_client(3), Ok(()))] {
        test.proxy.plan_next(TcpPlan::new().cut(cut));
        let (mut client, mut server) = test.connect().await;
        client.write_all(b"abcdef").await.unwrap();
        assert_eq!(read_all(&mut client).await, (vec![], end));
        assert_eq!(read(&mut server, 3).await, b"abc");
        assert_silent(&mut server).await;
    }
    for (cut, end) in [(Cut::reset_target(3), reset()), (Cut::fin_target(3), Ok(()))] {
        test.proxy.plan_next(TcpPlan::new().cut(cut));
        let (mut client, mut server) = test.connect().await;
        client.write_all(b"abcdef").await.unwrap();
        assert_eq!(read_all(&mut server).await, (b"abc".to_vec(), end));
        assert_silent(&mut client).await;
        client.write_all(b"more").await.unwrap();
    }
    within(test.proxy.wait_until_idle()).await;
    assert_eq!(test.proxy.counters().cuts, 4);
}

#[tokio::test]
async fn a_later_plan_cuts_an_open_connection() {
    let test = Test::start(TcpPlan::new()).await;
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"abcdef").await.unwrap();
    assert_eq!(read(&mut server, 6).await, b"abcdef");
    test.proxy.set_plan(TcpPlan::new().cut(Cut::reset(8)));
    assert_eq!(test.proxy.plan(), TcpPlan::new().cut(Cut::reset(8)));
    client.write_all(b"ghi").await.unwrap();
    assert_eq!(read_all(&mut server).await, (b"gh".to_vec(), reset()));
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"abc").await.unwrap();
    assert_eq!(read(&mut server, 3).await, b"abc");
    test.proxy.set_plan(TcpPlan::new().cut(Cut::fin(2)));
    assert_eq!(read_all(&mut server).await, (vec![], Ok(())), "the connection has passed more bytes already");
}

#[tokio::test]
async fn only_open_connections_are_cut_at_once() {
    let test = Test::start(TcpPlan::new()).await;
    let (mut client, mut server) = test.connect().await;
    let (mut other, _other_server) = test.connect().await;
    test.proxy.cut_open(End::Fin, Sides::Client);
    assert_eq!(read_all(&mut client).await, (vec![], Ok(())));
    assert_eq!(read_all(&mut other).await, (vec![], Ok(())));
    assert_silent(&mut server).await;
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"abc").await.unwrap();
    assert_eq!(read(&mut server, 3).await, b"abc");
    within(test.proxy.wait_for(|counters| counters.cuts == 2)).await;
    test.proxy.cut_open(End::Reset, Sides::Both);
    assert_eq!(read_all(&mut server).await, (vec![], reset()));
    assert_eq!(read_all(&mut client).await, (vec![], reset()));
}

#[tokio::test]
async fn queued_plans_apply_to_one_connection_each() {
    let test = Test::start(TcpPlan::new()).await;
    assert!(test.proxy.plan_next(TcpPlan::new().corrupt(0, 1)));
    assert!(test.proxy.plan_next(TcpPlan::new().corrupt(1, 1)));
    let mut open = Vec::new();
    for expected in [[1, 0], [0, 1], [0, 0]] {
        let (mut client, mut server) = test.connect().await;
        client.write_all(&[0, 0]).await.unwrap();
        assert_eq!(read(&mut server, 2).await, expected);
        open.push((client, server));
    }
    test.proxy.set_plan(TcpPlan::new().corrupt(2, 4));
    for (client, server) in &mut open {
        client.write_all(&[0]).await.unwrap();
        assert_eq!(read(server, 1).await, [4]);
    }
    assert_eq!(test.proxy.counters().bytes_corrupted, 5);
    let waiting = (0..5_000).filter(|_| test.proxy.plan_next(TcpPlan::new())).count();
    assert_eq!(waiting, 4_096);
}

#[tokio::test]
async fn delayed_bytes_arrive_no_sooner() {
    let delay = Duration::from_millis(60);
    let test = Test::start(TcpPlan::new().delay(delay)).await;
    let (mut client, mut server) = test.connect().await;
    let start = Instant::now();
    client.write_all(b"ask").await.unwrap();
    assert_eq!(read(&mut server, 3).await, b"ask");
    assert!(start.elapsed() >= delay);
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read(&mut client, 6).await, b"answer");
    assert!(start.elapsed() >= 2 * delay);
    drop(client);
    assert_eq!(read_all(&mut server).await, (vec![], Ok(())));
    assert_eq!(test.proxy.counters().bytes_delayed, 9);
}

#[tokio::test]
async fn throttled_bytes_arrive_no_faster() {
    let test = Test::start(TcpPlan::new().throttle(20_000)).await;
    let (mut client, mut server) = test.connect().await;
    let start = Instant::now();
    client.write_all(&text(3_000)).await.unwrap();
    assert_eq!(read(&mut server, 3_000).await, text(3_000));
    // Three writes of a thousand bytes, the first of them at once.
    assert!(start.elapsed() >= Duration::from_millis(100));
    test.proxy.set_plan(TcpPlan::new().throttle(1));
    client.write_all(&text(100_000)).await.unwrap();
    test.proxy.set_plan(TcpPlan::new());
    assert_eq!(read(&mut server, 100_000).await, text(100_000), "another plan takes effect at once");
}

#[tokio::test]
async fn held_bytes_are_bounded() {
    let plan = TcpPlan::new().delay(Duration::from_secs(3_600));
    let test = Test::start_with(TcpOptions { plan, max_held: 1_000, ..TcpOptions::default() }).await;
    let (mut client, _server) = test.connect().await;
    client.write_all(&text(5_000)).await.unwrap();
    within(test.proxy.wait_for(|counters| counters.bytes_from_client >= 1_000)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(test.proxy.counters().bytes_from_client, 1_000);
    test.proxy.cut_open(End::Reset, Sides::Both);
    within(test.proxy.wait_until_idle()).await;
    assert_eq!(test.proxy.counters().bytes_discarded, 1_000);
}

#[tokio::test]
async fn a_black_hole_that_stops_reading_loses_nothing() {
    let test = Test::start(TcpPlan::new()).await;
    let (mut client, mut server) = test.connect().await;
    test.proxy.set_plan(TcpPlan::new().black_hole(BlackHole::StopReading));
    within(test.proxy.wait_for(|counters| counters.black_holes == 1)).await;
    client.write_all(b"abc").await.unwrap();
    drop(client);
    assert_silent(&mut server).await;
    assert_eq!(test.proxy.counters().bytes_from_client, 0);
    test.proxy.set_plan(TcpPlan::new());
    assert_eq!(read_all(&mut server).await, (b"abc".to_vec(), Ok(())));
}

#[tokio::test]
async fn a_blocking_black_hole_blocks_the_sender() {
    let test = Test::start(TcpPlan::new().black_hole(BlackHole::StopReading)).await;
    let (client, _server) = test.connect().await;
    within(test.proxy.wait_for(|counters| counters.black_holes == 1)).await;
    socket2::SockRef::from(&client).set_send_buffer_size(16 * 1024).unwrap();
    let mut taken = 0;
    loop {
        let writable = tokio::time::timeout(Duration::from_millis(200), client.writable()).await;
        if writable.is_err() {
            break;
        }
        taken += client.try_write(&[0; 64 * 1024]).unwrap_or(0);
        assert!(taken < 64 * 1024 * 1024, "the kernel's buffers are bounded");
    }
    assert_eq!(test.proxy.counters().bytes_from_client, 0);
}

#[tokio::test]
async fn a_discarding_black_hole_leaves_a_gap() {
    let test = Test::start(TcpPlan::new()).await;
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"before").await.unwrap();
    assert_eq!(read(&mut server, 6).await, b"before");
    test.proxy.set_plan(TcpPlan::new().black_hole(BlackHole::Forget));
    client.write_all(b"lost").await.unwrap();
    server.write_all(b"too").await.unwrap();
    within(test.proxy.wait_for(|counters| counters.bytes_discarded == 7)).await;
    test.proxy.set_plan(TcpPlan::new());
    client.write_all(b"after").await.unwrap();
    drop(client);
    assert_eq!(read_all(&mut server).await, (b"after".to_vec(), Ok(())));
    let counters = test.proxy.counters();
    assert_eq!((counters.black_holes, counters.bytes_from_client, counters.bytes_to_target), (1, 15, 11));
}

#[tokio::test]
async fn an_end_in_a_black_hole_is_passed_on_afterwards() {
    let test = Test::start(TcpPlan::new()).await;
    let (client, mut server) = test.connect().await;
    test.proxy.set_plan(TcpPlan::new().black_hole(BlackHole::Forget));
    within(test.proxy.wait_for(|counters| counters.black_holes == 1)).await;
    drop(client);
    assert_silent(&mut server).await;
    test.proxy.set_plan(TcpPlan::new());
    assert_eq!(read_all(&mut server).await, (vec![], Ok(())));
}

#[tokio::test]
async fn connections_are_refused_and_accepted_again() {
    let test = Test::start(TcpPlan::new()).await;
    let address = test.proxy.address();
    let (mut client, mut server) = test.connect().await;
    for round in 1..=3 {
        within(test.proxy.refuse()).await;
        within(test.proxy.refuse()).await;
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        client.write_all(b"open").await.unwrap();
        assert_eq!(read(&mut server, 4).await, b"open", "an open connection continues");
        within(test.proxy.accept_again()).await.unwrap();
        within(test.proxy.accept_again()).await.unwrap();
        assert_eq!(test.proxy.address(), address);
        let (mut new, mut new_server) = test.connect().await;
        new.write_all(b"new").await.unwrap();
        assert_eq!(read(&mut new_server, 3).await, b"new");
        assert_eq!(test.proxy.counters().refusals, round);
    }
}

#[tokio::test]
async fn a_client_of_an_unreachable_target_is_reset() {
    let test = Test::start(TcpPlan::new()).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(test.target);
    let mut client = TcpStream::connect(test.proxy.address()).await.unwrap();
    assert_eq!(read_all(&mut client).await, (vec![], reset()));
    within(test.proxy.wait_until_idle()).await;
    assert_eq!(test.proxy.counters().target_unreachable, 1);
    test.proxy.set_target(other.local_addr().unwrap());
    let mut client = TcpStream::connect(test.proxy.address()).await.unwrap();
    let (mut server, _) = within(other.accept()).await.unwrap();
    client.write_all(b"abc").await.unwrap();
    assert_eq!(read(&mut server, 3).await, b"abc");
}

#[tokio::test]
async fn connections_over_the_limit_are_reset() {
    let test = Test::start_with(TcpOptions { max_connections: 2, ..TcpOptions::default() }).await;
    let first = test.connect().await;
    let _second = test.connect().await;
    let mut third = TcpStream::connect(test.proxy.address()).await.unwrap();
    assert_eq!(read_all(&mut third).await, (vec![], reset()));
    drop(first);
    within(test.proxy.wait_for(|counters| counters.connections_open == 1)).await;
    let _fourth = test.connect().await;
    let counters = test.proxy.counters();
    assert_eq!((counters.connections_accepted, counters.connections_over_limit), (4, 1));
}

#[tokio::test]
async fn a_dropped_proxy_resets_its_connections_and_frees_its_port() {
    let test = Test::start(TcpPlan::new()).await;
    let address = test.proxy.address();
    let (mut client, mut server) = test.connect().await;
    client.write_all(b"abc").await.unwrap();
    assert_eq!(read(&mut server, 3).await, b"abc");
    drop(test.proxy);
    assert_eq!(read_all(&mut client).await, (vec![], reset()));
    assert_eq!(read_all(&mut server).await, (vec![], reset()));
    within(async {
        // Aborted tasks end when the runtime polls them.
        while std::net::TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn any_bytes_in_any_pieces_arrive_up_to_the_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = runtime.block_on(Test::start(TcpPlan::new()));
    let pieces = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..12);
    let strategy = (pieces, 0u64..20_000, any::<bool>(), prop::option::of((0u64..20_000, 1u8..)));
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((pieces, after, with_reset, corrupt) in strategy)| {
        runtime.block_on(async {
            let cut = if with_reset { Cut::reset_target(after) } else { Cut::fin_target(after) };
            let mut plan = TcpPlan::new().cut(cut);
            let mut expected = pieces.concat();
            let all = expected.len() as u64;
            if let Some((offset, mask)) = corrupt {
                plan = plan.corrupt(offset, mask);
                if let Some(byte) = expected.get_mut(offset as usize) {
                    *byte ^= mask;
                }
            }
            expected.truncate(after as usize);
            test.proxy.plan_next(plan);
            let (mut client, mut server) = test.connect().await;
            let write = async {
                for piece in &pieces {
                    client.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client.shutdown().await.unwrap();
            };
            let (got, ()) = tokio::join!(read_all(&mut server), write);
            assert_eq!(got.0, expected);
            assert_eq!(got.1, if with_reset && after <= all { reset() } else { Ok(()) });
            drop((client, server));
            within(test.proxy.wait_until_idle()).await;
        });
    });
    let counters = test.proxy.counters();
    assert_eq!(counters.bytes_from_client, counters.bytes_to_target + counters.bytes_discarded);
}
