//! Measures the processor time of this thread. The variants take turns, so that other load on the machine
//! affects all variants equally.

use rustix::time::{ClockId, clock_gettime};

/// A measured variant.
pub(crate) struct Variant<'a> {
    name: &'a str,
    work: Box<dyn FnMut() + 'a>,
    /// The time of each round in nanoseconds.
    rounds: Vec<f64>,
}

/// Variants of the same work. Each variant is compared with the first variant.
pub(crate) struct Table<'a> {
    title: &'a str,
    /// The number of messages in one round of one variant.
    messages: usize,
    variants: Vec<Variant<'a>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(title: &'a str, messages: usize) -> Self {
        Self { title, messages, variants: Vec::new() }
    }

    pub(crate) fn variant(mut self, name: &'a str, work: impl FnMut() + 'a) -> Self {
        self.variants.push(Variant { name, work: Box::new(work), rounds: Vec::new() });
        self
    }

    /// Runs every variant once to warm up, and then all variants in turns. For each variant, prints the
    /// median time, and the median of the ratios to the time of the first variant in the same round.
    pub(crate) fn run(mut self, rounds: usize) {
        for variant in &mut self.variants {
            (variant.work)();
        }
        for _ in 0..rounds {
            for variant in &mut self.variants {
                let before = thread_nanos();
                (variant.work)();
                variant.rounds.push(thread_nanos() - before);
            }
        }
        println!("\n{}\n{:<34} {:>10} {:>22}", self.title, "", "ns/message", "of the first (p10-p90)");
        let first = self.variants.first().map(|variant| variant.rounds.clone()).unwrap_or_default();
        for variant in &self.variants {
            let ratios = sorted(variant.rounds.iter().zip(&first).map(|(own, first)| own / first).collect());
            let median = at(&sorted(variant.rounds.clone()), 50) / self.messages as f64;
            println!(
                "{:<34} {median:>10.0} {:>10.2} ({:.2}-{:.2})",
                variant.name,
                at(&ratios, 50),
                at(&ratios, 10),
                at(&ratios, 90)
            );
        }
    }
}

fn thread_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
