//! Tests of the oracle: messages are classified and counted exactly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use message_oracle::{
    Arrival, Content, FIRST_FEW, MAX_RANGES, MAX_STREAMS, Messages, Oracle, Place, Report, Run,
};
use proptest::prelude::*;

const SEED: u64 = 42;

fn place(stream: u32, number: u64) -> Place {
    Place { stream, number }
}

/// Returns the report after these of ten messages of stream 3 have arrived.
fn report(numbers: &[u64]) -> Report {
    let messages = Messages::new(SEED);
    let mut oracle = Oracle::new(SEED);
    oracle.expect(3, 0..10);
    for number in numbers {
        oracle.arrived(&messages.text(3, *number));
    }
    oracle.report()
}

/// Returns a report with these counts and without lists.
fn counts(expected: u64, arrived: u64, delivered: u64) -> Report {
    let mut report = Report::default();
    (report.expected, report.arrived, report.delivered) = (expected, arrived, delivered);
    report
}

#[test]
fn messages_that_arrive_once_and_in_order_are_exact() {
    let report = report(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(report, counts(10, 10, 10));
    assert!(report.is_exact() && report.is_complete());
}

#[test]
fn missing_messages_are_lost() {
    let mut expected = counts(10, 5, 5);
    expected.lost = 5;
    expected.first_lost = [0..=0, 3..=5, 9..=9].map(|numbers| Run { stream: 3, numbers }).into();
    assert_eq!(report(&[1, 2, 6, 7, 8]), expected);
    assert!(!expected.is_complete());
}

#[test]
fn each_repeated_arrival_is_a_duplicate() {
    let mut expected = counts(10, 13, 10);
    expected.duplicated = 3;
    expected.first_duplicated = vec![place(3, 4), place(3, 4), place(3, 0)];
    assert_eq!(report(&[0, 1, 2, 3, 4, 4, 5, 6, 4, 7, 8, 9, 0]), expected);
    assert!(expected.is_complete() && !expected.is_exact());
}

#[test]
fn messages_after_a_higher_number_are_reordered() {
    let mut expected = counts(10, 10, 10);
    expected.reordered = 3;
    expected.first_reordered = vec![place(3, 1), place(3, 2), place(3, 8)];
    assert_eq!(report(&[0, 3, 1, 2, 4, 5, 6, 7, 9, 8]), expected);
    assert!(expected.is_complete() && !expected.is_exact());
}

#[test]
fn unexpected_messages_are_reported() {
    let mut expected = counts(10, 13, 10);
    expected.unexpected = 3;
    expected.first_unexpected = [10..=11, 20..=20].map(|numbers| Run { stream: 3, numbers }).into();
    assert_eq!(report(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20]), expected);
    assert!(!expected.is_complete());
}

#[test]
fn an_altered_message_is_lost_until_it_arrives_intact() {
    let messages = Messages::new(SEED).lengths(1_000..=1_000);
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..1);
    let whole = messages.text(0, 0);
    let altered = whole.replacen('.', ",", 1);
    assert_eq!(oracle.arrived(&altered), Arrival::Altered);
    let report = oracle.report();
    assert_eq!((report.lost, report.altered), (1, 1));
    assert_eq!(report.first_altered, [altered[..200].to_owned()]);
    assert_eq!(oracle.lost(0).collect::<Vec<_>>(), [0..=0]);
    assert!(!oracle.has_all());
    assert_eq!(oracle.arrived(&whole), Arrival::New(place(0, 0)));
    assert_eq!((oracle.report().lost, oracle.report().altered), (0, 1));
    assert!(oracle.has_all());
}

#[test]
fn messages_of_another_seed_are_foreign() {
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..1);
    let arrival = oracle.arrived(&Messages::new(1).text(0, 0));
    assert!(matches!(arrival, Arrival::Foreign(message) if message.seed == 1 && message.number == 0));
    let report = oracle.report();
    assert_eq!((report.foreign, report.lost, report.delivered), (1, 1, 0));
}

#[test]
fn streams_do_not_disturb_each_other() {
    let messages = Messages::new(SEED).content(Content::Hostile);
    let mut oracle = Oracle::new(SEED);
    for number in 0..100 {
        for stream in [7, 0, u32::MAX] {
            assert_eq!(oracle.arrived(&messages.text(stream, number)), Arrival::New(place(stream, number)));
        }
    }
    // Messages may be expected after their arrival, and in parts.
    for stream in [0, 7, u32::MAX] {
        oracle.expect(stream, 50..100);
        oracle.expect(stream, 0..50);
    }
    assert_eq!(oracle.report(), counts(300, 300, 300));
    assert_eq!(oracle.lost(1).count(), 0, "an unknown stream");
}

#[test]
fn a_report_lists_only_the_first_events() {
    let messages = Messages::new(SEED);
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..1_000);
    for number in (0..1_000).step_by(2) {
        oracle.arrived(&messages.text(0, number));
        oracle.arrived(&messages.text(0, number));
        oracle.arrived("something");
    }
    let report = oracle.report();
    assert_eq!((report.lost, report.duplicated, report.altered), (500, 500, 500));
    let lost: Vec<Run> = (0..8).map(|run| Run { stream: 0, numbers: 2 * run + 1..=2 * run + 1 }).collect();
    assert_eq!(report.first_lost, lost);
    assert_eq!((report.first_duplicated.len(), report.first_altered.len()), (FIRST_FEW, FIRST_FEW));
    assert_eq!(oracle.lost(0).count(), 500);
}

