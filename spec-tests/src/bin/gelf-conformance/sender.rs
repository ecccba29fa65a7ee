//! `sender`: listens, and judges the messages of any sender.

mod listen;
mod listen_http;
mod reading;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use gelf_spec_tests::sender::{Event, HttpSetup, Judge};
use gelf_spec_tests::{receivers, report};

use crate::output;
use crate::times::duration;
use crate::{style, write};
use reading::TimedEvent;

/// Default port of GELF.
const PORT: u16 = 12201;

/// Interval at which the program checks for the end of the run and for overdue chunks.
const TICK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(crate) struct SenderArguments {
    /// Listen for datagrams on this address; port 0 chooses a free port. Without --udp, --tcp and --http, the
    /// program listens for UDP and TCP on 127.0.0.1:12201
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    udp: Option<SocketAddr>,
    /// Listen for TCP connections on this address
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    tcp: Option<SocketAddr>,
    /// Listen for HTTP/1.1 requests on this address, by default 127.0.0.1:12201
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:12201")]
    #[arg(value_parser = address)]
    http: Option<SocketAddr>,
    /// Answer as this receiver does. Graylog answers 413 to a body above 65,536 bytes after inflation, 405 to a
    /// method other than POST and OPTIONS, and 404 to a POST with a target other than /gelf. It closes a TCP connection
    /// after a frame of less than two bytes, and in a frame above 2 MiB. Without this option, a request is
    /// refused only because of --status, because it is not valid HTTP/1.1, or because its head is longer than
    /// 64 KiB or its body longer than 2 MiB before inflation
    #[arg(long = "as", value_enum, value_name = "RECEIVER")]
    answers: Option<Answers>,
    /// Accept several messages in a body, one per line, like a receiver in bulk mode
    #[arg(long, requires = "http")]
    bulk: bool,
    /// Answer the first delivery of each message with this status, and a retry with 202. Senders must retry
    /// after 3xx, 401, 403, 404, 405, 407, 408, 429 and 5xx, and must not retry after 400, 413, 415 and 422.
    /// A missing retry is not judged if the message arrived in the last second of the run
    #[arg(
        long,
        value_name = "STATUS",
        requires = "http",
        conflicts_with = "messages",
        default_value_t = 202
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
    /// Duration, such as 500ms, 30s or 5m; without --for and --messages, the program runs until Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// End after this number of messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Also write a report; can be repeated
    #[arg(long, value_name = "json=FILE", value_parser = json_file)]
    report: Vec<PathBuf>,
}

/// A receiver whose answers this program can imitate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Answers {
    Graylog,
}

/// Parses an address. If a name has several addresses, the first IPv4 address is preferred, because the
/// default address is an IPv4 address, too.
fn address(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| "the name has no address".to_owned())
}

fn json_file(text: &str) -> Result<PathBuf, &'static str> {
    match text.split_once('=') {
        Some(("json", path)) if !path.is_empty() => Ok(path.into()),
        _ => Err("expected json=FILE"),
    }
}

pub(crate) fn sender(arguments: &SenderArguments) -> Result<ExitCode, String> {
    let default = (arguments.udp, arguments.tcp, arguments.http) == (None, None, None);
    let default = default.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let receivers = receivers()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (udp, tcp) = (arguments.udp.or(default), arguments.tcp.or(default));
    for path in &arguments.report {
        // An empty report is written now, so that a wrong path is an error before the run and not after it.
        write(path, "")?;
    }
    let as_graylog = arguments.answers == Some(Answers::Graylog);
    let events = listen::bind(udp, tcp, arguments.http, as_graylog, &stop)?;
    on_interrupt(&stop)?;
    let started = Instant::now();
    let http = HttpSetup { bulk: arguments.bulk, status: arguments.status, as_graylog };
    let mut judge = Judge::new(&receivers, arguments.messages, arguments.http.map(|_| http));
    let end = arguments.time.and_then(|time| started.checked_add(time));
    listen(&mut judge, events, end, &stop);
    let tally = judge.finish(Instant::now());
    let elapsed = started.elapsed();
    output::print(format_args!("{}", report::sender_text(&tally, elapsed, style())));
    for path in &arguments.report {
        write(path, &format!("{:#}\n", report::sender_json(&tally, elapsed)))?;
    }
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Passes events to the judge until the end of the run.
fn listen(judge: &mut Judge<'_>, events: Receiver<TimedEvent>, end: Option<Instant>, stop: &AtomicBool) {
    loop {
        let now = Instant::now();
        if judge.is_done() || end.is_some_and(|end| now >= end) || stop.load(Ordering::Relaxed) {
            break;
        }
        let wait = end.map_or(TICK, |end| TICK.min(end.duration_since(now)));
        match events.recv_timeout(wait) {
            Ok((at, event)) => {
                let (source, is_first) = (source(&event), judge.messages() == 0);
                judge.handle(at, event);
                // This line shows a user immediately that messages arrive. The report follows at the end.
                if is_first && judge.messages() > 0 {
                    let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
                    eprintln!("the first message has arrived{source}");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        judge.expire(Instant::now());
    }
    stop.store(true, Ordering::Relaxed);
    // The queue can still have events from before the end of the run. This loop ends soon, because the
    // listening threads end and thereby close the channel.
    for (at, event) in events {
        judge.handle(at, event);
    }
}

/// Returns the address of the sender if the event can have bytes of a message, and otherwise `None`.
fn source(event: &Event) -> Option<SocketAddr> {
    match event {
        Event::Datagram { source, .. } | Event::Read { source, .. } => Some(*source),
        Event::Http(event) => Some(event.source),
        _ => None,
    }
}

/// Sets the stop flag on Ctrl-C or a termination signal.
fn on_interrupt(stop: &Arc<AtomicBool>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let wrong = |error| format!("signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(wrong)?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(wrong)?, signal(SignalKind::terminate()).map_err(wrong)?)
    };
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}
