//! Tests of the oracle: messages are classified and counted exactly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use message_oracle::{Message, Messages, Oracle};
use proptest::prelude::*;

const SEED: u64 = 42;

#[test]
fn a_report_lists_only_events_that_occurred() {
    let messages = Messages::new(SEED);
    for (numbers, report, is_complete, is_exact) in [
        (&[0, 1, 2, 3, 4][..], "5 expected, 5 arrived, 5 delivered", true, true),
        (&[1, 3], "5 expected, 2 arrived, 2 delivered\n3 lost: 3.0, 3.2, 3.4", false, false),
        (
            &[0, 1, 2, 2, 3, 4, 2, 0],
            "5 expected, 8 arrived, 5 delivered\n3 duplicated: 3.2, 3.2, 3.0",
            true,
            false,
        ),
        (&[0, 3, 1, 2, 4], "5 expected, 5 arrived, 5 delivered\n2 reordered: 3.1, 3.2", true, false),
        (&[0, 1, 2, 3, 4, 9], "5 expected, 6 arrived, 5 delivered\n1 unexpected: 3.9", false, false),
    ] {
        let mut oracle = Oracle::new(SEED);
        oracle.expect(3, 0..5);
        numbers.iter().for_each(|number| oracle.arrived(&messages.text(3, *number)));
        assert_eq!(oracle.report().to_string(), report);
        assert_eq!((oracle.report().is_complete(), oracle.report().is_exact()), (is_complete, is_exact));
    }
}

#[test]
fn an_altered_message_is_lost_until_it_arrives_intact() {
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..1);
    let whole = Messages::new(SEED).text(0, 0);
    oracle.arrived(&whole.replacen('.', ",", 1));
    oracle.arrived(&Messages::new(SEED + 1).text(0, 0));
    assert_eq!((oracle.report().lost, oracle.report().altered, oracle.has_all()), (1, 2, false));
    oracle.arrived(&whole);
    assert_eq!((oracle.report().lost, oracle.report().altered, oracle.has_all()), (0, 2, true));
}

#[test]
fn messages_beyond_the_limit_are_counted_and_not_stored() {
    let messages = Messages::new(SEED);
    let mut oracle = Oracle::new(SEED).max_messages(2);
    oracle.expect(0, 0..5);
    // Numbers 2 and 3 are kept as unexpected. A number that is kept is still compared.
    [2, 3, 4, 0, 1, 3].iter().for_each(|number| oracle.arrived(&messages.text(0, *number)));
    let report = oracle.report();
    assert_eq!((report.expected, report.delivered, report.unexpected, report.duplicated), (2, 2, 2, 1));
    assert_eq!((report.overflowed, report.is_complete(), oracle.has_all()), (4, false, true));
    assert!(report.to_string().ends_with("\n4 beyond the limit of the oracle, not compared"), "{report}");
    oracle.expect(1, 0..u64::MAX);
    assert_eq!(oracle.report().overflowed, u64::MAX);
}

#[test]
fn a_report_lists_at_most_eight_events_of_a_kind() {
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..1_000);
    let report = oracle.report().to_string();
    assert!(report.ends_with("1000 lost: 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7"), "{report}");
}

#[test]
fn changed_texts_are_not_messages() {
    let text: Vec<char> = Messages::new(0xabc).text(10, 200).chars().collect();
    let is_message = |text: &[char]| Message::parse(&text.iter().collect::<String>()).is_some();
    assert!(is_message(&text));
    for place in 0..text.len() {
        for other in ['0', '1', 'f', 'F', '+', '.', 'a', '?', '\u{fffd}'] {
            let mut changed = text.clone();
            changed[place] = other;
            assert_eq!(is_message(&changed), changed == text, "{changed:?}");
        }
        let mut shorter = text.clone();
        shorter.remove(place);
        let mut longer = text.clone();
        longer.insert(place, text[place]);
        assert!(![&shorter, &longer, &text[..place], &text[place + 1..]].into_iter().any(&is_message));
    }
    for head in ["0", "+"] {
        let head: Vec<char> = head.chars().chain(text.iter().copied()).collect();
        assert!(!is_message(&head), "a number has one notation: {head:?}");
    }
}

/// An arrival: a message, intact or with a changed character.
#[derive(Clone, Debug)]
struct Step {
    place: (u32, u64),
    altered_at: Option<prop::sample::Index>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let altered_at = prop::option::weighted(0.1, any::<prop::sample::Index>());
    ((0u32..3, 0u64..60), altered_at).prop_map(|(place, altered_at)| Step { place, altered_at })
}

proptest! {
    #[test]
    fn every_text_contains_its_identity(seed: u64, stream: u32, number: u64, least in 0usize..300, more in 0usize..300) {
        let text = Messages::new(seed).lengths(least..=least + more).text(stream, number);
        prop_assert_eq!(Message::parse(&text), Some(Message { seed, stream, number }));
        let length = text.splitn(4, '.').nth(3).unwrap().len();
        prop_assert!((least.max(16)..=(least + more).max(16)).contains(&length));
    }

    #[test]
    fn halves_of_two_messages_do_not_match(cut: prop::sample::Index, other in 1u64..1_000) {
        let messages = Messages::new(1).lengths(50..=50);
        let (one, two) = (messages.text(0, 1_000), messages.text(0, 1_000 + other));
        let at = 10 + cut.index(40);
        prop_assert_eq!(Message::parse(&format!("{}{}", &one[..at], &two[at..])), None);
    }

    #[test]
    fn parse_accepts_any_text(text: String) {
        prop_assert_eq!(Message::parse(&text), None);
    }

    #[test]
    fn every_count_matches_a_model(
        steps in prop::collection::vec(any_step(), 0..200),
        sent in prop::collection::vec(0u64..60, 3),
        expected_first: bool,
    ) {
        let messages = Messages::new(SEED);
        let mut oracle = Oracle::new(SEED);
        let expected: BTreeSet<(u32, u64)> =
            (0..).zip(&sent).flat_map(|(stream, count)| (0..*count).map(move |number| (stream, number))).collect();
        let expect = |oracle: &mut Oracle| (0..).zip(&sent).for_each(|(stream, count)| oracle.expect(stream, 0..*count));
        if expected_first {
            expect(&mut oracle);
        }
        let mut arrived = BTreeSet::new();
        let mut highest = BTreeMap::new();
        let (mut duplicated, mut reordered, mut altered) = (0, 0, 0);
        for Step { place: (stream, number), altered_at } in &steps {
            let mut text = messages.text(*stream, *number);
            if let Some(index) = altered_at {
                let at = index.index(text.len());
                text.replace_range(at..=at, "!");
                altered += 1;
            } else if !arrived.insert((*stream, *number)) {
                duplicated += 1;
            } else {
                let highest = highest.entry(*stream).or_insert(0);
                reordered += u64::from(number < highest);
                *highest = (*highest).max(*number);
            }
            oracle.arrived(&text);
        }
        // Messages may be expected after their arrival, and twice.
        expect(&mut oracle);
        let report = oracle.report();
        prop_assert_eq!(report.expected, expected.len() as u64);
        prop_assert_eq!(report.arrived, steps.len() as u64);
        prop_assert_eq!(report.delivered, expected.intersection(&arrived).count() as u64);
        prop_assert_eq!(report.lost, expected.difference(&arrived).count() as u64);
        prop_assert_eq!(report.unexpected, arrived.difference(&expected).count() as u64);
        prop_assert_eq!((report.duplicated, report.reordered, report.altered), (duplicated, reordered, altered));
        prop_assert_eq!(oracle.has_all(), report.lost == 0);
    }
}
