//! The text of `--help` below the list of arguments.

use gelf_tokio::Endpoint;

use crate::route::options::TABLE;
use crate::route::{UDP_RATE, default_queue};

const ROUTES: &str = "\
A ROUTE is a URI: gelf://HOST[:PORT] for UDP, or gelf+tcp://, gelf+tls://, gelf+http:// or gelf+https://. \
The prefix multiline+, as in multiline+gelf://, joins lines as in Logspout. \
The default port is 12201. Options follow as a query, as in gelf://HOST?OPTION=VALUE&OPTION=VALUE. A comma \
in a value is written %2C. A name of the route may follow as #NAME. If a container is renamed, the routes \
that ship it keep it until it ends, and all routes decide again at its next start. A container without a \
route is shipped as soon as its new name matches.

In a GLOB, * stands for any text, ? for any character, and [a-z] for a character of the class. \\ makes the \
next character plain. Several included patterns of one kind are alternatives. An exclusion takes precedence \
over inclusions.

Options of the router:
";

const EXAMPLES: &str = "
$NAME and ${NAME} in a ROUTE are replaced by environment variables, except in the file of --config.
That file has the options state, backlog, read, log-level, drop-root, no-seq, http and http-names, and a \
table [[route]] for each route, with to = \"URI\", an optional name, and the options of the route, as in \
filter.name = [\"shop-*\", \"web\"].

Examples:
  gelf-router gelf://logstash.core:12201
  gelf-router 'gelf+tcp://graylog:12201?filter.name=shop-*,gelf://archive'
  gelf-router --print
  gelf-router explain 'gelf://logstash.core?filter.name=shop-*'
  gelf-router tail 'shop-*'
  gelf-router doctor --state /var/lib/gelf-router gelf://logstash.core
  gelf-router check --http 127.0.0.1:8000
  gelf-router proxy --listen unix:///run/proxy/docker.sock

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
               example by hostname: in a compose file, and otherwise the Engine's host name

Containers with LOGSPOUT=ignore in their environment are not read. Other agents are not read, either: the \
router recognizes them by the label gelf-router.agent of the image, or by the command gelf-router. Labels of \
a container set options for its lines: gelf.multiline (a preset or off) or gelf.multiline.pattern with \
gelf.multiline.match, gelf.content (kinds or off) and gelf.strip_ansi. A label gelf_x becomes the field _x. \
gelf-router explain shows the effect. Variables of Logspout set options of the routes, or cause a warning \
if they have no effect. In a list with a route for GELF, routes of other adapters of Logspout are left out with a \
warning.

Exit status: 0 after SIGTERM, SIGHUP or Ctrl-C if each line that was read is delivered, dropped with a reason, \
or left to the next start by --state; 1 after a permanent error, or without --state if lines were given up or \
logs were not read up to the signal; 2 for a wrong command line or environment.";

/// Returns the text below the list of arguments, with the endpoint options of gelf-tokio.
pub(super) fn after_help() -> String {
    /// The width of the column of option names, in characters: the length of the longest name.
    const WIDTH: usize = 21;
    const INDENT: usize = WIDTH + 4;
    let mut help = ROUTES.to_owned();
    for option in &TABLE {
        let again = if option.is_list { "; may be repeated" } else { "" };
        help += &format!("  {:<WIDTH$}  {} (default {})\n", option.name, option.values, option.default);
        help += &format!("{:INDENT$}{}{again}\n", "", option.help);
        if !option.replaces.is_empty() && option.replaces != option.name {
            help += &format!("{:INDENT$}In place of {}\n", "", option.replaces);
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
