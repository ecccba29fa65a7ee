//! Sends vectors to receivers over sockets, as `gelf-conformance receiver` does: to those of gelf-tokio, and to
//! receivers with faults.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use gelf_spec_tests::{Live, LiveOptions, Observe, Results, Verdict, embedded};
use gelf_tokio::UdpReceiver;
use gelf_tokio::gelf_core::wire::Encoding;
use gelf_tokio::gelf_core::{DatagramLimits, DatagramReader, Decoder, Message};
use serde_json::{Value, json};

use crate::support::{self, LineOutput, conformance, example, stderr, stdout, unexpected};

/// Returns an address of the loopback on which nothing listens for TCP.
fn free_tcp() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Returns an address of the loopback on which nothing listens for UDP.
fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts the example `print_received` at these addresses, as a subject that ends after `seconds`.
fn print_received(
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    seconds: u64,
    change: impl FnOnce(&mut LiveOptions),
) -> Live {
    let mut command = format!("{} --for {seconds}", example("print_received"));
    for (option, address) in [("udp", udp), ("tcp", tcp)] {
        if let Some(address) = address {
            command.push_str(&format!(" --{option} {address}"));
        }
    }
    let mut options = LiveOptions { udp, tcp, ..Default::default() };
    change(&mut options);
    Live::start(options, Observe::Command(command)).unwrap()
}

fn results(live: &mut Live, filter: Option<&str>) -> Results {
    support::results(&embedded().unwrap(), live, filter)
}

#[test]
fn gelf_tokio_passes_the_vectors_over_sockets() {
    let mut live = print_received(Some(free_udp()), Some(free_tcp()), 120, |_| {});
    let results = results(&mut live, None);
    assert_eq!(unexpected(&results), [""; 0]);
    assert_eq!(live.late(), 0);
    // Vectors about sending, limits and time are skipped.
    assert!(results.count(Verdict::Passes) >= 420, "{}", results.count(Verdict::Passes));
}

#[test]
fn payloads_are_sent_as_frames_if_the_receiver_has_tcp_alone() {
    let mut live = print_received(None, Some(free_tcp()), 120, |_| {});
    let results = results(&mut live, None);
    assert_eq!(unexpected(&results), [""; 0]);
    assert!(results.count(Verdict::Passes) >= 280, "{}", results.count(Verdict::Passes));
}

#[test]
fn slow_vectors_wait_in_real_time() {
    let mut live = print_received(Some(free_udp()), None, 120, |options| options.slow = true);
    let started = Instant::now();
    let results = results(&mut live, Some("C67"));
    assert_eq!(unexpected(&results), [""; 0]);
    assert_eq!(results.count(Verdict::Passes), 1);
    assert!(started.elapsed() >= Duration::from_secs(7));
}

/// Starts a receiver that calls `output` for each message. `output` writes lines of JSON to a connection. Returns
/// the subject that sends to the receiver and reads this connection.
fn receiver_with_output(
    change: impl FnOnce(&mut LiveOptions),
    mut output: impl FnMut(&Message<'_>, &mut LineOutput) + Send + 'static,
) -> (Live, tokio::runtime::Runtime) {
    let observe = free_tcp();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut receiver = runtime.block_on(UdpReceiver::bind("127.0.0.1:0")).unwrap();
    let udp = Some(receiver.local_addr().unwrap());
    let mut options = LiveOptions { udp, ready_timeout: Duration::from_secs(20), ..Default::default() };
    change(&mut options);
    runtime.spawn(async move {
        let mut lines = LineOutput::to(observe);
        let mut decoder = Decoder::lenient();
        loop {
            let Ok(received) = receiver.recv().await.unwrap() else { continue };
            let Ok(decoded) = received.decode(&mut decoder) else { continue };
            output(&decoded.message, &mut lines);
        }
    });
    (Live::start(options, Observe::Listen(observe)).unwrap(), runtime)
}

/// Returns a message as an output line, without level and timestamp.
fn line_of(message: &Message<'_>) -> Value {
    let fields = message.fields().map(|(name, value)| (name.as_str().to_owned(), json!(value.to_string())));
    json!({
        "host": message.host(),
        "short_message": message.short_message(),
        "full_message": message.full_message(),
        "fields": fields.collect::<serde_json::Map<_, _>>(),
    })
}

/// The receiver changes level 7 to 6 and drops timestamps. It also adds a field, which the options ignore.
#[test]
fn lost_and_changed_members_are_found() {
    let ignore = |options: &mut LiveOptions| options.ignored_fields = vec!["added_*".to_owned()];
    let (mut live, _runtime) = receiver_with_output(ignore, |message, lines| {
        let mut line = line_of(message);
        line["level"] = json!(message.level().map(|level| level.as_u8().min(6)));
        line["fields"]["added_here"] = json!(1);
        lines.write(&line);
    });
    let levels = results(&mut live, Some("level"));
    let differences: Vec<_> = unexpected(&levels);
    assert!(!differences.is_empty());
    let is_lowered = |line: &String| line.ends_with("[\"level: expected 7, found 6\"]");
    assert!(differences.iter().all(is_lowered), "{differences:?}");
    let timestamps = results(&mut live, Some("timestamp"));
    assert!(timestamps.count(Verdict::Fails) > 0);
}

/// The receiver fills in a missing timestamp and a missing level, adds an hour to other timestamps, and also
/// writes lines that are not messages.
#[test]
fn filled_in_members_and_lines_without_messages_are_not_reported_as_differences() {
    let defaults = |options: &mut LiveOptions| {
        options.defaults = [("level".to_owned(), "6".to_owned())].into();
    };
    let (mut live, _runtime) = receiver_with_output(defaults, |message, lines| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let mut line = line_of(message);
        line["level"] = json!(message.level().map_or(6, |level| level.as_u8()));
        line["timestamp"] = match message.timestamp() {
            Some(timestamp) => json!(timestamp.as_unix().0 + 3600),
            None => json!(now),
        };
        lines.write(&json!("received a message"));
        lines.write(&line);
    });
    let envelope = results(&mut live, Some("envelope"));
    assert!(envelope.count(Verdict::Passes) > 20);
    let differences: Vec<_> = unexpected(&envelope);
    let changed = |line: &&String| line.contains("timestamp: expected 1");
    assert_eq!(differences.iter().filter(|line| !changed(line)).collect::<Vec<_>>(), [""; 0]);
    assert!(differences.iter().all(|line| !line.contains("received a message")), "{differences:?}");
    let timestamps = results(&mut live, Some("timestamp"));
    assert!(timestamps.count(Verdict::Fails) > 0, "a changed timestamp is still a difference");
}

