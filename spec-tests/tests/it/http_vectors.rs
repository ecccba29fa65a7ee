//! Sends the HTTP vectors to a reference receiver that keeps all rules or breaks one rule.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use gelf_core::Decoder;
use gelf_spec_tests::{Live, LiveHttp, LiveOptions, Outcome, Results, Verdict, embedded_http};
use serde_json::json;

use crate::http_reference::{Broken, start};
use crate::support::{LineOutput, conformance, results, stderr, stdout, unexpected};

/// Number of HTTP vectors.
const VECTORS: usize = 109;

fn outcomes_of(results: &Results, verdicts: &[Verdict]) -> Vec<String> {
    let of = |outcome: &&Outcome| verdicts.contains(&outcome.verdict);
    results.outcomes.iter().filter(of).map(|outcome| outcome.id.clone()).collect()
}

/// Sends the HTTP vectors that match the filter to a receiver that has this setup and breaks this rule.
fn check(setup: impl FnOnce(SocketAddr) -> LiveHttp, broken: Broken, filter: Option<&str>) -> Results {
    let (http, payloads) = start(setup, broken);
    let timeout = Duration::from_secs(if broken == Broken::Silent { 1 } else { 10 });
    let options = LiveOptions { http: Some(http), timeout, ..Default::default() };
    let mut live = Live::within(options, move |within| payloads.recv_timeout(within).ok()).unwrap();
    results(&embedded_http().unwrap(), &mut live, filter)
}

fn setup(at: usize) -> impl FnOnce(SocketAddr) -> LiveHttp {
    move |address| LiveHttp::setups(address).remove(at)
}

/// Indices of setups in [`LiveHttp::setups`].
const PLAIN: usize = 0;
const HEADER: usize = 1;
const BULK: usize = 2;

#[test]
fn a_correct_receiver_passes_in_every_setup() {
    let mut asked = BTreeSet::new();
    let setups = LiveHttp::setups(SocketAddr::from(([127, 0, 0, 1], 1))).len();
    for at in 0..setups {
        let results = check(setup(at), Broken::Nothing, None);
        assert_eq!(unexpected(&results), [""; 0], "setup {at}");
        assert_eq!(results.outcomes.len(), VECTORS);
        asked.extend(outcomes_of(&results, &[Verdict::Passes]));
    }
    assert_eq!(asked.len(), VECTORS);
}

#[test]
fn each_broken_rule_is_found_by_its_vectors() {
    // Each case has the broken rule, the index of the setup, and the vectors that must not pass. Other
    // vectors are allowed to fail, too.
    let cases: [(Broken, usize, &[&str]); 19] = [
        (Broken::AnyPath, PLAIN, &["H05", "H05-root", "H05-longer", "H05-then"]),
        (Broken::AnyMethod, PLAIN, &["H07", "H07-put", "H07-delete"]),
        (Broken::Answers200, PLAIN, &["H01", "H02", "H10"]),
        (Broken::ClosesAlways, PLAIN, &["H02", "H02-ten", "H23-then"]),
        (Broken::ClosesNever, PLAIN, &["H03", "H04"]),
        (Broken::NoMagic, PLAIN, &["H11", "H11-zlib", "H12"]),
        (Broken::NoEncoding, PLAIN, &["H10", "H10-deflate", "H10-case"]),
        (Broken::NoLimit, PLAIN, &["H13", "H13-chunks", "H13-inflated", "H13-bomb"]),
        (Broken::LimitBeforeInflating, PLAIN, &["H13-inflated", "H13-bomb"]),
        (Broken::AnyHeader, HEADER, &["H08-wrong"]),
        (Broken::HoldsLastLine, BULK, &["H16"]),
        (Broken::SplitsAtCarriageReturn, BULK, &["H15", "H15-mixed"]),
        (Broken::NoArrays, BULK, &["H17", "H17-gzip", "H20", "H20-parts"]),
        (Broken::GivesArrayUp, BULK, &["H21", "H21-first"]),
        (Broken::TakesHalf, PLAIN, &["H26-cut", "H26-cut-chunks", "H26-cut-head"]),
        (Broken::FirstPieceOnly, PLAIN, &["H13-most", "H13-chunks-most"]),
        (Broken::Talks, PLAIN, &["H01"]),
        (Broken::Silent, PLAIN, &["H05", "H07", "H26-length"]),
        (Broken::NoChunks, PLAIN, &["H23", "H23-three", "H10-chunks"]),
    ];
    for (broken, at, wanted) in cases {
        let mut found = BTreeSet::new();
        // The first three characters of an id, such as `H05`, select all vectors with the same number.
        let filters: BTreeSet<&str> = wanted.iter().map(|id| &id[..3]).collect();
        for filter in filters {
            let results = check(setup(at), broken, Some(filter));
            found.extend(results.unexpected().map(|outcome| outcome.id.clone()));
        }
        for id in wanted {
            assert!(found.contains(*id), "{broken:?}: {id} passes, only {found:?} fail");
        }
    }
}

