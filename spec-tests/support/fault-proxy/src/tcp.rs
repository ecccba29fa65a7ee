//! The proxy for TCP.

mod connection;
pub(crate) mod flow;
pub(crate) mod plan;
mod settle;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::Way;
use connection::Control;
use flow::Taken;
use plan::{End, Sides, TcpPlan};

/// How many connections the kernel keeps ready for the proxy.
const BACKLOG: u32 = 1_024;

/// How many plans may wait for connections to come.
const MAX_PLANS: usize = 4_096;

/// How long the proxy waits after the kernel could not give it a connection, such as for want of a file descriptor.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// What a [`TcpProxy`] is like.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// The plan at the start. Default: everything is passed.
    pub plan: TcpPlan,
    /// How many connections are open at most; one more is reset as soon as it comes. Default: 256. Each takes two file descriptors.
    pub max_connections: usize,
    /// How many bytes each way of a connection holds back at most, beside what the kernel does. Default: 262,144; at least 1.
    pub max_held: usize,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { plan: TcpPlan::new(), max_connections: 256, max_held: 256 * 1024 }
    }
}

/// What a [`TcpProxy`] has seen and done since its start.
///
/// `bytes_from_client = bytes_to_target + bytes forgotten of them + bytes held back`, and the same for the answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpCounters {
    /// Connections that came, those over the limit among them.
    pub connections_accepted: u64,
    /// Connections that are open now.
    pub connections_open: u64,
    /// Connections that were reset because there were too many.
    pub connections_over_limit: u64,
    /// Connections that were reset because the target took none.
    pub target_unreachable: u64,
    /// Bytes that came from clients.
    pub bytes_from_client: u64,
    /// Bytes that were passed to the target.
    pub bytes_to_target: u64,
    /// Bytes that came from the target.
    pub bytes_from_target: u64,
    /// Bytes that were passed to clients.
    pub bytes_to_client: u64,
    /// Bytes, of both ways, that came and will not be passed: by a cut, a reset, or a black hole that forgets.
    pub bytes_forgotten: u64,
    /// Bytes, of both ways, that were held back for a delay.
    pub bytes_delayed: u64,
    /// Bytes that were changed.
    pub bytes_corrupted: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// How often a connection came into a black hole.
    pub black_holes: u64,
    /// How often new connections came to be refused. The kernel refuses them, so that each of them cannot be counted.
    pub refusals: u64,
}

impl TcpCounters {
    fn passed(&mut self, way: Way, count: usize) {
        *match way {
            Way::ToTarget => &mut self.bytes_to_target,
            Way::ToClient => &mut self.bytes_to_client,
        } += count as u64;
    }

    fn came(&mut self, way: Way, count: usize, taken: Taken) {
        *match way {
            Way::ToTarget => &mut self.bytes_from_client,
            Way::ToClient => &mut self.bytes_from_target,
        } += count as u64;
        self.bytes_forgotten += taken.forgotten;
        self.bytes_corrupted += taken.corrupted;
        self.bytes_delayed += taken.delayed;
    }

    fn swallowed(&mut self, way: Way, count: usize) {
        self.came(way, count, Taken { forgotten: count as u64, ..Taken::default() });
    }
}

/// What all connections are told.
#[derive(Clone, Copy, Debug)]
struct Orders {
    /// How often the plan was set: a plan of a connection's own holds as long as this stays.
    number: u64,
    plan: TcpPlan,
    /// How often the open connections were to be cut, and how the last time.
    cuts: u64,
    cut: (End, Sides),
}

#[derive(Debug)]
enum Command {
    Refuse(oneshot::Sender<()>),
    Accept(oneshot::Sender<io::Result<()>>),
}

/// A TCP proxy with the faults of a [`TcpPlan`]. Dropping it resets every connection and frees its port.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    counters: watch::Sender<TcpCounters>,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    server: JoinHandle<()>,
}

/// What is looked up when a connection comes.
#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    plans: Mutex<VecDeque<TcpPlan>>,
}

