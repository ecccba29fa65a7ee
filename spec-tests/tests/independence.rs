//! Compares the verdicts on a subject that does not use gelf-core with the known verdicts.
//! `scripts/check-mutations` also runs this test with a fault in gelf-core, which must not change the
//! verdicts.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gelf_spec_tests::{Process, Selection, Verdict, embedded, run};

#[test]
fn the_verdicts_on_a_subject_do_not_depend_on_gelf_core() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let command = format!("python3 '{}'", examples.join("plain_subject.py").display());
    let mut subject = Process::start(&command, Duration::from_secs(60)).unwrap();
    let results =
        run(&embedded().unwrap(), &mut subject, None, Selection::default(), &mut |_, _| ()).unwrap();
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for outcome in results.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Passes) {
        found.entry(outcome.verdict.word()).or_default().push(&outcome.id);
    }
    let known = std::fs::read_to_string(examples.join("plain_subject.json")).unwrap();
    let known: BTreeMap<&str, Vec<&str>> = serde_json::from_str(&known).unwrap();
    assert_eq!(found, known, "{}", serde_json::to_string(&found).unwrap());
}
