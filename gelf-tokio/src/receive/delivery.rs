//! The queue between the tasks that read connections and the caller of `recv`.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{ReceiveError, Received};

/// An item for the caller of `recv`.
pub(super) type Item = Result<Received, ReceiveError>;

/// Creates a queue that holds up to `max_items` items with up to `max_bytes` bytes in total. It has room for
/// one item even if the limits are smaller. Because of the limits, senders that are faster than the reader
/// have to wait.
pub(super) fn delivery_queue(max_items: usize, max_bytes: usize) -> (DeliveryQueue, Deliveries) {
    let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);
    let (queue, queued) = mpsc::channel(max_items.clamp(1, Semaphore::MAX_PERMITS));
    let bytes = Arc::new(Semaphore::new(max_bytes));
    (
        DeliveryQueue { queue, bytes: Arc::clone(&bytes), max_bytes },
        Deliveries { queued, bytes, handed_out: 0 },
    )
}

/// The sending side. Each task has a clone.
#[derive(Clone, Debug)]
pub(super) struct DeliveryQueue {
    queue: mpsc::Sender<QueuedItem>,
    /// A permit for each byte of `max_bytes` that no slot or queued item holds.
    bytes: Arc<Semaphore>,
    max_bytes: usize,
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct Deliveries {
    queued: mpsc::Receiver<QueuedItem>,
    bytes: Arc<Semaphore>,
    handed_out: u64,
}

#[derive(Debug)]
struct QueuedItem {
    item: Item,
    /// The permits for the item's bytes. They are given back when the item leaves the queue, not when the
    /// caller of `recv` drops the item.
    _bytes: OwnedSemaphorePermit,
}

/// A reserved slot for one item.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    place: mpsc::Permit<'a, QueuedItem>,
    bytes: OwnedSemaphorePermit,
}

impl DeliveryQueue {
    /// Waits for room for an item of `bytes` bytes. Callers are served in order. Returns `None` when the
    /// receiving side is dropped.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is reserved.
    pub(super) async fn reserve(&self, bytes: usize) -> Option<Slot<'_>> {
        let place = self.queue.reserve().await.ok()?;
        let permits = u32::try_from(bytes.min(self.max_bytes)).unwrap_or(u32::MAX);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(permits).await.ok()?;
        Some(Slot { place, bytes })
    }
}

impl Slot<'_> {
    /// Puts an item into the slot.
    pub(super) fn put(self, item: Item) {
        self.place.send(QueuedItem { item, _bytes: self.bytes });
    }
}

impl Deliveries {
    /// Waits for the next item. Returns `None` when the queue is empty and every [`DeliveryQueue`] is
    /// dropped.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no item is lost.
    pub(super) async fn recv(&mut self) -> Option<Item> {
        let queued = self.queued.recv().await?;
        self.handed_out += 1;
        Some(queued.item)
    }

    /// Returns how many items [`recv`](Self::recv) has returned.
    pub(super) fn handed_out(&self) -> u64 {
        self.handed_out
    }
}

/// Wakes the waiting tasks. Closing the semaphore wakes tasks that wait for bytes, and the drop of the
/// channel wakes tasks that wait for a place.
impl Drop for Deliveries {
    fn drop(&mut self) {
        self.bytes.close();
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

    /// Puts an item into the queue if there is room without a wait. Returns whether there was room.
    fn takes(queue: &DeliveryQueue, len: usize) -> bool {
        match pin!(queue.reserve(len)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => {
                room.unwrap().put(item(len));
                true
            }
            Poll::Pending => false,
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_items_and_bytes() {
        let (queue, mut items) = delivery_queue(3, 1000);
        assert!(takes(&queue, 400) && takes(&queue, 600));
        assert!(!takes(&queue, 1));
        assert!(takes(&queue, 0));
        assert!(!takes(&queue, 0), "a fourth item");
        assert_eq!(items.recv().await, Some(item(400)));
        assert!(!takes(&queue, 401));
        assert!(takes(&queue, 400));
        for len in [600, 0, 400] {
            assert_eq!(items.recv().await, Some(item(len)));
        }
        assert_eq!((items.handed_out(), items.bytes.available_permits()), (4, 1000));
    }

    #[tokio::test]
    async fn an_item_larger_than_the_queue_waits_until_all_bytes_are_free() {
        let (queue, mut items) = delivery_queue(3, 1000);
        assert!(takes(&queue, 1));
        assert!(!takes(&queue, 5000));
        assert_eq!(items.recv().await, Some(item(1)));
        assert!(takes(&queue, 5000));
        assert!(!takes(&queue, 1));
    }

    #[tokio::test]
    async fn waiting_tasks_learn_that_the_receiving_side_is_gone() {
        // In the first case the task waits for a place, in the second case for bytes.
        for (max_items, len) in [(1, 0), (2, 10)] {
            let (queue, items) = delivery_queue(max_items, 10);
            assert!(takes(&queue, len));
            let mut waiting = pin!(queue.reserve(1));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            drop(items);
            assert!(waiting.await.is_none());
            assert!(queue.reserve(0).await.is_none());
        }
    }
}
