//! A TCP proxy for tests. The proxy injects network faults: low bandwidth, and reset or refused connections.
//!
//! The proxy listens on a port of `127.0.0.1`, forwards input to one target and returns the answers. It
//! follows a plan, and a test can change the plan at any time. The buffers of the proxy are bounded. Dropping
//! the proxy ends its tasks and its connections.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use fault_proxy::{TcpPlan, TcpProxy};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! let target = TcpListener::bind("127.0.0.1:0").await?;
//! let proxy = TcpProxy::start(target.local_addr()?).await?;
//! proxy.set_plan(TcpPlan::new().reset_after(5));
//!
//! let mut client = TcpStream::connect(proxy.address()).await?;
//! client.write_all(b"hello world").await?;
//! let _server = target.accept().await?;
//! assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

mod connection;
mod plan;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use connection::Settings;
pub use plan::TcpPlan;

/// Listen backlog.
const BACKLOG: u32 = 1_024;

/// Pause after a failed accept, for example because no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(10);

/// Options of a [`TcpProxy`].
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Initial plan. Default: pass everything.
    pub plan: TcpPlan,
    /// Maximum number of bytes that each direction of a connection holds back, in addition to the kernel's
    /// buffers. Default: 262,144; at least 1.
    pub max_held: usize,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { plan: TcpPlan::new(), max_held: 256 * 1024 }
    }
}

/// A TCP proxy with the faults of a [`TcpPlan`]. Dropping it resets every connection and frees its port.
#[derive(Debug)]
pub struct TcpProxy {
    /// A socket that never listens. It keeps the port while the proxy refuses connections.
    _reservation: TcpSocket,
    shared: Arc<Shared>,
    /// The task that accepts connections, or `None` while the proxy refuses them.
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    target: SocketAddr,
    max_held: usize,
    plan: watch::Sender<TcpPlan>,
    bytes_from_client: Arc<AtomicU64>,
    connections: Mutex<JoinSet<()>>,
}

impl TcpProxy {
    /// Starts a proxy for this target. The proxy passes everything until a test sets another plan.
    ///
    /// # Errors
    ///
    /// Returns an error if no port on `127.0.0.1` is available.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, TcpOptions::default()).await
    }

    /// Starts a proxy for this target.
    ///
    /// # Errors
    ///
    /// Returns an error if no port on `127.0.0.1` is available.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn start_with(target: SocketAddr, options: TcpOptions) -> io::Result<Self> {
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let shared = Arc::new(Shared {
            address: reservation.local_addr()?,
            target,
            max_held: options.max_held.max(1),
            plan: watch::Sender::new(options.plan),
            bytes_from_client: Arc::default(),
            connections: Mutex::default(),
        });
        let proxy = Self { _reservation: reservation, shared, accepting: Mutex::default() };
        proxy.accept_again().await?;
        Ok(proxy)
    }

    /// Returns the listening address, also while the proxy [refuses](Self::refuse).
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Sets the plan of all open and future connections.
    pub fn set_plan(&self, plan: TcpPlan) {
        self.shared.plan.send_replace(plan);
    }

    /// Refuses new connections after this call has returned. Open connections continue; connections that were
    /// not accepted yet are reset.
    pub async fn refuse(&self) {
        let accepting = lock(&self.accepting).take();
        if let Some(task) = accepting {
            task.abort();
            // An error says that the task was aborted.
            let _ = task.await;
        }
    }

    /// Accepts new connections again, on the same port.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel does not let the proxy listen on its port again.
    pub async fn accept_again(&self) -> io::Result<()> {
        let mut accepting = lock(&self.accepting);
        if accepting.is_none() {
            let listener = bind(self.shared.address)?.listen(BACKLOG)?;
            *accepting = Some(tokio::spawn(accept(listener, self.shared.clone())));
        }
        Ok(())
    }

    /// Returns the number of bytes received from clients.
    pub fn bytes_from_client(&self) -> u64 {
        self.shared.bytes_from_client.load(Ordering::Relaxed)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.accepting).take() {
            task.abort();
        }
        lock(&self.shared.connections).abort_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut plans = shared.plan.subscribe();
        let plan = *plans.borrow_and_update();
        let bytes_from_client = Arc::clone(&shared.bytes_from_client);
        let settings = Settings { plan, plans, max_held: shared.max_held, bytes_from_client };
        let mut connections = lock(&shared.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(connection::run(client, shared.target, settings));
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Locks a mutex. Its value is valid after every statement, so poisoning can be ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
