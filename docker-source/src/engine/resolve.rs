//! Looks up the Engine's host name.
//!
//! `tokio::net::lookup_host` panics if the system cannot start a thread. Therefore this resolver starts a
//! thread for each lookup itself. If the thread cannot start, the lookup returns an error, and a later
//! request looks the name up again.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{Semaphore, oneshot};

/// The maximum number of concurrent lookups. A name server that does not answer holds a thread for half a
/// minute, even if the request has already timed out.
const LOOKUPS: usize = 4;

/// The work of a thread.
type Job = Box<dyn FnOnce() + Send>;

/// Looks up host names with the functions of the operating system.
#[derive(Debug)]
pub(super) struct Resolver {
    slots: Arc<Semaphore>,
    start: fn(Job) -> io::Result<()>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)), start: start_thread }
    }

    /// Returns the addresses of a host, at least one, in the order in which they are to be tried.
    ///
    /// # Errors
    /// Returns an error if the host is unknown, or if the system cannot start a thread.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let slot = self.slots.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (sender, found) = oneshot::channel();
        let host = host.to_owned();
        (self.start)(Box::new(move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            drop(slot);
            // If the request has timed out, nothing receives the result.
            let _ = sender.send(found);
        }))
        .map_err(|error| io::Error::new(error.kind(), format!("no thread for the name lookup: {error}")))?;
        let found = found.await.map_err(|_| io::Error::other("the name lookup panicked"))??;
        if found.is_empty() {
            return Err(io::Error::other("the host has no address"));
        }
        Ok(found)
    }
}

fn start_thread(job: Job) -> io::Result<()> {
    thread::Builder::new().name("engine-lookup".into()).spawn(job).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_looked_up_with_their_port() {
        let resolver = Resolver::new();
        assert_eq!(resolver.addresses("::1", 99).await.unwrap(), ["[::1]:99".parse().unwrap()]);
        // The number of lookups exceeds the number of slots, but the lookups run one after the other.
        for _ in 0..=LOOKUPS {
            let found = resolver.addresses("localhost", 99).await.unwrap();
            assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 99));
        }
    }

    #[tokio::test]
    async fn a_lookup_whose_thread_cannot_start_is_an_error_and_holds_no_slot() {
        let mut resolver = Resolver::new();
        resolver.start = |_| Err(io::ErrorKind::WouldBlock.into());
        for _ in 0..=LOOKUPS {
            let error = resolver.addresses("localhost", 99).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert!(error.to_string().starts_with("no thread for the name lookup: "), "{error}");
        }
        resolver.start = start_thread;
        resolver.addresses("localhost", 99).await.unwrap();
    }
}
