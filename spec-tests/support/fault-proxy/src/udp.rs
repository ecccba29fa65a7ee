//! The UDP proxy.

pub(crate) mod flight;
pub(crate) mod plan;
mod relay;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::remote::Remote;
use plan::UdpPlan;
use relay::Relay;

/// Options of a [`UdpProxy`].
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// Seed of the faults. Default: 0.
    pub seed: u64,
    /// Initial plan. Default: pass everything.
    pub plan: UdpPlan,
    /// Maximum number of clients, by address and port, over the life of the proxy; datagrams of others are
    /// dropped and counted. Default: 64. Each takes a file descriptor.
    pub max_clients: usize,
    /// Maximum number of datagrams in flight; more are dropped and counted. Default: 4,096.
    pub max_datagrams: usize,
    /// Maximum number of bytes in flight, without headers; datagrams beyond it are dropped and counted.
    /// Default: 16,777,216.
    pub max_bytes: usize,
    /// Maximum time that a datagram waits to be overtaken. Default: 100 ms.
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

/// Counters of a [`UdpProxy`] since its start.
///
/// ```text
/// datagrams_from_clients + datagrams_from_target + duplicated
///     = datagrams_to_target + datagrams_to_clients + lost + over_limit + send_failed + in_flight
/// ```
///
/// Datagrams that the kernel drops before the proxy reads them are not counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct UdpCounters {
    /// Known clients.
    pub clients: u64,
    /// Datagrams received from clients.
    pub datagrams_from_clients: u64,
    /// Datagrams passed to the target, including copies.
    pub datagrams_to_target: u64,
    /// Datagrams received from the target.
    pub datagrams_from_target: u64,
    /// Datagrams passed to clients, including copies.
    pub datagrams_to_clients: u64,
    /// Bytes received from clients.
    pub bytes_from_clients: u64,
    /// Bytes passed to the target.
    pub bytes_to_target: u64,
    /// Bytes received from the target.
    pub bytes_from_target: u64,
    /// Bytes passed to clients.
    pub bytes_to_clients: u64,
    /// Datagrams lost by the plan. This and the following counters cover both directions.
    pub lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Datagrams that were held back and overtaken.
    pub reordered: u64,
    /// Datagrams with a flipped bit; copies are not counted.
    pub corrupted: u64,
    /// Datagrams with a delay; copies are not counted.
    pub delayed: u64,
    /// Datagrams dropped because of a limit of [`UdpOptions`].
    pub over_limit: u64,
    /// Datagrams that the kernel did not send, and those to clients while the proxy
    /// [refuses](UdpProxy::refuse).
    pub send_failed: u64,
    /// Number of ICMP errors from the target. Their datagrams count as passed.
    pub target_errors: u64,
    /// Number of periods in which datagrams of clients were refused. The kernel refuses them, so single ones
    /// cannot be counted.
    pub refusals: u64,
    /// Datagrams in flight.
    pub in_flight: u64,
}

/// A UDP proxy with the faults of a [`UdpPlan`]. Dropping it loses the datagrams in flight.
#[derive(Debug)]
pub struct UdpProxy {
    remote: Remote<UdpCounters>,
    plan: watch::Sender<UdpPlan>,
}

impl UdpProxy {
    /// Starts a proxy for this target that passes everything.
    ///
    /// # Errors
    ///
    /// Returns an error if no port on `127.0.0.1` is available.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn start(target: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::start_with(target, UdpOptions { seed, ..UdpOptions::default() }).await
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
    pub async fn start_with(target: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let plan = watch::Sender::new(options.plan);
        let counters = watch::Sender::new(UdpCounters::default());
        let (commands, receiver) = mpsc::channel(1);
        let relay = Relay::new(target, options, plan.subscribe(), counters.clone())?;
        let address = relay.address();
        let task = tokio::spawn(relay.serve(receiver));
        Ok(Self { remote: Remote { address, counters, commands, task }, plan })
    }

    /// Returns the listening address, also while the proxy [refuses](Self::refuse).
    pub fn address(&self) -> SocketAddr {
        self.remote.address
    }

    /// Sets the plan of all future datagrams.
    pub fn set_plan(&self, plan: UdpPlan) {
        self.plan.send_replace(plan);
    }

    /// Returns the plan that was [set](Self::set_plan) last.
    pub fn plan(&self) -> UdpPlan {
        *self.plan.borrow()
    }

    /// Closes the port from the return of this call: the kernel answers clients with ICMP "port unreachable".
    /// Unread datagrams are lost and not counted; datagrams in flight to the target continue.
    pub async fn refuse(&self) {
        self.remote.refuse().await;
    }

    /// Accepts datagrams again, on the same port.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel does not return the port, which the proxy keeps bound.
    pub async fn accept_again(&self) -> io::Result<()> {
        self.remote.accept_again().await
    }

    /// Returns the counters.
    pub fn counters(&self) -> UdpCounters {
        self.remote.counters()
    }

    /// Waits without a time limit until the counters meet a condition, and returns them.
    pub async fn wait_for(&self, wanted: impl FnMut(&UdpCounters) -> bool) -> UdpCounters {
        self.remote.wait_for(wanted).await
    }

    /// Waits until no datagram is in flight.
    pub async fn wait_until_idle(&self) {
        self.wait_for(|counters| counters.in_flight == 0).await;
    }
}
