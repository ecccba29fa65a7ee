//! `bench`: measures the speed of a subject, and how much of the time the subject protocol takes.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gelf_spec_tests::{Measured, Process, Subject, Workload, measure};

use crate::output;
use crate::times::{duration, seconds};

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Subject: `builtin`, or the command line of a program that speaks the subject protocol
    #[arg(long, default_value = "builtin", value_name = "SUBJECT")]
    subject: String,
    /// Duration of each measurement
    #[arg(long = "for", default_value = "5s", value_name = "TIME", value_parser = duration)]
    time: Duration,
    /// Maximum time for an answer, in seconds
    #[arg(long, default_value_t = Process::DEFAULT_TIMEOUT.as_secs(), value_name = "SECONDS", value_parser = seconds())]
    timeout: u64,
}

/// Explanation that is printed below the figures.
const EXPLANATION: &str = "\
A receive request has 16 messages of about 1.2 kB, a send request has one. MB are millions of bytes of uncompressed payload.
Requests and answers are JSON lines with bytes in hexadecimal, over pipes, one after another: the figures include the
adapter and its JSON, but no transport. They compare subjects under equal conditions, and are less exact than a library's
own benchmark. The floor is gelf-core with this program's own adapter. If a subject takes more time than the floor, the
cause may be its adapter instead of its library. An empty request measures the round trip.";

pub(crate) fn bench(arguments: &BenchArguments) -> Result<ExitCode, String> {
    let timeout = Duration::from_secs(arguments.timeout);
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let own = format!("'{}' subject", program.display());
    let mut floor = Process::start(&own, timeout)?;
    let mut subject = match arguments.subject.as_str() {
        "builtin" => None,
        command => Some(Process::start(command, timeout)?),
    };
    if cfg!(debug_assertions) {
        output::line!(
            "warning: this program was built without optimisation, so the figures are meaningless\n"
        );
    }
    let about = |subject: &Process| {
        let of = subject.description();
        format!("{} {} ({})", of.name, of.version, of.language)
    };
    output::line!("{}, with gelf-core as the floor\n", subject.as_ref().map_or_else(|| about(&floor), about));
    let head = ["requests/s", "messages/s", "MB/s", "µs/request", "floor, µs"];
    output::line!("{}", row("", &head.map(str::to_owned)));
    for workload in Workload::ALL {
        let of_floor = measure(&mut floor, workload, arguments.time)?;
        let of_subject = match &mut subject {
            Some(subject) => measure(subject, workload, arguments.time),
            None => Ok(of_floor.clone()),
        };
        match of_subject {
            Ok(Ok(measured)) => output::line!("{}", line(workload, &measured, of_floor.as_ref().ok())),
            Ok(Err(why)) => output::line!("{}: not asked: {why}", workload.words()),
            // The run continues, because a subject that loses messages in one measurement can pass the next.
            Err(why) => output::line!("{why}: not measured"),
        }
    }
    output::line!("\n{EXPLANATION}");
    Ok(ExitCode::SUCCESS)
}

fn line(workload: Workload, measured: &Measured, floor: Option<&Measured>) -> String {
    let none = || "-".to_owned();
    let micros = |measured: &Measured| format!("{:.1}", 1e6 / measured.rate(measured.requests));
    let rate = |count| format!("{:.0}", measured.rate(count));
    let megabytes = format!("{:.1}", measured.rate(measured.payload_bytes) / 1e6);
    let (messages, bytes) = match workload {
        Workload::Empty => (none(), none()),
        _ => (rate(measured.messages), megabytes),
    };
    let floor = floor.map_or_else(none, micros);
    row(workload.words(), &[rate(measured.requests), messages, bytes, micros(measured), floor])
}

fn row(name: &str, [requests, messages, bytes, micros, floor]: &[String; 5]) -> String {
    format!("{name:<17} {requests:>12} {messages:>12} {bytes:>9} {micros:>12} {floor:>12}")
}
