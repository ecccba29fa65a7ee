//! Defines the tests, and runs them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::panic::catch_unwind;
use std::process::{Child, Command, Stdio, exit};
use std::thread;

use serde_json::Value;

use crate::programs::PROGRAMS;
use crate::support::Receiver;

const PROGRAM: &str = "GELF_TRACING_TEST_PROGRAM";
const URI: &str = "GELF_TRACING_TEST_URI";

const TESTS: &[(&str, fn())] = &[
    ("a_program_that_returns_from_main_sends_all", a_program_that_returns_from_main_sends_all),
    ("a_panic_in_main_is_sent_behind_all_events", a_panic_in_main_is_sent_behind_all_events),
    ("a_panic_in_a_task_is_sent_with_its_span", a_panic_in_a_task_is_sent_with_its_span),
    ("a_program_that_closes_and_exits_sends_all", a_program_that_closes_and_exits_sends_all),
    ("an_exit_without_close_loses_queued_events", an_exit_without_close_loses_queued_events),
    ("a_program_that_handles_sigterm_sends_all", a_program_that_handles_sigterm_sends_all),
    ("drops_may_log", drops_may_log),
    #[cfg(feature = "log")]
    ("a_panic_is_a_record_of_log", a_panic_is_a_record_of_log),
    ("failures_of_sending_cause_only_reports_of_losses", failures_of_sending_cause_only_reports_of_losses),
];

pub(crate) fn main() {
    if let (Ok(program), Ok(uri)) = (std::env::var(PROGRAM), std::env::var(URI)) {
        let found = PROGRAMS.iter().find(|(name, _)| *name == program).expect("a program with this name");
        return found.1(&uri);
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| matches!(&argument[..], "--list" | "--ignored")) {
        return;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut all_passed = true;
    for (name, test) in TESTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(&filter[..])) {
            let passed = catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            all_passed &= passed;
        }
    }
    println!("test result: {}", if all_passed { "ok" } else { "FAILED" });
    exit(i32::from(!all_passed));
}

fn start(program: &str, uri: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env(PROGRAM, program)
        .env(URI, uri)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs the program. Returns its exit status and the given number of its messages.
fn run(program: &str, messages: usize) -> (Option<i32>, Vec<Value>) {
    run_with(program, messages, "gelf+tcp", &Receiver::tcp())
}

fn run_with(program: &str, messages: usize, scheme: &str, receiver: &Receiver) -> (Option<i32>, Vec<Value>) {
    let mut child = start(program, &format!("{scheme}://{}", receiver.address));
    let status = child.wait().unwrap().code();
    (status, (0..messages).map(|_| receiver.next()).collect())
}

fn a_program_that_returns_from_main_sends_all() {
    let receivers = [
        ("gelf", Receiver::udp()),
        ("gelf+tcp", Receiver::tcp()),
        #[cfg(feature = "http")]
        ("gelf+http", Receiver::http()),
    ];
    for (scheme, receiver) in receivers {
        let (status, sent) = run_with("returns", 100, scheme, &receiver);
        assert_eq!((status, &sent[99]["_number"]), (Some(0), &99.into()), "{scheme}");
    }
}

fn a_panic_in_main_is_sent_behind_all_events() {
    let (status, sent) = run("panics", 101);
    assert_eq!(status, Some(101));
    let panic = &sent[100];
    let text = panic["short_message"].as_str().unwrap();
    let place = format!("programs.rs:{}:5", panic["_line"]);
    assert!(text.starts_with("panicked at ") && text.ends_with(&format!("{place}: on purpose")), "{text}");
    assert_eq!(
        (&panic["level"], &panic["_target"], &panic["_thread"]),
        (&3.into(), &"panic".into(), &"main".into())
    );
    assert!(panic["_file"].as_str().unwrap().ends_with("programs.rs"), "{panic}");
    assert!(panic["full_message"].as_str().unwrap().contains("programs::panics"), "{panic}");
}

fn a_panic_in_a_task_is_sent_with_its_span() {
    let (status, sent) = run("panics_in_a_task", 2);
    assert_eq!(status, Some(0));
    assert!(sent[0]["short_message"].as_str().unwrap().ends_with(": a payment"), "{}", sent[0]);
    assert_eq!((&sent[0]["_spans"], &sent[0]["_user"]), (&"request".into(), &"anna".into()));
    assert_eq!(sent[1]["short_message"], "goes on");
}

fn a_program_that_closes_and_exits_sends_all() {
    let (status, sent) = run("exits", 100);
    assert_eq!((status, &sent[99]["_number"]), (Some(3), &99.into()));
}

fn an_exit_without_close_loses_queued_events() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let output = start("exits_without_close", &format!("gelf+tcp://{address}")).wait_with_output().unwrap();
    // The exit neither waits for the destination nor leaves a process that sends the events later.
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(4), &b"100\n"[..]));
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

