//! Runs every vector, strict and lenient, on gelf-core.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

use gelf_spec_tests::{Builtin, Selection, embedded, run};

#[test]
fn gelf_core_passes_every_vector() {
    let topics = embedded().unwrap();
    let count: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    let mut subject = Builtin::default();
    let results = run(&topics, &mut subject, None, Selection::default(), &mut |_, _| ()).unwrap();
    let failures: Vec<String> = results
        .unexpected()
        .map(|outcome| format!("{}: {}", outcome.label(), outcome.differences.join("; ")))
        .collect();
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 490, "{count} vectors");
    assert_eq!(results.outcomes.len(), 2 * count);
}
