//! Parses the command line: the arguments of Logspout, and further options.
//!
//! Each subcommand has a file with its arguments. `help` has the text below the list of arguments.

mod audit;
mod check;
mod doctor;
mod explain;
mod help;
mod proxy;
mod tail;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};
use docker_source::{EngineAddress, NamePattern};
use tracing::Level;

use self::help::after_help;
use crate::backlog::Backlog;
use crate::config::Config;
use crate::host::{self, Host};
use crate::http_options::{AddressFrom, HttpOptions};
use crate::log_level::LogLevel;
use crate::logspout::{Environment, Variable};
use crate::reading::Reading;
use crate::route::{Route, RouteUri, list};

/// Ships the lines of every container of a Docker host as GELF.
#[derive(Debug, Parser)]
#[command(name = "gelf-router", version, after_help = after_help(), args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Arguments {
    /// The destinations, separated by commas
    #[arg(value_name = "ROUTE[,ROUTE...]")]
    routes: Vec<String>,

    /// Print each message that an embedded receiver gets, as one JSON line on stdout
    #[arg(
        long,
        value_name = "OPTIONS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        long_help = "Print each message that an embedded receiver gets, as one JSON line on stdout. The receiver \
                     listens on a free UDP port of the loopback interface, and ignores messages of other \
                     programs. OPTIONS are the options of its route, as in --print=filter.name=shop-*"
    )]
    print: Option<String>,

    /// If started as root, change to user 65534 and the group of the Engine's socket; the image sets this
    #[arg(long)]
    drop_root: bool,

    /// Keep the positions of delivered lines in this folder, and continue behind them at the next start
    #[arg(
        long,
        value_name = "DIR",
        long_help = "Keep the positions of delivered lines in this folder, and continue behind them at the \
                     next start. Lines that containers write while the router does not run are shipped \
                     then, if the Engine still has them. The folder is created if needed. Positions are \
                     written once a second and at the end. Without this option, the router ships the lines \
                     that are written after its start. If the router runs in a container and replaces an \
                     agent (a router that has ended), it also ships the lines since shortly before the end \
                     of that agent"
    )]
    state: Option<PathBuf>,

    /// Ship lines from before the first start: none, all, or this number of lines of each container
    #[arg(
        long,
        value_name = "none|all|LINES",
        long_help = "Ship lines that running and ended containers wrote before the first start: none, all \
                     lines that the Engine still has, or this number of the last lines of each container. \
                     A line of more than 16 KiB counts several times. By default, no earlier line ships. \
                     But if the router runs in a container and replaces an agent, it ships the lines since \
                     one second before the signal that ended that agent, or, if no signal is known, since \
                     ten seconds before its end. The option has no effect if --state has saved positions. \
                     Without --state, the option applies to each start, so all or LINES ship lines again"
    )]
    backlog: Option<Backlog>,

    /// Read json-file logs through the Engine, or from the files in DIR or in /var/lib/docker/containers
    #[arg(
        long,
        value_name = "api|files|auto[=DIR]",
        long_help = "Read the logs of the json-file driver through the Engine (api, the default) or from their \
                     files, which costs less and keeps files that a rotation removes until they are read, \
                     up to 256 MiB in all. With files, the folder of the \
                     Engine's containers must be readable. With auto, the router reads through the Engine if \
                     that folder is not readable. DIR is the path at which the folder is mounted, if the \
                     Engine has another path for it. All other logs are read through the Engine"
    )]
    read: Option<String>,

    /// Read further options, and routes if the command line has none, from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the effective configuration as a file for --config, without its secrets, and end
    #[arg(long)]
    print_config: bool,

    /// Serve the HTTP API, such as /health, /metrics and /logs, on this address, such as 127.0.0.1:8000
    #[arg(
        long,
        value_name = "ADDRESS",
        long_help = "Serve the HTTP API on this address, such as 127.0.0.1:8000: a page at /, and \
                     /status, /health, /metrics, /containers, /logs and /routes. Each client that can \
                     connect can read all lines and add routes, so an address outside of the loopback \
                     interface needs a trusted network. The variables PORT, HTTP_PORT and HTTP_BIND_ADDRESS \
                     also enable the API"
    )]
    http: Option<SocketAddr>,

    /// Further host names by which clients may call the HTTP API, besides addresses and names without a dot
    #[arg(long, value_name = "NAME[,NAME...]", value_delimiter = ',')]
    http_names: Vec<String>,

    /// Send no message numbers: the fields _seq and _seq_epoch, which `gelf-router audit` reads
    #[arg(long)]
    no_seq: bool,

    /// The least severe level that is logged to stderr [default: info]
    #[arg(long, value_name = "LEVEL", value_enum)]
    log_level: Option<LogLevel>,

    #[command(subcommand)]
    command: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Receive messages of routers over UDP and TCP, and report at the end which messages are missing
    Audit(audit::Arguments),
    /// Ask an agent for its health; the exit status is 0 if lines are read and delivered
    Check(check::Arguments),
    /// Examine the Engine, the logs of the containers and the destinations, and name the remedy of each problem
    Doctor(doctor::Arguments),
    /// Show the effective routes and variables, and why each route selects a running container or does not
    Explain(explain::Arguments),
    /// Give agents the part of the Engine's API that they need, without the values of environment variables
    Proxy(proxy::Arguments),
    /// Print the new lines of containers as `NAME | text`, with ! for stderr and ~ for a gap
    Tail(tail::Arguments),
}

