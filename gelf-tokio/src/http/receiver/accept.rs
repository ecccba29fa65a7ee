//! Accepts connections, as long as the system has any to give.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// How long no connection is accepted after the system could not give one: file descriptors do not come back faster.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// When a silent connection is asked whether it is still there: its place may be wanted.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));

#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    not_before: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, not_before: None }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for a connection or an error, which [`settle`](Self::settle) is to be told. Nothing is lost if the future is
    /// dropped before it is ready.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(instant) = self.not_before {
            sleep_until(instant).await;
        }
        self.listener.accept().await
    }

    /// Takes note of what was accepted: after an error of the system, nothing is accepted for a moment.
    pub(super) fn settle(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        match &accepted {
            Ok((stream, from)) => {
                self.not_before = None;
                let set = SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE);
                if let Err(error) = set.and_then(|()| stream.set_nodelay(true)) {
                    tracing::debug!(%error, %from, "an option of the connection could not be set");
                }
            }
            Err(error) if is_of_one_connection(error) => {}
            Err(error) => {
                if self.not_before.is_none() {
                    tracing::warn!(%error, "no HTTP connection can be accepted; trying again");
                }
                self.not_before = Some(Instant::now() + PAUSE_AFTER_ERROR);
            }
        }
        accepted
    }
}

/// Whether the connection that was to be accepted is at fault, and the next one may do.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_an_error_of_the_system_nothing_is_accepted_for_a_moment() {
        let mut acceptor = Acceptor::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let _peer = TcpStream::connect(acceptor.local_addr().unwrap()).await.unwrap();
        assert!(acceptor.settle(Err(io::Error::other("no file descriptors"))).is_err());
        let before = Instant::now();
        let accepted = acceptor.accept().await;
        assert_eq!(before.elapsed(), PAUSE_AFTER_ERROR);
        assert!(acceptor.settle(accepted).is_ok());
        assert!(acceptor.settle(Err(io::ErrorKind::ConnectionAborted.into())).is_err());
        assert_eq!(acceptor.not_before, None);
    }
}
