//! The memory for long frames. All connections of a receiver share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The bytes that all connections together may use for frames, in addition to the 64 KiB of each connection. A
/// frame that needs such bytes has a [`Claim`].
///
/// When the bytes are used up, the claims of unfinished frames are evicted, oldest first, until enough bytes
/// are free. The claims of complete frames, which wait for the caller of `recv`, are never evicted. If a claim
/// has to grow and no older claim can be evicted, it waits until claims of complete frames are dropped. Without
/// claims of complete frames, it is itself evicted.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// The used bytes of evicted claims, which are about to be released.
    leaving: usize,
    next_turn: u64,
    /// The claims that may be evicted, oldest first.
    unfinished: BTreeMap<u64, Holding>,
}

#[derive(Debug)]
struct Holding {
    bytes: usize,
    evicted: Arc<Notify>,
}

/// The bytes of the budget that one frame uses. Dropping the claim gives the bytes back.
#[derive(Debug)]
pub(super) struct Claim {
    budget: Arc<Budget>,
    bytes: usize,
    /// The key of the claim in `State::unfinished`. An evicted claim keeps its key, but is no longer in that map.
    /// `None` if the claim is empty, or if its frame is complete and the claim was not evicted before.
    turn: Option<u64>,
    evicted: Arc<Notify>,
}

/// The error of a claim that has to make room for other claims.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Evicted;

