//! Runs every vector except those of `http.json` on gelf-core, in strict and in lenient mode.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

use gelf_spec_tests::{Builtin, Demand, Nothing, Score, Selection, Served, embedded, run};

#[test]
fn gelf_core_passes_every_vector_except_those_for_http() {
    let topics = embedded().unwrap();
    let count: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    let mut subject = Served::new(Builtin::default());
    let results = run(&topics, &mut subject, None, Selection::default(), &mut |_, _| ()).unwrap();
    let failures: Vec<String> = results
        .unexpected()
        .map(|outcome| format!("{}: {}", outcome.label(), outcome.differences.join("; ")))
        .collect();
    assert!(failures.is_empty(), "{} unexpected results:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 490, "{count} vectors");
    assert_eq!(results.outcomes.len(), 2 * count);
}

#[test]
fn a_program_that_does_nothing_takes_nothing() {
    let topics = embedded().unwrap();
    let results = run(&topics, &mut Nothing::default(), None, Selection::default(), &mut |_, _| ()).unwrap();
    for topic in &topics {
        let of_topic = results.of_topic(topic);
        let Score { passed, asked } = Score::of(&of_topic, Demand::Take);
        assert!(passed == 0 && asked > 0, "{}: {passed} of {asked}", topic.topic);
        // A receiver meets the demand `refuse` if it delivers no message. A sender meets it only if it returns
        // an error, and this program returns none.
        let refused = Score::of(&of_topic, Demand::Refuse);
        let expected = if topic.topic == "encode" { 0 } else { refused.asked };
        assert_eq!(refused.passed, expected, "{}", topic.topic);
    }
    let whole = Score::of(&results.outcomes.iter().collect::<Vec<_>>(), Demand::Take);
    assert_eq!(whole, Score { passed: 0, asked: 225 });
}
