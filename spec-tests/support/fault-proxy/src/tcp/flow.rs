//! One direction of a connection, without sockets and clock: decides what may be read and written, and when.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::{BlackHole, Cut, TcpPlan};

/// Throttled writes carry at most this part of a second's bytes.
const PARTS_OF_A_SECOND: u64 = 20;

/// Maximum number of held pieces, a bound for clients that send single bytes.
const MAX_PIECES: usize = 1_024;

/// The received bytes of one direction that are not passed yet.
#[derive(Debug)]
pub(crate) struct Flow {
    max_held: usize,
    held: VecDeque<u8>,
    /// Lengths of the bytes of `held`, in order, with their due times. No piece is empty.
    pieces: VecDeque<Piece>,
    taken: u64,
    passed: u64,
    /// End of the time that the last throttled write takes.
    busy_until: Option<Instant>,
    ended: bool,
}

#[derive(Debug)]
struct Piece {
    due: Instant,
    length: usize,
}

/// Next action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Write at most this many bytes of the [front](Flow::front); never 0.
    Write(usize),
    /// Wait until this time.
    Wait(Instant),
    /// Wait for bytes or another plan.
    Idle,
    /// Pass the end on.
    End,
    /// Cut the connection.
    Cut(Cut),
}

/// Counts of received bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Taken {
    /// Discarded bytes, including those that were held before.
    pub(crate) discarded: u64,
    /// Changed bytes.
    pub(crate) corrupted: u64,
    /// Bytes held back for a delay.
    pub(crate) delayed: u64,
}

impl Flow {
    /// Creates a direction that holds at most this many bytes.
    pub(crate) fn new(max_held: usize) -> Self {
        Self {
            max_held,
            held: VecDeque::new(),
            pieces: VecDeque::new(),
            taken: 0,
            passed: 0,
            busy_until: None,
            ended: false,
        }
    }

    /// Returns the number of bytes that may be read now.
    pub(crate) fn room(&self, plan: &TcpPlan) -> usize {
        match plan.black_hole {
            _ if self.ended => 0,
            Some(BlackHole::StopReading) => 0,
            Some(BlackHole::Forget) => self.max_held,
            None if self.pieces.len() >= MAX_PIECES => 0,
            None => self.max_held.saturating_sub(self.held.len()),
        }
    }

    /// Adds received bytes.
    pub(crate) fn take(&mut self, bytes: &mut [u8], plan: &TcpPlan, now: Instant) -> Taken {
        let mut result = Taken::default();
        let start = self.taken;
        let length = bytes.len() as u64;
        self.taken += length;
        if plan.black_hole == Some(BlackHole::Forget) {
            result.discarded = length + self.discard();
            return result;
        }
        if let Some((offset, mask)) = plan.corrupt.filter(|(_, mask)| *mask != 0) {
            let place = offset.checked_sub(start).and_then(|place| usize::try_from(place).ok());
            if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
                *byte ^= mask;
                result.corrupted = 1;
            }
        }
        if !plan.delay.is_zero() {
            result.delayed = length;
        }
        self.held.extend(bytes.iter());
        let due = now + plan.delay;
        match self.pieces.back_mut() {
            // Consecutive bytes with the same due time form a piece. Later bytes never overtake earlier ones.
            Some(piece) if piece.due >= due => piece.length += bytes.len(),
            _ if bytes.is_empty() => {}
            _ => self.pieces.push_back(Piece { due, length: bytes.len() }),
        }
        result
    }

    /// Marks the end of the input.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Returns the next action.
    pub(crate) fn step(&self, plan: &TcpPlan, now: Instant) -> Step {
        if let Some(cut) = plan.cut.filter(|cut| self.passed >= cut.after) {
            return Step::Cut(cut);
        }
        if plan.black_hole.is_some() {
            return Step::Idle;
        }
        let Some(piece) = self.pieces.front() else {
            return if self.ended { Step::End } else { Step::Idle };
        };
        if piece.due > now {
            return Step::Wait(piece.due);
        }
        let mut limit = piece.length;
        if let Some(rate) = plan.throttle {
            if let Some(until) = self.busy_until.filter(|until| *until > now) {
                return Step::Wait(until);
            }
            limit = at_most(limit, (rate / PARTS_OF_A_SECOND).max(1));
        }
        if let Some(cut) = plan.cut {
            limit = at_most(limit, cut.after - self.passed);
        }
        Step::Write(limit)
    }

    /// Returns the next bytes, at most `limit`; at least one if there are any and `limit` is not 0.
    pub(crate) fn front(&self, limit: usize) -> &[u8] {
        let (front, _) = self.held.as_slices();
        front.get(..limit).unwrap_or(front)
    }

    /// Removes passed bytes.
    pub(crate) fn pass(&mut self, count: usize, plan: &TcpPlan, now: Instant) {
        let count = count.min(self.held.len());
        self.held.drain(..count);
        self.passed += count as u64;
        let mut left = count;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.length > left {
                piece.length -= left;
                break;
            }
            left -= piece.length;
            self.pieces.pop_front();
        }
        self.busy_until = plan.throttle.map(|rate| now + time_for(count, rate));
    }

    /// Discards the held bytes and returns their number.
    pub(crate) fn discard(&mut self) -> u64 {
        let count = self.held.len() as u64;
        self.held.clear();
        self.pieces.clear();
        count
    }
}

