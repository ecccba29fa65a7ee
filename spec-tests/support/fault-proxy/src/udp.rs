//! The proxy for UDP.

pub(crate) mod flight;
pub(crate) mod plan;
mod relay;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use plan::UdpPlan;
use relay::{Command, Relay};

/// What a [`UdpProxy`] is like.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// From what the faults are drawn. Default: 0.
    pub seed: u64,
    /// The plan at the start. Default: everything is passed.
    pub plan: UdpPlan,
    /// How many clients, by address and port, are passed for as long as the proxy lives; datagrams of others are dropped and
    /// counted. Default: 64. Each takes a file descriptor.
    pub max_clients: usize,
    /// How many datagrams are on their way at most; one more is dropped and counted. Default: 4,096.
    pub max_datagrams: usize,
    /// How many bytes are on their way at most, without headers; a datagram that would exceed it is dropped and counted.
    /// Default: 16,777,216.
    pub max_bytes: usize,
    /// How long a datagram waits at most to be overtaken; after the last one of all, none will. Default: 100 ms.
    pub reorder_hold: Duration,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            plan: UdpPlan::new(),
            max_clients: 64,
            max_datagrams: 4_096,
            max_bytes: 16 * 1024 * 1024,
            reorder_hold: Duration::from_millis(100),
        }
    }
}

/// What a [`UdpProxy`] has seen and done since its start.
///
/// `datagrams_from_clients + datagrams_from_target + duplicated = datagrams_to_target + datagrams_to_clients + lost + over_limit +
/// send_failed + in_flight`. What the kernel drops before the proxy reads it, because the proxy is too slow, is not among them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct UdpCounters {
    /// Clients that were heard.
    pub clients: u64,
    /// Datagrams that came from clients.
    pub datagrams_from_clients: u64,
    /// Datagrams that were passed to the target, copies among them.
    pub datagrams_to_target: u64,
    /// Datagrams that came from the target.
    pub datagrams_from_target: u64,
    /// Datagrams that were passed to clients, copies among them.
    pub datagrams_to_clients: u64,
    /// Bytes that came from clients.
    pub bytes_from_clients: u64,
    /// Bytes that were passed to the target.
    pub bytes_to_target: u64,
    /// Bytes that came from the target.
    pub bytes_from_target: u64,
    /// Bytes that were passed to clients.
    pub bytes_to_clients: u64,
    /// Datagrams, of both ways as all that follow, that the plan lost.
    pub lost: u64,
    /// Copies that were made.
    pub duplicated: u64,
    /// Datagrams that were held back and overtaken.
    pub reordered: u64,
    /// Datagrams with a flipped bit; a copy is not counted again.
    pub corrupted: u64,
    /// Datagrams with a delay; a copy is not counted again.
    pub delayed: u64,
    /// Datagrams that were dropped because of a limit of [`UdpOptions`].
    pub over_limit: u64,
    /// Datagrams that the kernel did not send, or for a client while the proxy [refuses](UdpProxy::refuse).
    pub send_failed: u64,
    /// How often the kernel said that a datagram met no socket at the target. Such a datagram counts as passed.
    pub target_errors: u64,
    /// How often datagrams of clients came to be refused. The kernel refuses them, so that each of them cannot be counted.
    pub refusals: u64,
    /// Datagrams that are on their way now.
    pub in_flight: u64,
}

/// A UDP proxy with the faults of a [`UdpPlan`]. Dropping it ends it, and what was on its way is lost.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    plan: watch::Sender<UdpPlan>,
    counters: watch::Sender<UdpCounters>,
    commands: mpsc::Sender<Command>,
    relay: JoinHandle<()>,
}

impl UdpProxy {
    /// Starts a proxy in front of this target that passes everything, until it has a plan.
    ///
    /// # Errors
    ///
    /// If no port can be had on `127.0.0.1`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    pub async fn start(target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::start_with(target, UdpOptions { seed, ..UdpOptions::default() }).await
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
    pub async fn start_with(target: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let plan = watch::Sender::new(options.plan);
        let counters = watch::Sender::new(UdpCounters::default());
        let (commands, receiver) = mpsc::channel(1);
        let relay = Relay::new(target, options, plan.subscribe(), counters.clone())?;
        let address = relay.address();
        let relay = tokio::spawn(relay.serve(receiver));
        Ok(Self { address, plan, counters, commands, relay })
    }

    /// Where it listens, or did before it [refused](Self::refuse).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is the plan of every datagram that comes.
    pub fn set_plan(&self, plan: UdpPlan) {
        self.plan.send_replace(plan);
    }

    /// The plan that was [set](Self::set_plan) last.
    pub fn plan(&self) -> UdpPlan {
        *self.plan.borrow()
    }

    /// Closes the port from when this returns: the kernel answers datagrams of clients with ICMP "port unreachable". What was not
    /// read before is lost without being counted; what is on its way to the target goes on.
    pub async fn refuse(&self) {
        let (done, refused) = oneshot::channel();
        if self.commands.send(Command::Refuse(done)).await.is_ok() {
            // The relay answers every command, and lives as long as the proxy.
            let _ = refused.await;
        }
    }

    /// Takes datagrams again, on the same port, from when this returns.
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
    pub fn counters(&self) -> UdpCounters {
        *self.counters.borrow()
    }

    /// Waits until the counters are as wanted, and returns them. It has no time limit of its own.
    pub async fn wait_for(&self, wanted: impl FnMut(&UdpCounters) -> bool) -> UdpCounters {
        let mut receiver = self.counters.subscribe();
        // The sender is a field of this proxy, so that there is no end.
        receiver.wait_for(wanted).await.map_or_else(|_| self.counters(), |counters| *counters)
    }

    /// Waits until nothing is on its way.
    pub async fn wait_until_idle(&self) {
        self.wait_for(|counters| counters.in_flight == 0).await;
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.relay.abort();
    }
}
