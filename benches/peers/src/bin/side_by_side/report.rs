//! Writes the results as Markdown with plots.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::content::LENGTHS;
use crate::libraries::OURS;
use crate::plot::{self, Curve, number};
use crate::results::{Results, Series, Spread};
use crate::routers::{CONDITIONS, DRIVER, RATE};

/// The file with the data, in the folder `benches`.
const DATA: &str = "results.tsv";

/// The file with the report, in the folder `benches`.
const REPORT: &str = "RESULTS.md";

/// The series of gelf-router with its default options.
pub(crate) const ROUTER: &str = "gelf-router";

/// The series of gelf-router that reads log files.
pub(crate) const FILES: &str = "gelf-router, read=files";

/// Writes the data, and then the plots and the report.
///
/// # Errors
/// Returns the error of the file system.
pub(crate) fn save(folder: &Path, results: &Results) -> Result<(), String> {
    fs::write(folder.join(DATA), results.to_tsv()).map_err(|error| error.to_string())?;
    draw(folder)
}

/// Writes the plots and the report from the file with the data.
///
/// # Errors
/// Returns the error of the file system, or the line that is not data.
pub(crate) fn draw(folder: &Path) -> Result<(), String> {
    let describe = |error: std::io::Error| error.to_string();
    let results = Results::from_tsv(&fs::read_to_string(folder.join(DATA)).map_err(describe)?)?;
    let libraries: Vec<Curve> = collect(&results, "library", LENGTHS.map(|length| (length, 0)), |key| key.0);
    let containers = CONDITIONS.into_iter().filter(|condition| condition.0 == 640);
    let counts: Vec<Curve> = collect(&results, "router", containers, |key| key.1);
    let mut one_container = collect(&results, "router", [(640, 1)], |key| key.1);
    one_container.sort_by(|a, b| a.points[0].1.total_cmp(&b.points[0].1));
    let ticks = LENGTHS.map(|length| length as f64);
    let plots = [
        (
            "by-length.svg",
            plot::curves(
                "A message over UDP, by library and length of the line",
                "bytes in a line",
                &ticks,
                &libraries,
            ),
            libraries.len(),
        ),
        (
            "by-containers.svg",
            plot::curves(
                &format!("A line of 640 bytes, by number of containers, {RATE} lines/s in all"),
                "containers",
                &counted(&counts),
                &counts,
            ),
            counts.len(),
        ),
        (
            "routers.svg",
            plot::bars(
                "A line of 640 bytes of one container: router and dockerd above having no reader",
                &one_container,
            ),
            one_container.len(),
        ),
    ];
    fs::create_dir_all(folder.join("plots")).map_err(describe)?;
    for (name, svg, curves) in plots {
        if curves > 0 {
            fs::write(folder.join("plots").join(name), svg).map_err(describe)?;
        }
    }
    fs::write(folder.join(REPORT), markdown(&results)).map_err(describe)
}

/// Returns the numbers of containers in the first curve, for the ticks of the axis.
fn counted(curves: &[Curve]) -> Vec<f64> {
    curves.iter().map(|curve| curve.points.iter().map(|point| point.0).collect()).next().unwrap_or_default()
}

/// Returns whether a series is of a program of this project.
fn is_ours(name: &str) -> bool {
    name.starts_with("gelf-tokio") || name.starts_with("gelf-router")
}

/// Returns a curve for each subject of a kind, with a point for each condition. `x` returns the x coordinate
/// of a condition.
fn collect(
    results: &Results,
    kind: &str,
    conditions: impl IntoIterator<Item = (usize, usize)>,
    x: impl Fn((usize, usize)) -> usize,
) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for condition in conditions {
        for one in results.of(kind, condition.0, condition.1) {
            // The logarithmic axis has no place for zero and negative figures, which noise can produce.
            let point = (x(condition) as f64, one.time().median.max(0.1));
            match curves.iter_mut().find(|curve| curve.name == one.name) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve {
                    name: one.name.clone(),
                    ours: is_ours(&one.name),
                    points: vec![point],
                }),
            }
        }
    }
    curves
}

/// Returns the whole report.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::from(
        "# Side by side\n\nThe processor time of this project and of other implementations of GELF, measured in \
         one run by \
         `scripts/bench-peers all --write`. The figures of each round are in [results.tsv](results.tsv); \
         `scripts/bench-peers draw` makes this page and its plots from that file.\n\n| | |\n|---|---|\n",
    );
    for (name, value) in &results.notes {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push_str(METHOD);
    for length in LENGTHS {
        libraries(&mut text, results, length);
    }
    if results.series.iter().any(|one| one.kind == "router") {
        text.push_str(ROUTERS);
        let _ = writeln!(text, "The containers write {RATE} lines a second in all.");
        for condition in CONDITIONS {
            routers(&mut text, results, condition);
        }
    }
    text
}

