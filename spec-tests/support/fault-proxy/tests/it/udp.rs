//! Tests of the UDP proxy: datagrams have exactly the fates of their plan and seed.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::{Duration, Instant};

use fault_proxy::{Direction, Fate, UdpCounters, UdpOptions, UdpPlan, UdpProxy};
use tokio::net::UdpSocket;

use crate::within;

const SEED: u64 = 20_261_122;

/// Number of datagrams sent before they are read; the kernel buffers this many.
const BATCH: u64 = 50;

struct Test {
    target: std::net::UdpSocket,
    proxy: UdpProxy,
}

impl Test {
    async fn start(plan: UdpPlan) -> Self {
        Self::start_with(UdpOptions { seed: SEED, plan, ..UdpOptions::default() }).await
    }

    async fn start_with(options: UdpOptions) -> Self {
        let target = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        target.set_nonblocking(true).unwrap();
        let proxy = UdpProxy::start_with(target.local_addr().unwrap(), options).await.unwrap();
        Self { target, proxy }
    }

    async fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(self.proxy.address()).await.unwrap();
        client
    }

    /// Sends datagrams with these numbers, no faster than the proxy reads them. Returns the datagrams
    /// received meanwhile.
    async fn send(&self, client: &UdpSocket, numbers: Range<u64>) -> Vec<Vec<u8>> {
        let before = self.proxy.counters().datagrams_from_clients;
        let mut got = Vec::new();
        for (sent, number) in (1..).zip(numbers) {
            client.send(&datagram(number)).await.unwrap();
            if sent % BATCH == 0 {
                within(self.proxy.wait_for(|counters| counters.datagrams_from_clients == before + sent))
                    .await;
                got.extend(self.received());
            }
        }
        got
    }

    /// Sends datagrams with these numbers. Returns all `count` datagrams that the target receives.
    async fn send_all(&self, client: &UdpSocket, numbers: Range<u64>, count: usize) -> Vec<Vec<u8>> {
        let mut got = self.send(client, numbers).await;
        self.collect(&mut got, count).await;
        got
    }

    /// Waits until the target has received `count` datagrams, and checks that there are no more.
    async fn collect(&self, got: &mut Vec<Vec<u8>>, count: usize) {
        within(async {
            while got.len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
                got.extend(self.received());
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        got.extend(self.received());
        assert_eq!(got.len(), count);
    }

    /// Returns the unread datagrams of the target.
    fn received(&self) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        let mut buffer = [0; 65_535];
        while let Ok(length) = self.target.recv(&mut buffer) {
            got.push(buffer[..length].to_vec());
        }
        got
    }
}

/// Returns a datagram with its number; its length depends on the number.
fn datagram(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + (number % 100) as usize, 0xAA);
    bytes
}

fn fate(plan: &UdpPlan, number: u64) -> Fate {
    plan.fate(SEED, 0, Direction::ToTarget, number, datagram(number).len())
}

