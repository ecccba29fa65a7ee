//! Parses the command line: the arguments of Logspout, and further options.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};
use docker_source::NamePattern;
use gelf_tokio::Endpoint;
use tracing::Level;

use crate::backlog::Backlog;
use crate::config::Config;
use crate::host::{self, Host};
use crate::http_options::HttpOptions;
use crate::log_level::LogLevel;
use crate::logspout::{Environment, Variable};
use crate::route::options::TABLE;
use crate::route::{Route, RouteUri, UDP_RATE, default_queue, list};

const ROUTES: &str = "\
A ROUTE is a URI: gelf://HOST[:PORT] for UDP, or gelf+tcp://, gelf+tls://, gelf+http:// or gelf+https://; \
The prefix multiline+, as in multiline+gelf://, joins lines as in Logspout. \
The default port is 12201. Options follow as a query, as in gelf://HOST?OPTION=VALUE&OPTION=VALUE. A comma \
in a value is written %2C. A name of the route may follow as #NAME. If a container is renamed, its routes \
keep it until it ends, and decide again at its next start. A container without a route is shipped as soon as \
its new name matches.

In a GLOB, * stands for any text, ? for any character, and [a-z] for a character of the class. \\ makes the \
next character plain. Several included patterns of one kind are alternatives. An exclusion takes precedence \
over inclusions.

Options of the router:
";

const EXAMPLES: &str = "
$NAME and ${NAME} in a ROUTE are replaced by environment variables, except in the file of --config.
That file has the options state, backlog, log-level, drop-root, no-seq, http and http-names, and a table \
[[route]] for each route, with to = \"URI\", an optional name, and the options of the route, as in \
filter.name = [\"shop-*\", \"web\"].

Examples:
  gelf-router gelf://logstash.core:12201
  gelf-router 'gelf+tcp://graylog:12201?filter.name=shop-*,gelf://archive'
  gelf-router --print
  gelf-router explain 'gelf://logstash.core?filter.name=shop-*'
  gelf-router tail 'shop-*'
  gelf-router doctor --state /var/lib/gelf-router gelf://logstash.core

Environment:
  ROUTE_URIS   the routes, if neither the command line nor the file of --config has any
  DOCKER_HOST  the Docker Engine: unix:///PATH or tcp://HOST:PORT (default the first that exists of
               /var/run/docker.sock, $XDG_RUNTIME_DIR/docker.sock, /run/podman/podman.sock,
               $XDG_RUNTIME_DIR/podman/podman.sock and /tmp/docker.sock)
  DOCKER_TLS_VERIFY, DOCKER_CERT_PATH
               if DOCKER_TLS_VERIFY is not empty, connections to a tcp:// Engine use TLS, with ca.pem,
               cert.pem and key.pem of the folder DOCKER_CERT_PATH (default ~/.docker), as for the
               docker command
  GELF_HOSTNAME, SYSLOG_HOSTNAME
               the host of messages for routes without host=; the file /etc/host_hostname takes
               precedence. The default is the host name that the agent's container was given, for
               example by hostname: in a compose file

Containers with LOGSPOUT=ignore in their environment are not read. Other agents are not read, either: the \
router recognizes them by the label gelf-router.agent of the image, or by the command gelf-router. Labels of \
a container set options for its lines: gelf.multiline (a preset or off) or gelf.multiline.pattern with \
gelf.multiline.match, gelf.content (kinds or off) and gelf.strip_ansi. A label gelf_x becomes the field _x. \
gelf-router explain shows the effect. Variables of Logspout set options of the routes, or cause a warning \
if they have no effect. In a list of routes, routes of adapters other than gelf are left out with a warning.

Exit status: 0 after SIGTERM, SIGHUP or Ctrl-C if every line that was read is delivered or dropped with a \
reason, 1 after a permanent error or if lines were given up, 2 for a wrong command line or environment.";

