//! The hosts of an endpoint, and the order in which they are tried.

use std::{fmt, io};

use crate::endpoint::TlsOptions;
#[cfg(feature = "tls")]
use crate::tls::{Connector, no_tls};

/// A host and a port, with the TLS settings for this host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
    #[cfg(feature = "tls")]
    tls: Option<Connector>,
}

impl Host {
    fn new(name: &str, port: u16, tls: Option<&TlsOptions>) -> io::Result<Self> {
        #[cfg(not(feature = "tls"))]
        if tls.is_some() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS needs the feature \"tls\""));
        }
        Ok(Self {
            name: name.to_owned(),
            port,
            #[cfg(feature = "tls")]
            tls: tls.map(|options| Connector::new(options, name)).transpose()?,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.name, self.port)
    }
}

/// The hosts of an endpoint, of which one is current.
///
/// The first host is current at the beginning. When the current host fails, the next host becomes current;
/// the first host follows the last one. A round ends when all hosts have failed one after the other. Then the
/// first host is current again, and the caller has to pause before the next round.
#[derive(Debug)]
pub(crate) struct Hosts {
    first: Host,
    further: Vec<Host>,
    /// The index of the current host.
    current: usize,
    /// The index of the host that worked last.
    worked: usize,
    /// The errors of this round, one for each host that has failed.
    errors: Vec<String>,
}

impl Hosts {
    /// Creates the list. The TLS files are not read yet.
    ///
    /// # Errors
    /// Returns `InvalidInput` for TLS options that contradict each other, and for a host name that no
    /// certificate can have. Returns `Unsupported` for TLS without the feature `tls`.
    pub(crate) fn new(
        (name, port): (&str, u16),
        failover: &[(String, u16)],
        tls: Option<&TlsOptions>,
    ) -> io::Result<Self> {
        let further = failover.iter().map(|(name, port)| Host::new(name, *port, tls));
        Ok(Self {
            first: Host::new(name, port, tls)?,
            further: further.collect::<io::Result<_>>()?,
            current: 0,
            worked: 0,
            errors: Vec::new(),
        })
    }

    /// Announces a protocol in TLS handshakes, such as `http/1.1`.
    #[cfg(all(feature = "http", feature = "tls"))]
    pub(crate) fn with_alpn(mut self, protocol: &'static [u8]) -> Self {
        self.connectors().for_each(|tls| tls.set_alpn(protocol));
        self
    }

