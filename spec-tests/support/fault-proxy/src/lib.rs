//! A TCP and a UDP proxy that inject network faults in tests: delay, low bandwidth, reset, closed, refused or
//! stalled connections, and lost, duplicated, reordered or corrupted datagrams.
//!
//! Each proxy listens on its own port on `127.0.0.1`, forwards input to one target and returns the answers,
//! under a plan that the test may change at any time. Its counters let a test wait for events and assert
//! exact figures. Its buffers are bounded. A proxy runs until it is dropped, which ends its tasks and
//! connections.
//!
//! TCP faults occur at exact bytes. UDP faults are drawn from a seed, so the [`Fate`] of each datagram is
//! known in advance.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use fault_proxy::{Cut, TcpPlan, TcpProxy};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! let target = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = TcpProxy::start(target.local_addr()?).await?;
//! // The first connection is reset for the client after five bytes; later ones are passed unchanged.
//! proxy.plan_next(TcpPlan::new().cut(Cut::reset_client(5)));
//!
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"hello world").await?;
//! let (mut server, _) = target.accept().await?;
//! let mut got = [0; 5];
//! server.read_exact(&mut got).await?;
//! assert_eq!(&got, b"hello");
//! proxy.wait_for(|counters| counters.cuts == 1).await;
//! assert_eq!(client.read(&mut got).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
//! assert_eq!(proxy.counters().bytes_to_target, 5);
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use fault_proxy::{UdpPlan, UdpProxy, Direction};
//! use tokio::net::UdpSocket;
//!
//! let target = UdpSocket::bind("127.0.0.1:0").await?;
//! let proxy = UdpProxy::start(target.local_addr()?, 7).await?;
//! let plan = UdpPlan::new().loss(0.5);
//! proxy.set_plan(plan);
//!
//! let client = UdpSocket::bind("127.0.0.1:0").await?;
//! for number in 0..100 {
//!     client.send_to(&[number], proxy.address()).await?;
//! }
//! proxy.wait_for(|counters| counters.datagrams_from_clients == 100).await;
//! let lost = (0..100).filter(|&number| plan.fate(7, 0, Direction::ToTarget, number, 1).lost).count() as u64;
//! assert_eq!(proxy.counters().lost, lost);
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

mod generator;
mod remote;
mod tcp;
mod udp;

pub use tcp::plan::{BlackHole, Cut, End, Sides, TcpPlan};
pub use tcp::{TcpCounters, TcpOptions, TcpProxy};
pub use udp::plan::{Fate, UdpPlan};
pub use udp::{UdpCounters, UdpOptions, UdpProxy};

/// Direction of bytes or datagrams.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// From a client to the target.
    ToTarget,
    /// From the target back to a client.
    ToClient,
}
