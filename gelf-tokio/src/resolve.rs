//! Looks up host names.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::blocking;

/// The time limit of a lookup, after which the next host or a later attempt has its turn.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The future that [`Resolve::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Looks up host names. By default, senders use the operating system's resolver. Another implementation can
/// use service discovery, or return fixed addresses in a test.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the addresses of a host, in the order in which they are to be tried. An empty list is an error
    /// for the sender.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The operating system's resolver, with `/etc/hosts` and its other sources. Nothing is cached here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        static LOOKUPS: Lookups = Lookups::new();
        Box::pin(async move {
            if let Ok(address) = host.parse::<IpAddr>() {
                return Ok(vec![SocketAddr::new(address, port)]);
            }
            let mut found =
                LOOKUPS.find(host, |host| Ok((host, 0).to_socket_addrs()?.collect::<Vec<_>>())).await?;
            found.iter_mut().for_each(|address| address.set_port(port));
            Ok(found)
        })
    }
}

/// The lookups that run, at most one for each name. The system's resolver can hang for longer than a caller
/// waits, and a call cannot be ended. Without this bound, each attempt of a caller would add a thread that hangs.
struct Lookups {
    running: Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>,
}

/// The result of a lookup, which several callers can get.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

impl Lookups {
    const fn new() -> Self {
        Self { running: Mutex::new(BTreeMap::new()) }
    }

    /// Starts a lookup of this name in a thread of its own, unless one is running. Returns the result of the lookup.
    async fn find(
        &'static self,
        host: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut found = self.join_or_start(host, look_up)?;
        let found = match found.wait_for(Option::is_some).await {
            Ok(found) => found.clone(),
            Err(_) => None,
        };
        match found {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error)),
            None => Err(io::Error::other("the thread of a lookup panicked")),
        }
    }

    fn join_or_start(
        &'static self,
        host: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<watch::Receiver<Option<Found>>> {
        let mut running = self.running();
        // The thread of a lookup that panicked has dropped its side of the channel.
        if let Some(found) = running.get(host).filter(|found| found.has_changed().is_ok()) {
            return Ok(found.clone());
        }
        let (publish, found) = watch::channel(None);
        let name = host.to_owned();
        // The map is locked until the lookup is in it, so that the thread cannot remove the lookup before that.
        blocking::spawn(move || {
            let result = look_up(&name).map_err(Arc::new);
            // Later callers begin a new lookup.
            self.running().remove(&name);
            publish.send_replace(Some(result));
        })?;
        running.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Found>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the addresses of a host.
///
/// # Errors
/// Returns the error of the resolver, [`NotFound`](io::ErrorKind::NotFound) if the host has no address, and
/// [`TimedOut`](io::ErrorKind::TimedOut) if the resolver does not answer within 30 s.
pub(crate) async fn addresses(resolver: &dyn Resolve, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let Ok(addresses) = timeout(LOOKUP_TIMEOUT, resolver.resolve(host, port)).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the lookup of the name takes longer than 30 s"));
    };
    let addresses = addresses?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_is_looked_up_with_its_port() {
        let found = addresses(&SystemResolver, "::1", 99).await.unwrap();
        assert_eq!(found, ["[::1]:99".parse().unwrap()]);
        let found = addresses(&SystemResolver, "localhost", 99).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 99));
    }

    #[tokio::test]
    async fn a_name_is_looked_up_by_one_thread_at_a_time_and_each_caller_gets_the_result() {
        static LOOKUPS: Lookups = Lookups::new();
        let address = SocketAddr::from(([10, 0, 0, 1], 0));
        let (answer, answers) = std::sync::mpsc::channel::<()>();
        let hanging = LOOKUPS.find("hangs", move |_| {
            answers.recv().unwrap();
            Ok(vec![address])
        });
        // The caller gives up, and the thread goes on.
        assert!(timeout(Duration::from_millis(10), hanging).await.is_err());
        let joining = || LOOKUPS.find("hangs", |_| panic!("a second lookup"));
        let (one, other) = (tokio::spawn(joining()), tokio::spawn(joining()));
        let failed = LOOKUPS.find("other", |_| Err(io::ErrorKind::NotFound.into())).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!one.is_finished() && !other.is_finished());
        answer.send(()).unwrap();
        assert_eq!(
            (one.await.unwrap().unwrap(), other.await.unwrap().unwrap()),
            (vec![address], vec![address])
        );
        let again = LOOKUPS.find("hangs", |_| Ok(Vec::new())).await;
        assert_eq!((again.unwrap(), LOOKUPS.running().len()), (vec![], 0));
    }

    #[tokio::test]
    async fn a_lookup_that_panics_is_an_error_and_the_next_one_starts_anew() {
        static LOOKUPS: Lookups = Lookups::new();
        LOOKUPS.find("name", |_| panic!("on purpose")).await.unwrap_err();
        assert_eq!(LOOKUPS.find("name", |_| Ok(Vec::new())).await.unwrap(), []);
    }

    #[derive(Debug)]
    struct Silent;

    impl Resolve for Silent {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_fails_if_the_resolver_does_not_answer_within_30_s() {
        let started = tokio::time::Instant::now();
        let error = addresses(&Silent, "logs", 1).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, LOOKUP_TIMEOUT));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_zone_of_an_address_is_its_scope() {
        for host in ["fe80::1%lo", "fe80::1%1"] {
            let found = addresses(&SystemResolver, host, 99).await.unwrap();
            assert_eq!(found, ["[fe80::1%1]:99".parse().unwrap()], "{host}");
        }
    }
}
