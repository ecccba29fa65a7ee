//! A TCP proxy that injects network faults in tests: low bandwidth, and reset, refused or stalled connections.
//!
//! It listens on a port of `127.0.0.1`, forwards input to one target and returns the answers, under a plan
//! that the test may change at any time. Its counters let a test wait for events and assert exact figures.
//! Its buffers are bounded. A proxy runs until it is dropped, which ends its task and its connections.
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

#![forbid(unsafe_code)]

mod remote;
mod tcp;

pub use tcp::plan::{BlackHole, Cut, End, Sides, TcpPlan};
pub use tcp::{TcpCounters, TcpOptions, TcpProxy};

/// Direction of bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Direction {
    /// From a client to the target.
    ToTarget,
    /// From the target back to a client.
    ToClient,
}
