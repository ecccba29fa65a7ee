//! `gelf-router`: ships the lines of every container of a Docker host as GELF.
//!
//! `cli`, `route`, `host` and `logspout` parse the configuration, `instance` asks for the id of the machine,
//! `privileges` drops root, `run` joins the source of records with the routes, `lines` joins a route's lines
//! into messages, `deliver` sends them, `settlement` tracks the progress of each route, `state` keeps the
//! positions of the routes across restarts, `tally` counts the lines of a route, `stop` waits for signals, and
//! `print` is the receiver of `--print`.

mod audit;
mod cli;
mod deliver;
mod failure;
mod group;
mod host;
mod instance;
mod lines;
mod logspout;
mod print;
mod privileges;
mod receipt;
mod route;
mod run;
mod settlement;
mod state;
mod stop;
mod tally;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use docker_source::EngineAddress;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(cli::Exit::Help(text)) => {
            // A closed stdout is not an error.
            let _ = std::io::stdout().write_all(with_newline(text).as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(cli::Exit::Usage(usage)) => {
            let _ = std::io::stderr().write_all(with_newline(usage).as_bytes());
            return ExitCode::from(2);
        }
        Err(cli::Exit::Mistake(mistake)) => return fail(2, &mistake),
    };
    let engine = match EngineAddress::from_env() {
        Ok(engine) => engine,
        Err(error) => return fail(2, &error),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .with_max_level(LevelFilter::from_level(options.log_level))
        .init();
    for warning in &options.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = privileges::raise_descriptor_limit() {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    if options.drop_root {
        match privileges::drop_root(&engine, options.state.as_deref()) {
            privileges::Root::Absent => {}
            privileges::Root::Dropped { user, group } => {
                tracing::info!("running as user {user}, group {group}");
            }
            privileges::Root::Kept(reason) => tracing::warn!("still running as root: {reason}"),
        }
    }
    // On one thread, the tasks that read, route and send take turns, and each turn handles many lines. On
    // several threads, the tasks would wake each other for every line. This would take several times the
    // processor time and ship no more lines, since the Engine is slower than the router.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // `--print` writes to stdout in a thread of tokio's pool. tokio would end this thread after 10 s without
    // output, and the next write would fail if the system then refused to start another thread.
    runtime.thread_keep_alive(Duration::from_secs(u32::MAX.into()));
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let outcome = match options.audit {
        Some((address, idle)) => runtime.block_on(audit::run(address, idle)),
        None => runtime.block_on(run::run(engine, options)),
    };
    // Do not wait for a blocked write to stdout.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure::Failure { status, reason }) => fail(status, &reason),
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes one line to stderr and returns the exit status.
fn fail(status: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "gelf-router: {reason}");
    ExitCode::from(status)
}
