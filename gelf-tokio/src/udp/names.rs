//! Looks up a host name repeatedly, in a separate task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::resolve::{Resolve, addresses};

/// The interval of regular lookups.
const EVERY: Duration = Duration::from_secs(30);

/// The minimum interval of requested lookups.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The maximum number of addresses that are kept. A resolver can return any number of addresses.
const MAX_ADDRESSES: usize = 64;

/// The addresses of a name. A task looks up the name, and ends when the `Names` are dropped.
#[derive(Debug)]
pub(super) struct Names {
    found: watch::Receiver<Vec<SocketAddr>>,
    wanted: Arc<Notify>,
}

impl Names {
    /// Looks a name up now, then every 30 s and after [`ask`](Self::ask).
    ///
    /// # Errors
    /// Returns the errors of [`addresses`].
    pub(super) async fn look_up(
        resolver: Arc<dyn Resolve>,
        host: String,
        port: u16,
    ) -> io::Result<(Self, Vec<SocketAddr>)> {
        let last = Instant::now();
        let mut first = addresses(&*resolver, &host, port).await?;
        first.truncate(MAX_ADDRESSES);
        let (publish, found) = watch::channel(first.clone());
        let wanted = Arc::new(Notify::new());
        let names = Self { found, wanted: Arc::clone(&wanted) };
        let task = Task { resolver, host, port, last, wanted };
        tokio::spawn(async move {
            tokio::select! {
                () = publish.closed() => {}
                () = task.run(&publish) => {}
            }
        });
        Ok((names, first))
    }

    /// Returns the addresses of the last successful lookup. Returns `None` if no lookup has succeeded since the last
    /// call or, at the first call, since [`look_up`](Self::look_up).
    pub(super) fn found(&mut self) -> Option<Vec<SocketAddr>> {
        // An error means that the task has ended with the runtime.
        if !self.found.has_changed().unwrap_or(false) {
            return None;
        }
        Some(self.found.borrow_and_update().clone())
    }

    /// Requests a lookup. The lookup starts as soon as no other lookup is running, but at the earliest one
    /// second after the start of the last lookup.
    pub(super) fn ask(&self) {
        self.wanted.notify_one();
    }
}

/// The task that looks a name up.
struct Task {
    resolver: Arc<dyn Resolve>,
    host: String,
    port: u16,
    last: Instant,
    wanted: Arc<Notify>,
}

impl Task {
    /// Runs until it is dropped.
    async fn run(mut self, publish: &watch::Sender<Vec<SocketAddr>>) {
        let host = &*self.host;
        loop {
            tokio::select! {
                () = sleep_until(self.last + EVERY) => {}
                () = self.wanted.notified() => sleep_until(self.last + AT_MOST_EVERY).await,
            }
            self.last = Instant::now();
            match addresses(&*self.resolver, host, self.port).await {
                Ok(mut found) => {
                    found.truncate(MAX_ADDRESSES);
                    publish.send_replace(found);
                }
                // The resolver may be at fault, so the previous addresses stay valid.
                Err(error) => tracing::debug!(host, %error, "the lookup of a name failed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;
    use crate::resolve::Resolving;

    #[derive(Debug)]
    struct Counting {
        started: Instant,
        /// The times at which the resolver was asked, in seconds since `started`.
        asked: Mutex<Vec<f64>>,
    }

    impl Counting {
        fn new() -> Self {
            Self { started: Instant::now(), asked: Mutex::default() }
        }

        fn asked(&self) -> Vec<f64> {
            self.asked.lock().unwrap().clone()
        }
    }

    impl Resolve for Counting {
        fn resolve<'a>(&'a self, _host: &'a str, port: u16) -> Resolving<'a> {
            Box::pin(async move {
                let times = {
                    let mut asked = self.asked.lock().unwrap();
                    asked.push(self.started.elapsed().as_secs_f64());
                    asked.len()
                };
                Ok((0..1000).map(|at| ([10, 0, 0, times as u8], port + at).into()).collect())
            })
        }
    }

    async fn look_up(resolver: &Arc<Counting>) -> (Names, Vec<SocketAddr>) {
        let resolver: Arc<dyn Resolve> = Arc::<Counting>::clone(resolver);
        Names::look_up(resolver, "logs".to_owned(), 1).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_every_30_s_and_no_more_than_64_addresses_are_kept() {
        let resolver = Arc::new(Counting::new());
        let (mut names, first) = look_up(&resolver).await;
        assert_eq!((first.len(), first[63]), (64, "10.0.0.1:64".parse().unwrap()));
        assert_eq!(names.found(), None);
        sleep(Duration::from_millis(90_500)).await;
        assert_eq!(resolver.asked(), [0.0, 30.0, 60.0, 90.0]);
        let found = names.found().unwrap();
        assert_eq!((found.len(), found[0]), (64, "10.0.0.4:1".parse().unwrap()));
        assert_eq!(names.found(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_requested_lookup_starts_immediately_but_lookups_start_at_most_once_a_second() {
        let resolver = Arc::new(Counting::new());
        let (names, _) = look_up(&resolver).await;
        sleep(Duration::from_secs(5)).await;
        for _ in 0..100 {
            names.ask();
            sleep(Duration::from_millis(25)).await;
        }
        sleep(Duration::from_secs(35)).await;
        // Requests that come while a lookup is put off to keep the interval of 1 s cause one more lookup, here at 9 s.
        assert_eq!(resolver.asked(), [0.0, 5.0, 6.0, 7.0, 8.0, 9.0, 39.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_looked_up_after_the_names_are_dropped() {
        let resolver = Arc::new(Counting::new());
        let (names, _) = look_up(&resolver).await;
        drop(names);
        sleep(Duration::from_secs(200)).await;
        assert_eq!(resolver.asked(), [0.0]);
        assert_eq!(Arc::strong_count(&resolver), 1);
    }
}
