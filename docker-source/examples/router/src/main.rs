//! `gelf-router`: ships the lines of every container of a Docker host as GELF.
//!
//! `cli`, `route` and `host` read what is asked for, `privileges` gives up root, `run` joins the source of records with the
//! routes, `deliver` sends what a route got, `tally` counts it, and `print` is the receiver behind `--print`.

mod cli;
mod deliver;
mod host;
mod print;
mod privileges;
mod route;
mod run;
mod tally;

use std::io::Write;
use std::process::ExitCode;

use docker_source::EngineAddress;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(cli::Refusal::Answer(text)) => {
            // Whoever asked and does not listen has his reasons.
            let _ = std::io::stdout().write_all(with_newline(text).as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(cli::Refusal::Usage(usage)) => {
            let _ = std::io::stderr().write_all(with_newline(usage).as_bytes());
            return ExitCode::from(2);
        }
        Err(cli::Refusal::Mistake(mistake)) => return fail(2, &mistake),
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
    if options.drop_root {
        match privileges::drop_root(&engine) {
            privileges::Root::Absent => {}
            privileges::Root::Dropped { user, group } => tracing::info!("runs as user {user}, group {group}"),
            privileges::Root::Kept(reason) => tracing::warn!("still runs as root: {reason}"),
        }
    }
    // On one thread, what reads, what routes and what sends take turns, and each turn takes many lines. On several
    // they wake each other for every line, which costs a multiple of the processor time and gains nothing: the Engine
    // is slower than either.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let outcome = runtime.block_on(run::run(engine, options));
    // A read from a terminal that never returns must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failure { status, reason }) => fail(status, &reason),
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// One line on stderr, and the exit status.
fn fail(status: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "gelf-router: {reason}");
    ExitCode::from(status)
}
