//! Provides the driver, which sends the messages of the queue.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::endpoint::{Endpoint, Transport};
#[cfg(feature = "http")]
use crate::http::HttpSender;
use crate::resolve::Resolve;
use crate::tcp::connection::Dialer;

use super::in_flight::InFlight;
use super::link_state::LinkState;
use super::queue::Queue;
use super::transport;

/// Sends the messages of its [`Client`](super::Client)s.
///
/// The driver connects when it starts. It connects again when a connection has ended and there are messages to
/// send, and when [`TcpOptions::reconnect`](crate::options::TcpOptions::reconnect) replaces a connection. Over HTTP,
/// it connects only when there are messages to send. It never stops trying. Between two attempts
/// it waits for a random time up to a bound, which starts at 100 ms and doubles with each failure. After an
/// attempt to connect that failed within a second, for example because of a refusal or an unknown name, the
/// bound is at most 5 s. After any other failure, such as an HTTP answer with the status 503, the bound is at
/// most 30 s. A header `Retry-After` in the answer can prolong the wait, to at most 5 min. The driver also
/// waits after a connection that did not prove itself (see
/// [`Outcome::Acknowledged`](crate::Outcome::Acknowledged)), and over UDP while there is no route
/// or this machine prohibits sending.
///
/// With [`TcpOptions::failover`](crate::options::TcpOptions::failover), an attempt tries the hosts in turn:
/// the driver waits only after all hosts have failed one after the other.
///
/// After its client is [closed](super::Client::close), or the last clone of the client is dropped, the driver
/// ends as soon as all messages have their outcome or the time for this is over. If the driver or the future of
/// [`run`](Self::run) is dropped, each message without an outcome is dropped as
/// [`DropReason::Ended`](crate::DropReason::Ended). Over UDP, the messages that the operating system has taken
/// get [`Outcome::Sent`](crate::Outcome::Sent) instead.
#[must_use = "nothing is sent unless it runs"]
pub struct Driver<R = ()> {
    in_flight: InFlight<R>,
    route: Route,
    link: LinkState<R>,
    resolver: Arc<dyn Resolve>,
    grace: Duration,
}

/// The transport to the destination.
enum Route {
    #[cfg(feature = "http")]
    Http {
        sender: Box<HttpSender>,
        bulk: bool,
    },
    Tcp(Box<Dialer>),
    Udp(Box<Endpoint>),
}

impl<R> Driver<R> {
    /// The default time for sending the queued messages after the last client is dropped.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    pub(crate) fn new(
        endpoint: &Endpoint,
        resolver: Arc<dyn Resolve>,
        queue: Arc<Queue<R>>,
        #[cfg(feature = "tls")] tls_config: Option<Arc<rustls::ClientConfig>>,
    ) -> io::Result<Self> {
        let link = LinkState::new(Arc::clone(&queue), endpoint.destination());
        let route = match endpoint.transport() {
            Transport::Tcp(options) => {
                let mut dialer = Box::new(Dialer::new(endpoint, options)?);
                #[cfg(feature = "tls")]
                if let Some(config) = tls_config {
                    dialer.hosts().set_tls_config(&config)?;
                }
                dialer.hosts().load_tls_files()?;
                Route::Tcp(dialer)
            }
            #[cfg(feature = "tls")]
            Transport::Udp(_) if tls_config.is_some() => return Err(crate::tls::no_tls()),
            Transport::Udp(_) => Route::Udp(Box::new(endpoint.clone())),
            #[cfg(feature = "http")]
            Transport::Http(options) => {
                let mut sender = Box::new(HttpSender::new_with_resolver(endpoint, Arc::clone(&resolver))?);
                #[cfg(feature = "tls")]
                if let Some(config) = tls_config {
                    sender.hosts().set_tls_config(&config)?;
                }
                sender.hosts().load_tls_files()?;
                Route::Http { sender, bulk: options.bulk }
            }
            #[cfg(not(feature = "http"))]
            Transport::Http(_) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP needs the feature \"http\""));
            }
        };
        // `InFlight` is created last, since dropping it reports that the driver has ended.
        let in_flight = InFlight::new(queue);
        Ok(Self { in_flight, route, link, resolver, grace: Self::DEFAULT_GRACE })
    }

    /// Sets the time for sending the queued messages after the last client is dropped; 10 s by default.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sends messages until the client is closed or all of its clones are dropped. After that, sends the
    /// queued messages within the time given to [`close`](super::Client::close) or set by
    /// [`with_grace`](Self::with_grace).
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, each message without an outcome gets the outcome that
    /// [`Driver`] describes.
    pub async fn run(self) {
        let Self { mut in_flight, route, mut link, resolver, grace } = self;
        let queue = in_flight.queue_handle();
        let send = async {
            match route {
                #[cfg(feature = "http")]
                Route::Http { mut sender, bulk } => {
                    transport::http::run(&mut in_flight, &mut link, &mut sender, bulk).await;
                }
                Route::Tcp(mut dialer) => {
                    transport::tcp::run(&mut in_flight, &mut link, &mut dialer, &*resolver).await;
                }
                Route::Udp(endpoint) => {
                    transport::udp::run(&mut in_flight, &mut link, &endpoint, resolver).await;
                }
            }
        };
        let too_late = async {
            let within = queue.closed().await.unwrap_or(grace);
            tokio::select! {
                () = sleep(within) => {}
                () = queue.aborted() => {}
            }
        };
        tokio::select! {
            biased;
            () = send => {}
            () = too_late => queue.log_unsent(),
        }
    }
}

impl<R> fmt::Debug for Driver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("queue", self.in_flight.queue())
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use gelf_core::Message;
    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;
    use crate::client::Client;

    /// Collects the field `messages` of all events of the thread.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u64>>>);

    impl Visit for Logged {
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "messages" {
                self.0.lock().unwrap().push(value);
            }
        }
    }

    impl Subscriber for Logged {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_unsent_messages_is_logged_once_by_the_caller_or_the_driver() {
        for is_caller_first in [true, false] {
            let logged = Logged::default();
            let _default = tracing::subscriber::set_default(logged.clone());
            let endpoint = "gelf+tcp://127.0.0.1:1".parse().unwrap();
            let (client, mut driver) = Client::builder(&endpoint).build().unwrap();
            for _ in 0..3 {
                client.try_send(&Message::new("h", "m")).unwrap();
            }
            assert_eq!(driver.in_flight.take(1, usize::MAX), 1);
            if is_caller_first {
                assert_eq!(client.close(Duration::ZERO).await.unwrap_err().messages, 3);
                driver.run().await;
            } else {
                client.begin_close(Duration::from_secs(1));
                driver.run().await;
                assert_eq!(client.close(Duration::ZERO).await, Ok(()));
            }
            assert_eq!(*logged.0.lock().unwrap(), [3], "the caller is first: {is_caller_first}");
        }
    }
}