/// Returns the text below the list of arguments, with the endpoint options of gelf-tokio.
fn after_help() -> String {
    /// The width of the column of option names, in characters: the length of the longest name.
    const WIDTH: usize = 21;
    const INDENT: usize = WIDTH + 4;
    let mut help = ROUTES.to_owned();
    for option in &TABLE {
        let again = if option.is_list { "; may be repeated" } else { "" };
        help += &format!("  {:<WIDTH$}  {} (default {})\n", option.name, option.values, option.default);
        help += &format!("{:INDENT$}{}{again}\n", "", option.help);
        if !option.answers.is_empty() && option.answers != option.name {
            help += &format!("{:INDENT$}In place of {}\n", "", option.answers);
        }
    }
    help += "\nOptions of the destination:\n";
    let queue = default_queue();
    for option in Endpoint::options() {
        let (name, transports, values) = (option.name, option.transports, option.values);
        let default = match name {
            "queue" => queue.max_messages.to_string(),
            "queue_bytes" => queue.max_bytes.to_string(),
            "rate" => UDP_RATE.to_string(),
            _ => option.default.to_owned(),
        };
        help += &format!("  {name:<WIDTH$}  {transports}: {values} (default {default})\n");
        help += &format!("{:INDENT$}{}\n", "", option.help);
    }
    help + EXAMPLES
}

/// Ships the lines of every container of a Docker host as GELF.
#[derive(Debug, Parser)]
#[command(name = "gelf-router", version, after_help = after_help(), args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Arguments {
    /// The destinations, separated by commas
    #[arg(value_name = "ROUTE[,ROUTE...]")]
    routes: Vec<String>,

    /// Print each message that an embedded receiver returns, as one JSON line on stdout
    #[arg(
        long,
        value_name = "OPTIONS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        long_help = "Print each message that an embedded receiver returns, as one JSON line on stdout. The receiver \
                     listens on a free UDP port of the loopback interface, and ignores messages of other \
                     programs. OPTIONS are the options of its route, as in --print=filter.name=shop-*"
    )]
    print: Option<String>,

    /// If started as root, change to user 65534 and the group of the Engine's socket; set in the image
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
                     that are written after its start. If it runs in a container and replaces an agent, it \
                     also ships the lines since one second before the end of that agent"
    )]
    state: Option<PathBuf>,

    /// Ship lines from before the first start: none, all, or this number of lines of each container
    #[arg(
        long,
        value_name = "none|all|LINES",
        long_help = "Ship lines that running and ended containers wrote before the first start: none, all \
                     lines that the Engine still has, or this number of the last lines of each container. \
                     A line of more than 16 KiB counts several times. By default, no such line is shipped. \
                     But if the router runs in a container and replaces an agent, it ships the lines since \
                     one second before the end of that agent. The option has no effect if --state has \
                     saved positions. Without --state, the option applies to each start, so all or LINES \
                     ship lines again"
    )]
    backlog: Option<Backlog>,

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
                     /status, /health, /metrics, /containers, /logs and /routes. Each client that can connect can read all lines and add routes, so an \
                     address outside of the loopback interface needs a trusted network. The variables PORT, \
                     HTTP_PORT and HTTP_BIND_ADDRESS also enable the API"
    )]
    http: Option<SocketAddr>,

    /// Further host names by which clients may call the HTTP API, besides names without a dot
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
    /// Show the effective routes and variables, and why each route selects a running container or does not
    Explain {
        /// The destinations, separated by commas
        #[arg(value_name = "ROUTE[,ROUTE...]")]
        routes: Vec<String>,

        /// Read the routes from this TOML file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Receive messages of routers over UDP and TCP, and report at the end which messages are missing
    Audit {
        /// The local address to receive on
        #[arg(value_name = "ADDRESS", default_value = "0.0.0.0:12201")]
        address: SocketAddr,

        /// End after this time without a message; otherwise at SIGTERM or Ctrl-C
        #[arg(long, value_name = "SECONDS")]
        idle: Option<u32>,
    },
    /// Examine the Engine, the logs of the containers and the destinations, and name the remedy of each problem
    Doctor {
        /// The destinations, separated by commas
        #[arg(value_name = "ROUTE[,ROUTE...]")]
        routes: Vec<String>,

        /// Read the routes from this TOML file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,

        /// Examine this state folder
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
    },
    /// Print the new lines of containers as `NAME | text`, with ! for stderr and ~ for a gap
    Tail {
        /// The names of the containers; all containers but agents by default
        #[arg(value_name = "GLOB")]
        names: Vec<NamePattern>,
    },
}

