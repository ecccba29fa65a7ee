//! The TCP proxy.

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
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::Direction;
use crate::remote::{Command, Remote};
use connection::Control;
use flow::Taken;
use plan::{End, Sides, TcpPlan};

/// Listen backlog.
const BACKLOG: u32 = 1_024;

/// Maximum number of plans that wait for connections.
const MAX_PLANS: usize = 4_096;

/// Pause after a failed accept, for example without free file descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Options of a [`TcpProxy`].
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Initial plan. Default: pass everything.
    pub plan: TcpPlan,
    /// Maximum number of open connections; more are reset at once. Default: 256. Each takes two file
    /// descriptors.
    pub max_connections: usize,
    /// Maximum number of bytes that each direction of a connection holds back, in addition to the kernel's
    /// buffers. Default: 262,144; at least 1.
    pub max_held: usize,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { plan: TcpPlan::new(), max_connections: 256, max_held: 256 * 1024 }
    }
}

/// Counters of a [`TcpProxy`] since its start.
///
/// For each direction, the received bytes are the passed, the discarded and the currently held ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TcpCounters {
    /// Accepted connections, including those over the limit.
    pub connections_accepted: u64,
    /// Open connections.
    pub connections_open: u64,
    /// Connections reset because of the limit.
    pub connections_over_limit: u64,
    /// Connections reset because the target refused them.
    pub target_unreachable: u64,
    /// Bytes received from clients.
    pub bytes_from_client: u64,
    /// Bytes passed to the target.
    pub bytes_to_target: u64,
    /// Bytes received from the target.
    pub bytes_from_target: u64,
    /// Bytes passed to clients.
    pub bytes_to_client: u64,
    /// Bytes of both directions that were received and will not be passed: because of a cut, a reset, or a
    /// discarding black hole.
    pub bytes_discarded: u64,
    /// Bytes of both directions that were held back for a delay.
    pub bytes_delayed: u64,
    /// Changed bytes.
    pub bytes_corrupted: u64,
    /// Cut connections.
    pub cuts: u64,
    /// Number of times that a connection entered a black hole.
    pub black_holes: u64,
    /// Number of periods in which new connections were refused. The kernel refuses them, so single ones
    /// cannot be counted.
    pub refusals: u64,
}

impl TcpCounters {
    fn passed(&mut self, direction: Direction, count: usize) {
        *match direction {
            Direction::ToTarget => &mut self.bytes_to_target,
            Direction::ToClient => &mut self.bytes_to_client,
        } += count as u64;
    }

    fn received(&mut self, direction: Direction, count: usize, taken: Taken) {
        *match direction {
            Direction::ToTarget => &mut self.bytes_from_client,
            Direction::ToClient => &mut self.bytes_from_target,
        } += count as u64;
        self.bytes_discarded += taken.discarded;
        self.bytes_corrupted += taken.corrupted;
        self.bytes_delayed += taken.delayed;
    }

    fn discarded(&mut self, direction: Direction, count: usize) {
        self.received(direction, count, Taken { discarded: count as u64, ..Taken::default() });
    }
}

/// Instructions for all connections.
#[derive(Clone, Copy, Debug)]
struct Instructions {
    /// Number of the common plan. The plan of a single connection is valid while this does not change.
    number: u64,
    plan: TcpPlan,
    /// Number of times that the open connections were cut, and the kind of the last cut.
    cuts: u64,
    cut: (End, Sides),
}

/// A TCP proxy with the faults of a [`TcpPlan`]. Dropping it resets every connection and frees its port.
#[derive(Debug)]
pub struct TcpProxy {
    remote: Remote<TcpCounters>,
    instructions: watch::Sender<Instructions>,
    shared: Arc<Shared>,
}

/// State that is read for each new connection.
#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    plans: Mutex<VecDeque<TcpPlan>>,
}

impl TcpProxy {
    /// Starts a proxy for this target that passes everything.
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
        // This socket never listens. It keeps the port while the listener is closed.
        let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reservation.local_addr()?;
        let listener = bind(address)?.listen(BACKLOG)?;
        let instructions = watch::Sender::new(Instructions {
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
            instructions: instructions.subscribe(),
            counters: counters.clone(),
            shared: shared.clone(),
            max_connections: options.max_connections,
            max_held: options.max_held.max(1),
        };
        let task = tokio::spawn(server.serve(receiver));
        Ok(Self { remote: Remote { address, counters, commands, task }, instructions, shared })
    }

    /// Returns the listening address, also while the proxy [refuses](Self::refuse).
    pub fn address(&self) -> SocketAddr {
        self.remote.address
    }

    /// Sets the plan of all open and future connections.
    pub fn set_plan(&self, plan: TcpPlan) {
        self.instructions.send_modify(|instructions| {
            instructions.number += 1;
            instructions.plan = plan;
        });
    }

    /// Returns the plan that was [set](Self::set_plan) last.
    pub fn plan(&self) -> TcpPlan {
        self.instructions.borrow().plan
    }

    /// Queues a plan for a single future connection, valid until a plan is [set](Self::set_plan). Returns
    /// false if 4,096 plans are queued.
    pub fn plan_next(&self, plan: TcpPlan) -> bool {
        let mut plans = lock(&self.shared.plans);
        if plans.len() >= MAX_PLANS {
            return false;
        }
        plans.push_back(plan);
        true
    }

    /// Sets the target of new connections.
    pub fn set_target(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Cuts every open connection at any byte. A connection that was not accepted yet is not open.
    pub fn cut_open(&self, end: End, sides: Sides) {
        self.instructions.send_modify(|instructions| {
            instructions.cuts += 1;
            instructions.cut = (end, sides);
        });
    }

    /// Refuses new connections from the return of this call. Open connections continue; connections that were
    /// not accepted yet are reset.
    pub async fn refuse(&self) {
        self.remote.refuse().await;
    }

    /// Accepts new connections again, on the same port.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel does not return the port, which the proxy keeps bound.
    pub async fn accept_again(&self) -> io::Result<()> {
        self.remote.accept_again().await
    }

    /// Returns the counters.
    pub fn counters(&self) -> TcpCounters {
        self.remote.counters()
    }

    /// Waits without a time limit until the counters meet a condition, and returns them.
    pub async fn wait_for(&self, wanted: impl FnMut(&TcpCounters) -> bool) -> TcpCounters {
        self.remote.wait_for(wanted).await
    }

    /// Waits until no connection is open.
    pub async fn wait_until_idle(&self) {
        self.wait_for(|counters| counters.connections_open == 0).await;
    }
}

/// Accepts connections and owns their tasks.
struct Server {
    _reservation: TcpSocket,
    address: SocketAddr,
    listener: Option<TcpListener>,
    instructions: watch::Receiver<Instructions>,
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
                        // The caller may have stopped waiting.
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
        // Connections are reset on drop, unless their task ends them in order.
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
        let control = Control::new(self.instructions.clone(), own);
        let target = *lock(&self.shared.target);
        connections.spawn(connection::run(client, target, self.max_held, control, self.counters.clone()));
        let open = connections.len() as u64;
        self.counters.send_modify(|counters| {
            counters.connections_accepted += 1;
            counters.connections_open = open;
        });
    }
}

/// Accepts a connection; pending without a listener.
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

/// Locks a mutex. Its value is valid after every statement, so poisoning can be ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
