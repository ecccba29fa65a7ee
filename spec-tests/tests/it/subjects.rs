//! Runs `gelf-conformance` with subjects that violate the protocol, with sound subjects, and with malformed
//! files.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Folder, conformance, stderr, stdout};

fn run_with(arguments: &[&str]) -> Output {
    conformance().args(arguments).output().unwrap()
}

/// Writes a shell script, and returns the command that runs the script. The script answers `hello`. For each
/// further request, it sets `$id` to the id of the request and runs `then`.
fn subject(folder: &Folder, then: &str) -> String {
    let script = format!(
        r#"while read -r line; do
  id=${{line#*\"id\":\"}}
  id=${{id%%\"*}}
  case $line in
    *hello*) echo '{{"name":"script","version":"1","language":"sh","can":["payload"]}}' ;;
    *) {then} ;;
  esac
done"#
    );
    format!("sh {}", folder.write("subject.sh", &script))
}

/// Runs the vectors whose id contains `A0`.
fn run(command: &str, more: &[&str]) -> Output {
    run_with(&[&["run", "--subject", command, "--filter", "A0", "--timeout", "1"], more].concat())
}

#[test]
fn unexpected_results_are_explained_and_fail_the_run() {
    let folder = Folder::new("fails");
    let wrong = r#"printf '{"id":"%s","messages":[{"host":"other","short_message":"m"}]}\n' "$id""#;
    let report = folder.0.join("report.xml");
    let option = format!("junit={}", report.display());
    let command = subject(&folder, wrong);
    let output = run_with(&["run", "--subject", &command, "--filter", "A01", "--report", &option]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for part in ["A01", "rule R2", "fails", "host: expected \"h\", found \"other\"", "1 unexpected"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(xml.contains("failures=\"1\""), "{xml}");
}

#[test]
fn known_failures_are_expected_and_stale_ones_are_errors() {
    let folder = Folder::new("known");
    let wrong = r#"printf '{"id":"%s","messages":[{"host":"other","short_message":"m"}]}\n' "$id""#;
    let command = subject(&folder, wrong);
    let vectors = Folder::new("known-vectors");
    vectors.write(
        "one.json",
        r#"{"schema":1,"topic":"one","vectors":[
            {"id":"X1","title":"t","rule":"R3","payload":"{}","strict":{"messages":[{"host":"h","short_message":"m"}]}}]}"#,
    );
    let known = |id: &str| {
        let text = format!(
            r#"{{"schema":1,"subject":"script","expectations":[{{"vectors":["{id}"],"verdict":"fails","reason":"because"}}]}}"#
        );
        folder.write(&format!("{id}.json"), &text)
    };
    let folder_of_vectors = vectors.0.display().to_string();
    let with = |file: &str| {
        run_with(&["run", "--subject", &command, "--vectors", &folder_of_vectors, "--expectations", file])
    };
    let output = with(&known("X1"));
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("0 unexpected, 1 known"), "{}", stdout(&output));
    let output = with(&known("X2"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("no result of X2 is 'fails', which is expected for this reason: because"),
        "{}",
        stdout(&output)
    );
    let wrong_word = folder.write(
        "word.json",
        r#"{"schema":1,"subject":"s","expectations":[{"vectors":["X1"],"verdict":"bad","reason":"r"}]}"#,
    );
    let output = with(&wrong_word);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("word.json: 'bad' is not one of"), "{}", stderr(&output));
}

#[test]
fn a_hanging_subject_is_restarted_and_the_verdict_is_no_answer() {
    let folder = Folder::new("hangs");
    let output = run_with(&[
        "run",
        "--subject",
        &subject(&folder, r#"[ "$id" = A05 ] && sleep 60; printf '{"id":"%s"}\n' "$id""#),
        "--filter",
        "A0",
        "--timeout",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let all = text.lines().find(|line| line.starts_with("all ")).unwrap();
    let counts: Vec<&str> = all.split_whitespace().collect();
    // The columns after the name are three scores, deviates, fails, crashes, no answer, and not asked.
    assert_eq!(counts[7], "1", "{text}");
    let asked = |score: &&str| score.split_once('/').map_or(0, |(_, asked)| asked.parse::<usize>().unwrap());
    assert!(counts[1..4].iter().map(asked).sum::<usize>() > 5, "{text}");
}

#[test]
fn the_plain_subject_delivers_a_message_after_data_that_cannot_be_inflated() {
    let vectors = Folder::new("after-damage");
    vectors.write(
        "one.json",
        r#"{"schema":1,"topic":"one","vectors":[{"id":"X1","title":"t","rule":"R13",
            "datagrams":[{"datagram":{"hex":"1f8b"}},{"datagram":"{\"host\":\"h\",\"short_message\":\"m\"}"}],
            "strict":{"messages":[{"host":"h","short_message":"m"}],"errors":["CompressionTruncated"]}}]}"#,
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plain_subject.py");
    let command = format!("python3 '{}'", script.display());
    let folder = vectors.0.display().to_string();
    let output = run_with(&["run", "--subject", &command, "--vectors", &folder, "--timeout", "60"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("1/1"), "{}", stdout(&output));
}

#[test]
fn a_subject_that_ends_has_crashed_and_its_last_output_is_reported() {
    let folder = Folder::new("ends");
    let output = run(&subject(&folder, "echo 'no memory left' >&2; exit 3"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("no memory left"), "{}", stdout(&output));
    assert!(stdout(&output).contains("exit status: 3"), "{}", stdout(&output));
}

#[test]
fn a_correct_subject_passes_and_may_clean_up_at_the_end() {
    let folder = Folder::new("tidies");
    let tidied = folder.0.join("tidied");
    let good = r#"printf '{"id":"%s","messages":[{"host":"h","short_message":"m"}]}\n' "$id""#;
    let command = subject(&folder, good);
    let script = std::fs::read_to_string(folder.0.join("subject.sh")).unwrap();
    folder.write("subject.sh", &format!("{script}\nsleep 0.2; touch '{}'", tidied.display()));
    let output = run_with(&["run", "--subject", &command, "--filter", "A01"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("1 results, 0 unexpected"), "{}", stdout(&output));
    assert!(tidied.exists());
}

#[test]
fn an_invalid_answer_ends_the_run() {
    let folder = Folder::new("garbage");
    let output = run(&subject(&folder, "echo garbage"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("vector A01") && text.contains("invalid answer to A01"), "{text}");

    let output = run(&subject(&folder, r#"echo '{"id":"Z99"}'"#), &[]);
    assert!(stderr(&output).contains("answer to Z99 instead of A01"), "{}", stderr(&output));

    let output = run("true", &[]);
    assert!(
        stderr(&output).contains("subject 'true': it ended immediately: exit status: 0"),
        "{}",
        stderr(&output)
    );

    let output = run("no-such-program-here", &[]);
    assert!(stderr(&output).contains("it ended immediately"), "{}", stderr(&output));
}

#[test]
fn unknown_words_and_members_of_a_subject_are_refused_with_a_list_of_the_known_ones() {
    let folder = Folder::new("unknown");
    let answer = |hello: &str| {
        let script =
            format!("read -r line; echo '{hello}'; read -r line; echo '{{\"id\":\"A01\",\"message\":[]}}'");
        let output = run(&format!("sh {}", folder.write("unknown.sh", &script)), &[]);
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let hello = |members: &str| format!(r#"{{"name":"n","version":"1",{members}}}"#);
    let words = answer(&hello(r#""can":["datagram"]"#));
    assert!(
        words.contains("unknown word \"datagram\" in 'can', expected one of datagrams, payload,"),
        "{words}"
    );
    let words = answer(&hello(r#""can":["send"],"sends":["UDP"]"#));
    assert!(words.contains("unknown word \"UDP\" in 'sends', expected one of udp, tcp"), "{words}");
    let words = answer(&hello(r#""can":[],"fixes":["host"]"#));
    assert!(words.contains("unknown field `fixes`, expected one of `name`,"), "{words}");
    let words = answer(&hello(r#""can":["payload"]"#));
    assert!(words.contains("unknown field `message`, expected one of `id`, `messages`,"), "{words}");
}

#[test]
fn a_run_in_which_nothing_is_asked_fails() {
    let folder = Folder::new("not-asked");
    let hello = r#"{"name":"n","version":"1","can":[]}"#;
    let command = format!("sh {}", folder.write("none.sh", &format!("read -r line; echo '{hello}'; cat")));
    let output = run(&command, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("n supports none of the requests"), "{}", stderr(&output));
    let output = run_with(&["fuzz", "--subject", &command, "--cases", "3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("supports none of the cases"), "{}", stderr(&output));
}

#[test]
fn a_reader_of_the_output_may_end_early() {
    let command = format!("{} run --list | true", env!("CARGO_BIN_EXE_gelf-conformance"));
    let output = Command::new("bash").args(["-c", &format!("set -o pipefail; {command}")]).output().unwrap();
    assert_eq!(stderr(&output), "");
    assert!(matches!(output.status.code(), Some(0 | 141)), "{:?}", output.status);
}

#[test]
fn several_filters_are_alternatives_and_deviations_can_be_allowed() {
    let list = stdout(&run_with(&["run", "--list", "--filter", "C41,E02"]));
    assert_eq!(list.lines().count(), 2, "{list}");
    let folder = Folder::new("deviates");
    let command = subject(
        &folder,
        r#"printf '{"id":"%s","messages":[{"short_message":"m","fields":{"timestamp":1}}]}\n' "$id""#,
    );
    let status = |more: &[&str]| {
        let arguments = ["run", "--subject", &command, "--filter", "A37"];
        run_with(&[&arguments[..], more].concat()).status.code()
    };
    assert_eq!((status(&[]), status(&["--fail-on", "fails"])), (Some(1), Some(0)));
}

#[test]
fn errors_in_vector_files_are_reported() {
    let folder = Folder::new("malformed");
    folder.write(
        "bad.json",
        r#"{"schema":1,"topic":"t","vectors":[{"id":"X","title":"t","rule":"R1","strict":{}}]}"#,
    );
    let output = run_with(&["run", "--vectors", &folder.0.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("bad.json: vector X: exactly one input is required: payload"), "{text}");
    let output = run_with(&["run", "--vectors", "/no/such/folder"]);
    assert!(stderr(&output).contains("/no/such/folder: No such file"), "{}", stderr(&output));
}

#[test]
fn command_line_errors_are_reported() {
    assert_eq!(run_with(&["run", "--report", "yaml=x"]).status.code(), Some(2));
    assert_eq!(run_with(&["run", "--mode", "loose"]).status.code(), Some(2));
    assert_eq!(run_with(&[]).status.code(), Some(2));
    let output = run_with(&["run", "--filter", "nothing-has-this"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no vector matches 'nothing-has-this'"), "{}", stderr(&output));
    let output = run_with(&["run", "--filter", "H05"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("'H05' matches vectors for HTTP only"), "{}", stderr(&output));
    let output = run_with(&["explain", "C999"]);
    assert!(stderr(&output).contains("unknown vector C999"), "{}", stderr(&output));
}

#[test]
fn vectors_can_be_listed_and_explained_and_a_run_on_gelf_core_succeeds() {
    let list = stdout(&run_with(&["run", "--list", "--filter", "reassembly"]));
    assert!(list.lines().count() > 40 && list.contains("C41"), "{list}");
    let explained = stdout(&run_with(&["explain", "C41"]));
    assert!(explained.contains("rule R18") && explained.contains("at 5 s datagram"), "{explained}");
    let explained = stdout(&run_with(&["explain", "H13-inflated"]));
    assert!(explained.contains("rule R41: a sender's body has at most 65,536 bytes"), "{explained}");
    assert!(explained.contains("accepts bodies of at most 65536 bytes"), "{explained}");
    assert!(explained.contains("answers 413"), "{explained}");
    let folder = Folder::new("reports");
    let page = folder.0.join("page.html");
    let output = run_with(&["run", "--report", &format!("html={}", page.display())]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("\"gelf-core\"") && !page.contains("__RESULTS__"));
}

#[test]
fn several_processes_give_the_results_of_one() {
    let folder = Folder::new("jobs");
    let program = format!("'{}' subject", env!("CARGO_BIN_EXE_gelf-conformance"));
    let report = |jobs: &str| {
        let path = folder.0.join(format!("{jobs}.json"));
        let option = format!("json={}", path.display());
        let filter = "level,A,P0";
        let output =
            run_with(&["run", "--subject", &program, "-j", jobs, "--filter", filter, "--report", &option]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let mut report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        // `made` has the command, which has the number of processes.
        assert!(report.as_object_mut().unwrap().remove("made").is_some());
        report
    };
    assert_eq!(report("3"), report("1"));
    let wrong_id = subject(&folder, r#"echo '{"id":"another","messages":[]}'"#);
    let output = run(&wrong_id, &["-j", "3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("answer to another instead of A0"), "{}", stderr(&output));
}

#[test]
fn a_board_without_peers_is_not_written() {
    let folder = Folder::new("board");
    let board = folder.write("board.md", "the old board");
    let peers = folder.0.display().to_string();
    for (more, status) in [(&[][..], 1), (&["--only", "nobody"], 1), (&["--jobs", "0"], 2)] {
        let output = run_with(&[&["board", &peers, "--markdown", &board], more].concat());
        assert_eq!(output.status.code(), Some(status), "{more:?}: {}", stderr(&output));
        assert_eq!(std::fs::read_to_string(&board).unwrap(), "the old board");
    }
}
