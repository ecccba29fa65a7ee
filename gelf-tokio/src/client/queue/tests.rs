use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;
use tokio::task::{JoinHandle, yield_now};

use super::spare_buffers::{MAX_BUFFERS, MAX_CAPACITY};
use super::*;
use crate::outcome::DropReason;

fn queue(max_messages: usize, max_bytes: usize, when_full: WhenFull) -> Queue<u64> {
    Queue::new(QueueOptions { max_messages, max_bytes, when_full, ..QueueOptions::default() }, true)
}

fn offer(queue: &Queue<u64>, len: usize, receipt: u64) -> Result<(), NotQueuedReason> {
    queue.try_queue(BytesMut::from(&*vec![b'x'; len]), receipt).map_err(|error| {
        assert_eq!(error.receipt, receipt);
        error.reason
    })
}

/// Queues messages of `len` bytes.
fn fill(queue: &Queue<u64>, len: usize, receipts: std::ops::Range<u64>) {
    for receipt in receipts {
        assert_eq!(offer(queue, len, receipt), Ok(()));
    }
}

fn receipts(queue: &Queue<u64>) -> Vec<(u64, Outcome)> {
    std::iter::from_fn(|| match queue.poll_receipt(None) {
        Poll::Ready(receipt) => receipt,
        Poll::Pending => None,
    })
    .collect()
}

const QUEUE_FULL: Outcome = Outcome::Dropped(DropReason::QueueFull);
const ENDED: Outcome = Outcome::Dropped(DropReason::Ended);

/// Asserts `offered = queued + not queued` and `queued = delivered + dropped + waiting + in flight`.
fn assert_account(queue: &Queue<u64>, offered: u64) {
    let stats = queue.stats();
    assert_eq!(offered, stats.queued + stats.not_queued.total(), "{stats:?}");
    let unsettled = (stats.waiting + stats.in_flight) as u64;
    assert_eq!(stats.queued, stats.delivered() + stats.dropped.total() + unsettled, "{stats:?}");
}

#[test]
fn with_drop_newest_a_message_beyond_the_maximum_of_messages_or_bytes_is_refused() {
    for (max_messages, max_bytes, offers) in [
        (2, 1000, &[(1, true), (1, true), (1, false)][..]),
        (100, 10, &[(6, true), (5, false), (4, true), (1, false)]),
    ] {
        let queue = queue(max_messages, max_bytes, WhenFull::DropNewest);
        for (receipt, (len, has_room)) in (0..).zip(offers) {
            let expected = if *has_room { Ok(()) } else { Err(NotQueuedReason::Full) };
            assert_eq!(offer(&queue, *len, receipt), expected);
        }
        assert_account(&queue, offers.len() as u64);
    }
}

#[test]
fn refuse_if_full_refuses_from_the_first_message_without_room_until_there_is_room_again() {
    let queue = queue(2, 1000, WhenFull::Wait);
    let is_refused = || queue.refuse_if_full().is_err();
    fill(&queue, 1, 0..2);
    assert!(!is_refused());
    assert_eq!(offer(&queue, 1, 2), Err(NotQueuedReason::Full));
    assert!(is_refused() && is_refused());
    let mut in_flight = VecDeque::new();
    queue.take(&mut in_flight, 1, 1000);
    assert!(is_refused());
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    assert!(!is_refused());
    fill(&queue, 1, 3..4);
    assert_eq!(offer(&queue, 1, 4), Err(NotQueuedReason::Full));
    assert!(is_refused());
    queue.close(Duration::ZERO);
    // For a closed queue, `refuse_if_full` refuses nothing: `offer` does, with the reason `Closed`.
    assert!(!is_refused());
    assert_eq!(queue.stats().not_queued.full, 6);
    assert_account(&queue, 3 + 6);
}

#[test]
fn refuse_if_full_refuses_nothing_while_a_small_message_fits() {
    for when_full in [WhenFull::Wait, WhenFull::DropNewest, WhenFull::DropOldest] {
        let queue = queue(100, 6400, when_full);
        let mut in_flight = VecDeque::new();
        fill(&queue, 3000, 0..2);
        queue.take(&mut in_flight, 2, 10_000);
        assert_eq!(offer(&queue, 3000, 2), Err(NotQueuedReason::Full));
        assert_eq!(queue.refuse_if_full(), Ok(()));
        assert_eq!(offer(&queue, 301, 3), Ok(()));
        let fits = when_full == WhenFull::DropOldest;
        assert_eq!(offer(&queue, 100, 4).is_ok(), fits);
        // Without `DropOldest`, 99 bytes are left, which is less than a 64th.
        assert_eq!(queue.refuse_if_full().is_ok(), fits, "{when_full:?}");
    }
}

