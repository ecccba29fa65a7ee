//! Measures the processor time of this project's senders and router beside that of other implementations.
//!
//! The script `scripts/bench-peers` builds the programs that this program starts, and describes the
//! arguments.

mod content;
mod libraries;
mod plot;
mod processor;
mod report;
mod results;
mod routers;
mod sink;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use results::Results;
use routers::Router;

/// The command line.
struct Options {
    repository: PathBuf,
    /// The command of gelf-router, without arguments. If `None`, routers are not measured.
    program: Option<String>,
    routers: Vec<Router>,
    rounds: usize,
    libraries: bool,
    quick: bool,
    write: bool,
    draw: bool,
}

fn main() -> ExitCode {
    match parse().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("side_by_side: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        repository: PathBuf::from("."),
        program: None,
        routers: Vec::new(),
        rounds: 15,
        libraries: true,
        quick: false,
        write: false,
        draw: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--repository" => options.repository = PathBuf::from(value()?),
            "--program" => options.program = Some(value()?),
            "--router" => options.routers.push(router(&value()?)),
            "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--no-libraries" => options.libraries = false,
            "--quick" => options.quick = true,
            "--write" => options.write = true,
            "--draw" => options.draw = true,
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok(options)
}

/// Parses `NAME=COMMAND` or `COMMAND`. A name has neither a space nor a slash.
fn router(text: &str) -> Router {
    let (name, command) = match text.split_once('=') {
        Some((name, command)) if !name.contains([' ', '/']) => (name, command),
        _ => (text.split_whitespace().next().unwrap_or(text).rsplit('/').next().unwrap_or(text), text),
    };
    Router { name: name.to_owned(), compression: String::new(), command: command.to_owned() }
}

fn run(options: &Options) -> Result<(), String> {
    let folder = options.repository.join("benches");
    if options.draw {
        return report::draw(&folder);
    }
    let load = || {
        fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split(' ')
            .take(3)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut results = Results::default();
    let mut note = |name: &str, value: String| results.notes.push((name.to_owned(), value));
    note("date", command("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    note("revision", command("git", &["describe", "--always", "--dirty"]));
    note("processor", cpu());
    note("system", command("uname", &["-srm"]));
    note("rounds", options.rounds.to_string());
    note("messages", if options.quick { "a quarter (--quick)" } else { "all" }.to_owned());
    note("load average at the start", load());
    if options.libraries {
        let (measured, missing) = libraries::measure(&options.repository, options.rounds, options.quick)?;
        if !missing.is_empty() {
            eprintln!("side_by_side: not installed, skipped: {}", missing.join(", "));
            note("not installed", missing.join(", "));
        }
        note("load average after the libraries", load());
        results.series.extend(measured);
    }
    // A run takes long, so each part is written when it is complete.
    let save = |results: &Results| if options.write { report::save(&folder, results) } else { Ok(()) };
    save(&results)?;
    if let Some(program) = &options.program {
        let engine = command("docker", &["version", "--format", "{{.Server.Version}}"]);
        results.notes.push(("Docker Engine".to_owned(), engine));
        let mounted = options.repository.join("target/bench-peers/containers");
        let routers =
            own_routers(program).into_iter().chain(options.routers.iter().cloned()).collect::<Vec<_>>();
        routers::measure(&mounted, &routers, options.rounds, options.quick, |series| {
            results.series.extend(series);
            save(&results)
        })?;
        results.notes.push(("load average at the end".to_owned(), load()));
    }
    save(&results)?;
    if !options.write {
        print!("{}", report::markdown(&results));
    }
    Ok(())
}

/// Returns gelf-router in several configurations: with its defaults, without compression, and reading log
/// files. The last one is left out if the folder of the log files cannot be read.
fn own_routers(program: &str) -> Vec<Router> {
    let logs = command("docker", &["info", "--format", "{{.DockerRootDir}}"]) + "/containers";
    let mut own = vec![
        (report::ROUTER, "gzip", format!("{program} 'gelf://{{address}}'")),
        ("gelf-router, compression=none", "none", format!("{program} 'gelf://{{address}}?compression=none'")),
    ];
    if fs::read_dir(&logs).is_ok() {
        own.push((report::FILES, "gzip", format!("{program} '--read=files={logs}' 'gelf://{{address}}'")));
    }
    let router = |(name, compression, command): (&str, &str, String)| Router {
        name: name.to_owned(),
        compression: compression.to_owned(),
        command,
    };
    own.into_iter().map(router).collect()
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches(['\t', ':', ' ']))
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
