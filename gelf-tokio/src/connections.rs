//! Many connections, each served by a task of its own, and the queue that the tasks put into.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;

use tokio::net::ToSocketAddrs;
use tokio::task::{JoinError, JoinSet};

use crate::accept::{Accept, AcceptLimits, AcceptStats, Accepted, Place};
use crate::intake::{Item, Items};

/// What a receiver over TCP consists of. `E` is how a connection ended. All connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Connections<E> {
    accept: Accept,
    tasks: JoinSet<E>,
    items: Items,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event<E> {
    /// There is a connection, to be served by a task.
    Accepted(Accepted),
    /// A task has put this into the queue.
    Item(Item),
    /// A connection is over; without an end its task failed.
    Over(Option<E>),
}

impl<E: Send + 'static> Connections<E> {
    /// Listens at an address, for connections whose tasks put into the other side of `items`.
    pub(crate) async fn bind(
        address: impl ToSocketAddrs,
        limits: AcceptLimits,
        items: Items,
    ) -> io::Result<Self> {
        Ok(Self { accept: Accept::bind(address, limits).await?, tasks: JoinSet::new(), items })
    }

    /// Waits for what happens next. Nothing is lost if the future is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Event<E> {
        // First those that are over, so that there are never more of them than there were open ones.
        if let Some(over) = self.tasks.try_join_next() {
            return Event::Over(end(over));
        }
        tokio::select! {
            item = self.items.recv() => match item {
                Some(item) => Event::Item(item),
                // The receiver has an intake itself.
                None => pending().await,
            },
            Some(over) = self.tasks.join_next() => Event::Over(end(over)),
            accepted = self.accept.next() => Event::Accepted(accepted),
        }
    }

    /// Serves a connection, which keeps its place until that is done.
    pub(crate) fn serve(&mut self, place: Place, serving: impl Future<Output = E> + Send + 'static) {
        self.tasks.spawn(async move {
            let _place = place;
            serving.await
        });
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn accepted(&self) -> AcceptStats {
        self.accept.stats()
    }

    /// How many items were handed out.
    pub(crate) fn handed_out(&self) -> u64 {
        self.items.handed_out()
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.accept.local_addr()
    }
}

fn end<E>(over: Result<E, JoinError>) -> Option<E> {
    over.inspect_err(|error| tracing::error!(%error, "the task of a connection failed")).ok()
}