#[test]
fn a_result_that_differs_from_our_choice_deviates_and_does_not_fail() {
    let results = check(setup(BULK), Broken::NoArrays, Some("H17"));
    // The elements of the array in H17-spaces are on separate lines, so a receiver without support for arrays
    // reads them, too.
    assert_eq!(outcomes_of(&results, &[Verdict::Passes]), ["H17-spaces"]);
    assert_eq!(results.count(Verdict::Deviates), results.outcomes.len() - 1);
    let results = check(setup(PLAIN), Broken::Answers200, Some("H02"));
    assert_eq!(outcomes_of(&results, &[Verdict::Fails]), ["H02", "H02-ten"]);
    let differences = &results.outcomes[0].differences;
    assert_eq!(differences, &["answer 1: expected 202, found 200", "answer 2: expected 202, found 200"]);
}

/// Writes each message of the reference receiver as a line to a connection to this address.
fn print_to(address: SocketAddr, payloads: std::sync::mpsc::Receiver<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut output = LineOutput::to(address);
        for payload in payloads {
            let Ok(decoded) = Decoder::lenient().decode(&payload) else { continue };
            let message = &decoded.message;
            output.write(&json!({"host": message.host(), "short_message": message.short_message()}));
        }
    });
}

#[test]
fn the_command_tests_an_http_receiver() {
    for (broken, code, text) in
        [(Broken::Nothing, 0, "0 unexpected"), (Broken::AnyPath, 1, "answer: expected 404, found 202")]
    {
        let (mut http, payloads) = start(setup(HEADER), broken);
        let observe = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        print_to(observe, payloads);
        let (name, value) = http.header.take().unwrap();
        let output = conformance()
            .args(["receiver", "--http", &format!("http://{}/gelf", http.address)])
            .args(["--http-header", &format!("{name}: {value}"), "--filter", "H0"])
            .args(["--observe-tcp", &observe.to_string()])
            .output()
            .unwrap();
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{said}{}", stderr(&output));
        assert!(said.contains(text), "{said}");
        assert!(said.contains("\nhttp "), "the table has no row for HTTP: {said}");
    }
}

#[test]
fn wrong_options_for_http_exit_with_2() {
    let with = |arguments: &[&str]| {
        let output = conformance().args(["receiver", "--observe", "true"]).args(arguments).output().unwrap();
        output.status.code()
    };
    assert_eq!(with(&["--http", "https://127.0.0.1/gelf"]), Some(2));
    assert_eq!(with(&["--udp", "127.0.0.1:9", "--bulk"]), Some(2));
    assert_eq!(with(&["--http", "http://127.0.0.1/gelf", "--http-header", "no colon"]), Some(2));
    assert_eq!(with(&["--http", "http://127.0.0.1/gelf", "--max-body", "x"]), Some(2));
}