#[test]
fn drop_oldest_drops_no_more_messages_than_needed() {
    let queue = queue(100, 10, WhenFull::DropOldest);
    fill(&queue, 2, 0..5);
    assert_eq!(offer(&queue, 3, 5), Ok(()));
    assert_eq!(receipts(&queue), [(0, QUEUE_FULL), (1, QUEUE_FULL)]);
    assert_eq!(queue.stats().waiting, 4);
    assert_account(&queue, 6);
}

#[test]
fn messages_in_flight_take_room_and_are_not_dropped_for_newer_messages() {
    let queue = queue(2, 10, WhenFull::DropOldest);
    let mut in_flight = VecDeque::new();
    assert_eq!(offer(&queue, 5, 0), Ok(()));
    assert_eq!(queue.take(&mut in_flight, 10, 1000), 1);
    assert_eq!(offer(&queue, 5, 1), Ok(()));
    assert_eq!(
        offer(&queue, 6, 2),
        Err(NotQueuedReason::Full),
        "six bytes do not fit, since five bytes are in flight"
    );
    assert_eq!(queue.stats().waiting, 1, "no message is dropped unless that makes enough room");
    assert_eq!(offer(&queue, 4, 3), Ok(()));
    assert_eq!(receipts(&queue), [(1, QUEUE_FULL)]);
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    assert_eq!(offer(&queue, 6, 4), Ok(()));
    assert_account(&queue, 5);
}

#[test]
fn a_message_longer_than_the_queue_is_refused_by_every_policy() {
    for when_full in [WhenFull::Wait, WhenFull::DropNewest, WhenFull::DropOldest] {
        let queue = queue(10, 10, when_full);
        assert_eq!(offer(&queue, 10, 0), Ok(()));
        assert_eq!(offer(&queue, 11, 1), Err(NotQueuedReason::TooLarge));
        assert_eq!((queue.stats().waiting, queue.stats().not_queued.too_large), (1, 1));
    }
}

