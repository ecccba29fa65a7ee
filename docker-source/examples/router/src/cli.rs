//! Parses the command line: the arguments of Logspout, and further options.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};
use gelf_tokio::Endpoint;
use tracing::Level;

use crate::config::Config;
use crate::host::{self, Host};
use crate::http_options::HttpOptions;
use crate::log_level::LogLevel;
use crate::logspout::{Environment, Variable};
use crate::route::options::TABLE;
use crate::route::{Route, RouteUri, UDP_RATE, default_queue, list};

const ROUTES: &str = "\
A ROUTE is a URI: gelf://HOST[:PORT] for UDP, or gelf+tcp://, gelf+tls://, gelf+http:// or gelf+https://; \
multiline+gelf:// and so on join lines as in Logspout. \
The default port is 12201. Options are a query, as in gelf://HOST?OPTION=VALUE&OPTION=VALUE; a comma in a \
value is %2C, and #NAME may follow. A route keeps a container that is renamed until it ends, and decides \
again at its next start; a container of no route is shipped as soon as its new name matches.

In a GLOB, * is any text and ? any character, [a-z] is one of a class, and \\ makes the next character \
plain. Included patterns of one kind are alternatives, and an exclusion takes precedence.

Options of the router:
";

const EXAMPLES: &str = "
$NAME and ${NAME} in a ROUTE are replaced by environment variables, except in the file of --config.
That file has the options state, log-level, drop-root, no-seq, http and http-names, and a table \
[[route]] for each route, with to = \"URI\", an optional name, and the options of the route, as in \
filter.name = [\"shop-*\", \"web\"].

Examples:
  gelf-router gelf://logstash.core:12201
  gelf-router 'gelf+tcp://graylog:12201?filter.name=shop-*,gelf://archive'
  gelf-router --print
  gelf-router explain 'gelf://logstash.core?filter.name=shop-*'

Environment:
  ROUTE_URIS   the routes, if neither the command line nor the file of --config has any
  DOCKER_HOST  the Docker Engine: unix:///PATH or tcp://HOST:PORT (default the first that exists of
               /var/run/docker.sock, $XDG_RUNTIME_DIR/docker.sock, /run/podman/podman.sock,
               $XDG_RUNTIME_DIR/podman/podman.sock and /tmp/docker.sock)
  DOCKER_TLS_VERIFY, DOCKER_CERT_PATH
               TLS to a tcp:// Engine if the first is not empty, with ca.pem, cert.pem and key.pem
               of that folder (default ~/.docker), as for the docker command
  GELF_HOSTNAME, SYSLOG_HOSTNAME
               the host of messages for routes without host=; the file /etc/host_hostname takes
               precedence. Without them, the host name that the agent's container was given, as by
               hostname: in a compose file

Containers with LOGSPOUT=ignore in their environment are not read, and neither are other agents, by their \
label gelf-router.agent, which the image carries, or by gelf-router as their command. A container sets \
options of its own lines by labels: gelf.multiline (a preset or off) or gelf.multiline.pattern with \
gelf.multiline.match, gelf.content (kinds or off) and gelf.strip_ansi; a label gelf_x becomes the field _x. \
gelf-router explain shows the effect. Variables of Logspout set options of the routes, or cause a warning \
if they have no effect. In a list of routes, those of other adapters than gelf are left out with a warning.

Exit status: 0 after SIGTERM, SIGHUP or Ctrl-C if every line that was read is delivered or dropped with a \
reason, 1 after a permanent error or if lines were given up, 2 for a wrong command line or environment.";

