//! Every vector, strict and lenient, on gelf-core.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

use std::path::Path;

use gelf_spec_tests::{Builtin, Mode, Request, Subject, judge, load};

#[test]
fn gelf_core_makes_of_every_vector_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let topics = load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut failures = Vec::new();
    let mut count = 0;
    for topic in &topics {
        println!("{:<14} {:>4}", topic.topic, topic.vectors.len());
        for vector in &topic.vectors {
            count += 1;
            for mode in [Mode::Strict, Mode::Lenient] {
                let answer = Builtin.ask(Request::of(vector, mode).unwrap());
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", vector.id));
                for difference in judge(vector.expected(mode), &answer) {
                    failures.push(format!("{} {mode:?} ({}): {difference}", vector.id, vector.title));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 490, "{count} vectors");
}