fn a_program_that_handles_sigterm_sends_all() {
    let receiver = Receiver::tcp();
    let mut child = start("is_terminated", &format!("gelf+tcp://{}", receiver.address));
    receiver.until("ready");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(receiver.next()["short_message"], "stopping");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(feature = "log")]
fn a_panic_is_a_record_of_log() {
    let (status, sent) = run("panics_with_log", 2);
    assert_eq!((status, &sent[0]["_number"]), (Some(101), &7.into()));
    assert!(sent[1]["short_message"].as_str().unwrap().ends_with(": on purpose"), "{}", sent[1]);
    assert_eq!((&sent[1]["level"], &sent[1]["_target"]), (&3.into(), &"panic".into()));
}

fn drops_may_log() {
    let (status, sent) = run("logs_in_drops", 4);
    assert_eq!(status, Some(0));
    let mut texts: Vec<_> = sent.iter().map(|message| message["short_message"].as_str().unwrap()).collect();
    let panic = texts.remove(1);
    assert!(panic.ends_with(": on purpose"), "{panic}");
    assert_eq!(texts, ["in a thread", "dropped in a panic", "dropped thread-local"]);
}

/// Sends to destinations that take no message. If the layer did not leave out the events of the transport, each
/// of these events would become a further message.
fn failures_of_sending_cause_only_reports_of_losses() {
    let answer = |status: &'static str| {
        serve(move |mut connection| {
            let _ = connection.read(&mut [0; 4096]);
            let _ = write!(connection, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        })
    };
    let mut uris = vec![
        ("reset", format!("gelf+tcp://{}", serve(drop))),
        ("nobody", "gelf+tcp://127.0.0.1:1".to_owned()),
        ("nobody over UDP", "gelf://127.0.0.1:1".to_owned()),
        ("no name", "gelf+tcp://name.invalid".to_owned()),
    ];
    if cfg!(feature = "http") {
        uris.extend(
            ["404 Not Found", "500 Internal Server Error", "400 Bad Request"]
                .map(|status| (status, format!("gelf+http://{}", answer(status)))),
        );
    }
    if cfg!(feature = "tls") {
        uris.push((
            "no TLS",
            format!(
                "gelf+tls://{}",
                serve(|mut connection| {
                    let _ = connection.write_all(b"what?");
                    let _ = connection.shutdown(Shutdown::Both);
                })
            ),
        ));
    }
    let children: Vec<_> = uris.iter().map(|(name, uri)| (name, start("logs_one_event", uri))).collect();
    for (name, child) in children {
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let counts: Vec<u64> = output.split_whitespace().map(|count| count.parse().unwrap()).collect();
        let [of_transport, messages] = counts[..] else { panic!("{name}: {output}") };
        println!("  {name}: {of_transport} events of the transport, {messages} messages");
        assert!(of_transport > 0, "{name}: the transport logs nothing, so the test says nothing");
        // The messages are the event, and reports of its loss.
        assert!((1..=3).contains(&messages), "{name}: {messages}");
    }
}

/// Serves each connection on a new thread. Returns the address.
fn serve(serve: impl Fn(std::net::TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (connection, serve) = (connection.unwrap(), serve.clone());
            thread::spawn(move || serve(connection));
        }
    });
    address
}
