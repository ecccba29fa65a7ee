//! Builds clients.

use std::io;
use std::sync::Arc;

use gelf_core::Encoder;
use tokio::runtime::Handle;

use crate::endpoint::Endpoint;
use crate::resolve::{Resolve, SystemResolver};

use super::queue::Queue;
use super::{Client, Driver, Receipts};

/// Builds a [`Client`], with or without receipts, whose driver is spawned or left to the caller.
///
/// Each of the four methods that end the building reads the files of TLS, blocking the thread for as long as that takes.
/// They err with what is wrong with a file ([`TlsConfigError`](crate::TlsConfigError) is the source), and with
/// `Unsupported` for a transport whose cargo feature is off.
#[cfg_attr(not(feature = "tls"), allow(rustdoc::broken_intra_doc_links))]
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing by itself"]
pub struct ClientBuilder {
    endpoint: Endpoint,
    encoder: Encoder,
    resolver: Arc<dyn Resolve>,
}

impl ClientBuilder {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.clone(), encoder: Encoder::new(), resolver: Arc::new(SystemResolver) }
    }

    /// Sets how messages are encoded.
    pub fn encoder(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// Sets how names are looked up; the operating system's resolver by default.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Spawns the driver on the current tokio runtime and returns the client.
    ///
    /// # Errors
    /// See [`ClientBuilder`], and an error if the caller is not within a tokio runtime.
    pub fn connect(self) -> io::Result<Client> {
        let runtime = runtime()?;
        let (client, driver) = self.build()?;
        runtime.spawn(driver.run());
        Ok(client)
    }

    /// Spawns the driver on the current tokio runtime and returns the client and its receipts. `R` identifies a message
    /// for the caller.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with_receipts<R: Send + Sync + 'static>(self) -> io::Result<(Client<R>, Receipts<R>)> {
        let runtime = runtime()?;
        let (client, receipts, driver) = self.build_with_receipts()?;
        runtime.spawn(driver.run());
        Ok((client, receipts))
    }

    /// Returns the client, and the driver for the caller to run.
    ///
    /// # Errors
    /// See [`ClientBuilder`].
    pub fn build(self) -> io::Result<(Client, Driver)> {
        let (queue, driver) = self.parts(false)?;
        Ok((Client { queue, encoder: self.encoder }, driver))
    }

    /// Returns the client, its receipts, and the driver for the caller to run. `R` identifies a message for the caller.
    ///
    /// # Errors
    /// See [`ClientBuilder`].
    pub fn build_with_receipts<R>(self) -> io::Result<(Client<R>, Receipts<R>, Driver<R>)> {
        let (queue, driver) = self.parts(true)?;
        let receipts = Receipts::new(Arc::clone(&queue));
        Ok((Client { queue, encoder: self.encoder }, receipts, driver))
    }

    fn parts<R>(&self, has_receipts: bool) -> io::Result<(Arc<Queue<R>>, Driver<R>)> {
        let queue = Arc::new(Queue::new(self.endpoint.queue(), has_receipts));
        let driver = Driver::new(&self.endpoint, Arc::clone(&self.resolver), Arc::clone(&queue))?;
        Ok((queue, driver))
    }
}

fn runtime() -> io::Result<Handle> {
    Handle::try_current().map_err(io::Error::other)
}
