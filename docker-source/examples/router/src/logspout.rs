//! Reads the environment variables that configure deployments of Logspout.
//!
//! A router that replaces Logspout gets the same environment variables. Some set options of the routes. The
//! router warns of each variable that has no effect. The router ends with an error if the value of a variable
//! is invalid and ignoring it could do harm: for example, the router could ship excluded containers, or trust
//! other certificate authorities.

mod multiline;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use docker_source::{ContainerFilter, Property};

use self::multiline::Multiline;
use crate::backlog::Backlog;
use crate::host::Host;
use crate::route::RouteUri;

/// A variable of Logspout, of one of its modules, or of an image that contains Logspout.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
}

/// The effect of a variable that is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// The variable has this effect.
    Some(&'static str),
    /// The variable has no effect, for this reason.
    None(&'static str),
}

const fn used(name: &'static str, effect: &'static str) -> Variable {
    Variable { name, effect: Effect::Some(effect) }
}

const fn unused(name: &'static str, reason: &'static str) -> Variable {
    Variable { name, effect: Effect::None(reason) }
}

const BACKLOG: &str = "BACKLOG";
const BIND_ADDRESS: &str = "HTTP_BIND_ADDRESS";
const HTTP_PORT: &str = "HTTP_PORT";
const PORT: &str = "PORT";
const ROUTES_PATH: &str = "ROUTESPATH";
const CA: &str = "LOGSPOUT_TLS_CA_CERTS";
const CERT: &str = "LOGSPOUT_TLS_CLIENT_CERT";
const COMPRESSION: &str = "COMPRESS_TYPE";
const DEBUG: &str = "DEBUG";
const EXCLUDE: &str = "EXCLUDE_LABEL";
const EXCLUDE_SEVERAL: &str = "EXCLUDE_LABELS";
const FIELDS: &str = "EXTRA_JSON";
const KEY: &str = "LOGSPOUT_TLS_CLIENT_KEY";
const STRIP_ANSI: &str = "STRIP_ANSI";
const TAIL: &str = "TAIL";
const NO_SYSTEM_CA: &str = "LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS";

const ONLY_GELF: &str = "only GELF is sent";
const HTTP: &str = "serves the HTTP API on this port, of 127.0.0.1 unless HTTP_BIND_ADDRESS is set";
const JOINED: &str = "sets options multiline.* of routes that begin with multiline+ and lack them";

/// The variables, in alphabetical order.
pub(crate) static VARIABLES: [Variable; 39] = [
    unused("ALLOW_TTY", "containers with a terminal are always read"),
    used(BACKLOG, "sets --backlog=all if it is true, and --backlog=none if it is false"),
    used(COMPRESSION, "sets compression= of routes over UDP that lack it"),
    used(DEBUG, "sets --log-level=debug if that is not given"),
    unused("DOCKER_API_VERSION", "the newest version that the Engine supports is used"),
    used(EXCLUDE, "adds exclude.label= to all routes"),
    used(EXCLUDE_SEVERAL, "adds exclude.label= to all routes; EXCLUDE_LABEL then has no effect"),
    used(FIELDS, "adds field.NAME= to all routes that lack it"),
    used("GELF_HOSTNAME", "sets host= of routes that lack it, unless /etc/host_hostname has a name"),
    used(BIND_ADDRESS, "serves the HTTP API on this address, with the port of PORT or HTTP_PORT, or 80"),
    used(HTTP_PORT, HTTP),
    unused("INACTIVITY_TIMEOUT", "quiet logs need no restart"),
    used(CA, "sets ca= of routes with TLS that lack it"),
    used(CERT, "sets cert= of routes with TLS that lack it"),
    used(KEY, "sets key= of routes with TLS that lack it"),
    used(NO_SYSTEM_CA, "needs ca=, which always replaces the authorities of the system"),
    unused("LOGSPOUT_TLS_HARDENING", "TLS 1.2 and 1.3 with safe cipher suites are always used"),
    used("MULTILINE_ENABLE_DEFAULT", JOINED),
    used("MULTILINE_FLUSH_AFTER", JOINED),
    used("MULTILINE_MATCH", JOINED),
    used("MULTILINE_PATTERN", JOINED),
    used("MULTILINE_SEPARATOR", JOINED),
    used("OFF_AWS", "prevents requests for the id of the EC2 instance, so messages lack _ec2_instance_id"),
    used(PORT, HTTP),
    unused("RAW_FORMAT", ONLY_GELF),
    unused("RETRY_COUNT", "a destination that is down is retried without a limit"),
    used(
        ROUTES_PATH,
        "keeps the routes that the HTTP API adds in this folder, if it exists, for the next start",
    ),
    used("ROUTE_URIS", "sets the routes if neither the command line nor the file of --config has any"),
    used(STRIP_ANSI, "sets strip_ansi= of routes that lack it"),
    unused("SYSLOG_DATA", ONLY_GELF),
    unused("SYSLOG_FORMAT", ONLY_GELF),
    used("SYSLOG_HOSTNAME", "sets host= as GELF_HOSTNAME does, which takes precedence"),
    unused("SYSLOG_PID", ONLY_GELF),
    unused("SYSLOG_PRIORITY", ONLY_GELF),
    unused("SYSLOG_STRUCTURED_DATA", ONLY_GELF),
    unused("SYSLOG_TAG", ONLY_GELF),
    unused("SYSLOG_TCP_FRAMING", ONLY_GELF),
    unused("SYSLOG_TIMESTAMP", ONLY_GELF),
    used(TAIL, "sets the number of lines of --backlog if BACKLOG is true"),
];

/// The routes to which an option applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    All,
    Tls,
    Udp,
}