/// Starts a correct receiver in this process that inflates in the background. It delivers a message of one plain
/// datagram immediately, and a compressed or chunked message after a delay, so the former can overtake the latter.
fn inflating_receiver(delay: Duration) -> Live {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = Some(socket.local_addr().unwrap());
    let (delivered, payloads) = mpsc::channel();
    let (compressed, inflated) = mpsc::channel::<Vec<u8>>();
    let deliver = delivered.clone();
    thread::spawn(move || {
        for payload in inflated {
            thread::sleep(delay);
            let _ = deliver.send(payload);
        }
    });
    thread::spawn(move || {
        let mut reader = DatagramReader::lenient(DatagramLimits::default());
        let mut buffer = vec![0; 65536];
        while let Ok((length, source)) = socket.recv_from(&mut buffer) {
            let datagram = &buffer[..length];
            let Ok(Some(payload)) = reader.read(Instant::now(), source, datagram) else { continue };
            let way = if Encoding::sniff(datagram) == Encoding::Plain { &delivered } else { &compressed };
            let _ = way.send(payload.to_vec());
        }
    });
    let options = LiveOptions { udp, ..Default::default() };
    Live::within(options, move |within| payloads.recv_timeout(within).ok()).unwrap()
}

#[test]
fn a_receiver_that_inflates_in_the_background_passes() {
    for delay in [8, 80, 400] {
        let mut live = inflating_receiver(Duration::from_millis(delay));
        let results = results(&mut live, Some("Z01,Z11,C05,A01,C25,D10"));
        assert!(results.outcomes.len() > 5, "{}", results.outcomes.len());
        assert_eq!(unexpected(&results), [""; 0], "{delay} ms");
        assert_eq!(live.late(), 0, "messages that came during a later vector, {delay} ms");
    }
}

#[test]
fn a_receiver_that_ends_has_crashed_and_is_restarted() {
    // The program ends one second after each start, while the vectors are still being sent.
    let mut live =
        print_received(Some(free_udp()), None, 1, |options| options.settle = Duration::from_millis(25));
    let results = results(&mut live, Some("fields"));
    let crashed = results.count(Verdict::Crashes);
    assert!((1..=10).contains(&crashed), "{:?}", unexpected(&results));
    assert_eq!(results.count(Verdict::Passes) + crashed, results.outcomes.len());
}

/// Starts a receiver that writes each datagram as a line to the client that is connected to its output address.
/// A compressed datagram or a chunk ends the connection instead. Returns the address of the receiver, and its
/// output address.
fn receiver_that_ends_at_compressed_datagrams() -> (SocketAddr, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = (socket.local_addr().unwrap(), output.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        for connection in output.incoming() {
            let mut connection = connection.unwrap();
            loop {
                let (length, _) = socket.recv_from(&mut buffer).unwrap();
                let datagram = &buffer[..length];
                if Encoding::sniff(datagram) != Encoding::Plain {
                    break;
                }
                connection.write_all(&[datagram, b"\n"].concat()).unwrap();
            }
        }
    });
    addresses
}

#[test]
fn a_receiver_that_ends_at_the_first_compressed_sentinel_has_crashed() {
    let (udp, output) = receiver_that_ends_at_compressed_datagrams();
    let command = format!("bash -c 'cat < /dev/tcp/127.0.0.1/{}'", output.port());
    let options = LiveOptions { udp: Some(udp), ..Default::default() };
    let mut live = Live::start(options, Observe::Command(command)).unwrap();
    let results = results(&mut live, Some("A01,A02"));
    let (first, others) = results.outcomes.split_first().unwrap();
    assert_eq!(first.verdict, Verdict::Crashes, "{results:?}");
    assert!(first.differences[0].contains("before this vector"), "{results:?}");
    assert!(others.iter().all(|outcome| outcome.verdict != Verdict::Crashes), "{results:?}");
}

#[test]
fn the_command_reports_and_exits_with_0() {
    let udp = free_udp();
    let observe = format!("{} --udp {udp} --for 60", example("print_received"));
    let output = conformance()
        .args(["receiver", "--udp", &udp.to_string(), "--observe", &observe, "--filter", "magic"])
        .output()
        .unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    assert!(text.contains("34 results, 0 unexpected, 0 known, 0 stale expectations"), "{text}");
    let without = conformance().args(["receiver"]).output().unwrap();
    assert!(!without.status.success());
}
