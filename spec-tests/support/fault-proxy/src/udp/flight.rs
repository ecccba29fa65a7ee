//! Datagrams in flight, without sockets and clock: decides which is passed when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::UdpCounters;
use super::plan::Fate;
use crate::Direction;

/// A client number and a direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) client: usize,
    pub(crate) direction: Direction,
}

/// A datagram to pass on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Departure {
    pub(crate) line: Line,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
struct Datagram {
    line: Line,
    number: u64,
    behind: u32,
    bytes: Vec<u8>,
}

/// A datagram that waits to be overtaken.
#[derive(Debug)]
struct Held {
    /// Latest time to pass it on.
    until: Instant,
    /// Number of datagrams that have overtaken it.
    overtaken: u32,
    datagram: Datagram,
}

/// The datagrams in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    max_datagrams: usize,
    max_bytes: usize,
    hold: Duration,
    bytes: usize,
    /// Datagrams by due time, then by order of arrival.
    waiting: BTreeMap<(Instant, u64), Datagram>,
    arrivals: u64,
    held: Vec<Held>,
    released: VecDeque<Datagram>,
}

impl Flight {
    /// Creates an empty set with limits on datagrams and bytes, and on the time that a datagram waits to be
    /// overtaken.
    pub(crate) fn new(max_datagrams: usize, max_bytes: usize, hold: Duration) -> Self {
        Self {
            max_datagrams,
            max_bytes,
            hold,
            bytes: 0,
            waiting: BTreeMap::new(),
            arrivals: 0,
            held: Vec::new(),
            released: VecDeque::new(),
        }
    }

