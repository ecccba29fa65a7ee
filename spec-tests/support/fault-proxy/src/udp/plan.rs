//! Faults of datagrams.

use std::time::Duration;

use crate::Direction;
use crate::generator::Generator;

/// Faults of datagrams in both directions. By default, datagrams are passed unchanged and at once.
///
/// A probability is from 0, never, to 1, always; NaN is 0. Each fault is drawn independently.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UdpPlan {
    loss: f64,
    duplication: f64,
    reordering: f64,
    depth: u32,
    corruption: f64,
    least_delay: Duration,
    most_delay: Duration,
}

impl UdpPlan {
    /// Creates a plan that passes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses datagrams with this probability. Default: 0.
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }

    /// Passes datagrams twice with this probability. Default: 0. The copy has its own delay and is never held
    /// back to be overtaken.
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = probability;
        self
    }

    /// Holds datagrams back with this probability until 1 to `depth` later ones of the same client and
    /// direction have been passed, or for [`UdpOptions::reorder_hold`](crate::UdpOptions::reorder_hold).
    /// Default: 0. A depth of 0 holds nothing back.
    pub fn reordering(mut self, probability: f64, depth: u32) -> Self {
        self.reordering = probability;
        self.depth = depth;
        self
    }

    /// Flips one bit of a datagram with this probability. Default: 0. An empty datagram has no bit to flip.
    pub fn corruption(mut self, probability: f64) -> Self {
        self.corruption = probability;
        self
    }

    /// Delays datagrams. Default: 0.
    pub fn delay(self, delay: Duration) -> Self {
        self.delay_between(delay, delay)
    }

    /// Delays datagrams by a time between these two. Default: 0. Datagrams with different delays may overtake
    /// each other.
    pub fn delay_between(mut self, least: Duration, most: Duration) -> Self {
        self.least_delay = least;
        self.most_delay = most.max(least);
        self
    }

    /// Returns the fate of a datagram under this plan, in a proxy with this seed.
    ///
    /// `client` numbers the clients from 0 in order of appearance; `number` numbers the datagrams of a client
    /// from 0 in each direction; `length` is that of the datagram in bytes. The fate depends on nothing else,
    /// and one fault of the plan does not affect the others.
    pub fn fate(&self, seed: u64, client: u64, direction: Direction, number: u64, length: usize) -> Fate {
        let mut generator = Generator::keyed(&[seed, client, direction as u64, number]);
        // Every fate draws the same number of values.
        let lost = generator.chance(self.loss);
        let duplicated = generator.chance(self.duplication);
        let corrupted = generator.chance(self.corruption);
        let place = generator.below(length as u64);
        let bit = generator.below(8);
        let reordered = generator.chance(self.reordering);
        let behind = generator.below(u64::from(self.depth));
        let delay = self.draw_delay(&mut generator);
        let copy_delay = self.draw_delay(&mut generator);
        Fate {
            lost,
            behind: if !lost && reordered && self.depth > 0 { 1 + behind as u32 } else { 0 },
            corrupt: (!lost && corrupted && length > 0).then_some((place as usize, 1 << bit)),
            delay,
            copy: (!lost && duplicated).then_some(copy_delay),
        }
    }

    fn draw_delay(&self, generator: &mut Generator) -> Duration {
        let most = self.most_delay - self.least_delay;
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        self.least_delay + Duration::from_nanos(generator.below(nanos.saturating_add(1)))
    }
}

