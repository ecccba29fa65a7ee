//! Parses the command line: the arguments of Logspout, and further options.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, ValueEnum};
use gelf_tokio::Endpoint;
use tracing::Level;

use crate::logspout;
use crate::route::{Route, UDP_RATE, default_queue};

const ROUTES: &str = "\
A ROUTE is a URI: gelf://HOST[:PORT] for UDP, or gelf+tcp://, gelf+tls://, gelf+http:// or
gelf+https://. The default port is 12201. Options are a query:
gelf://HOST?OPTION=VALUE&OPTION=VALUE. Options of the router:
  filter.name=GLOB  ship only containers whose name matches, as in filter.name=shop-*; may be given
                    several times, and then any of the patterns has to match. A route keeps a container
                    that is renamed until it ends, and decides again at its next start; a container of no
                    route is shipped as soon as its new name matches
  compat=docker|micahhausler|vincit-2017
                    the shape of messages: fields, levels, timestamps (default docker, as Docker's driver)
  host=NAME         the host of messages (default the Engine's host name)
  field.NAME=VALUE  add the field _NAME to each message; may be given for several names
Options of the destination:
";

const EXAMPLES: &str = "\
$NAME and ${NAME} in a ROUTE are replaced by environment variables.

Examples:
  gelf-router gelf://logstash.core:12201
  gelf-router 'gelf+tcp://graylog:12201?filter.name=shop-*,gelf://archive'
  gelf-router --print

Environment:
  ROUTE_URIS   the routes, if the command line has none
  DOCKER_HOST  the Docker Engine: unix:///PATH or tcp://HOST:PORT (default the first that exists of
               /var/run/docker.sock, $XDG_RUNTIME_DIR/docker.sock, /run/podman/podman.sock,
               $XDG_RUNTIME_DIR/podman/podman.sock and /tmp/docker.sock)
  DOCKER_TLS_VERIFY, DOCKER_CERT_PATH
               TLS to a tcp:// Engine if the first is not empty, with ca.pem, cert.pem and key.pem of that
               folder (default ~/.docker), as for the docker command
  GELF_HOSTNAME, SYSLOG_HOSTNAME
               the host of messages for routes without host=; the file /etc/host_hostname takes precedence

Containers with LOGSPOUT=ignore in their environment are not read, and neither are other agents, by
their label gelf-router.agent, which the image carries, or by gelf-router as their command.
Variables of Logspout that the router does not support cause a warning; EXCLUDE_LABEL, EXCLUDE_LABELS and
LOGSPOUT_TLS_* end the router, which would otherwise ship or trust too much.
Exit status: 0 after SIGTERM, SIGHUP or Ctrl-C if every line that was read is delivered or dropped with a
reason, 1 after a permanent error or if lines were given up, 2 for a wrong command line or environment.";

/// Returns the text below the list of arguments, with the endpoint options of gelf-tokio.
fn after_help() -> String {
    let mut help = ROUTES.to_owned();
    let queue = default_queue();
    for option in Endpoint::options() {
        let (name, transports, values) = (option.name, option.transports, option.values);
        let default = match name {
            "queue" => queue.max_messages.to_string(),
            "queue_bytes" => queue.max_bytes.to_string(),
            "rate" => UDP_RATE.to_string(),
            _ => option.default.to_owned(),
        };
        help += &format!("  {name:<16}  {transports}: {values} (default {default})\n");
        help += &format!("{:20}{}\n", "", option.help);
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

    /// Leave the number of each message out: the fields _seq and _seq_epoch, which `gelf-router audit` reads
    #[arg(long)]
    no_seq: bool,

    /// The least severe level that is logged to stderr
    #[arg(long, value_name = "LEVEL", default_value = "info", value_enum)]
    log_level: LogLevel,

    #[command(subcommand)]
    command: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// The destinations.
    pub(crate) routes: Vec<Route>,
    /// The options of the route to the embedded receiver, if `--print` is given.
    pub(crate) print: Option<String>,
    /// True if a process that was started as root changes to another user.
    pub(crate) drop_root: bool,
    /// True if each message has a number.
    pub(crate) numbers_messages: bool,
    /// The address of the receiver that audits other routers, and the time without a message after which the
    /// receiver ends.
    pub(crate) audit: Option<(SocketAddr, Option<Duration>)>,
    /// The folder in which positions are kept.
    pub(crate) state: Option<PathBuf>,
    /// The least severe level that is logged.
    pub(crate) log_level: Level,
    /// Warnings to log at the start: one for each variable of Logspout that has no effect.
    pub(crate) warnings: Vec<String>,
}

/// A command line that does not start the router.
#[derive(Debug)]
pub(crate) enum Exit {
    /// `--help` or `--version`: the text goes to stdout, and the exit status is 0.
    Help(String),
    /// A mistake, described in one line: it goes to stderr, and the exit status is 2.
    Mistake(String),
    /// Neither a route nor `--print`: the usage goes to stderr, and the exit status is 2.
    Usage(String),
}

/// Parses the command line; `variable` looks up the environment.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Options, Exit> {
    let mut arguments = Arguments::try_parse_from(arguments).map_err(exit)?;
    let warnings = logspout::check(&variable).map_err(Exit::Mistake)?;
    let mut texts = std::mem::take(&mut arguments.routes);
    if texts.is_empty() {
        texts.extend(variable("ROUTE_URIS"));
    }
    let mut routes = Vec::new();
    for text in &texts {
        // Variables are expanded before the split, as in Logspout, so one variable may hold several routes.
        let expanded = expand(text, &variable);
        for uri in expanded.split(',').map(str::trim).filter(|uri| !uri.is_empty()) {
            let route = Route::parse(uri)
                .and_then(Route::paced)
                .map_err(|error| Exit::Mistake(format!("route {uri:?}: {error}")))?;
            routes.push(route);
        }
    }
    let audit = arguments.command.map(|Subcommand::Audit { address, idle }| {
        (address, idle.map(|seconds| Duration::from_secs(seconds.into())))
    });
    if routes.is_empty() && arguments.print.is_none() && audit.is_none() {
        return Err(Exit::Usage(Arguments::command().render_help().to_string()));
    }
    let log_level = match arguments.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let Arguments { print, drop_root, state, no_seq, .. } = arguments;
    Ok(Options { routes, print, drop_root, numbers_messages: !no_seq, audit, state, log_level, warnings })
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

/// Replaces `$NAME` and `${NAME}` by the values of the variables. Unset variables are empty, as in Logspout.
/// A dollar sign without a name is kept.
fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            }
        };
        if name.is_empty() {
            expanded.push('$');
        } else {
            expanded.push_str(&variable(name).unwrap_or_default());
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelf_tokio::Transport;

    fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Options, Exit> {
        let arguments = ["gelf-router"].iter().chain(arguments).map(OsString::from);
        parse(arguments, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
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
    fn route_uris_counts_only_without_routes_on_the_command_line() {
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
        assert_eq!(expand("$ a$$b ${", |_| None), "$ a$ ${");
    }

    #[test]
    fn without_routes_and_print_the_usage_is_shown() {
        assert!(matches!(parsed(&[], &[]), Err(Exit::Usage(usage)) if usage.contains("Usage: gelf-router")));
        assert!(matches!(parsed(&[","], &[]), Err(Exit::Usage(_))));
        assert!(parsed(&["--print"], &[]).unwrap().routes.is_empty());
    }

    #[test]
    fn print_takes_the_options_of_its_route() {
        assert_eq!(parsed(&["--print"], &[]).unwrap().print.as_deref(), Some(""));
        let with_filter = parsed(&["--print=filter.name=a*", "gelf://h"], &[]).unwrap();
        assert_eq!((with_filter.print.as_deref(), with_filter.routes.len()), (Some("filter.name=a*"), 1));
    }
}
