//! Runs `gelf-conformance bench`, and runs `gelf-conformance fuzz` on gelf-core and on subjects with known
//! bugs.

use std::time::Duration;

use gelf_spec_tests::{Builtin, HostileOptions, Process, Results, Verdict, embedded, fuzz, load};

use crate::support::{Folder, conformance, example, results, text};

/// Returns the command of a subject with a bug.
fn broken(bug: &str) -> String {
    format!("{} {bug}", example("broken_subject"))
}

/// Fuzzes a subject with a bug. Then runs the vector of the finding on the subject and on gelf-core. Returns
/// the results of the subject, and the size of the vector's input in bytes.
fn found(bug: &str, timeout: Duration) -> (Results, usize) {
    let folder = Folder::new(bug);
    let output = conformance()
        .args(["fuzz", "--subject", &broken(bug), "--cases", "20000", "--findings", "1", "--seed", "3"])
        .args(["--timeout", &timeout.as_secs().to_string(), "--out"])
        .arg(folder.0.join("findings"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("FUZZ-3-1"), "{}", text(&output));

    let topics = load(&folder.0.join("findings")).unwrap();
    let vector = &topics[0].vectors[0];
    assert_eq!((topics.len(), topics[0].vectors.len(), vector.id.as_str()), (1, 1, "FUZZ-3-1"));
    let size = vector.input().unwrap().parts().iter().map(|part| part.len()).sum();
    assert!(results(&topics, &mut Builtin::default(), None).is_expected());
    (results(&topics, &mut Process::start(&broken(bug), timeout).unwrap(), None), size)
}

#[test]
fn gelf_core_has_no_findings() {
    let options = HostileOptions { cases: Some(2000), ..Default::default() };
    let mut start = || Ok(Box::new(Builtin::default()) as Box<dyn gelf_spec_tests::Subject>);
    let results = fuzz(&embedded().unwrap(), &mut start, &options, &mut |_, _| {}).unwrap();
    assert!(results.findings.is_empty(), "{:?}", results.findings);
    assert_eq!((results.cases, results.skipped), (2000, 0));
    assert!(results.valid > 200, "{}", results.valid);
}

#[test]
fn gelf_core_gives_the_same_results_over_the_protocol() {
    let folder = Folder::new("own");
    let own = format!("'{}' subject", env!("CARGO_BIN_EXE_gelf-conformance"));
    let output = conformance()
        .args(["fuzz", "--subject", &own, "--cases", "500", "--seed", "2", "--timeout", "60", "--out"])
        .arg(folder.0.join("findings"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).starts_with("seed 2: 500 cases"), "{}", text(&output));
    assert!(!folder.0.join("findings").exists(), "no finding is written");
}

#[test]
fn a_fault_becomes_a_vector_of_at_most_64_bytes() {
    for (bug, verdict, most_bytes) in [
        // The subject crashes on a name with `q`, as in {"short_message":"m","q":1}, 27 bytes.
        ("panic", Verdict::Crashes, 40),
        // A minimised finding has the same fault as the original one, here in a message that is valid GELF 1.1.
        // Such a message has at least 48 bytes.
        ("lose", Verdict::Fails, 64),
        ("invent", Verdict::Fails, 40),
    ] {
        let (results, size) = found(bug, Duration::from_secs(20));
        assert!(results.count(verdict) >= 1, "{bug}: {results:?}");
        assert!(size <= most_bytes, "{bug}: {size} bytes");
    }
}

#[test]
fn a_hang_becomes_a_vector_of_one_chunk() {
    let (results, size) = found("hang", Duration::from_secs(2));
    assert!(results.count(Verdict::NoAnswer) >= 1, "{results:?}");
    assert_eq!(size, 12);
}

#[test]
fn a_run_has_at_least_one_case() {
    for option in ["--cases", "--findings"] {
        let output = conformance().args(["fuzz", option, "0"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}: {}", text(&output));
    }
    let output = conformance().args(["fuzz", "--for", "0.001ms"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).starts_with("seed 1: 1 cases"), "{}", text(&output));
}

#[test]
fn bench_reports_the_cost_of_the_protocol() {
    let output = conformance().args(["bench", "--for", "50ms"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    for words in ["empty request", "receive, gzip", "receive, chunked", "send", "The floor is gelf-core"] {
        assert!(text(&output).contains(words), "{words} in {}", text(&output));
    }
}
