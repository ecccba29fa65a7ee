//! `gelf-router`: ships the lines of every container of a Docker host as GELF.
//!
//! Configuration: `cli`, `config`, `route`, `host`, `http_options`, `log_level` and `logspout` parse the
//! configuration. `backlog` selects where reading starts, and `reading` selects whether logs are read through
//! the Engine or from their files. `privileges` gives up the rights of root, and `instance` asks for the id of
//! the EC2 instance.
//!
//! Shipping: `run` starts the routes and the sources of records. `group` reads from one source for several
//! routes, and `hold_up` measures how long a route delays the others. `lines` joins the lines of a route into
//! messages, and `deliver` sends the messages. When a message is delivered or dropped, `receipt` settles its
//! lines. `settlement` tracks which lines of a route are settled, and `state` keeps the positions of the
//! routes across restarts. `tally` counts the lines of a route, `account` adds up the counts, and `gaps` keeps
//! the last gaps. `condition` notes lasting problems, `failure` is the error that ends the router, and `stop`
//! waits for signals.
//!
//! Routes at run time: `registry` keeps the running routes. `http` serves the HTTP API, which shows, adds and
//! removes routes, and `routes_folder` keeps the added routes across restarts. `print` receives and prints the
//! messages of `--print`. `published` warns if the router's container has published ports and the HTTP API answers
//! at none of them.
//!
//! Subcommands: `audit` counts missing messages, `check` asks an agent for its health, `doctor` examines the
//! host, and `explain` shows the configuration. `proxy` forwards to the Engine the requests that agents need,
//! and refuses all others. `tail` prints the lines of containers.
//!
//! Tools: `client` and `server` speak HTTP, `terminal` escapes text for terminals, and `task` boxes the
//! futures of tasks.

mod account;
mod audit;
mod backlog;
mod check;
mod cli;
mod client;
mod condition;
mod config;
mod deliver;
mod doctor;
mod explain;
mod failure;
mod gaps;
mod group;
mod hold_up;
mod host;
mod http;
mod http_options;
mod instance;
mod lines;
mod log_level;
mod logspout;
mod print;
mod privileges;
mod proxy;
mod published;
mod reading;
mod receipt;
mod registry;
mod route;
mod routes_folder;
mod run;
mod server;
mod settlement;
mod state;
mod stop;
mod tail;
mod tally;
mod task;
mod terminal;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::cli::{Options, Task};
use docker_source::EngineAddress;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os(), |name| std::env::var(name).ok(), read_file) {
        Ok(options) => options,
        Err(cli::Exit::Help(text)) => {
            print(text);
            return ExitCode::SUCCESS;
        }
        Err(cli::Exit::Usage(usage)) => {
            let _ = io::stderr().write_all(with_newline(usage).as_bytes());
            return ExitCode::from(2);
        }
        Err(cli::Exit::Mistake(mistake)) => return fail(2, &mistake),
    };
    let engine = match EngineAddress::from_env() {
        Ok(engine) => engine,
        Err(_) if !options.task.needs_engine() => EngineAddress::default(),
        Err(error) => return fail(2, &error),
    };
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .with_max_level(LevelFilter::from_level(options.log_level))
        .init();
    if options.task != Task::Explain {
        for warning in &options.warnings {
            tracing::warn!("{warning}");
        }
    }
    if let Err(error) = privileges::raise_descriptor_limit() {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
    if options.drop_root {
        match privileges::drop_root(&engine, options.state.as_deref(), options.reading.log_files().is_some())
        {
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
    let outcome = match options.task {
        Task::Audit { address, idle } => runtime.block_on(audit::run(address, idle)),
        Task::Check { address, within, is_liveness } => {
            runtime.block_on(check::run(address, within, is_liveness, read_file)).map(print)
        }
        Task::Doctor => runtime.block_on(doctor::run(engine, &options)),
        Task::Explain => {
            let Options { mut routes, variables, warnings, numbers_messages, .. } = options;
            if numbers_messages {
                routes.iter_mut().for_each(|route| route.number_messages(0));
            }
            let explained = runtime.block_on(explain::run(engine, &routes, &variables, &warnings));
            explained.map(print)
        }
        Task::Proxy { listen } => runtime.block_on(proxy::run(engine, listen)),
        Task::Ship => runtime.block_on(run::run(engine, options)),
        Task::Tail { names } => runtime.block_on(tail::run(engine, names)),
    };
    // This does not wait for a blocked write to stdout.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure::Failure { status, reason }) => fail(status, &reason),
    }
}

/// Reads a text file of at most [`config::MAX_BYTES`].
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(config::MAX_BYTES + 1).read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= config::MAX_BYTES => Ok(text),
        _ => Err(io::Error::other("the file has more than 1 MiB")),
    }
}

fn with_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes a text to stdout. A closed stdout is not an error.
fn print(text: String) {
    let _ = io::stdout().write_all(with_newline(text).as_bytes());
}

/// Writes one line to stderr and returns the exit status.
fn fail(status: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "gelf-router: {reason}");
    ExitCode::from(status)
}