enum Growth {
    Done,
    Evicted,
    Wait,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), released: Notify::new() })
    }

    /// Creates an empty claim.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        Claim { budget: Arc::clone(self), bytes: 0, turn: None, evicted: Arc::default() }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.lock().used
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// Returns the number of bytes of the claim.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes `more` bytes. If there are too few, waits until evicted or complete claims are dropped.
    ///
    /// # Errors
    /// Returns an error if the claim has to be dropped in favour of other claims.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is taken.
    pub(super) async fn grow(&mut self, more: usize) -> Result<(), Evicted> {
        let budget = Arc::clone(&self.budget);
        loop {
            let released = budget.released.notified();
            match self.try_grow(more) {
                Growth::Done => return Ok(()),
                Growth::Evicted => return Err(Evicted),
                Growth::Wait => {}
            }
            tokio::select! {
                () = released => {}
                () = self.evicted() => return Err(Evicted),
            }
        }
    }

    /// Waits until the claim has to be dropped in favour of other claims.
    pub(super) fn evicted(&self) -> impl Future<Output = ()> + use<> {
        let evicted = Arc::clone(&self.evicted);
        async move { evicted.notified().await }
    }

    /// Marks the frame as complete. From now on, the claim cannot be evicted. If the claim was evicted before, it
    /// stays evicted.
    pub(super) fn complete(&mut self) {
        let Some(turn) = self.turn else { return };
        if self.budget.lock().unfinished.remove(&turn).is_some() {
            self.turn = None;
        }
    }

    fn try_grow(&mut self, more: usize) -> Growth {
        let mut state = self.budget.lock();
        let state = &mut *state;
        if self.turn.is_some_and(|turn| !state.unfinished.contains_key(&turn)) {
            return Growth::Evicted;
        }
        if state.used.saturating_add(more) <= self.budget.limit {
            state.used += more;
            self.bytes += more;
            let turn = *self.turn.get_or_insert_with(|| {
                state.next_turn += 1;
                state.next_turn
            });
            let holding = Holding { bytes: self.bytes, evicted: Arc::clone(&self.evicted) };
            state.unfinished.insert(turn, holding);
            return Growth::Done;
        }
        while (state.used - state.leaving).saturating_add(more) > self.budget.limit {
            let Some(oldest) = state.unfinished.first_entry() else { return Growth::Wait };
            if Some(*oldest.key()) == self.turn {
                let unfinished: usize = state.unfinished.values().map(|holding| holding.bytes).sum();
                return match state.used - state.leaving > unfinished {
                    true => Growth::Wait,
                    false => Growth::Evicted,
                };
            }
            let holding = oldest.remove();
            state.leaving += holding.bytes;
            holding.evicted.notify_one();
        }
        Growth::Wait
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut state = self.budget.lock();
        let is_evicted = self.turn.is_some_and(|turn| state.unfinished.remove(&turn).is_none());
        if is_evicted {
            state.leaving -= self.bytes;
        }
        state.used -= self.bytes;
        drop(state);
        self.budget.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Returns the result of asking for more bytes; `None` if the claim waits.
    fn grow(claim: &mut Claim, more: usize) -> Option<Result<(), Evicted>> {
        match pin!(claim.grow(more)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn is_evicted(claim: &Claim) -> bool {
        pin!(claim.evicted()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_claims_of_unfinished_frames_make_room() {
        let budget = Budget::new(100);
        let [mut oldest, mut older, mut newest, mut asking] = std::array::from_fn(|_| budget.claim());
        for claim in [&mut oldest, &mut older, &mut newest] {
            assert_eq!(grow(claim, 30), Some(Ok(())));
        }
        assert_eq!(grow(&mut older, 10), Some(Ok(())));
        // The 30 bytes of the oldest claim are not enough, so the next claim must go too.
        assert_eq!(grow(&mut asking, 50), None);
        assert_eq!([&oldest, &older, &newest].map(is_evicted), [true, true, false]);
        assert_eq!(grow(&mut oldest, 1), Some(Err(Evicted)));
        drop(oldest);
        assert_eq!(grow(&mut asking, 50), None);
        drop(older);
        assert_eq!(grow(&mut asking, 50), Some(Ok(())));
        assert!(!is_evicted(&newest));
        assert_eq!(budget.used(), 80);
    }

    #[test]
    fn the_oldest_claim_is_itself_evicted_when_it_asks_for_more_than_is_free() {
        let budget = Budget::new(100);
        let [mut oldest, mut other] = std::array::from_fn(|_| budget.claim());
        assert_eq!(grow(&mut oldest, 50), Some(Ok(())));
        assert_eq!(grow(&mut other, 50), Some(Ok(())));
        assert_eq!(grow(&mut oldest, 1), Some(Err(Evicted)));
        assert!(!is_evicted(&other));
    }

    #[tokio::test]
    async fn a_claim_waits_until_complete_frames_are_dropped() {
        let budget = Budget::new(100);
        let [mut complete, mut asking] = std::array::from_fn(|_| budget.claim());
        complete.grow(60).await.unwrap();
        complete.complete();
        assert_eq!(grow(&mut asking, 50), None);
        assert!(!is_evicted(&complete));
        let mut begun = budget.claim();
        begun.grow(40).await.unwrap();
        assert_eq!(grow(&mut begun, 10), None);
        let (grown, ()) = tokio::join!(begun.grow(10), async {
            tokio::task::yield_now().await;
            drop(complete);
        });
        assert_eq!((grown, budget.used()), (Ok(()), 50));
        assert_eq!(grow(&mut asking, 50), Some(Ok(())));
    }

    proptest! {
        #[test]
        fn claims_never_use_more_than_the_limit_and_give_all_bytes_back(
            steps in prop::collection::vec((0usize..6, 0u8..4, 1usize..60), 0..300),
        ) {
            let budget = Budget::new(100);
            let mut claims: [Claim; 6] = std::array::from_fn(|_| budget.claim());
            for (which, action, bytes) in steps {
                match action {
                    0 => claims[which] = budget.claim(),
                    1 => claims[which].complete(),
                    _ if claims[which].turn.is_none() && claims[which].bytes > 0 => {}
                    _ => {
                        if grow(&mut claims[which], bytes) == Some(Err(Evicted)) {
                            claims[which] = budget.claim();
                        }
                    }
                }
                let held: usize = claims.iter().map(Claim::bytes).sum();
                prop_assert_eq!(budget.used(), held);
                prop_assert!(held <= 100);
                let state = budget.lock();
                let unfinished: usize = state.unfinished.values().map(|holding| holding.bytes).sum();
                prop_assert!(unfinished + state.leaving <= held);
            }
            drop(claims);
            let state = budget.lock();
            prop_assert_eq!((state.used, state.leaving, state.unfinished.len()), (0, 0, 0));
        }
    }
}