impl Scope {
    fn has(self, uri: &RouteUri) -> bool {
        match self {
            Self::All => true,
            Self::Tls => matches!(uri.scheme(), Some("gelf+tls" | "gelf+https")),
            Self::Udp => matches!(uri.scheme(), Some("gelf" | "gelf+udp")),
        }
    }
}

/// The settings that the variables determine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// The options that are added to routes that lack them: the scope, the name and the value of each option.
    defaults: Vec<(Scope, String, String)>,
    /// The values of `exclude.label` that are added to all routes.
    excluded: Vec<String>,
    /// True if routes with TLS need `ca`.
    needs_ca: bool,
    /// The variables of Logspout's adapter `multiline`.
    multiline: Multiline,
    /// The backlog, unless the command line or the configuration file sets it.
    pub(crate) backlog: Option<Backlog>,
    /// The address of the HTTP API.
    pub(crate) http: Option<SocketAddr>,
    /// The folder of the routes of the HTTP API.
    pub(crate) routes_path: Option<PathBuf>,
    /// True if the default of the log level is `debug`.
    pub(crate) is_debug: bool,
    /// The variables that are set.
    pub(crate) set: Vec<&'static Variable>,
    /// Warnings about the host file, about routes that are left out, and about variables that have no effect
    /// because of other settings or of their value.
    pub(crate) warnings: Vec<String>,
}