#[test]
fn messages_are_taken_in_order_up_to_a_number_and_a_length_but_at_least_one_is_taken() {
    let queue = queue(100, 1000, WhenFull::Wait);
    let mut in_flight = VecDeque::new();
    fill(&queue, 10, 0..6);
    assert_eq!(queue.take(&mut in_flight, 2, 1000), 2);
    assert_eq!(queue.take(&mut in_flight, 10, 29), 2);
    assert_eq!(queue.take(&mut in_flight, 10, 1), 1);
    assert_eq!(queue.take(&mut in_flight, 10, 1000), 1);
    assert_eq!(queue.take(&mut in_flight, 10, 1000), 0);
    assert_eq!(in_flight.iter().map(|message| message.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    queue.settle(&mut in_flight, 2, Outcome::Acknowledged);
    queue.settle(&mut in_flight, 100, Outcome::Dropped(DropReason::Refused));
    let given: Vec<_> =
        receipts(&queue).into_iter().map(|(receipt, outcome)| (receipt, outcome.is_delivered())).collect();
    assert_eq!(given, [(0, true), (1, true), (2, false), (3, false), (4, false), (5, false)]);
    assert_account(&queue, 6);
}

#[test]
fn unread_receipts_are_bounded_and_lost_receipts_are_counted() {
    let queue = queue(10, 1000, WhenFull::DropOldest);
    *queue.state().receipts.max() = 3;
    let mut in_flight = VecDeque::new();
    for receipt in 0..5 {
        assert_eq!(offer(&queue, 1, receipt), Ok(()));
        assert_eq!(queue.take(&mut in_flight, 10, 1000), 1);
        queue.settle(&mut in_flight, 1, Outcome::Sent);
    }
    assert_eq!((queue.stats().sent, queue.stats().receipts_lost), (5, 2));
    assert_eq!(receipts(&queue), [(0, Outcome::Sent), (1, Outcome::Sent), (2, Outcome::Sent)]);
    queue.discard_receipts();
    assert_eq!(offer(&queue, 1, 5), Ok(()));
    queue.take(&mut in_flight, 10, 1000);
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    assert_eq!(
        (queue.stats().sent, queue.stats().receipts_lost),
        (6, 2),
        "without a reader, no receipt counts as lost"
    );
    assert_account(&queue, 6);
}

#[test]
fn a_small_queue_keeps_65536_unread_receipts() {
    assert_eq!(queue(1, 1000, WhenFull::Wait).state().receipts.max(), &65_536);
    assert_eq!(queue(100_000, 1000, WhenFull::Wait).state().receipts.max(), &100_000);
}

#[test]
fn a_closed_queue_refuses_messages_and_the_driver_settles_the_messages_in_flight() {
    let queue = queue(10, 1000, WhenFull::Wait);
    assert_eq!(offer(&queue, 1, 0), Ok(()));
    queue.close(Duration::from_secs(5));
    assert_eq!(offer(&queue, 1, 1), Err(NotQueuedReason::Closed));
    let mut in_flight = VecDeque::new();
    assert_eq!(queue.take(&mut in_flight, 10, 1000), 1);
    queue.abort();
    assert_eq!(queue.stats().in_flight, 1, "the driver settles messages in flight");
    queue.settle(&mut in_flight, 1, ENDED);
    queue.end();
    assert_eq!(receipts(&queue), [(0, ENDED)]);
    assert_account(&queue, 2);
}

#[test]
fn the_buffers_of_settled_messages_are_used_again_while_few_messages_wait() {
    let queue = queue(1000, usize::MAX, WhenFull::DropNewest);
    let settled = |len, messages| {
        let mut in_flight = VecDeque::new();
        fill(&queue, len, 0..messages);
        queue.take(&mut in_flight, usize::MAX, usize::MAX);
        queue.settle(&mut in_flight, usize::MAX, Outcome::Sent);
    };
    settled(MAX_CAPACITY + 1, 1);
    assert_eq!(queue.spare(), None, "a long message");
    settled(MAX_CAPACITY, 2 * MAX_BUFFERS as u64);
    let spare = queue.spare().unwrap();
    assert_eq!((spare.len(), spare.capacity()), (0, MAX_CAPACITY));
    fill(&queue, 1, 0..MAX_BUFFERS as u64);
    assert_eq!(queue.spare(), None, "many messages wait");
    queue.take(&mut VecDeque::new(), 1, 1);
    assert_eq!(std::iter::from_fn(|| queue.spare()).count(), MAX_BUFFERS - 1);
}

#[test]
fn debug_shows_no_payload() {
    let queue = queue(10, 1000, WhenFull::Wait);
    queue.try_queue(BytesMut::from("s3cret"), 0).unwrap();
    let mut in_flight = VecDeque::new();
    queue.take(&mut in_flight, 1, 1000);
    let shown = format!("{queue:?} {in_flight:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
}

#[test]
fn the_end_of_the_driver_drops_waiting_messages_and_refuses_further_messages() {
    let queue = queue(10, 1000, WhenFull::Wait);
    let mut in_flight = VecDeque::new();
    fill(&queue, 1, 0..3);
    assert_eq!(queue.take(&mut in_flight, 1, 1000), 1);
    queue.settle(&mut in_flight, 1, ENDED);
    queue.end();
    assert_eq!(offer(&queue, 1, 3), Err(NotQueuedReason::DriverEnded));
    assert_eq!(receipts(&queue), [(0, ENDED), (1, ENDED), (2, ENDED)]);
    assert_eq!(queue.poll_receipt(None), Poll::Ready(None));
    assert_account(&queue, 4);
}

/// A receipt that counts its drop, if the queue is not locked at that time.
struct Probe {
    queue: Arc<Queue<Self>>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.queue.state.try_lock().is_ok() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn receipts_are_dropped_outside_of_the_lock() {
    let options =
        QueueOptions { max_messages: 2, when_full: WhenFull::DropOldest, ..QueueOptions::default() };
    for has_receipts in [false, true] {
        let queue = Arc::new(Queue::new(options, has_receipts));
        *queue.state().receipts.max() = 0;
        let dropped = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            let receipt = Probe { queue: Arc::clone(&queue), dropped: Arc::clone(&dropped) };
            assert!(queue.try_queue(BytesMut::from("x"), receipt).is_ok());
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "displaced");
        let mut in_flight = VecDeque::new();
        queue.take(&mut in_flight, 1, 1);
        queue.settle(&mut in_flight, 1, Outcome::Sent);
        assert_eq!(dropped.load(Ordering::Relaxed), 3, "settled");
        queue.end();
        assert_eq!(dropped.load(Ordering::Relaxed), 4, "given up");
    }
}

/// Counts the events that are logged while the queue is not locked.
struct Subscriber {
    queue: Arc<Queue<u64>>,
    events: Arc<AtomicUsize>,
}

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        if self.queue.state.try_lock().is_ok() {
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn events_are_logged_outside_of_the_lock() {
    let queue = Arc::new(queue(1, 1000, WhenFull::DropOldest));
    *queue.state().receipts.max() = 0;
    let events = Arc::new(AtomicUsize::new(0));
    let subscriber = Subscriber { queue: Arc::clone(&queue), events: Arc::clone(&events) };
    let _default = tracing::subscriber::set_default(subscriber);
    fill(&queue, 1, 0..2);
    assert_eq!(events.load(Ordering::Relaxed), 1, "a receipt is lost");
    queue.end();
    assert_eq!(events.load(Ordering::Relaxed), 2, "the driver has ended early");
}

#[test]
fn a_look_for_a_receipt_does_not_take_the_place_of_a_reader_that_waits() {
    struct Woken(AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let queue = queue(1, 1000, WhenFull::Wait);
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let reader = Waker::from(Arc::clone(&woken));
    assert!(queue.poll_receipt(Some(&reader)).is_pending());
    assert!(queue.poll_receipt(None).is_pending());
    fill(&queue, 1, 0..1);
    let mut in_flight = VecDeque::new();
    queue.take(&mut in_flight, 1, 1000);
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

/// Spawns a task that queues a message of one byte. If the queue is full, the task waits for room.
fn sender(queue: &Arc<Queue<u64>>, receipt: u64) -> JoinHandle<Result<(), NotQueued<u64>>> {
    let queue = Arc::clone(queue);
    tokio::spawn(async move { queue.queue(BytesMut::from("x"), receipt).await })
}

#[tokio::test]
async fn a_sender_waits_for_room_and_then_queues_its_message() {
    let queue = Arc::new(queue(1, 1000, WhenFull::Wait));
    let mut in_flight = VecDeque::new();
    assert_eq!(offer(&queue, 1, 0), Ok(()));
    let waiting: Vec<_> = (1..=3).map(|receipt| sender(&queue, receipt)).collect();
    for settled in 1..=4 {
        yield_now().await;
        assert_eq!(queue.stats().queued, settled);
        assert_eq!(queue.take(&mut in_flight, 10, 1000), 1);
        queue.settle(&mut in_flight, 1, Outcome::Sent);
        receipts(&queue);
    }
    for sender in waiting {
        assert_eq!(sender.await.unwrap(), Ok(()));
    }
    let stats = queue.stats();
    assert_eq!(
        (stats.queued, stats.sent, stats.not_queued.total()),
        (4, 4, 0),
        "a message that waits for room is not counted as refused"
    );
}

#[tokio::test]
async fn a_sender_that_gives_up_waiting_leaves_its_room_to_the_next_sender() {
    let queue = Arc::new(queue(1, 1000, WhenFull::Wait));
    let mut in_flight = VecDeque::new();
    assert_eq!(offer(&queue, 1, 0), Ok(()));
    let (given_up, other) = (sender(&queue, 1), sender(&queue, 2));
    yield_now().await;
    queue.take(&mut in_flight, 10, 1000);
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    // The first sender is woken since there is room, but is dropped before it can use the room.
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(other.await.unwrap(), Ok(()));
    assert_eq!(queue.stats().queued, 2);
}

#[tokio::test]
async fn senders_that_wait_for_room_are_notified_of_the_end_of_the_driver() {
    let queue = Arc::new(queue(1, 1000, WhenFull::Wait));
    assert_eq!(offer(&queue, 1, 0), Ok(()));
    let waiting: Vec<_> = (1..=3).map(|receipt| sender(&queue, receipt)).collect();
    yield_now().await;
    queue.end();
    for (receipt, sender) in (1..).zip(waiting) {
        assert_eq!(sender.await.unwrap(), Err(NotQueued { receipt, reason: NotQueuedReason::DriverEnded }));
    }
    assert_account(&queue, 4);
}

/// Spawns a task that waits until the messages that are queued now have their outcome.
fn flush(queue: &Arc<Queue<u64>>) -> JoinHandle<()> {
    let queue = Arc::clone(queue);
    let end = queue.next_number();
    tokio::spawn(async move { queue.flushed(end).await })
}

#[tokio::test]
async fn a_flush_waits_for_earlier_messages_and_not_for_later_messages() {
    let queue = Arc::new(queue(4, 1000, WhenFull::DropOldest));
    let mut in_flight = VecDeque::new();
    fill(&queue, 1, 0..2);
    assert_eq!(queue.take(&mut in_flight, 1, 1000), 1);
    let flush = flush(&queue);
    yield_now().await;
    // Newer messages displace the second message. The first message is still in flight.
    for receipt in 2..7 {
        assert_eq!(offer(&queue, 1, receipt), Ok(()));
        receipts(&queue);
    }
    yield_now().await;
    assert!(!flush.is_finished());
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    flush.await.unwrap();
    assert!(queue.stats().waiting > 0);
    let end = queue.next_number();
    assert_eq!((queue.unflushed(2), queue.unflushed(end)), (0, queue.stats().waiting));
}

#[tokio::test]
async fn a_flush_ends_when_newer_messages_displace_the_messages_that_it_waits_for() {
    let queue = Arc::new(queue(2, 1000, WhenFull::DropOldest));
    fill(&queue, 1, 0..2);
    let flush = flush(&queue);
    yield_now().await;
    fill(&queue, 1, 2..4);
    yield_now().await;
    assert!(flush.is_finished());
}

#[tokio::test]
async fn the_driver_is_woken_by_a_message_and_has_no_work_after_the_last_client_and_message() {
    let queue = Arc::new(queue(1, 1000, WhenFull::Wait));
    let mut in_flight = VecDeque::new();
    let has_work = |queue: &Arc<Queue<u64>>| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move { queue.has_work().await })
    };
    let work = has_work(&queue);
    yield_now().await;
    assert_eq!(offer(&queue, 1, 0), Ok(()));
    assert!(work.await.unwrap());
    queue.take(&mut in_flight, 1, 1000);
    queue.settle(&mut in_flight, 1, Outcome::Sent);
    assert_eq!(offer(&queue, 1, 1), Ok(()));
    queue.remove_client();
    assert!(queue.has_work().await, "a message is left");
    queue.take(&mut in_flight, 1, 1000);
    assert!(!queue.has_work().await);
    queue.closed().await;
}

#[derive(Clone, Debug)]
enum Step {
    Offer { len: usize },
    Take { messages: usize, bytes: usize },
    Settle { count: usize },
    Read { count: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..20).prop_map(|len| Step::Offer { len }),
        2 => (1usize..6, 0usize..40).prop_map(|(messages, bytes)| Step::Take { messages, bytes }),
        2 => (0usize..6).prop_map(|count| Step::Settle { count }),
        2 => (0usize..6).prop_map(|count| Step::Read { count }),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// The bounds hold and the counters add up at each step of any sequence of operations. At the end,
    /// delivered messages are in order, and each queued message has exactly one receipt.
    #[test]
    fn every_message_has_one_outcome_and_nothing_exceeds_its_bound(
        steps in steps(),
        max_messages in 1usize..8,
        max_bytes in 1usize..60,
        drop_oldest: bool,
    ) {
        let when_full = if drop_oldest { WhenFull::DropOldest } else { WhenFull::DropNewest };
        let queue = queue(max_messages, max_bytes, when_full);
        let mut in_flight = VecDeque::new();
        let (mut offered, mut queued, mut read) = (0, Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Offer { len } => {
                    if offer(&queue, len, offered).is_ok() {
                        queued.push(offered);
                    }
                    offered += 1;
                }
                Step::Take { messages, bytes } => {
                    queue.take(&mut in_flight, messages, bytes);
                }
                Step::Settle { count } => queue.settle(&mut in_flight, count, Outcome::Sent),
                Step::Read { count } => {
                    for _ in 0..count {
                        if let Poll::Ready(Some(receipt)) = queue.poll_receipt(None) {
                            read.push(receipt);
                        }
                    }
                }
            }
            assert_account(&queue, offered);
            let state = queue.state();
            prop_assert!(state.waiting.len() + state.in_flight <= max_messages);
            prop_assert!(state.waiting_bytes + state.in_flight_bytes <= max_bytes);
            prop_assert_eq!(state.in_flight, in_flight.len());
            prop_assert_eq!(state.waiting_bytes, state.waiting.iter().map(|m| m.payload.len()).sum::<usize>());
            prop_assert_eq!(state.in_flight_bytes, in_flight.iter().map(|m| m.payload.len()).sum::<usize>());
        }
        let left = in_flight.len();
        queue.settle(&mut in_flight, left, ENDED);
        queue.end();
        read.extend(receipts(&queue));
        let sent: Vec<_> = read.iter().filter(|(_, outcome)| outcome.is_delivered()).map(|(receipt, _)| *receipt).collect();
        prop_assert!(sent.is_sorted());
        let mut all: Vec<_> = read.into_iter().map(|(receipt, _)| receipt).collect();
        all.sort_unstable();
        prop_assert_eq!(all, queued);
        assert_account(&queue, offered);
        prop_assert_eq!(queue.unflushed(u64::MAX), 0);
    }
}