fn at_most(length: usize, limit: u64) -> usize {
    usize::try_from(limit).map_or(length, |limit| length.min(limit))
}

/// Returns the time that some bytes take at a rate per second.
fn time_for(count: usize, rate: u64) -> Duration {
    let nanos = (count as u128 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn flow(bytes: &[u8], plan: &TcpPlan, now: Instant) -> Flow {
        let mut flow = Flow::new(1_000);
        flow.take(&mut bytes.to_vec(), plan, now);
        flow
    }

    #[test]
    fn bytes_are_passed_at_once_without_a_plan() {
        let (plan, now) = (TcpPlan::new(), Instant::now());
        let mut flow = flow(b"abc", &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Write(3));
        assert_eq!(flow.front(3), b"abc");
        flow.pass(2, &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Write(1));
        assert_eq!(flow.front(1), b"c");
        flow.pass(1, &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Idle);
        flow.end();
        assert_eq!(flow.step(&plan, now), Step::End);
        assert_eq!(flow.room(&plan), 0);
    }

    #[test]
    fn delayed_bytes_wait_for_their_own_time() {
        let (plan, start) = (TcpPlan::new().delay(10 * MS), Instant::now());
        let mut flow = flow(b"ab", &plan, start);
        let taken = flow.take(&mut b"c".to_vec(), &plan, start + 4 * MS);
        assert_eq!(taken, Taken { delayed: 1, ..Taken::default() });
        assert_eq!(flow.step(&plan, start + 9 * MS), Step::Wait(start + 10 * MS));
        assert_eq!(flow.step(&plan, start + 10 * MS), Step::Write(2));
        flow.pass(2, &plan, start + 10 * MS);
        flow.end();
        assert_eq!(flow.step(&plan, start + 10 * MS), Step::Wait(start + 14 * MS), "the end waits too");
        assert_eq!(flow.step(&plan, start + 14 * MS), Step::Write(1));
    }

    #[test]
    fn a_shorter_delay_does_not_let_bytes_overtake() {
        let start = Instant::now();
        let mut flow = flow(b"a", &TcpPlan::new().delay(10 * MS), start);
        let plan = TcpPlan::new();
        flow.take(&mut b"b".to_vec(), &plan, start);
        assert_eq!(flow.step(&plan, start), Step::Wait(start + 10 * MS));
        assert_eq!(flow.step(&plan, start + 10 * MS), Step::Write(2));
        assert_eq!(flow.front(2), b"ab");
    }

    #[test]
    fn a_throttled_write_takes_its_time() {
        let (plan, start) = (TcpPlan::new().throttle(100), Instant::now());
        let mut flow = flow(&[1; 12], &plan, start);
        assert_eq!(flow.step(&plan, start), Step::Write(5));
        flow.pass(5, &plan, start);
        assert_eq!(flow.step(&plan, start), Step::Wait(start + 50 * MS));
        assert_eq!(flow.step(&plan, start + 50 * MS), Step::Write(5));
        assert_eq!(
            flow.step(&TcpPlan::new(), start),
            Step::Write(7),
            "without a throttle, bytes are passed at once"
        );
        assert_eq!(TcpPlan::new().throttle(0), TcpPlan::new().throttle(1));
    }

    #[test]
    fn a_cut_occurs_at_its_exact_byte() {
        let (plan, now) = (TcpPlan::new().cut(Cut::reset(3)), Instant::now());
        let mut flow = flow(b"abcde", &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Write(3));
        flow.pass(2, &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Write(1));
        flow.pass(1, &plan, now);
        assert_eq!(flow.step(&plan, now), Step::Cut(Cut::reset(3)));
        assert_eq!(flow.step(&TcpPlan::new(), now), Step::Write(2));
        let late = Cut::fin(1);
        assert_eq!(flow.step(&TcpPlan::new().cut(late), now), Step::Cut(late));
        assert_eq!(Flow::new(1).step(&TcpPlan::new().cut(Cut::reset(0)), now), Step::Cut(Cut::reset(0)));
    }

    #[test]
    fn only_the_corrupted_byte_changes() {
        let (plan, now) = (TcpPlan::new().corrupt(4, 0x81), Instant::now());
        let mut flow = Flow::new(1_000);
        let corrupted: Vec<u64> = [&[0u8; 3][..], &[0; 3], &[0; 3]]
            .iter()
            .map(|bytes| flow.take(&mut bytes.to_vec(), &plan, now).corrupted)
            .collect();
        assert_eq!(corrupted, [0, 1, 0]);
        assert_eq!(flow.front(9), [0, 0, 0, 0, 0x81, 0, 0, 0, 0]);
        let mut flow = Flow::new(1_000);
        assert_eq!(flow.take(&mut [1], &TcpPlan::new().corrupt(0, 0), now), Taken::default());
    }

    #[test]
    fn a_blocking_black_hole_loses_nothing() {
        let (plan, now) = (TcpPlan::new().black_hole(BlackHole::StopReading), Instant::now());
        let mut flow = flow(b"abc", &TcpPlan::new(), now);
        assert_eq!((flow.step(&plan, now), flow.room(&plan)), (Step::Idle, 0));
        assert_eq!((flow.step(&TcpPlan::new(), now), flow.room(&TcpPlan::new())), (Step::Write(3), 997));
        flow.end();
        assert_eq!(flow.step(&plan, now), Step::Idle, "the end is not passed on");
    }

    #[test]
    fn a_discarding_black_hole_discards_held_bytes() {
        let (plan, now) = (TcpPlan::new().black_hole(BlackHole::Forget), Instant::now());
        let mut flow = flow(b"abc", &TcpPlan::new(), now);
        assert_eq!(flow.room(&plan), 1_000);
        assert_eq!(flow.take(&mut [0; 4], &plan, now), Taken { discarded: 7, ..Taken::default() });
        assert_eq!(flow.step(&TcpPlan::new(), now), Step::Idle);
    }

    #[test]
    fn held_bytes_and_pieces_are_bounded() {
        let (plan, start) = (TcpPlan::new().delay(Duration::from_secs(60)), Instant::now());
        let mut flow = Flow::new(10);
        flow.take(&mut [0; 10], &plan, start);
        assert_eq!(flow.room(&plan), 0);
        let mut flow = Flow::new(1_000_000);
        for count in 0..MAX_PIECES {
            assert_eq!(flow.room(&plan), 1_000_000 - count);
            flow.take(&mut [0], &plan, start + MS * count as u32);
        }
        assert_eq!(flow.room(&plan), 0);
    }

    proptest! {
        #[test]
        fn bytes_are_passed_in_order_and_as_planned(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), 0u32..5), 0..20),
            delay in 0u32..20,
            rate in prop::option::of(1u64..2_000),
            cut in prop::option::of(0u64..600),
            corrupt in prop::option::of((0u64..600, 1u8..)),
        ) {
            let mut plan = TcpPlan::new().delay(MS * delay);
            plan.throttle = rate;
            plan.cut = cut.map(Cut::reset);
            plan.corrupt = corrupt;
            let mut expected: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            if let Some((offset, mask)) = corrupt {
                if let Some(byte) = expected.get_mut(offset as usize) {
                    *byte ^= mask;
                }
            }
            let start = Instant::now();
            let mut now = start;
            let mut flow = Flow::new(usize::MAX);
            for (bytes, wait) in &pieces {
                now += MS * *wait;
                flow.take(&mut bytes.clone(), &plan, now);
            }
            flow.end();
            now = start;
            let mut got = Vec::new();
            let mut waits = 0;
            let was_cut = loop {
                match flow.step(&plan, now) {
                    Step::Write(limit) => {
                        let bytes = flow.front(limit).to_vec();
                        prop_assert!(!bytes.is_empty() && bytes.len() <= limit);
                        if let Some(rate) = rate {
                            // Earlier writes have taken their time.
                            let least = Duration::from_secs_f64(got.len() as f64 / rate as f64);
                            prop_assert!(now - start + Duration::from_nanos(1) >= least);
                        }
                        prop_assert!(now >= start + MS * delay);
                        flow.pass(bytes.len(), &plan, now);
                        got.extend(bytes);
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        now = until;
                        waits += 1;
                        prop_assert!(waits < 10_000);
                    }
                    Step::End => break false,
                    Step::Cut(_) => break true,
                    Step::Idle => prop_assert!(false, "nothing delays the bytes"),
                }
            };
            let length = cut.map_or(expected.len(), |after| expected.len().min(after as usize));
            prop_assert_eq!(&got[..], &expected[..length]);
            prop_assert_eq!(was_cut, cut.is_some_and(|after| after <= expected.len() as u64));
            prop_assert_eq!(flow.discard(), (expected.len() - length) as u64);
        }
    }
}