const METHOD: &str = "
## Libraries

Each library sends over UDP to the loopback from a small program of its language ([peers](peers)), with its
default compression. A message has the same host, twelve fields of a container (about 750 bytes) and a line
of the given length; 64 lines of the benches' corpus take turns. Constant fields are given to the library
once if its API has constant fields. The time is user and system time of the process by `getrusage`. A
sender runs with two numbers of messages, and the figure is the difference of the times divided by the
difference of the numbers, so that starting does not count. The senders take turns in each round. A figure
is the median of the rounds, with the 10th and the 90th percentile in parentheses; a ratio is the median of
the ratios in the same round. *At the same compression* compares with gelf-tokio's UdpSender at gzip, zlib
or none. *Asked* is the project's own goal.

gelf_logger has no UDP and sends over TCP. tracing-gelf sends each message as one datagram, without
compression. logback-gelf sends the line a second time as `full_message`; the first 20,000 messages of its
two runs warm the Java runtime up (5,000 in a quick run).

![Processor time by length of the line](plots/by-length.svg)
";

const ROUTERS: &str = "
## Routers

Containers write lines at a steady rate for two seconds, and the sink is a UDP socket on the loopback. The
figure is the processor time per written line of the router's process, plus the processor time of dockerd
above its time for the same containers without a reader, all with the json-file driver. For Docker's gelf
driver, the figure is the time of dockerd above the json-file driver without a reader. The time is that of
the running threads (`/proc/PID/task/*/schedstat`), from before the first line until the sink has received
the last. Each router starts two seconds before the first line. The routers take turns in each round.
*Received* is the share of the written lines that the sink received.

![Processor time of routers](plots/routers.svg)

![Processor time by number of containers](plots/by-containers.svg)

";

/// Appends the table of the libraries for one length of the line.
fn libraries(text: &mut String, results: &Results, length: usize) {
    let all = results.of("library", length, 0);
    let Some(ours) = all.iter().find(|one| one.name == OURS) else { return };
    let _ = write!(
        text,
        "\n### A line of {length} bytes\n\n| library | compression | bytes on the wire | received | \
         µs per message | × {OURS} | × ours at the same compression | asked |\n|---|---|---|---|---|---|---|---|\n"
    );
    for one in &all {
        let same = all.iter().find(|other| {
            other.compression == one.compression && other.name.starts_with("gelf-tokio UdpSender")
        });
        let asked = match one.name.as_str() {
            "go-gelf v2" if length == 640 => "at least 80",
            "gelf 0.5" if length == 640 => "at least 5",
            _ => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {} | {} | {} | {} | {asked} |",
            one.name,
            one.compression,
            one.bytes,
            share(one),
            spread(one.time()),
            spread(one.over(ours)),
            same.map(|same| spread(one.over(same))).unwrap_or_default()
        );
    }
}

/// Appends the table of the routers under one condition.
fn routers(text: &mut String, results: &Results, (length, containers): (usize, usize)) {
    let all = results.of("router", length, containers);
    let Some(ours) = all.iter().find(|one| one.name == ROUTER) else { return };
    let noun = if containers == 1 { "container" } else { "containers" };
    let _ = write!(
        text,
        "\n### {containers} {noun}, lines of {length} bytes\n\n| router | compression | bytes on the wire | \
         received | its process, µs per line | with dockerd, µs per line | × {ROUTER} | \
         asked |\n|---|---|---|---|---|---|---|---|\n"
    );
    let processes = results.of("process", length, containers);
    for one in &all {
        let process = processes.iter().find(|process| process.name == one.name);
        let asked = match one.name.as_str() {
            DRIVER if (length, containers) == (640, 1) => "at least 25",
            FILES if (length, containers) == (640, 1) => "Docker's driver at least 60 times as long",
            _ => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {} | {} | {} | {} | {asked} |",
            one.name,
            one.compression,
            one.bytes,
            share(one),
            process.map(|process| spread(process.time())).unwrap_or_default(),
            spread(one.time()),
            spread(one.over(ours))
        );
    }
}

fn share(one: &Series) -> String {
    format!("{:.1} %", one.received * 100.0)
}

fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high))
}