#[test]
fn messages_in_any_order_are_counted() {
    const COUNT: u64 = 100_000;
    let messages = Messages::new(SEED).lengths(16..=20);
    let mut oracle = Oracle::new(SEED);
    oracle.expect(0, 0..COUNT);
    // 7,919 is coprime to the count, so each number arrives once.
    for step in 0..COUNT {
        let number = step * 7_919 % COUNT;
        if number % 1_000 != 999 {
            oracle.arrived(&messages.text(0, number));
        }
        assert!(oracle.ranges() <= 50_000);
    }
    let report = oracle.report();
    assert_eq!((report.delivered, report.lost, report.duplicated), (99_900, 100, 0));
    assert_eq!(report.first_lost[1], Run { stream: 0, numbers: 1_999..=1_999 });
}

#[test]
fn ranges_are_bounded() {
    let messages = Messages::new(SEED).lengths(16..=16);
    let mut oracle = Oracle::new(SEED);
    let far = |place: usize| place as u64 * 1_000_000;
    for place in 0..MAX_RANGES {
        oracle.arrived(&messages.text(0, far(place)));
    }
    assert_eq!(oracle.ranges(), MAX_RANGES);
    let one_more = oracle.arrived(&messages.text(0, far(MAX_RANGES)));
    assert_eq!(one_more, Arrival::OverLimit(place(0, far(MAX_RANGES))));
    assert_eq!(
        oracle.arrived(&messages.text(0, 1)),
        Arrival::Reordered(place(0, 1)),
        "the number extends a range"
    );
    assert_eq!(oracle.arrived(&messages.text(0, 0)), Arrival::Duplicate(place(0, 0)));
    let report = oracle.report();
    assert_eq!((report.over_limit, report.unexpected), (1, MAX_RANGES as u64 + 1));
    assert!(!report.is_complete());
}

#[test]
fn streams_are_bounded() {
    let messages = Messages::new(SEED).lengths(16..=16);
    let mut oracle = Oracle::new(SEED);
    for stream in 0..MAX_STREAMS as u32 {
        oracle.expect(stream, 0..1);
    }
    let other = place(MAX_STREAMS as u32, 0);
    assert_eq!(oracle.arrived(&messages.text(other.stream, 0)), Arrival::OverLimit(other));
    assert_eq!(oracle.arrived(&messages.text(5, 0)), Arrival::New(place(5, 0)));
    let report = oracle.report();
    assert_eq!((report.expected, report.lost, report.over_limit), (65_536, 65_535, 1));
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
    fn every_count_matches_a_model(
        steps in prop::collection::vec(any_step(), 0..200),
        sent in prop::collection::vec(0u64..60, 3),
        content in prop::sample::select(&Content::ALL[..]),
    ) {
        let messages = Messages::new(SEED).content(content);
        let mut oracle = Oracle::new(SEED);
        let mut expected = BTreeSet::new();
        for (stream, count) in (0..).zip(&sent) {
            oracle.expect(stream, 0..*count);
            expected.extend((0..*count).map(|number| (stream, number)));
        }
        let mut arrived = BTreeSet::new();
        let mut highest = BTreeMap::new();
        let (mut duplicated, mut reordered, mut altered) = (vec![], vec![], vec![]);
        for Step { place: (stream, number), altered_at } in &steps {
            let mut text = messages.text(*stream, *number);
            if let Some(index) = altered_at {
                let mut characters: Vec<char> = text.chars().collect();
                let at = index.index(characters.len());
                characters[at] = if characters[at] == '!' { '#' } else { '!' };
                text = characters.iter().collect();
                altered.push(text.clone());
            } else if !arrived.insert((*stream, *number)) {
                duplicated.push(place(*stream, *number));
            } else {
                let highest = highest.entry(*stream).or_insert(0);
                if number < highest {
                    reordered.push(place(*stream, *number));
                }
                *highest = (*highest).max(*number);
            }
            oracle.arrived(&text);
        }
        let report = oracle.report();
        prop_assert_eq!(report.expected, expected.len() as u64);
        prop_assert_eq!(report.arrived, steps.len() as u64);
        prop_assert_eq!(report.delivered, expected.intersection(&arrived).count() as u64);
        prop_assert_eq!(report.lost, expected.difference(&arrived).count() as u64);
        prop_assert_eq!(report.unexpected, arrived.difference(&expected).count() as u64);
        prop_assert_eq!(report.duplicated, duplicated.len() as u64);
        prop_assert_eq!(report.reordered, reordered.len() as u64);
        prop_assert_eq!(report.altered, altered.len() as u64);
        prop_assert_eq!(
            report.arrived,
            report.delivered + report.unexpected + report.duplicated + report.altered + report.foreign + report.over_limit
        );
        let few = |places: &[Place]| places.iter().take(FIRST_FEW).copied().collect::<Vec<_>>();
        prop_assert_eq!(&report.first_duplicated, &few(&duplicated));
        prop_assert_eq!(&report.first_reordered, &few(&reordered));
        altered.truncate(FIRST_FEW);
        prop_assert_eq!(&report.first_altered, &altered);
        let lost: Vec<(u32, u64)> = (0..3)
            .flat_map(|stream| oracle.lost(stream).flatten().map(move |number| (stream, number)))
            .collect();
        prop_assert!(lost.iter().eq(expected.difference(&arrived)));
        prop_assert_eq!(oracle.has_all(), report.lost == 0);
    }
}