#[tokio::test]
async fn datagrams_are_passed_and_answers_reach_their_client() {
    let test = Test::start(UdpPlan::new()).await;
    let clients = [test.client().await, test.client().await, test.client().await];
    let mut buffer = [0; 65_535];
    for (number, client) in clients.iter().enumerate() {
        let long = vec![number as u8; 60_000];
        client.send(&long).await.unwrap();
        client.send(&[]).await.unwrap();
        let mut ports = Vec::new();
        for expected in [&long[..], &[]] {
            let (length, from) = within(async {
                loop {
                    match test.target.recv_from(&mut buffer) {
                        Ok(received) => return received,
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
            })
            .await;
            assert_eq!(&buffer[..length], expected);
            ports.push(from.port());
            test.target.send_to(&[number as u8], from).unwrap();
        }
        assert_eq!(ports[0], ports[1], "a client has one port towards the target");
    }
    for (number, client) in clients.iter().enumerate() {
        for _ in 0..2 {
            let length = within(client.recv(&mut buffer)).await.unwrap();
            assert_eq!(buffer[..length], [number as u8]);
        }
    }
    within(test.proxy.wait_until_idle()).await;
    let mut expected = UdpCounters::default();
    expected.clients = 3;
    expected.datagrams_from_clients = 6;
    expected.datagrams_to_target = 6;
    expected.datagrams_from_target = 6;
    expected.datagrams_to_clients = 6;
    expected.bytes_from_clients = 180_000;
    expected.bytes_to_target = 180_000;
    expected.bytes_from_target = 6;
    expected.bytes_to_clients = 6;
    assert_eq!(test.proxy.counters(), expected);
}

#[tokio::test]
async fn each_datagram_has_the_fate_of_its_seed() {
    let plan = UdpPlan::new().loss(0.2).duplication(0.3).corruption(0.1);
    let test = Test::start(plan).await;
    let client = test.client().await;
    let mut expected = Vec::new();
    let mut counters = UdpCounters::default();
    for number in 0..1_000 {
        let mut bytes = datagram(number);
        counters.bytes_from_clients += bytes.len() as u64;
        let fate = fate(&plan, number);
        counters.lost += u64::from(fate.lost);
        if let Some((place, mask)) = fate.corrupt {
            bytes[place] ^= mask;
            counters.corrupted += 1;
        }
        let times = if fate.lost { 0 } else { 1 + usize::from(fate.copy.is_some()) };
        counters.duplicated += u64::from(times == 2);
        counters.datagrams_to_target += times as u64;
        counters.bytes_to_target += (times * bytes.len()) as u64;
        expected.extend(vec![bytes; times]);
    }
    counters.clients = 1;
    counters.datagrams_from_clients = 1_000;
    assert_eq!((counters.lost, counters.duplicated, counters.corrupted), (187, 274, 72));
    assert_eq!(test.send_all(&client, 0..1_000, expected.len()).await, expected);
    assert_eq!(test.proxy.counters(), counters);
}

#[tokio::test]
async fn answers_have_their_own_fates() {
    let test = Test::start(UdpPlan::new()).await;
    let client = test.client().await;
    client.send(b"ask").await.unwrap();
    within(test.proxy.wait_for(|counters| counters.datagrams_to_target == 1)).await;
    let (_, back) = test.target.recv_from(&mut [0; 3]).unwrap();
    let plan = UdpPlan::new().loss(0.5);
    test.proxy.set_plan(plan);
    assert_eq!(test.proxy.plan(), plan);
    let mut expected = Vec::new();
    for number in 0..BATCH as u8 {
        test.target.send_to(&[number], back).unwrap();
        if !plan.fate(SEED, 0, Direction::ToClient, number.into(), 1).lost {
            expected.push(number);
        }
    }
    let mut got = Vec::new();
    for _ in 0..expected.len() {
        let mut byte = [0];
        within(client.recv(&mut byte)).await.unwrap();
        got.extend(byte);
    }
    assert_eq!(got, expected);
    let counters = within(test.proxy.wait_for(|counters| counters.datagrams_from_target == BATCH)).await;
    assert_eq!(counters.lost, BATCH - expected.len() as u64);
}

#[tokio::test]
async fn reordered_datagrams_are_overtaken_as_planned() {
    let plan = UdpPlan::new().reordering(0.2, 4);
    let options =
        UdpOptions { seed: SEED, plan, reorder_hold: Duration::from_secs(3_600), ..UdpOptions::default() };
    let test = Test::start_with(options).await;
    let client = test.client().await;
    let mut got = test.send(&client, 0..300).await;
    // Datagrams that are still held back are overtaken by these.
    test.proxy.set_plan(UdpPlan::new());
    got.extend(test.send(&client, 300..304).await);
    test.collect(&mut got, 304).await;
    let order: Vec<u64> =
        got.iter().map(|bytes| u64::from_be_bytes(bytes[..8].try_into().unwrap())).collect();
    let place = |number| order.iter().position(|other| *other == number).unwrap();
    let mut reordered = 0;
    for number in 0..304 {
        assert_eq!(got[place(number)], datagram(number));
        let later_before = order[..place(number)].iter().filter(|other| **other > number).count();
        let behind = if number < 300 { fate(&plan, number).behind } else { 0 };
        reordered += u64::from(behind > 0);
        assert!(later_before >= behind as usize, "{number}");
        if behind == 0 {
            assert_eq!(later_before, 0, "{number} was overtaken against its plan");
        }
    }
    let counters = test.proxy.counters();
    assert_eq!((counters.reordered, counters.in_flight, counters.lost), (reordered, 0, 0));
    assert!(reordered > 0);
}

#[tokio::test]
async fn a_delayed_datagram_arrives_no_sooner() {
    let delay = Duration::from_millis(60);
    let test = Test::start(UdpPlan::new().delay(delay)).await;
    let client = test.client().await;
    let start = Instant::now();
    assert_eq!(test.send_all(&client, 0..5, 5).await, (0..5).map(datagram).collect::<Vec<_>>());
    assert!(start.elapsed() >= delay);
    assert_eq!(test.proxy.counters().delayed, 5);
}

#[tokio::test]
async fn datagrams_over_a_limit_are_dropped_and_counted() {
    let plan = UdpPlan::new().delay(Duration::from_secs(3_600));
    let options =
        UdpOptions { plan, max_clients: 1, max_datagrams: 10, max_bytes: 100, ..UdpOptions::default() };
    let test = Test::start_with(options).await;
    let client = test.client().await;
    client.send(&[0; 90]).await.unwrap();
    client.send(&[0; 11]).await.unwrap();
    for _ in 0..10 {
        client.send(&[0]).await.unwrap();
    }
    within(test.proxy.wait_for(|counters| counters.datagrams_from_clients == 12)).await;
    assert_eq!((test.proxy.counters().in_flight, test.proxy.counters().over_limit), (10, 2));
    test.client().await.send(&[0]).await.unwrap();
    let counters = within(test.proxy.wait_for(|counters| counters.datagrams_from_clients == 13)).await;
    assert_eq!((counters.clients, counters.over_limit), (1, 3));
}

#[tokio::test]
async fn datagrams_are_refused_and_accepted_again_on_the_same_port() {
    let test = Test::start(UdpPlan::new()).await;
    let client = test.client().await;
    let address = test.proxy.address();
    within(test.proxy.refuse()).await;
    assert!(UdpSocket::bind(address).await.is_err(), "the port stays bound");
    client.send(b"lost").await.unwrap();
    assert_eq!(within(client.recv(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    within(test.proxy.accept_again()).await.unwrap();
    assert_eq!(test.proxy.address(), address);
    assert_eq!(test.send_all(&client, 0..1, 1).await, [datagram(0)]);
    let counters = test.proxy.counters();
    assert_eq!((counters.refusals, counters.datagrams_from_clients), (1, 1));
}

#[tokio::test]
async fn a_missing_target_does_not_end_the_proxy() {
    let test = Test::start(UdpPlan::new()).await;
    let client = test.client().await;
    let target = test.target.local_addr().unwrap();
    drop(test.target);
    within(async {
        while test.proxy.counters().target_errors < 3 {
            client.send(b"abc").await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let back = UdpSocket::bind(target).await.unwrap();
    client.send(b"back").await.unwrap();
    let mut buffer = [0; 4];
    assert_eq!(within(back.recv(&mut buffer)).await.unwrap(), 4);
    assert_eq!(&buffer, b"back");
    let counters = test.proxy.counters();
    assert_eq!(counters.datagrams_from_clients, counters.datagrams_to_target + counters.send_failed);
}

#[tokio::test]
async fn a_dropped_proxy_frees_its_port() {
    let test = Test::start(UdpPlan::new().delay(Duration::from_secs(3_600))).await;
    let address = test.proxy.address();
    let client = test.client().await;
    client.send(b"abc").await.unwrap();
    within(test.proxy.wait_for(|counters| counters.in_flight == 1)).await;
    drop(test.proxy);
    within(async {
        // The aborted task ends when the runtime polls it.
        while std::net::UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