impl Environment {
    /// Reads the variables. `variable` looks up a variable by name. An empty variable counts as unset, as in
    /// Logspout.
    ///
    /// # Errors
    /// Returns a text of one line for a value that can neither be used nor be ignored.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut environment = Self { is_debug: value(DEBUG).is_some(), ..Self::default() };
        let exclude = [EXCLUDE_SEVERAL, EXCLUDE].into_iter().find_map(|name| Some((name, value(name)?)));
        if let Some((name, list)) = exclude {
            environment.excluded = excluded_labels(&list).map_err(|error| format!("{name}: {error}"))?;
        }
        for (name, scope, option) in [
            (CA, Scope::Tls, "ca"),
            (CERT, Scope::Tls, "cert"),
            (KEY, Scope::Tls, "key"),
            (COMPRESSION, Scope::Udp, "compression"),
            (STRIP_ANSI, Scope::All, "strip_ansi"),
        ] {
            let Some(value) = value(name) else { continue };
            if name == CA && value.contains(',') {
                return Err(format!("{name} has several files: put all certificates into one file"));
            }
            environment.defaults.push((scope, option.to_owned(), value));
        }
        if let Some(object) = value(FIELDS) {
            let fields = constant_fields(&object).map_err(|error| format!("{FIELDS}: {error}"))?;
            let defaults =
                fields.into_iter().map(|(name, value)| (Scope::All, format!("field.{name}"), value));
            environment.defaults.extend(defaults);
        }
        let (backlog, tail) = (value(BACKLOG), value(TAIL));
        environment.backlog = Backlog::of_logspout(backlog.as_deref(), tail.as_deref())?;
        if backlog.is_some() && environment.backlog.is_none() {
            environment.warnings.push(format!("{BACKLOG} has no effect: it is neither true nor false"));
        }
        if tail.is_some() && backlog.as_deref() != Some("true") {
            environment.warnings.push(format!("{TAIL} has no effect: {BACKLOG} is not true"));
        }
        environment.multiline = Multiline::read(value);
        environment.http = http_address(value)?;
        environment.routes_path = value(ROUTES_PATH).map(PathBuf::from);
        environment.needs_ca = value(NO_SYSTEM_CA).is_some_and(|value| value == "true");
        environment.set = VARIABLES.iter().filter(|variable| value(variable.name).is_some()).collect();
        Ok(environment)
    }

    /// Returns one text for each variable that is set and has no effect.
    pub(crate) fn ignored(&self) -> Vec<String> {
        let text = |variable: &&Variable| match variable.effect {
            Effect::Some(_) => None,
            Effect::None(reason) => Some(format!("{} is set and has no effect: {reason}", variable.name)),
        };
        self.set.iter().filter_map(text).collect()
    }

    /// Returns a filter that excludes the containers that the variables exclude from all routes.
    pub(crate) fn filter(&self) -> ContainerFilter {
        let mut filter = ContainerFilter::default();
        for label in &self.excluded {
            // A label that is not a valid filter can be left out here, since each route reports it as an error.
            if let Ok(stricter) = filter.clone().exclude(Property::Label, label) {
                filter = stricter;
            }
        }
        filter
    }

    /// Returns the names of the variables that are set and have an effect, for errors.
    pub(crate) fn names(&self) -> String {
        let used = self.set.iter().filter(|variable| matches!(variable.effect, Effect::Some(_)));
        used.map(|variable| variable.name).collect::<Vec<_>>().join(" or ")
    }

    /// Sets the host of messages for routes without `host=`, and adds the warning about the host file.
    pub(crate) fn set_host(&mut self, host: Option<&Host>, warning: Option<String>) {
        self.defaults.extend(host.map(|host| (Scope::All, "host".to_owned(), host.name.clone())));
        self.warnings.extend(warning);
    }

    /// Adds the warnings about variables that no route has used.
    pub(crate) fn warn_of_unused(&mut self) {
        self.warnings.extend(self.multiline.warnings());
    }

    /// Adds to a route the options that the variables set.
    ///
    /// # Errors
    /// Returns a text of one line if the value of a variable is invalid, or if the route would trust the
    /// system's certificate authorities although a variable forbids it.
    pub(crate) fn apply(&mut self, uri: &mut RouteUri) -> Result<(), String> {
        self.multiline.apply(uri)?;
        for (scope, option, value) in &self.defaults {
            if scope.has(uri) && !uri.has(option) {
                uri.options.push((option.clone(), value.clone()));
            }
        }
        for label in &self.excluded {
            uri.options.push(("exclude.label".to_owned(), label.clone()));
        }
        if self.needs_ca && Scope::Tls.has(uri) && !uri.has("ca") {
            return Err(format!(
                "{NO_SYSTEM_CA} is set, so that no authority is trusted: set ca=FILE or {CA}"
            ));
        }
        Ok(())
    }
}