/// The task of the process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Audits other routers at this address until no message arrives for the time `idle`.
    Audit { address: SocketAddr, idle: Option<Duration> },
    /// Examines the host, the Engine and the destinations.
    Doctor,
    /// Explains the configuration.
    Explain,
    /// Ships lines.
    Ship,
    /// Prints the new lines of the containers whose names match a pattern, or of all containers if there is
    /// no pattern.
    Tail { names: Vec<NamePattern> },
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
    /// Selects the lines from before the first start that are shipped. Without a value, the router ships the
    /// lines since shortly before the end of the previous agent.
    pub(crate) backlog: Option<Backlog>,
    /// The HTTP API, if it is asked for.
    pub(crate) http: Option<HttpOptions>,
    /// The folder of the routes of the HTTP API.
    pub(crate) routes_path: Option<PathBuf>,
    /// The variables that set options of further routes.
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
    /// Neither a route nor `--print`: the usage goes to stderr, and the exit status is 2.
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
        Some(Subcommand::Audit { address, idle }) => {
            task = Task::Audit { address, idle: idle.map(|seconds| Duration::from_secs(seconds.into())) };
        }
        Some(Subcommand::Explain { routes, config }) => {
            (task, arguments.routes, arguments.config) = (Task::Explain, routes, config);
        }
        Some(Subcommand::Doctor { routes, config, state }) => {
            (task, arguments.routes, arguments.config) = (Task::Doctor, routes, config);
            arguments.state = state;
        }
        Some(Subcommand::Tail { names }) => task = Task::Tail { names },
        None => {}
    }
    let config = match &arguments.config {
        Some(path) => file(path)
            .map_err(|error| error.to_string())
            .and_then(|text| Config::parse(&text))
            .map_err(|error| Exit::Mistake(format!("--config {}: {error}", path.display())))?,
        None => Config::default(),
    };
    let mut environment = Environment::read(&variable).map_err(Exit::Mistake)?;
    let (host, warning) = host::find(&file, &variable);
    environment.set_host(host.as_ref(), warning);
    let list = |text: &str| list::parse(text, &variable).map_err(Exit::Mistake);
    let uris = match (&arguments.routes[..], config.routes, variable("ROUTE_URIS")) {
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
    let address = arguments.http.or(config.http).or(environment.http);
    let http_names = [arguments.http_names, config.http_names].concat();
    let http = HttpOptions::new(address, http_names.clone()).map_err(Exit::Mistake)?;
    let needs_route = matches!(task, Task::Explain | Task::Ship) && address.is_none();
    if routes.is_empty() && print.is_none() && environment.routes_path.is_none() && needs_route {
        return Err(Exit::Usage(Arguments::command().render_help().to_string()));
    }
    // The doctor prints its findings to stdout, so it logs only errors.
    let quiet_level = (task == Task::Doctor).then_some(LogLevel::Error);
    let default_level = environment.is_debug.then_some(LogLevel::Debug).or(quiet_level);
    let log_level = arguments.log_level.or(config.log_level).or(default_level);
    let drop_root = arguments.drop_root || config.drop_root;
    let no_seq = arguments.no_seq || config.no_seq;
    let state = arguments.state.or(config.state);
    let backlog = arguments.backlog.or(config.backlog).or(environment.backlog);
    if arguments.print_config {
        let routes = routes.iter().map(|route| route.uri().clone()).collect();
        let config =
            Config { backlog, drop_root, http: address, http_names, log_level, no_seq, state, routes };
        return Err(Exit::Help(config.to_toml()));
    }
    // `explain` prints the variables itself, so they cause no warnings.
    let mut warnings = if task == Task::Explain { Vec::new() } else { environment.ignored() };
    warnings.append(&mut environment.warnings);
    Ok(Options {
        routes,
        print,
        drop_root,
        numbers_messages: !no_seq,
        task,
        state,
        backlog,
        http,
        routes_path: environment.routes_path.clone(),
        log_level: log_level.unwrap_or(LogLevel::Info).level(),
        host,
        variables: environment.set.clone(),
        environment,
        warnings,
    })
}

