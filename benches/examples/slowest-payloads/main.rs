//! Decodes many payloads of about 8 MiB, and prints the slowest ones with the processor time of the thread in
//! milliseconds. Some payloads repeat one unit. The others are random mixtures, in which a processor predicts
//! fewer branches.
//!
//! `cargo run --release -p gelf-benches --example slowest-payloads [MIXTURES [SEED]]`
//!
//! A payload is decoded leniently and strictly, and the longer time counts. The same seed gives the same
//! mixtures.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a broken measurement may panic")]

mod payloads;
mod random;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use gelf_core::Decoder;
use payloads::Payload;
use rustix::time::{ClockId, clock_gettime};

/// The number of payloads that are measured again with more repetitions, and printed.
const PRINTED: usize = 30;
/// The processor time, in milliseconds, that no payload of 8 MiB should exceed.
const BOUND: f64 = 10.0;

fn main() {
    // After this, glibc keeps the memory of long texts and uses it again, as in a process that has received
    // long messages. Otherwise the time to get new memory from the system would count.
    drop(black_box(vec![1_u8; 31 << 20]));
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let mixtures: u64 = arguments.next().unwrap_or(1000);
    let seed: u64 = arguments.next().unwrap_or(1);
    let units = payloads::units().map(|unit| (None, unit));
    let mixtures = (0..mixtures).map(|number| (Some(number), payloads::mixture(seed, number)));
    let mut slowest: Vec<Measured> = Vec::new();
    let mut of_shapes = BTreeMap::<String, f64>::new();
    let (mut all, mut above) = (0, 0);
    for (number, payload) in units.chain(mixtures) {
        let (milliseconds, outcome) = measure(&payload.bytes, 3);
        all += 1;
        above += usize::from(milliseconds > BOUND);
        let of_shape = of_shapes.entry(payload.shape.clone()).or_default();
        *of_shape = of_shape.max(milliseconds);
        slowest.push(Measured { milliseconds, number, outcome, payload });
        slowest.sort_by(|one, other| other.milliseconds.total_cmp(&one.milliseconds));
        slowest.truncate(PRINTED);
    }
    println!("{all} payloads, {above} above {BOUND} ms at the first measurement\n");
    println!("{:>6}  slowest of a shape", "ms");
    for (shape, milliseconds) in of_shapes {
        println!("{milliseconds:6.2}  {shape}");
    }
    println!("\n{:>6} {:>7}  slowest payloads, best of 15", "ms", "mixture");
    for known in &mut slowest {
        known.milliseconds = measure(&known.payload.bytes, 15).0;
    }
    slowest.sort_by(|one, other| other.milliseconds.total_cmp(&one.milliseconds));
    for Measured { milliseconds, number, outcome, payload } in slowest {
        let number = number.map_or_else(|| "unit".to_owned(), |number| number.to_string());
        println!("{milliseconds:6.2} {number:>7}  {outcome}  {}", payload.description);
    }
}

struct Measured {
    milliseconds: f64,
    number: Option<u64>,
    outcome: String,
    payload: Payload,
}

/// Decodes the payload `times` times in each mode. Returns the values of the slower mode: its shortest time, in
/// milliseconds, and its outcome.
fn measure(payload: &[u8], times: usize) -> (f64, String) {
    let modes = [Decoder::lenient(), Decoder::strict()].map(|decoder| measure_mode(decoder, payload, times));
    modes.into_iter().max_by(|one, other| one.0.total_cmp(&other.0)).expect("two modes")
}

fn measure_mode(mut decoder: Decoder, payload: &[u8], times: usize) -> (f64, String) {
    let mut best = Duration::MAX;
    let mut outcome = String::new();
    for _ in 0..times {
        let start = processor_time();
        // Freeing the message is part of the work.
        outcome = match black_box(decoder.decode(black_box(payload))) {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        best = best.min(processor_time() - start);
    }
    (best.as_secs_f64() * 1e3, outcome)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}