/// Returns the address of the HTTP API, if a variable asks for one. Unlike Logspout, which listens on all
/// addresses, the router listens on the loopback interface unless an address is given.
fn http_address(value: impl Fn(&str) -> Option<String>) -> Result<Option<SocketAddr>, String> {
    let address = match value(BIND_ADDRESS).as_deref() {
        None => None,
        Some("localhost") => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        Some(text) => match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                return Err(format!("{BIND_ADDRESS}: {text:?} is no IP address: use one such as 0.0.0.0"));
            }
        },
    };
    let port = [PORT, HTTP_PORT].into_iter().find_map(|name| Some((name, value(name)?)));
    let port = port.map(|(name, text)| {
        text.parse().map_err(|_| format!("{name}: {text:?} is no port: use a number up to 65535"))
    });
    Ok(match (address, port.transpose()?) {
        (None, None) => None,
        (address, port) => {
            let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            Some((address, port.unwrap_or(80u16)).into())
        }
    })
}

/// Returns the values of `exclude.label` for a list `LABEL:VALUE;LABEL`. An entry without a value excludes
/// the containers whose label has the value `true`. In Logspout, such an entry has to be the only one, and a
/// value cannot contain a colon; here, neither restriction applies.
fn excluded_labels(list: &str) -> Result<Vec<String>, String> {
    let items = list.split(';').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match item.split_once(':').unwrap_or((item, "true")) {
            ("", _) => Err(format!("{item:?} has no label: write LABEL or LABEL:VALUE")),
            (label, value) => Ok(format!("{}:{}", plain(label), plain(value))),
        })
        .collect()
}

/// Returns a pattern that matches only the text.
fn plain(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| {
        let backslash = matches!(character, '*' | '?' | '[' | '\\').then_some('\\');
        backslash.into_iter().chain([character])
    });
    escaped.collect()
}

