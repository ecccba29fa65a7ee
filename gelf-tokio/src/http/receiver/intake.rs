//! What was received and waits to be handed out: bounded in items and in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::receive::{ReceiveError, Received};

type Item = Result<Received, ReceiveError>;

/// Where connections put what they received.
#[derive(Debug)]
pub(super) struct Intake {
    queue: mpsc::Sender<Queued>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    max_bytes: usize,
}

/// Where the receiver takes it out.
#[derive(Debug)]
pub(super) struct Outlet(mpsc::Receiver<Queued>);

#[derive(Debug)]
struct Queued {
    item: Item,
    /// Gives the room back when it is dropped.
    _room: OwnedSemaphorePermit,
}

/// A place in the queue, for one item.
#[derive(Debug)]
pub(super) struct Place<'a> {
    place: mpsc::Permit<'a, Queued>,
    room: OwnedSemaphorePermit,
}

/// A queue for at least one item, and `max_bytes` of all together; a single one may be larger.
pub(super) fn queue(max_items: usize, max_bytes: usize) -> (Intake, Outlet) {
    let (queue, queued) = mpsc::channel(max_items.max(1));
    let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);
    (Intake { queue, room: Arc::new(Semaphore::new(max_bytes)), max_bytes }, Outlet(queued))
}

impl Intake {
    /// Waits for room; none if the receiver is no more. It may be dropped while it waits.
    pub(super) async fn place(&self, bytes: usize) -> Option<Place<'_>> {
        let permits = u32::try_from(bytes.min(self.max_bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
        let place = self.queue.reserve().await.ok()?;
        Some(Place { place, room })
    }
}

impl Place<'_> {
    pub(super) fn put(self, item: Item) {
        self.place.send(Queued { item, _room: self.room });
    }
}

impl Outlet {
    /// The next item. Nothing is lost if the future is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Option<Item> {
        self.0.recv().await.map(|queued| queued.item)
    }
}