/// The task of the process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Receives the messages of other routers at this address until a signal arrives, or until no message
    /// arrives within the time `idle`.
    Audit { address: SocketAddr, idle: Option<Duration> },
    /// Asks an agent for its health.
    Check {
        /// The address of the agent's HTTP API, if it is given.
        address: Option<SocketAddr>,
        /// The time within which the agent has to answer.
        within: Duration,
        /// True if an agent that reports problems counts as success, too.
        is_liveness: bool,
    },
    /// Examines the host, the Engine and the destinations.
    Doctor,
    /// Explains the configuration.
    Explain,
    /// Listens at this address, and passes the requests of agents on to the Engine.
    Proxy { listen: EngineAddress },
    /// Ships lines.
    Ship,
    /// Prints the new lines of the containers whose names match a pattern, or of all containers if there is
    /// no pattern.
    Tail { names: Vec<NamePattern> },
}

impl Task {
    /// Returns whether the task connects to the Engine.
    pub(crate) fn needs_engine(&self) -> bool {
        !matches!(self, Self::Audit { .. } | Self::Check { .. })
    }
}

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// The destinations.
    pub(crate) routes: Vec<Route>,
    /// The route to the embedded receiver, if `--print` is given. The receiver's address is not known yet.
    pub(crate) print: Option<RouteUri>,
    /// True if a process that was started as root changes to another user.
    pub(crate) drop_root: bool,
    /// True if each message has a number.
    pub(crate) numbers_messages: bool,
    pub(crate) task: Task,
    /// The folder in which positions are kept.
    pub(crate) state: Option<PathBuf>,
    /// Selects the lines to ship that were written before the first start. Without a value, a router in a
    /// container that replaces an agent ships the lines since shortly before the end of that agent.
    pub(crate) backlog: Option<Backlog>,
    pub(crate) reading: Reading,
    /// The HTTP API, if it is asked for.
    pub(crate) http: Option<HttpOptions>,
    /// The folder of the routes of the HTTP API.
    pub(crate) routes_path: Option<PathBuf>,
    /// The variables that set options of routes, kept for routes that the HTTP API adds later.
    pub(crate) environment: Environment,
    /// The least severe level that is logged.
    pub(crate) log_level: Level,
    /// The default host of messages, and the place where the host was found. A route may set another host.
    pub(crate) host: Option<Host>,
    /// The variables of Logspout that are set.
    pub(crate) variables: Vec<&'static Variable>,
    /// Warnings to log at the start, such as one for each variable of Logspout that has no effect.
    pub(crate) warnings: Vec<String>,
}

