//! `receiver`: sends the vectors to a running receiver.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use gelf_spec_tests::{Expectations, Live, LiveHttp, LiveOptions, Observe, Selection};

use crate::VectorsArguments;
use crate::output;
use crate::run::{OutputArguments, judged, with_progress};
use crate::times::seconds;

/// Text after the options in `--help`.
const OBSERVED_LINES: &str = "\
The received messages are read as lines, from the standard output of the program of --observe or from the \
connections that the receiver opens to the address of --observe-tcp. A line is one message as a JSON object. \
It has the members host, short_message, full_message, timestamp and level as in GELF; \
a missing member is left out or null. The additional fields keep their underscore (\"_user\":\"x\"), lose it \
(\"user\":\"x\"), or are in an object (\"fields\":{\"user\":\"x\"}). A line feed or a null byte ends a line. \
Lines that are not messages are skipped.

Each vector is followed by a sentinel, a message with a unique short_message: the messages observed before it belong to \
the vector. Therefore no other program may send to the receiver meanwhile, and the receiver must write every message.

  gelf-conformance receiver --udp 127.0.0.1:12201 --observe 'docker logs --follow --tail 0 vector'
  gelf-conformance receiver --tcp graylog:12201 --observe-tcp 0.0.0.0:5555 --ignore-field 'gl2_*'
  gelf-conformance receiver --http http://graylog:12201/gelf --bulk --observe-tcp 0.0.0.0:5555 --ignore-field 'gl2_*'";

#[derive(Args)]
#[command(after_long_help = OBSERVED_LINES)]
#[command(group(ArgGroup::new("transport").required(true).multiple(true).args(["udp", "tcp", "http"])))]
#[command(group(ArgGroup::new("observed").required(true).args(["observe", "observe_tcp"])))]
pub(crate) struct ReceiverArguments {
    /// Address of the receiver for datagrams
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    udp: Option<SocketAddr>,
    /// Address of the receiver for TCP connections; if --udp is given, too, the vectors that are one payload are
    /// sent over UDP
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    tcp: Option<SocketAddr>,
    /// URL of the receiver for HTTP requests, such as http://127.0.0.1:12201/gelf. With this option, the HTTP
    /// vectors are sent, too. Without --udp and --tcp, the payloads of all other vectors are sent as requests
    #[arg(long, value_name = "URL", value_parser = LiveHttp::at)]
    http: Option<LiveHttp>,
    /// The receiver accepts several messages in a body
    #[arg(long, requires = "http")]
    bulk: bool,
    /// The receiver requires this header
    #[arg(long, value_name = "NAME: VALUE", requires = "http", value_parser = header)]
    http_header: Option<(String, String)>,
    /// Maximum size of an inflated body that the receiver accepts, in bytes. The vectors that test this limit
    /// are sent only if the limit is 65536, as in Graylog
    #[arg(long, value_name = "BYTES", requires = "http")]
    max_body: Option<usize>,
    /// Maximum size of each message in a bulk body, in bytes. The vectors that test this limit are sent only
    /// if the limit is 1024
    #[arg(long, value_name = "BYTES", requires = "http")]
    max_message: Option<usize>,
    /// Program that prints the received messages. It can be the receiver itself, and is restarted when it
    /// ends
    #[arg(long, value_name = "COMMAND")]
    observe: Option<String>,
    /// Listen on this address for connections over which the receiver sends its messages
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    observe_tcp: Option<SocketAddr>,
    /// Name of a field that the receiver itself adds, without the underscore; `gl2_*` matches a prefix
    #[arg(long, value_name = "NAME")]
    ignore_field: Vec<String>,
    /// Value that the receiver fills in for a missing member or field, such as level=6; can be repeated. Even
    /// without this option, a timestamp within a minute of the present counts as missing
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = default)]
    defaults: Vec<(String, String)>,
    /// Also send vectors whose steps are seconds apart, unless the times are too close to a limit for a real clock;
    /// the run takes half a minute longer
    #[arg(long)]
    slow: bool,
    /// Maximum time until a sentinel is observed, in seconds
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = seconds())]
    timeout: u64,
    /// Delay between a vector and its sentinel, in milliseconds
    #[arg(long, default_value_t = 5, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(..=60_000))]
    settle: u64,
    /// Send only vectors whose id or topic contains one of these texts
    #[arg(long, value_name = "TEXT,...")]
    filter: Option<String>,
    /// Known differences of the receiver, with reasons
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    vectors: VectorsArguments,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let is_sound = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    match (name.trim(), value.trim()) {
        (name, value) if is_sound(name) && is_sound(value) && !name.contains(' ') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME: VALUE".to_owned()),
    }
}

fn default(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().ok_or_else(|| "the name has no address".to_owned())
}

pub(crate) fn receiver(arguments: &ReceiverArguments) -> Result<ExitCode, String> {
    let mut topics = arguments.vectors.load()?;
    if arguments.http.is_some() {
        topics.extend(arguments.vectors.load_http()?);
    }
    let expectations = arguments.expectations.as_deref().map(Expectations::load).transpose()?;
    let observe = match (&arguments.observe, arguments.observe_tcp) {
        (Some(command), _) => Observe::Command(command.clone()),
        (None, Some(address)) => Observe::Listen(address),
        (None, None) => return Err("--observe or --observe-tcp is required".to_owned()),
    };
    let http = arguments.http.clone().map(|http| LiveHttp {
        bulk: arguments.bulk,
        header: arguments.http_header.clone(),
        max_body: arguments.max_body,
        max_message: arguments.max_message,
        ..http
    });
    let options = LiveOptions {
        udp: arguments.udp,
        tcp: arguments.tcp,
        http,
        timeout: Duration::from_secs(arguments.timeout),
        settle: Duration::from_millis(arguments.settle),
        slow: arguments.slow,
        waits: |error| eprintln!("gelf-conformance: {error}; waiting up to 60 s for the receiver to listen"),
        defaults: arguments.defaults.iter().cloned().collect(),
        ignored_fields: arguments.ignore_field.clone(),
        ..Default::default()
    };
    let mut live = Live::start(options, observe)?;
    let selection = Selection::new(arguments.filter.as_deref(), None);
    let started = Instant::now();
    let results = with_progress(&topics, &mut live, expectations.as_ref(), selection)?;
    let code = judged(&topics, &results, started, selection, &arguments.output)?;
    if live.late() > 0 {
        let late = live.late();
        output::line!(
            "{late} messages were observed after the sentinel of their vector; try a longer --settle"
        );
    }
    Ok(code)
}