/// Shortens clap's paragraph about a mistake to one line.
fn exit(error: clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::Help(error.render().to_string());
    }
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let mut mistake = format!("{line}; see gelf-router --help");
    if let Some(suggestion) = error.get(ContextKind::SuggestedArg) {
        mistake = format!("{line}; did you mean {suggestion}?");
    }
    Exit::Mistake(mistake)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_tokio::Transport;

    fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Options, Exit> {
        let arguments = ["gelf-router"].iter().chain(arguments).map(OsString::from);
        let variable = |name: &str| environment.iter().find(|(known, _)| *known == name);
        parse(arguments, |name| variable(name).map(|(_, value)| (*value).to_owned()), read)
    }

    const FILE: &str = "state = \"/s\"\nlog-level = \"warn\"\n[[route]]\nto = \"gelf+tcp://file\"";

    /// Reads one of the two files that the tests use.
    fn read(path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("file.toml") => Ok(FILE.to_owned()),
            Some("wrong.toml") => Ok("\nroutes = 1".into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn a_file_has_the_options_and_routes_that_the_command_line_lacks() {
        let options = parsed(&["--config=file.toml"], &[("ROUTE_URIS", "gelf://env")]).unwrap();
        assert_eq!(
            (options.routes[0].to_string(), options.log_level),
            ("gelf+tcp://file:12201".into(), Level::WARN)
        );
        assert_eq!(options.state.as_deref(), Some(Path::new("/s")));
        let arguments = ["--config=file.toml", "--state=/t", "--log-level=error", "gelf+tcp://argument"];
        let options = parsed(&arguments, &[]).unwrap();
        assert_eq!((options.routes.len(), options.log_level), (1, Level::ERROR));
        assert_eq!(options.routes[0].to_string(), "gelf+tcp://argument:12201");
        assert_eq!(options.state.as_deref(), Some(Path::new("/t")));
        assert_eq!(routes(&["explain", "--config=file.toml"], &[]).len(), 1);
        for (argument, says) in [
            ("--config=wrong.toml", "--config wrong.toml: line 2: unknown key"),
            ("--config=missing.toml", "--config missing.toml: entity not found"),
        ] {
            assert!(
                matches!(parsed(&[argument], &[]), Err(Exit::Mistake(mistake)) if mistake.starts_with(says))
            );
        }
    }

    #[test]
    fn the_printed_configuration_has_the_options_of_the_environment() {
        let environment = [("EXCLUDE_LABEL", "a;b:c"), ("GELF_HOSTNAME", "web-1"), ("DEBUG", "1")];
        let arguments = ["--print-config", "--no-seq", "gelf://h?host=own,gelf+tcp://i"];
        let Err(Exit::Help(text)) = parsed(&arguments, &environment) else { panic!("no text") };
        assert_eq!(
            text,
            "log-level = \"debug\"\nno-seq = true\n\n\
             [[route]]\nto = \"gelf://h\"\nhost = \"own\"\nexclude.label = [\"a:true\", \"b:c\"]\n\n\
             [[route]]\nto = \"gelf+tcp://i\"\nhost = \"web-1\"\nexclude.label = [\"a:true\", \"b:c\"]\n"
        );
    }

    fn routes(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
        parsed(arguments, environment).unwrap().routes.iter().map(Route::to_string).collect()
    }

    #[test]
    fn one_argument_holds_several_routes() {
        let one = routes(&["gelf://logstash.core:12201"], &[]);
        assert_eq!(one.len(), 1);
        let both = routes(&["gelf://logstash.core:12201,gelf+tcp://b"], &[]);
        assert_eq!((both.len(), &both[0]), (2, &one[0]));
        assert_eq!(routes(&["gelf://a", "gelf://b"], &[]).len(), 2);
    }

    #[test]
    fn route_uris_applies_only_if_the_command_line_has_no_routes() {
        let environment = [("ROUTE_URIS", "gelf://from-env,gelf://too")];
        assert_eq!(routes(&[], &environment).len(), 2);
        assert_eq!(routes(&["gelf://argument"], &environment), routes(&["gelf://argument"], &[]));
    }

    #[test]
    fn a_route_over_udp_is_paced_unless_it_has_a_rate() {
        let rates = |route: &str| -> Vec<_> {
            let routes = parsed(&[route], &[]).unwrap().routes;
            let rate = |route: &Route| match route.endpoint.transport() {
                Transport::Udp(udp) => udp.rate.map(u32::from),
                _ => None,
            };
            routes.iter().map(rate).collect()
        };
        assert_eq!(
            rates("gelf://a,gelf+udp://b:1?rate=50&queue=9,gelf+tcp://c"),
            [Some(UDP_RATE), Some(50), None]
        );
        let [route] = &parsed(&["gelf://[::1]:7?queue=9"], &[]).unwrap().routes[..] else { panic!("one") };
        let endpoint = &route.endpoint;
        assert_eq!((endpoint.host(), endpoint.port(), endpoint.queue().max_messages), ("::1", 7, 9));
    }

    #[test]
    fn variables_are_expanded_before_routes_are_split() {
        let environment = [("HOST", "h"), ("ROUTES", "gelf://a,gelf://b"), ("EMPTY", "")];
        assert_eq!(routes(&["gelf://$HOST:1"], &environment), routes(&["gelf://h:1"], &[]));
        assert_eq!(routes(&["gelf://${HOST}x:1"], &environment), routes(&["gelf://hx:1"], &[]));
        assert_eq!(routes(&["$ROUTES,$EMPTY,$UNSET"], &environment).len(), 2);
    }

    #[test]
    fn without_routes_and_print_the_usage_is_shown() {
        assert!(matches!(parsed(&[], &[]), Err(Exit::Usage(usage)) if usage.contains("Usage: gelf-router")));
        assert!(matches!(parsed(&[","], &[]), Err(Exit::Usage(_))));
        assert!(parsed(&["--print"], &[]).unwrap().routes.is_empty());
    }

    #[test]
    fn routes_of_other_adapters_are_left_out_of_a_list_with_a_warning() {
        for (list, foreign) in [
            ("gelf://a,logstash://b:5000", "logstash://b:5000"),
            ("syslog+tls://b:514?structured_data=x,gelf+tcp://a", "syslog+tls://b:514"),
            ("raw://b#name,gelf://a", "raw://b"),
        ] {
            let options = parsed(&[list], &[]).unwrap();
            let warning =
                format!("route {foreign:?} is left out: only gelf:// and gelf+...:// are supported");
            assert_eq!((options.routes.len(), options.warnings), (1, vec![warning]));
        }
        assert_eq!(parsed(&["--print", "syslog://b"], &[]).unwrap().warnings.len(), 1);
        for list in ["syslog://b,raw://c", "gelf://a,gelff://b", "\"gelf://a,gelf://b\"", "gelf://a,b:1"] {
            assert!(matches!(parsed(&[list], &[]), Err(Exit::Mistake(_))), "{list}");
        }
    }

    #[test]
    fn a_route_may_have_the_name_that_logspout_ignores() {
        let options = parsed(&["gelf://h?queue=9#archive,gelf://h#"], &[]).unwrap();
        let names: Vec<_> = options.routes.iter().map(|route| route.uri().name.as_deref()).collect();
        assert_eq!(names, [Some("archive"), None]);
    }

    #[test]
    fn options_of_the_environment_reach_every_route_and_print() {
        let environment = [("EXCLUDE_LABEL", "secret"), ("DEBUG", "1"), ("INACTIVITY_TIMEOUT", "1m")];
        let options = parsed(&["--print", "gelf://a,gelf+tcp://b"], &environment).unwrap();
        let secret = docker_source::Container::builder("x").label("secret", "TRUE").build();
        assert!(options.routes.len() == 2 && options.routes.iter().all(|route| !route.takes(&secret)));
        assert!(!Route::new(options.print.unwrap()).unwrap().takes(&secret));
        assert_eq!((options.log_level, options.warnings.len()), (Level::DEBUG, 1));
        assert_eq!(parsed(&["gelf://a", "--log-level=warn"], &environment).unwrap().log_level, Level::WARN);
    }

    #[test]
    fn the_doctor_and_tail_need_no_routes() {
        let arguments = ["doctor", "--config=file.toml", "--state=/t", "gelf://argument"];
        let options = parsed(&arguments, &[]).unwrap();
        assert_eq!((options.task, options.routes.len()), (Task::Doctor, 1));
        assert_eq!((options.state.as_deref(), options.log_level), (Some(Path::new("/t")), Level::WARN));
        assert_eq!(parsed(&["doctor"], &[]).unwrap().log_level, Level::ERROR);
        assert_eq!(parsed(&["doctor"], &[("ROUTE_URIS", "gelf://a,gelf://b")]).unwrap().routes.len(), 2);
        assert_eq!(parsed(&["tail"], &[]).unwrap().task, Task::Tail { names: Vec::new() });
        assert!(matches!(parsed(&["tail", "["], &[]), Err(Exit::Mistake(_))));
    }

    #[test]
    fn the_backlog_of_the_command_line_takes_precedence_over_that_of_logspouts_variables() {
        let backlog = |argument: &[&str], environment: &[(&str, &str)]| {
            parsed(&[&["gelf://h"], argument].concat(), environment).map(|options| options.backlog)
        };
        assert_eq!(backlog(&[], &[]).unwrap(), None);
        for (variables, expected) in [
            (&[("BACKLOG", "true")][..], Some(Backlog::All)),
            (&[("BACKLOG", "true"), ("TAIL", "all")], Some(Backlog::All)),
            (&[("BACKLOG", "true"), ("TAIL", "50")], Some(Backlog::Last(50))),
            (&[("BACKLOG", "false"), ("TAIL", "50")], Some(Backlog::None)),
        ] {
            assert_eq!(backlog(&[], variables).unwrap(), expected, "{variables:?}");
            assert_eq!(backlog(&["--backlog=7"], variables).unwrap(), Some(Backlog::Last(7)));
        }
        for (variables, warning) in [
            (&[("BACKLOG", "false"), ("TAIL", "50")], "TAIL has no effect: BACKLOG is not true"),
            (&[("BACKLOG", "1"), ("DEBUG", "")], "BACKLOG has no effect: it is neither true nor false"),
        ] {
            assert_eq!(parsed(&["gelf://h"], variables).unwrap().warnings, [warning]);
        }
        let wrong = backlog(&[], &[("BACKLOG", "true"), ("TAIL", "-1")]).unwrap_err();
        assert!(matches!(&wrong, Exit::Mistake(text) if text.starts_with("TAIL: ")), "{wrong:?}");
        let Err(Exit::Help(text)) = parsed(&["gelf://h", "--print-config"], &[("BACKLOG", "true")]) else {
            panic!("no configuration is printed");
        };
        assert!(text.starts_with("backlog = \"all\"\n"), "{text}");
    }

    #[test]
    fn print_takes_the_options_of_its_route() {
        let print = |arguments: &[&str]| parsed(arguments, &[]).unwrap().print.map(|uri| uri.options);
        assert_eq!(print(&["--print"]), Some(vec![]));
        let filter = ("filter.name".to_owned(), "a*".to_owned());
        assert_eq!(print(&["--print=filter.name=a*", "gelf://h"]), Some(vec![filter]));
        assert_eq!(print(&["gelf://h"]), None);
    }
}