/// Returns the names and values of a JSON object. Removes a leading underscore from each name.
fn constant_fields(object: &str) -> Result<Vec<(String, String)>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(object).map_err(|error| format!("not a JSON object: {error}"))?;
    let field = |(name, value): (String, serde_json::Value)| {
        let name = name.strip_prefix('_').unwrap_or(&name).to_owned();
        match value {
            serde_json::Value::String(text) => Ok((name, text)),
            serde_json::Value::Number(number) => Ok((name, number.to_string())),
            serde_json::Value::Bool(value) => Ok((name, value.to_string())),
            _ => Err(format!("{name:?} is neither a text nor a number")),
        }
    };
    object.into_iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Environment::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    /// Returns the route with the options that the variables add.
    fn applied(variables: &[(&str, &str)], route: &str) -> String {
        let mut uri = RouteUri::parse(route).unwrap();
        read(variables).unwrap().apply(&mut uri).unwrap();
        uri.to_uri()
    }

    #[test]
    fn each_variable_without_an_effect_causes_one_warning_if_it_is_set() {
        assert!(VARIABLES.is_sorted_by_key(|variable| variable.name));
        for Variable { name, effect } in &VARIABLES {
            let Effect::None(_) = effect else { continue };
            let warnings = read(&[(name, "1")]).unwrap().ignored();
            assert!(warnings.len() == 1 && warnings[0].starts_with(name), "{warnings:?}");
            assert_eq!(read(&[(name, "")]).unwrap().ignored(), [""; 0]);
        }
        assert_eq!(read(&[("SYSLOG_HOSTNAME", "web-1"), ("DEBUG", "1")]).unwrap().ignored(), [""; 0]);
    }

    #[test]
    fn excluded_labels_are_added_to_every_route_and_exclude_labels_takes_precedence() {
        for (value, options) in [
            ("secret", "exclude.label=secret:true"),
            ("ship:No", "exclude.label=ship:No"),
            ("a:1; b;c:x:y;", "exclude.label=a:1&exclude.label=b:true&exclude.label=c:x:y"),
            ("a*:[x]", "exclude.label=a%5C*:%5C%5Bx%5D"),
        ] {
            assert_eq!(applied(&[(EXCLUDE, value)], "gelf://h"), format!("gelf://h?{options}"));
        }
        let both = [(EXCLUDE, "one"), (EXCLUDE_SEVERAL, "two")];
        assert_eq!(applied(&both, "gelf://h"), "gelf://h?exclude.label=two:true");
        assert!(
            read(&[(EXCLUDE, "a;:true")]).unwrap_err().starts_with("EXCLUDE_LABEL: \":true\" has no label")
        );
    }

    #[test]
    fn files_of_tls_are_options_of_routes_with_tls_that_lack_them() {
        let files = [(CA, "/ca.pem"), (CERT, "/c.pem"), (KEY, "/k.pem")];
        assert_eq!(applied(&files, "gelf+tls://h"), "gelf+tls://h?ca=/ca.pem&cert=/c.pem&key=/k.pem");
        assert_eq!(applied(&files[..1], "gelf+https://h?ca=/own"), "gelf+https://h?ca=/own");
        assert_eq!(applied(&files, "gelf+tcp://h"), "gelf+tcp://h");
        assert!(read(&[(CA, "/a.pem,/b.pem")]).unwrap_err().contains("one file"));
        let no_system = [(NO_SYSTEM_CA, "true"), (CA, "/ca.pem")];
        assert_eq!(applied(&no_system, "gelf+tls://h"), "gelf+tls://h?ca=/ca.pem");
        let mut uri = RouteUri::parse("gelf+tls://h").unwrap();
        let error = read(&no_system[..1]).unwrap().apply(&mut uri).unwrap_err();
        assert!(error.starts_with(NO_SYSTEM_CA) && error.contains("ca=FILE"), "{error}");
    }

    #[test]
    fn compression_and_constant_fields_of_a_fork_are_options() {
        assert_eq!(applied(&[(COMPRESSION, "none")], "gelf://h"), "gelf://h?compression=none");
        assert_eq!(applied(&[(COMPRESSION, "none")], "gelf+tcp://h"), "gelf+tcp://h");
        let extra = [(FIELDS, r#"{"_env": "prod", "rack": 7}"#)];
        assert_eq!(applied(&extra, "gelf://h?field.rack=1"), "gelf://h?field.rack=1&field.env=prod");
        for wrong in ["env=prod", "[1]", r#"{"a": {"b": 1}}"#] {
            assert!(read(&[(FIELDS, wrong)]).unwrap_err().starts_with("EXTRA_JSON: "), "{wrong}");
        }
    }

    #[test]
    fn the_http_api_listens_on_the_loopback_interface_unless_a_variable_gives_an_address() {
        for (variables, address) in [
            (&[][..], None),
            (&[("PORT", "8000")], Some("127.0.0.1:8000")),
            (&[("HTTP_PORT", "8000")], Some("127.0.0.1:8000")),
            (&[("PORT", "1"), ("HTTP_PORT", "2")], Some("127.0.0.1:1")),
            (&[("HTTP_BIND_ADDRESS", "0.0.0.0")], Some("0.0.0.0:80")),
            (&[("HTTP_BIND_ADDRESS", "::"), ("PORT", "8000")], Some("[::]:8000")),
            (&[("HTTP_BIND_ADDRESS", "localhost")], Some("127.0.0.1:80")),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(read(variables).unwrap().http, address, "{variables:?}");
        }
        for (name, value) in [("PORT", "http"), ("HTTP_PORT", "65536"), ("HTTP_BIND_ADDRESS", "eth0")] {
            let mistake = read(&[(name, value)]).unwrap_err();
            assert!(mistake.starts_with(&format!("{name}: \"{value}\" is no ")), "{mistake}");
        }
    }

    #[test]
    fn debug_with_any_value_is_the_level_debug() {
        assert!(read(&[(DEBUG, "false")]).unwrap().is_debug);
        assert!(!read(&[(DEBUG, "")]).unwrap().is_debug);
    }
}
