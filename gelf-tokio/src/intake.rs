//! The queue between the tasks that read connections and the receiver that hands out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::receive::{ReceiveError, Received};

/// What waits to be handed out.
pub(crate) type Item = Result<Received, ReceiveError>;

/// A queue of up to `max_items` items, at least 1, that have up to `max_bytes` bytes together; a single item may be
/// larger. The bounds make senders wait that are faster than the reader.
pub(crate) fn intake(max_items: usize, max_bytes: usize) -> (Intake, Items) {
    let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);
    let (queue, queued) = mpsc::channel(max_items.clamp(1, Semaphore::MAX_PERMITS));
    let room = Arc::new(Semaphore::new(max_bytes));
    (Intake { queue, room: Arc::clone(&room), max_bytes }, Items { queued, room, handed_out: 0 })
}

/// The side of the tasks.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Queued>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    max_bytes: usize,
}

/// The side of the receiver.
#[derive(Debug)]
pub(crate) struct Items {
    queued: mpsc::Receiver<Queued>,
    room: Arc<Semaphore>,
    handed_out: u64,
}

#[derive(Debug)]
struct Queued {
    item: Item,
    /// Gives the room back when it is dropped.
    _room: OwnedSemaphorePermit,
}

/// Room for one item.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    place: mpsc::Permit<'a, Queued>,
    bytes: OwnedSemaphorePermit,
}

impl Intake {
    /// Waits for room for an item of so many bytes; `None` when there is no receiver any more. Who waits longest gets
    /// it first. Nothing is taken if the future is dropped before it is ready.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<Room<'_>> {
        let place = self.queue.reserve().await.ok()?;
        let permits = u32::try_from(bytes.min(self.max_bytes)).unwrap_or(u32::MAX);
        let bytes = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
        Some(Room { place, bytes })
    }
}

impl Room<'_> {
    /// Puts the item into the queue.
    pub(crate) fn put(self, item: Item) {
        self.place.send(Queued { item, _room: self.bytes });
    }
}

impl Items {
    /// Waits for the next item; `None` when there is neither one nor an [`Intake`]. No item is lost if the future is
    /// dropped before it is ready.
    pub(crate) async fn recv(&mut self) -> Option<Item> {
        let queued = self.queued.recv().await?;
        self.handed_out += 1;
        Some(queued.item)
    }

    /// How many items [`recv`](Self::recv) has given.
    pub(crate) fn handed_out(&self) -> u64 {
        self.handed_out
    }
}

/// Tasks that wait for bytes learn that there is no receiver any more; those that wait for a place know.
impl Drop for Items {
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn item(len: usize) -> Item {
        let from = "10.0.0.7:4711".parse().unwrap();
        Ok(Received { payload: Bytes::from(vec![b'x'; len]), from })
    }

    /// Whether there is room without a wait; if so, it is taken.
    fn takes(intake: &Intake, len: usize) -> bool {
        match pin!(intake.reserve(len)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => {
                room.unwrap().put(item(len));
                true
            }
            Poll::Pending => false,
        }
    }

    #[tokio::test]
    async fn items_wait_up_to_their_number_and_their_bytes() {
        let (intake, mut items) = intake(3, 1000);
        assert!(takes(&intake, 400) && takes(&intake, 600));
        assert!(!takes(&intake, 1));
        assert!(takes(&intake, 0));
        assert!(!takes(&intake, 0), "a fourth item");
        assert_eq!(items.recv().await, Some(item(400)));
        assert!(!takes(&intake, 401));
        assert!(takes(&intake, 400));
        for len in [600, 0, 400] {
            assert_eq!(items.recv().await, Some(item(len)));
        }
        assert_eq!((items.handed_out(), items.room.available_permits()), (4, 1000));
    }

    #[tokio::test]
    async fn an_item_larger_than_all_of_the_room_waits_for_all_of_it() {
        let (intake, mut items) = intake(3, 1000);
        assert!(takes(&intake, 1));
        assert!(!takes(&intake, 5000));
        assert_eq!(items.recv().await, Some(item(1)));
        assert!(takes(&intake, 5000));
        assert!(!takes(&intake, 1));
    }

    #[tokio::test]
    async fn who_waits_for_room_learns_that_the_receiver_is_gone() {
        // The first waits for a place, the second for bytes.
        for (max_items, len) in [(1, 0), (2, 10)] {
            let (intake, items) = intake(max_items, 10);
            assert!(takes(&intake, len));
            let mut waiting = pin!(intake.reserve(1));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(items);
            assert!(waiting.await.is_none());
            assert!(intake.reserve(0).await.is_none());
        }
    }
}