impl TcpProxy {
    /// Starts a proxy in front of this target that passes everything.
    ///
    /// # Errors
    ///
    /// If no port can be had on `127.0.0.1`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, TcpOptions::default()).await
    }

    /// Starts a proxy in front of this target.
    ///
    /// # Errors
    ///
    /// If no port can be had on `127.0.0.1`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    pub async fn start_with(target: SocketAddr, options: TcpOptions) -> io::Result<Self> {
        // This socket never listens. It keeps the port while the one that listens is closed.
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reservation.local_addr()?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let orders = watch::Sender::new(Orders {
            number: 0,
            plan: options.plan,
            cuts: 0,
            cut: (End::Reset, Sides::Both),
        });
        let counters = watch::Sender::new(TcpCounters::default());
        let shared = Arc::new(Shared { target: Mutex::new(target), plans: Mutex::default() });
        let (commands, receiver) = mpsc::channel(1);
        let server = Server {
            _reservation: reservation,
            address,
            listener: Some(listener),
            orders: orders.subscribe(),
            counters: counters.clone(),
            shared: shared.clone(),
            max_connections: options.max_connections,
            max_held: options.max_held.max(1),
        };
        let server = tokio::spawn(server.serve(receiver));
        Ok(Self { address, orders, counters, shared, commands, server })
    }

    /// Where it listens, or did before it [refused](Self::refuse).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is the plan of every connection, open or to come.
    pub fn set_plan(&self, plan: TcpPlan) {
        self.orders.send_modify(|orders| {
            orders.number += 1;
            orders.plan = plan;
        });
    }

    /// The plan that was [set](Self::set_plan) last.
    pub fn plan(&self) -> TcpPlan {
        self.orders.borrow().plan
    }

    /// The next connection has this plan for itself, until a plan is [set](Self::set_plan); of several plans, one connection after
    /// the other has one. At most 4,096 may wait; more are not taken, which is `false`.
    pub fn plan_next(&self, plan: TcpPlan) -> bool {
        let mut plans = lock(&self.shared.plans);
        if plans.len() >= MAX_PLANS {
            return false;
        }
        plans.push_back(plan);
        true
    }

    /// From now on, new connections go to this target.
    pub fn set_target(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Cuts every connection that is open now, at whatever byte. One that the proxy has not accepted yet is not open.
    pub fn cut_open(&self, end: End, sides: Sides) {
        self.orders.send_modify(|orders| {
            orders.cuts += 1;
            orders.cut = (end, sides);
        });
    }

    /// Refuses new connections from when this returns. Those that are open go on; one that was not accepted yet is reset.
    pub async fn refuse(&self) {
        let (done, refused) = oneshot::channel();
        if self.commands.send(Command::Refuse(done)).await.is_ok() {
            // The server answers every command, and lives as long as the proxy.
            let _ = refused.await;
        }
    }

    /// Takes new connections again, on the same port, from when this returns.
    ///
    /// # Errors
    ///
    /// If the kernel does not give the port back. The proxy keeps it bound while it refuses, so that nobody else gets it.
    pub async fn accept_again(&self) -> io::Result<()> {
        let (done, accepts) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.commands.send(Command::Accept(done)).await.map_err(|_| gone())?;
        accepts.await.map_err(|_| gone())?
    }

    /// What it has seen and done so far.
    pub fn counters(&self) -> TcpCounters {
        *self.counters.borrow()
    }

    /// Waits until the counters are as wanted, and returns them. It has no time limit of its own.
    pub async fn wait_for(&self, wanted: impl FnMut(&TcpCounters) -> bool) -> TcpCounters {
        let mut receiver = self.counters.subscribe();
        // The sender is a field of this proxy, so that there is no end.
        receiver.wait_for(wanted).await.map_or_else(|_| self.counters(), |counters| *counters)
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        self.wait_for(|counters| counters.connections_open == 0).await;
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What accepts connections, and owns them.
struct Server {
    _reservation: TcpSocket,
    address: SocketAddr,
    listener: Option<TcpListener>,
    orders: watch::Receiver<Orders>,
    counters: watch::Sender<TcpCounters>,
    shared: Arc<Shared>,
    max_connections: usize,
    max_held: usize,
}

impl Server {
    async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Refuse(done)) => {
                        if self.listener.take().is_some() {
                            self.counters.send_modify(|counters| counters.refusals += 1);
                        }
                        // Who does not wait for it any more needs no answer.
                        let _ = done.send(());
                    }
                    Some(Command::Accept(done)) => {
                        let _ = done.send(self.listen());
                    }
                },
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Ok(socket) => self.begin(socket, &mut connections),
                    Err(_) => tokio::time::sleep(AFTER_ERROR).await,
                },
                Some(_) = connections.join_next() => {
                    let open = connections.len() as u64;
                    self.counters.send_modify(|counters| counters.connections_open = open);
                }
            }
        }
    }

    fn listen(&mut self) -> io::Result<()> {
        if self.listener.is_none() {
            self.listener = Some(bind(self.address)?.listen(BACKLOG)?);
        }
        Ok(())
    }

    fn begin(&self, client: TcpStream, connections: &mut JoinSet<()>) {
        // So that it is reset, wherever it is, unless its task gives it an end in order.
        connection::reset(&client);
        if connections.len() >= self.max_connections {
            drop(client);
            self.counters.send_modify(|counters| {
                counters.connections_accepted += 1;
                counters.connections_over_limit += 1;
            });
            return;
        }
        let own = lock(&self.shared.plans).pop_front();
        let control = Control::new(self.orders.clone(), own);
        let target = *lock(&self.shared.target);
        connections.spawn(connection::run(client, target, self.max_held, control, self.counters.clone()));
        let open = connections.len() as u64;
        self.counters.send_modify(|counters| {
            counters.connections_accepted += 1;
            counters.connections_open = open;
        });
    }
}

/// The next connection; never one without a listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(socket, _)| socket),
        None => std::future::pending().await,
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A value that is whole after every statement, whatever happened to another thread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
