//! Runs the targets on their seeds and on mutations of the seeds, without a fuzzer.

use std::fs;
use std::path::Path;

/// Runs a target on each of its seeds, and on 2,000 pseudorandom mutations of each seed.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        target(&seed);
        seeds += 1;
        for _ in 0..2_000 {
            let mut mutated = seed.clone();
            for _ in 0..=random(3) {
                let at = random(mutated.len());
                match random(4) {
                    0 if !mutated.is_empty() => mutated[at] ^= 1 << random(8),
                    1 if !mutated.is_empty() => mutated.truncate(at),
                    2 => mutated.insert(at, random(256) as u8),
                    _ => {
                        let tail = mutated[at..].to_vec();
                        mutated.extend_from_slice(&tail[..tail.len().min(64)]);
                    }
                }
            }
            target(&mutated);
        }
    }
    assert!(seeds > 0, "{name} has no seeds");
}

#[test]
fn no_input_from_the_vectors_violates_a_property_of_its_target() {
    let inputs = crate::vector_inputs();
    assert!(inputs.len() > 400, "only {} inputs", inputs.len());
    for (target, id, bytes) in inputs {
        let target: fn(&[u8]) = match target {
            "datagram_decode" => crate::datagram_decode,
            "framer" => crate::framer,
            "inflate_capped" => crate::inflate_capped,
            "json_decode" => crate::json_decode,
            other => panic!("the vector {id} is for an unknown target, {other}"),
        };
        target(&bytes);
    }
}

macro_rules! replays {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), crate::$name);
        }
    )*};
}
replays!(
    compressed,
    datagram_decode,
    event_stream,
    framer,
    http_body,
    inflate_capped,
    json_decode,
    line_joiner,
    log_frames,
    log_terminal,
    reassembler_operations,
    round_trip
);