    /// Reads the TLS files. This call blocks the thread.
    ///
    /// # Errors
    /// Returns an error if a file is missing or invalid.
    #[cfg_attr(
        not(feature = "tls"),
        expect(
            clippy::needless_pass_by_ref_mut,
            clippy::unnecessary_wraps,
            reason = "with TLS, files are read"
        )
    )]
    pub(crate) fn load_tls_files(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        for tls in self.connectors() {
            tls.load_now()?;
        }
        Ok(())
    }

    /// Replaces the files of TLS by the caller's configuration.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the endpoint has no TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn set_tls_config(&mut self, config: &std::sync::Arc<rustls::ClientConfig>) -> io::Result<()> {
        if self.first.tls.is_none() {
            return Err(no_tls());
        }
        for tls in self.connectors() {
            tls.set_config(std::sync::Arc::clone(config));
        }
        Ok(())
    }

    pub(crate) fn current(&self) -> &Host {
        self.current.checked_sub(1).and_then(|index| self.further.get(index)).unwrap_or(&self.first)
    }

    /// Returns the connector that makes TLS connections to the current host, if the endpoint has TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn connector(&mut self) -> Option<&mut Connector> {
        let further = self.current.checked_sub(1).and_then(|index| self.further.get_mut(index));
        further.unwrap_or(&mut self.first).tls.as_mut()
    }

    #[cfg(feature = "tls")]
    fn connectors(&mut self) -> impl Iterator<Item = &mut Connector> {
        std::iter::once(&mut self.first).chain(&mut self.further).filter_map(|host| host.tls.as_mut())
    }

    /// Returns the number of hosts that are left in this round after the current host.
    #[cfg(feature = "http")]
    pub(crate) fn left(&self) -> usize {
        self.further.len().saturating_sub(self.errors.len())
    }

    /// Notes that the current host failed: no connection could be made, a connection broke, or no valid answer
    /// came. Returns `None` if another host is current now. At the end of a round, returns an error that contains
    /// the errors of all hosts.
    pub(crate) fn failed(&mut self, error: io::Error) -> Option<io::Error> {
        if self.further.is_empty() {
            return Some(error);
        }
        let text = format!("{}: {error}", self.current());
        tracing::debug!("{text}");
        self.errors.push(text);
        if self.errors.len() > self.further.len() {
            let text = self.errors.join("; ");
            self.restart();
            return Some(io::Error::new(error.kind(), text));
        }
        self.current = if self.current < self.further.len() { self.current + 1 } else { 0 };
        None
    }

    /// Returns whether a host of this round has failed. If so, the next host is tried without a pause.
    #[cfg(feature = "http")]
    pub(crate) fn is_failing_over(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Notes that the current host takes messages. The next failure begins a new round. A change of the host
    /// is logged.
    pub(crate) fn worked(&mut self) {
        if self.worked != self.current {
            let host = self.current();
            match self.current {
                0 => tracing::info!("messages go to {host} again"),
                _ => tracing::warn!("messages go to {host}, since others failed: {}", self.errors.join("; ")),
            }
            self.worked = self.current;
        }
        self.errors.clear();
    }

    /// Makes the first host current, at the beginning of a round.
    pub(crate) fn restart(&mut self) {
        self.current = 0;
        self.errors.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(further: usize) -> Hosts {
        let failover: Vec<_> = (1..=further).map(|index| (index.to_string(), 1)).collect();
        Hosts::new(("0", 1), &failover, None).unwrap()
    }

    /// Returns whether another host is to be tried without a pause.
    fn fails(hosts: &mut Hosts) -> bool {
        hosts.failed(io::ErrorKind::ConnectionRefused.into()).is_none()
    }

    #[test]
    fn each_host_is_tried_once_and_after_a_pause_the_first_host_is_tried_again() {
        let mut hosts = hosts(2);
        for _ in 0..3 {
            for (name, left) in [("0", 2), ("1", 1), ("2", 0)] {
                assert_eq!(hosts.current().name, name);
                #[cfg(feature = "http")]
                assert_eq!(hosts.left(), left);
                assert_eq!(fails(&mut hosts), left > 0);
            }
        }
    }

    #[test]
    fn a_host_that_fails_after_it_worked_begins_a_new_round() {
        let mut hosts = hosts(2);
        assert!(fails(&mut hosts));
        hosts.worked();
        for expected in [(1, true), (2, true), (0, false), (0, true)] {
            let name = hosts.current().name.parse().unwrap();
            assert_eq!((name, fails(&mut hosts)), expected);
        }
    }

    #[test]
    fn a_restart_begins_with_the_first_host_and_forgets_the_failures() {
        let mut hosts = hosts(1);
        assert!(fails(&mut hosts));
        hosts.restart();
        assert_eq!(hosts.current().name, "0");
        assert!(fails(&mut hosts));
    }

    #[test]
    fn the_error_of_a_round_names_each_host_and_a_single_host_has_its_own_error() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        assert_eq!(hosts(0).failed(refused()).unwrap().to_string(), "refused");
        let mut hosts = hosts(1);
        assert!(hosts.failed(refused()).is_none());
        let error = hosts.failed(io::Error::new(io::ErrorKind::TimedOut, "late")).unwrap();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::TimedOut, "0 port 1: refused; 1 port 1: late")
        );
    }
}
