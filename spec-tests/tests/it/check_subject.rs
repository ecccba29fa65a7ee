//! Runs `gelf-conformance check-subject` with sound and faulty adapters.

use crate::support::{Folder, conformance, stdout};

const HELLO: &str = r#"{"name":"script","version":"1","language":"sh","can":["payload"]}"#;

/// Returns a shell script that is an adapter. The command `hello` answers the request `hello`, and the
/// command `then` answers any other request, whose id is in `$id`. The command `end` runs after the end of
/// the input.
fn script(hello: &str, then: &str, end: &str) -> String {
    format!(
        r#"while read -r line; do
  id=${{line#*\"id\":\"}}
  id=${{id%%\"*}}
  case $line in *hello*) {hello} ;; *) {then} ;; esac
done
{end}
"#
    )
}

/// Returns a command that prints a line.
fn echo(line: &str) -> String {
    format!("echo '{line}'")
}

/// Returns a command that answers a request with one message, which has these fields.
fn message(fields: &str) -> String {
    let line = format!(
        r#"{{"id":"%s","messages":[{{"host":"h","short_message":"m","level":3,"fields":{fields}}}]}}"#
    );
    format!(r#"printf '{line}\n' "$id""#)
}

/// Runs the command on an adapter. Returns the exit status and the output.
fn check(name: &str, script: &str) -> (Option<i32>, String) {
    let folder = Folder::new(&format!("check-{name}"));
    let command = format!("sh {}", folder.write("subject.sh", script));
    let output = conformance().args(["check-subject", &command, "--timeout", "1"]).output().unwrap();
    (output.status.code(), stdout(&output))
}

#[test]
fn a_mistake_of_an_adapter_is_reported_with_its_remedy() {
    let hello = echo(HELLO);
    let fields = r#"{"user":"x","n":42}"#;
    let whole = message(fields);
    let crashes_on = |id: &str| {
        let crash = echo(&format!(r#"{{"id":"{id}","crashed":"no reason"}}"#));
        format!("case $id in {id}) {crash} ;; *) {whole} ;; esac")
    };
    let with = |can: &str| echo(&HELLO.replace(r#""payload""#, can));
    for (name, script, remedy) in [
        ("ends", "exit 3".to_owned(), "run it by hand"),
        ("hangs", "sleep 60".to_owned(), "answer each request"),
        ("buffers", format!("awk '{{print \"{}\"}}'", HELLO.replace('"', "\\\"")), "flush standard output"),
        ("word", script(&with(r#""payloads""#), &whole, ""), "PROTOCOL.md has the members"),
        (
            "chatters",
            script(&format!("{hello}; echo ready"), &whole, ""),
            "write only answers to standard output",
        ),
        ("nothing", script(&with(""), &whole, ""), "declare payload, datagrams"),
        ("sends", script(&with(r#""send""#), &whole, ""), "list udp, tcp or both"),
        ("id", script(&hello, &echo(r#"{"id":"another","messages":[]}"#), ""), "copy the 'id'"),
        (
            "member",
            script(&hello, &echo(r#"{"id":"check-receive","message":[]}"#), ""),
            "members of the answer",
        ),
        ("early", script(&hello, &echo(r#"{"id":"check-receive","messages":[]}"#), ""), "handled all steps"),
        ("underscore", script(&hello, &message(r#"{"_user":"x"}"#), ""), "the one leading underscore"),
        ("flat", script(&hello, &message("{}"), ""), "into the object 'fields'"),
        ("crashes", script(&hello, "exit 1", ""), "a caller of the library expects"),
        ("long", script(&hello, &crashes_on("check-long"), ""), "crashed: no reason"),
        ("half", script(&with(r#""datagrams""#), &crashes_on("check-first-half"), ""), "crashed: no reason"),
        ("stays", script(&hello, &whole, "sleep 60"), "end when standard input ends"),
    ] {
        let (status, text) = check(name, &script);
        assert_eq!(status, Some(1), "{name}: {text}");
        assert!(text.contains("FAIL  ") && text.contains(remedy), "{name}: {text}");
    }
}

#[test]
fn a_sound_adapter_passes_every_part() {
    let program = env!("CARGO_BIN_EXE_gelf-conformance");
    let output = conformance().args(["check-subject", &format!("'{program}' subject")]).output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["hello", "abilities", "receive payload", "receive udp", "receive tcp", "a long line"] {
        assert!(text.contains(&format!("ok    {part:<16}")), "{part}: {text}");
    }
    for part in ["fresh state", "send tcp", "send udp", "chunk", "end"] {
        assert!(text.contains(&format!("ok    {part:<16}")), "{part}: {text}");
    }
}

#[test]
fn a_mistake_that_the_library_may_make_does_not_fail_the_adapter() {
    let then = message(r#"{"user":"x","n":"42"}"#);
    let (status, text) = check("doubt", &script(&echo(HELLO), &then, ""));
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("LOOK  receive payload") && text.contains("n is the string"), "{text}");
    // The script answers the long request with the same short message.
    assert!(text.contains("LOOK  a long line"), "{text}");
    assert!(text.contains("a short_message of 1 bytes instead of 300000"), "{text}");
}