/// A command line that does not start the router.
#[derive(Debug)]
pub(crate) enum Exit {
    /// `--help`, `--version` or `--print-config`: the text goes to stdout, and the exit status is 0.
    Help(String),
    /// A mistake, described in one line: it goes to stderr, and the exit status is 2.
    Mistake(String),
    /// There is no route, no `--print`, no HTTP API and no folder of routes: the usage goes to stderr, and the
    /// exit status is 2.
    Usage(String),
}

/// Parses the command line; `variable` looks up the environment, and `file` reads a file.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
    file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Options, Exit> {
    let mut arguments = Arguments::try_parse_from(arguments).map_err(exit)?;
    let mut task = Task::Ship;
    match arguments.command.take() {
        Some(Subcommand::Audit(audit::Arguments { address, idle })) => {
            task = Task::Audit { address, idle: idle.map(|seconds| Duration::from_secs(seconds.into())) };
        }
        Some(Subcommand::Check(check::Arguments { http, within, liveness })) => {
            let within = Duration::from_secs(within.into());
            task = Task::Check { address: http, within, is_liveness: liveness };
        }
        Some(Subcommand::Doctor(doctor::Arguments { routes, config, state, read })) => {
            (task, arguments.routes, arguments.config) = (Task::Doctor, routes, config);
            (arguments.state, arguments.read) = (state, read);
        }
        Some(Subcommand::Explain(explain::Arguments { routes, config })) => {
            (task, arguments.routes, arguments.config) = (Task::Explain, routes, config);
        }
        Some(Subcommand::Proxy(proxy::Arguments { listen })) => task = Task::Proxy { listen },
        Some(Subcommand::Tail(tail::Arguments { names })) => task = Task::Tail { names },
        None => {}
    }
    let config = read_config(arguments.config.as_deref(), &file)?;
    let is_agent = matches!(task, Task::Doctor | Task::Explain | Task::Ship);
    let mut environment = match Environment::read(&variable) {
        // The other tasks do not use the variables of the agent.
        Err(_) if !is_agent => Environment::default(),
        read => read.map_err(Exit::Mistake)?,
    };
    let (host, warning) = host::find(&file, &variable);
    environment.set_host(host.as_ref(), warning);
    let list = |text: &str| list::parse(text, &variable).map_err(Exit::Mistake);
    let route_uris = variable("ROUTE_URIS").filter(|_| is_agent);
    let uris = match (&arguments.routes[..], config.routes, route_uris) {
        ([], routes, None) => routes,
        ([], routes, Some(_)) if !routes.is_empty() => routes,
        ([], _, Some(text)) => list(&text)?,
        (texts, ..) => {
            let lists = texts.iter().map(|text| list(text)).collect::<Result<Vec<_>, _>>()?;
            lists.concat()
        }
    };
    let print = arguments.print.as_ref().map(|options| list::print(options, &mut environment));
    let print = print.transpose().map_err(Exit::Mistake)?;
    let routes = list::routes(uris, &mut environment, print.is_some()).map_err(Exit::Mistake)?;
    environment.warn_of_unused();
    let address = http_address(arguments.http, config.http, environment.http);
    let http_names = [arguments.http_names, config.http_names].concat();
    let http = HttpOptions::new(address, http_names.clone()).map_err(Exit::Mistake)?;
    let needs_route = matches!(task, Task::Explain | Task::Ship) && address.is_none();
    if routes.is_empty() && print.is_none() && environment.routes_path.is_none() && needs_route {
        return Err(Exit::Usage(Arguments::command().render_help().to_string()));
    }
    // The doctor prints its findings to stdout, so it logs only errors unless another level is set.
    let quiet_level = (task == Task::Doctor).then_some(LogLevel::Error);
    let default_level = environment.is_debug.then_some(LogLevel::Debug).or(quiet_level);
    let log_level = arguments.log_level.or(config.log_level).or(default_level);
    let drop_root = arguments.drop_root || config.drop_root;
    let no_seq = arguments.no_seq || config.no_seq;
    let state = arguments.state.or(config.state);
    let backlog = arguments.backlog.or(config.backlog).or(environment.backlog);
    let read = arguments.read.map(|text| text.parse()).transpose();
    let read = read.map_err(|mistake| Exit::Mistake(format!("--read: {mistake}")))?.or(config.read);
    if arguments.print_config {
        let routes = routes.iter().map(|route| route.uri().clone()).collect();
        let http = address.map(|(address, _)| address);
        let config = Config { backlog, drop_root, http, http_names, log_level, no_seq, read, state, routes };
        return Err(Exit::Help(config.to_toml()));
    }
    // `explain` prints the variables itself, so they cause no warnings.
    let mut warnings = if task == Task::Explain { Vec::new() } else { environment.ignored() };
    warnings.append(&mut environment.warnings);
    if !is_agent {
        warnings.clear();
    }
    Ok(Options {
        routes,
        print,
        drop_root,
        numbers_messages: !no_seq,
        task,
        state,
        backlog,
        reading: read.unwrap_or_default(),
        http,
        routes_path: environment.routes_path.clone(),
        log_level: log_level.unwrap_or(LogLevel::Info).level(),
        host,
        variables: environment.set.clone(),
        environment,
        warnings,
    })
}