/// Fate of a datagram.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fate {
    /// Whether it is lost. The other faults do not apply then.
    pub lost: bool,
    /// Number of later datagrams to pass before it; 0 if it keeps its place.
    pub behind: u32,
    /// Index of the byte to corrupt, and the mask of the bits to flip.
    pub corrupt: Option<(usize, u8)>,
    /// Delay.
    pub delay: Duration,
    /// Delay of the copy, if there is one. The copy is corrupted in the same direction.
    pub copy: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(plan: &UdpPlan, seed: u64) -> Vec<Fate> {
        (0..10_000).map(|number| plan.fate(seed, 0, Direction::ToTarget, number, 100)).collect()
    }

    #[test]
    fn an_empty_plan_has_no_faults() {
        assert!(fates(&UdpPlan::new(), 1).iter().all(|fate| *fate == Fate::default()));
    }

    #[test]
    fn faults_with_probability_1_always_occur() {
        assert!(
            fates(&UdpPlan::new().loss(1.0), 1)
                .iter()
                .all(|fate| *fate == Fate { lost: true, ..Fate::default() })
        );
        let delay = Duration::from_millis(5);
        let plan = UdpPlan::new().duplication(1.0).corruption(1.0).reordering(1.0, 3).delay(delay);
        for fate in fates(&plan, 1) {
            assert!(!fate.lost);
            assert!((1..=3).contains(&fate.behind));
            let (place, mask) = fate.corrupt.unwrap();
            assert!(place < 100 && mask.count_ones() == 1);
            assert_eq!((fate.delay, fate.copy), (delay, Some(delay)));
        }
        assert_eq!(plan.fate(1, 0, Direction::ToTarget, 0, 0).corrupt, None, "an empty datagram has no bits");
        assert_eq!(UdpPlan::new().reordering(1.0, 0).fate(1, 0, Direction::ToTarget, 0, 1).behind, 0);
    }

    #[test]
    fn faults_are_as_frequent_as_planned() {
        let all = fates(&UdpPlan::new().loss(0.1).duplication(0.2).corruption(0.3).reordering(0.4, 5), 3);
        let kept = all.iter().filter(|fate| !fate.lost).count();
        let count = |wanted: fn(&Fate) -> bool| all.iter().filter(|fate| wanted(fate)).count();
        // Within four standard deviations. The seed is fixed, so the result is, too.
        let assert_share = |count: usize, of: usize, share: f64| {
            let deviation = (of as f64 * share * (1.0 - share)).sqrt();
            let distance = (count as f64 - of as f64 * share).abs();
            assert!(distance <= 4.0 * deviation, "{count} of {of} is not {share}");
        };
        assert_share(count(|fate| fate.lost), all.len(), 0.1);
        assert_share(count(|fate| fate.copy.is_some()), kept, 0.2);
        assert_share(count(|fate| fate.corrupt.is_some()), kept, 0.3);
        assert_share(count(|fate| fate.behind > 0), kept, 0.4);
        assert_share(count(|fate| fate.behind == 5), kept, 0.08);
    }

    #[test]
    fn a_fault_does_not_change_the_others() {
        let lost = |plan: &UdpPlan| fates(plan, 9).iter().map(|fate| fate.lost).collect::<Vec<_>>();
        let plan = UdpPlan::new().loss(0.5);
        let with_more =
            plan.duplication(0.5).corruption(0.5).reordering(0.5, 9).delay(Duration::from_secs(1));
        assert_eq!(lost(&plan), lost(&with_more));
    }

    #[test]
    fn a_fate_depends_on_seed_client_direction_and_number() {
        let plan = UdpPlan::new().loss(0.5);
        let row = |seed, client, direction| -> Vec<bool> {
            (0..64).map(|number| plan.fate(seed, client, direction, number, 1).lost).collect()
        };
        let rows = [
            row(1, 0, Direction::ToTarget),
            row(2, 0, Direction::ToTarget),
            row(1, 1, Direction::ToTarget),
            row(1, 0, Direction::ToClient),
        ];
        for (place, one) in rows.iter().enumerate() {
            assert!(!rows[place + 1..].contains(one));
        }
        assert_eq!(row(1, 0, Direction::ToTarget), rows[0]);
    }

    #[test]
    fn delays_fill_their_range() {
        let (least, most) = (Duration::from_millis(10), Duration::from_millis(20));
        let all = fates(&UdpPlan::new().delay_between(least, most), 1);
        assert!(all.iter().all(|fate| (least..=most).contains(&fate.delay)));
        let ms = Duration::from_millis(1);
        assert!(all.iter().any(|fate| fate.delay < least + ms));
        assert!(all.iter().any(|fate| fate.delay > most - ms));
        let swapped = UdpPlan::new().delay_between(most, least);
        assert_eq!(swapped, UdpPlan::new().delay(most), "a maximum below the minimum counts as the minimum");
    }
}
