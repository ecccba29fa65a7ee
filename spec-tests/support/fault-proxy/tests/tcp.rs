//! Tests of the TCP proxy: connections have the faults of their plan.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use fault_proxy::{TcpOptions, TcpPlan, TcpProxy};
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

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn reset() -> Result<(), ErrorKind> {
    Err(ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn bytes_and_the_end_of_a_stream_are_passed_in_both_directions() {
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
    assert_eq!(test.proxy.bytes_from_client(), 1_000_000);
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
}

#[tokio::test]
async fn a_later_plan_resets_an_open_connection() {
    let test = Test::start(TcpPlan::new()).await;
    for (plan, passed) in [(TcpPlan::new().reset_after(8), &b"gh"[..]), (TcpPlan::new().reset_after(2), b"")]
    {
        test.proxy.set_plan(TcpPlan::new());
        let (mut client, mut server) = test.connect().await;
        client.write_all(b"abcdef").await.unwrap();
        assert_eq!(read(&mut server, 6).await, b"abcdef");
        test.proxy.set_plan(plan);
        // An error is ignored, because the proxy has possibly reset the connection already.
        let _ = client.write_all(b"ghi").await;
        // A reset can discard the last bytes.
        let (got, end) = read_all(&mut server).await;
        assert_eq!((passed.starts_with(&got), end), (true, reset()));
    }
}

#[tokio::test]
async fn bytes_arrive_no_faster_than_the_plan_allows() {
    let test = Test::start(TcpPlan::new().throttle(20_000)).await;
    let (mut client, mut server) = test.connect().await;
    let start = Instant::now();
    client.write_all(&text(3_000)).await.unwrap();
    assert_eq!(read(&mut server, 3_000).await, text(3_000));
    // The proxy writes 1,000 bytes immediately, 1,000 bytes after 50 ms, and 1,000 bytes after 100 ms.
    assert!(start.elapsed() >= Duration::from_millis(100));
    test.proxy.set_plan(TcpPlan::new().throttle(1));
    client.write_all(&text(100_000)).await.unwrap();
    test.proxy.set_plan(TcpPlan::new());
    assert_eq!(read(&mut server, 100_000).await, text(100_000), "another plan takes effect immediately");
}

#[tokio::test]
async fn new_connections_are_refused_until_the_proxy_accepts_again() {
    let test = Test::start(TcpPlan::new()).await;
    let address = test.proxy.address();
    let (mut client, mut server) = test.connect().await;
    for _ in 0..3 {
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
    }
}

#[tokio::test]
async fn a_client_of_an_unreachable_target_is_reset() {
    let test = Test::start(TcpPlan::new()).await;
    drop(test.target);
    let mut client = TcpStream::connect(test.proxy.address()).await.unwrap();
    assert_eq!(read_all(&mut client).await, (vec![], reset()));
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