    /// Returns the number of datagrams in flight.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.held.len() + self.released.len()
    }

    /// Adds a datagram with its number on the line.
    pub(crate) fn arrive(
        &mut self,
        line: Line,
        number: u64,
        bytes: &[u8],
        fate: &Fate,
        now: Instant,
        counters: &mut UdpCounters,
    ) {
        if fate.lost {
            counters.lost += 1;
            return;
        }
        let mut bytes = bytes.to_vec();
        if let Some((place, mask)) = fate.corrupt {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= mask;
                counters.corrupted += 1;
            }
        }
        if !fate.delay.is_zero() {
            counters.delayed += 1;
        }
        let copy = fate.copy.map(|delay| (delay, bytes.clone()));
        self.wait(Datagram { line, number, behind: fate.behind, bytes }, now + fate.delay, counters);
        if let Some((delay, bytes)) = copy {
            counters.duplicated += 1;
            self.wait(Datagram { line, number, behind: 0, bytes }, now + delay, counters);
        }
    }

    fn wait(&mut self, datagram: Datagram, due: Instant, counters: &mut UdpCounters) {
        if self.len() >= self.max_datagrams || self.bytes + datagram.bytes.len() > self.max_bytes {
            counters.over_limit += 1;
            return;
        }
        self.bytes += datagram.bytes.len();
        self.waiting.insert((due, self.arrivals), datagram);
        self.arrivals += 1;
    }

    /// Returns the time for the next call of [`next`](Self::next) after it returned `None`.
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        let held = self.held.iter().map(|held| held.until).min();
        waiting.into_iter().chain(held).min()
    }

    /// Removes the next datagram that is due.
    pub(crate) fn next(&mut self, now: Instant, counters: &mut UdpCounters) -> Option<Departure> {
        loop {
            if let Some(datagram) = self.released.pop_front() {
                return Some(self.depart(datagram, counters));
            }
            let waiting = self.waiting.keys().next().map(|(due, _)| *due).filter(|due| *due <= now);
            let held = self
                .held
                .iter()
                .enumerate()
                .map(|(place, held)| (held.until, place))
                .min()
                .filter(|(until, _)| *until <= now);
            match (waiting, held) {
                (_, Some((until, place))) if waiting.is_none_or(|due| until <= due) => {
                    let held = self.held.remove(place);
                    counters.reordered += u64::from(held.overtaken > 0);
                    return Some(self.depart(held.datagram, counters));
                }
                (Some(_), _) => {
                    let (_, datagram) = self.waiting.pop_first()?;
                    if datagram.behind == 0 {
                        return Some(self.depart(datagram, counters));
                    }
                    self.held.push(Held { until: now + self.hold, overtaken: 0, datagram });
                }
                _ => return None,
            }
        }
    }

    /// Removes a datagram, which may release those that it overtakes.
    fn depart(&mut self, datagram: Datagram, counters: &mut UdpCounters) -> Departure {
        for held in &mut self.held {
            if held.datagram.line == datagram.line && held.datagram.number < datagram.number {
                held.overtaken += 1;
            }
        }
        let (released, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held| held.overtaken >= held.datagram.behind);
        self.held = held;
        counters.reordered += released.len() as u64;
        self.released.extend(released.into_iter().map(|held| held.datagram));
        self.bytes -= datagram.bytes.len();
        Departure { line: datagram.line, bytes: datagram.bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const HOLD: Duration = Duration::from_millis(100);
    const LINE: Line = Line { client: 0, direction: Direction::ToTarget };

    struct Test {
        flight: Flight,
        counters: UdpCounters,
        start: Instant,
        next_number: u64,
    }

    impl Test {
        fn new() -> Self {
            Self {
                flight: Flight::new(100, 1_000, HOLD),
                counters: UdpCounters::default(),
                start: Instant::now(),
                next_number: 0,
            }
        }

        /// Adds a datagram of one byte, its number, after this many milliseconds.
        fn arrive(&mut self, at: u32, fate: Fate) {
            let number = self.next_number;
            self.next_number += 1;
            let now = self.start + MS * at;
            self.flight.arrive(LINE, number, &[number as u8], &fate, now, &mut self.counters);
        }

        /// Returns the datagrams passed after this many milliseconds.
        fn passed(&mut self, at: u32) -> Vec<u8> {
            let mut passed = Vec::new();
            while let Some(departure) = self.flight.next(self.start + MS * at, &mut self.counters) {
                passed.extend(departure.bytes);
            }
            passed
        }
    }

    fn behind(behind: u32) -> Fate {
        Fate { behind, ..Fate::default() }
    }

    fn late(ms: u32) -> Fate {
        Fate { delay: MS * ms, ..Fate::default() }
    }

    #[test]
    fn datagrams_without_faults_are_passed_in_order() {
        let mut test = Test::new();
        for _ in 0..3 {
            test.arrive(0, Fate::default());
        }
        assert_eq!(test.passed(0), [0, 1, 2]);
        assert_eq!((test.flight.due(), test.flight.len(), test.flight.bytes), (None, 0, 0));
        assert_eq!(test.counters, UdpCounters::default());
    }

    #[test]
    fn lost_datagrams_are_not_passed() {
        let mut test = Test::new();
        test.arrive(0, Fate { lost: true, ..Fate::default() });
        test.arrive(0, Fate::default());
        assert_eq!(test.passed(1_000), [1]);
        assert_eq!(test.counters, UdpCounters { lost: 1, ..UdpCounters::default() });
    }

    #[test]
    fn a_delayed_datagram_is_passed_on_time() {
        let mut test = Test::new();
        test.arrive(0, late(10));
        test.arrive(1, late(3));
        assert_eq!(test.passed(3), []);
        assert_eq!(test.flight.due(), Some(test.start + 4 * MS));
        assert_eq!(test.passed(4), [1]);
        assert_eq!(test.passed(9), []);
        assert_eq!(test.passed(10), [0]);
        assert_eq!(test.counters, UdpCounters { delayed: 2, ..UdpCounters::default() });
    }

    #[test]
    fn a_copy_has_its_own_delay() {
        let mut test = Test::new();
        test.arrive(0, Fate { copy: Some(5 * MS), ..Fate::default() });
        test.arrive(0, Fate { copy: Some(Duration::ZERO), ..Fate::default() });
        assert_eq!(test.passed(0), [0, 1, 1]);
        assert_eq!(test.passed(5), [0]);
        assert_eq!(test.counters, UdpCounters { duplicated: 2, ..UdpCounters::default() });
    }

    #[test]
    fn a_corrupted_datagram_and_its_copy_differ_in_that_bit() {
        let mut test = Test::new();
        let fate = Fate { corrupt: Some((0, 0x40)), copy: Some(Duration::ZERO), ..Fate::default() };
        test.arrive(0, fate);
        assert_eq!(test.passed(0), [0x40, 0x40]);
        assert_eq!(test.counters, UdpCounters { duplicated: 1, corrupted: 1, ..UdpCounters::default() });
    }

    #[test]
    fn a_reordered_datagram_is_overtaken_exactly_as_planned() {
        let mut test = Test::new();
        test.arrive(0, behind(2));
        test.arrive(0, Fate::default());
        assert_eq!(test.passed(0), [1]);
        test.arrive(0, Fate::default());
        test.arrive(0, Fate::default());
        assert_eq!(test.passed(0), [2, 0, 3]);
        assert_eq!(test.counters, UdpCounters { reordered: 1, ..UdpCounters::default() });
    }

    #[test]
    fn released_datagrams_release_others() {
        let mut test = Test::new();
        test.arrive(0, behind(2));
        test.arrive(0, behind(1));
        test.arrive(0, Fate::default());
        assert_eq!(test.passed(0), [2, 1, 0]);
        assert_eq!(test.counters.reordered, 2);
    }

    #[test]
    fn a_datagram_that_is_never_overtaken_is_passed_late() {
        let mut test = Test::new();
        test.arrive(0, behind(1));
        assert_eq!(test.passed(0), []);
        assert_eq!(test.flight.due(), Some(test.start + HOLD));
        assert_eq!(test.passed(99), []);
        assert_eq!(test.passed(100), [0]);
        assert_eq!(test.counters, UdpCounters::default(), "the datagram is not counted as reordered");
    }

    #[test]
    fn neither_another_line_nor_a_copy_overtakes() {
        let mut test = Test::new();
        test.arrive(0, Fate { behind: 1, copy: Some(Duration::ZERO), ..Fate::default() });
        for line in [Line { client: 1, ..LINE }, Line { direction: Direction::ToClient, ..LINE }] {
            test.flight.arrive(line, 9, &[9], &Fate::default(), test.start, &mut test.counters);
        }
        assert_eq!(test.passed(0), [0, 9, 9]);
        test.arrive(0, Fate::default());
        assert_eq!(test.passed(0), [1, 0]);
    }

    #[test]
    fn datagrams_in_flight_are_bounded() {
        let mut test = Test::new();
        for _ in 0..60 {
            test.arrive(0, Fate { copy: Some(Duration::ZERO), ..Fate::default() });
        }
        assert_eq!((test.flight.len(), test.counters.over_limit), (100, 20));
        assert_eq!(test.passed(0).len(), 100);
        let large = [0; 600];
        for _ in 0..2 {
            test.flight.arrive(LINE, 99, &large, &Fate::default(), test.start, &mut test.counters);
        }
        assert_eq!((test.flight.len(), test.counters.over_limit), (1, 21));
    }

    fn any_fate() -> impl Strategy<Value = Fate> {
        let delay = || (0u32..30).prop_map(|ms| MS * ms);
        (prop::bool::weighted(0.1), 0u32..4, delay(), prop::option::of(delay()))
            .prop_map(|(lost, behind, delay, copy)| Fate { lost, behind, corrupt: None, delay, copy })
    }

    proptest! {
        #[test]
        fn every_datagram_is_passed_or_counted(
            fates in prop::collection::vec((any_fate(), 0u32..5), 1..80),
            max_datagrams in 1usize..100,
        ) {
            let mut test = Test::new();
            test.flight.max_datagrams = max_datagrams;
            let mut at = 0;
            let mut passed = Vec::new();
            for (fate, wait) in &fates {
                at += wait;
                test.arrive(at, *fate);
                prop_assert!(test.flight.len() <= max_datagrams);
                passed.extend(test.passed(at));
                let now = test.start + MS * at;
                prop_assert!(test.flight.due().is_none_or(|due| due > now), "all due datagrams were passed");
            }
            passed.extend(test.passed(at + 31));
            passed.extend(test.passed(at + 31 + 100));
            prop_assert_eq!((test.flight.len(), test.flight.bytes), (0, 0));
            let counters = test.counters;
            prop_assert_eq!(
                fates.len() as u64 + counters.duplicated,
                passed.len() as u64 + counters.lost + counters.over_limit
            );
            for (number, (fate, _)) in fates.iter().enumerate() {
                let count = passed.iter().filter(|passed| usize::from(**passed) == number).count();
                let wanted = match fate { Fate { lost: true, .. } => 0, Fate { copy: Some(_), .. } => 2, _ => 1 };
                prop_assert!(count <= wanted);
                prop_assert!(count == wanted || counters.over_limit > 0);
            }
        }
    }
}
