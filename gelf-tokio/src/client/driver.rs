//! What sends from the queue.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::endpoint::{Endpoint, Transport};
#[cfg(feature = "http")]
use crate::http::HttpSender;
use crate::resolve::Resolve;
use crate::tcp::connection::Dialer;

use super::flight::Flight;
#[cfg(feature = "http")]
use super::over_http;
use super::queue::Queue;
use super::reach::Reach;
use super::{over_tcp, over_udp};

/// Sends the messages of its [`Client`](super::Client)s.
///
/// It connects when it starts, again whenever a connection has broken and there is something to send, and for ever:
/// between two attempts it waits from 0 s to a bound that doubles from 0.1 s to 30 s. After a connection that did not last
/// a second it waits too, up to 0.1 s if that brought something.
///
/// When it is dropped, or its [`run`](Self::run) is, each message that has no outcome yet is given up as
/// [`DropReason::Ended`](crate::DropReason::Ended).
#[must_use = "nothing is sent unless it runs"]
#[derive(Debug)]
pub struct Driver<R> {
    flight: Flight<R>,
    link: Link,
    reach: Reach,
    resolver: Arc<dyn Resolve>,
    grace: Duration,
}

/// How to get to the destination.
#[derive(Debug)]
enum Link {
    #[cfg(feature = "http")]
    Http {
        sender: Box<HttpSender>,
        bulk: bool,
    },
    Tcp(Dialer),
    Udp(Box<Endpoint>),
}

impl<R> Driver<R> {
    /// How long a driver goes on after the last client is dropped, unless it is told otherwise.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    pub(crate) fn new(
        endpoint: &Endpoint,
        resolver: Arc<dyn Resolve>,
        queue: Arc<Queue<R>>,
    ) -> io::Result<Self> {
        let flight = Flight::new(queue);
        let link = match endpoint.transport() {
            Transport::Tcp(options) => Link::Tcp(Dialer::new(endpoint, options)?),
            Transport::Udp(_) => Link::Udp(Box::new(endpoint.clone())),
            #[cfg(feature = "http")]
            Transport::Http(options) => Link::Http {
                sender: Box::new(HttpSender::with_resolver(endpoint, Arc::clone(&resolver))?),
                bulk: options.bulk,
            },
            #[cfg(not(feature = "http"))]
            Transport::Http(_) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP needs the feature \"http\""));
            }
        };
        let reach = Reach::new(endpoint.to_string());
        Ok(Self { flight, link, reach, resolver, grace: Self::DEFAULT_GRACE })
    }

    /// Sets how long it goes on after the last client is dropped, to send what is left and to end its connection: 10 s.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sends until all clients are dropped and all messages have their outcome, or the time for that is over.
    pub async fn run(self) {
        let Self { mut flight, link, mut reach, resolver, grace } = self;
        let queue = flight.queue_handle();
        let send = async {
            match link {
                #[cfg(feature = "http")]
                Link::Http { mut sender, bulk } => {
                    over_http::run(&mut flight, &mut reach, &mut sender, bulk).await;
                }
                Link::Tcp(mut dialer) => {
                    over_tcp::run(&mut flight, &mut reach, &mut dialer, &*resolver).await
                }
                Link::Udp(endpoint) => over_udp::run(&mut flight, &mut reach, &endpoint, resolver).await,
            }
        };
        let too_late = async {
            queue.closed().await;
            sleep(grace).await;
        };
        tokio::select! {
            biased;
            () = send => {}
            () = too_late => {
                let messages = queue.unsettled();
                if messages > 0 {
                    tracing::warn!(messages, "the time to send what is left is over: it is given up");
                }
            }
        }
    }
}