/// Returns whether the word is a subcommand. A container that runs a subcommand is not an agent.
pub(crate) fn is_subcommand(word: &str) -> bool {
    <Subcommand as clap::Subcommand>::has_subcommand(word)
}

/// The HTTP API of the process that a command line starts.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Api {
    /// The process is an agent with an API at this address.
    At(SocketAddr),
    /// The process is an agent without an API.
    Off,
    /// The process is not an agent: the command line has a subcommand.
    NotAnAgent,
}

/// Finds the HTTP API of the process that a command line of the router starts. No route is set up, so files
/// that routes name, such as certificates, need not be readable.
pub(crate) fn api_of(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
    file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Api, Exit> {
    let arguments = Arguments::try_parse_from(arguments).map_err(exit)?;
    if arguments.command.is_some() {
        return Ok(Api::NotAnAgent);
    }
    let config = read_config(arguments.config.as_deref(), file)?;
    let environment = Environment::read(&variable).map_err(Exit::Mistake)?;
    let address = http_address(arguments.http, config.http, environment.http);
    Ok(address.map_or(Api::Off, |(address, _)| Api::At(address)))
}

/// Returns the address of the HTTP API, and the place where it is set. The command line takes precedence over
/// the file, and the file over the variables.
fn http_address(
    argument: Option<SocketAddr>,
    file: Option<SocketAddr>,
    variables: Option<SocketAddr>,
) -> Option<(SocketAddr, AddressFrom)> {
    let from = |place| move |address| (address, place);
    let argument = argument.map(from(AddressFrom::CommandLine));
    let set = argument.or_else(|| file.map(from(AddressFrom::File)));
    set.or_else(|| variables.map(from(AddressFrom::Variables)))
}

/// Reads the file of `--config`, if the option is given.
fn read_config(path: Option<&Path>, file: impl Fn(&Path) -> io::Result<String>) -> Result<Config, Exit> {
    let Some(path) = path else { return Ok(Config::default()) };
    file(path)
        .map_err(|error| error.to_string())
        .and_then(|text| Config::parse(&text))
        .map_err(|error| Exit::Mistake(format!("--config {}: {error}", path.display())))
}

/// Shortens clap's paragraph about a mistake to one line.
fn exit(error: clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::Help(error.render().to_string());
    }
    let text = error.render().to_string();
    // The lines of a list, such as the missing arguments, are indented.
    let (first, others) = text.split_once('\n').unwrap_or((&text, ""));
    let listed = others.lines().take_while(|line| line.starts_with(' ')).map(str::trim);
    let line = std::iter::once(first).chain(listed).collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let mut mistake = format!("{line}; see gelf-router --help");
    if let Some(suggestion) = error.get(ContextKind::SuggestedArg) {
        mistake = format!("{line}; did you mean {suggestion}?");
    }
    Exit::Mistake(mistake)
}

#[cfg(test)]
mod tests;