/// Returns the text below the list of arguments, with the endpoint options of gelf-tokio.
fn after_help() -> String {
    /// The width of the names of options: that of the longest one.
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
                     programs. OPTIONS are those of its route, as in --print=filter.name=shop-*"
    )]
    print: Option<String>,

    /// If started as root, change to user 65534 and the group of the Engine's socket; set in the image
    #[arg(long)]
    drop_root: bool,

    /// Keep the positions of delivered lines in this folder, and go on behind them at the next start
    #[arg(
        long,
        value_name = "DIR",
        long_help = "Keep the positions of delivered lines in this folder, and go on behind them at the next start: \
                     lines that containers write while the router is away are shipped then, if the Engine still has \
                     them. The folder is created if needed. Positions are written once a second and at the end. \
                     Without it, the router ships the lines that are written after its start, or in a container \
                     those from one second before the end of the agent that it replaces"
    )]
    state: Option<PathBuf>,

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
        long_help = "Serve the HTTP API on this address, such as 127.0.0.1:8000: /health, /metrics, /containers, /logs \
                     and /routes. Each client that can connect can read all lines and add routes, so \
                     other addresses than those of the loopback interface need a trusted network. The \
                     variables PORT, HTTP_PORT and HTTP_BIND_ADDRESS ask for it, too"
    )]
    http: Option<SocketAddr>,

    /// Further host names by which the HTTP API is called, besides names without a dot
    #[arg(long, value_name = "NAME[,NAME...]", value_delimiter = ',')]
    http_names: Vec<String>,

    /// Leave the number of each message out: the fields _seq and _seq_epoch, which `gelf-router audit` reads
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
    /// Show the effective routes and variables, and which running containers go to which route, and why not
    Explain {
        /// The destinations, separated by commas
        #[arg(value_name = "ROUTE[,ROUTE...]")]
        routes: Vec<String>,

        /// Read the routes from this TOML file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Receive messages of routers over UDP and TCP, and report at the end which ones are missing
    Audit {
        /// The local address to receive on
        #[arg(value_name = "ADDRESS", default_value = "0.0.0.0:12201")]
        address: SocketAddr,

        /// End after this time without a message; otherwise at SIGTERM or Ctrl-C
        #[arg(long, value_name = "SECONDS")]
        idle: Option<u32>,
    },
}

/// The task of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Audits other routers at this address, until no message arrives for this time.
    Audit { address: SocketAddr, idle: Option<Duration> },
    /// Explains the configuration.
    Explain,
    /// Ships lines.
    Ship,
}

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// The destinations.
    pub(crate) routes: Vec<Route>,
    /// The route to the embedded receiver, whose address is not known yet, if `--print` is given.
    pub(crate) print: Option<RouteUri>,
    /// True if a process that was started as root changes to another user.
    pub(crate) drop_root: bool,
    /// True if each message has a number.
    pub(crate) numbers_messages: bool,
    pub(crate) task: Task,
    /// The folder in which positions are kept.
    pub(crate) state: Option<PathBuf>,
    /// The HTTP API, if it is asked for.
    pub(crate) http: Option<HttpOptions>,
    /// The folder of the routes of the HTTP API.
    pub(crate) routes_path: Option<PathBuf>,
    /// The variables that set options of further routes.
    pub(crate) environment: Environment,
    /// The least severe level that is logged.
    pub(crate) log_level: Level,
    /// The host of messages of routes without an own one, and the place where it was found.
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
    let needs_route = !matches!(task, Task::Audit { .. }) && address.is_none();
    if routes.is_empty() && print.is_none() && environment.routes_path.is_none() && needs_route {
        return Err(Exit::Usage(Arguments::command().render_help().to_string()));
    }
    let default_level = environment.is_debug.then_some(LogLevel::Debug);
    let log_level = arguments.log_level.or(config.log_level).or(default_level);
    let drop_root = arguments.drop_root || config.drop_root;
    let no_seq = arguments.no_seq || config.no_seq;
    let state = arguments.state.or(config.state);
    if arguments.print_config {
        let routes = routes.iter().map(|route| route.uri().clone()).collect();
        let config = Config { drop_root, http: address, http_names, log_level, no_seq, state, routes };
        return Err(Exit::Help(config.to_toml()));
    }
    // The explanation shows the variables by themselves.
    let mut warnings = if task == Task::Explain { Vec::new() } else { environment.ignored() };
    warnings.append(&mut environment.warnings);
    Ok(Options {
        routes,
        print,
        drop_root,
        numbers_messages: !no_seq,
        task,
        state,
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

    /// Reads one of the files that the tests have.
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
        let environment = [("EXCLUDE_LABEL", "secret"), ("DEBUG", "1"), ("BACKLOG", "true")];
        let options = parsed(&["--print", "gelf://a,gelf+tcp://b"], &environment).unwrap();
        let secret = docker_source::Container::builder("x").label("secret", "TRUE").build();
        assert!(options.routes.len() == 2 && options.routes.iter().all(|route| !route.takes(&secret)));
        assert!(!Route::new(options.print.unwrap()).unwrap().takes(&secret));
        assert_eq!((options.log_level, options.warnings.len()), (Level::DEBUG, 1));
        assert_eq!(parsed(&["gelf://a", "--log-level=warn"], &environment).unwrap().log_level, Level::WARN);
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
