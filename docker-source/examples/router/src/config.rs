//! Reads and writes the configuration file. The file has most options of the command line, and a table for
//! each route. In the table, a route can have the same options as in a URI.
//!
//! ```toml
//! state = "/var/lib/gelf-router"
//!
//! [[route]]
//! to = "gelf+tls://graylog"
//! ca = "/etc/ssl/graylog.pem"
//! exclude.name = ["tmp-*", "test-*"]
//! field.cluster = "production"
//! ```

use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::backlog::Backlog;
use crate::log_level::LogLevel;
use crate::reading::Reading;
use crate::route::RouteUri;

/// The maximum length of a file: 1 MiB.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

const KEYS: &str = "backlog, drop-root, http, http-names, log-level, no-seq, read, state";

/// The contents of a configuration file, or the effective configuration.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) backlog: Option<Backlog>,
    pub(crate) drop_root: bool,
    /// The address of the HTTP API.
    pub(crate) http: Option<SocketAddr>,
    /// The host names by which the HTTP API may be called.
    pub(crate) http_names: Vec<String>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) no_seq: bool,
    pub(crate) read: Option<Reading>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) routes: Vec<RouteUri>,
}

impl Config {
    /// Parses a file.
    ///
    /// # Errors
    /// Returns a one-line text, which begins with the number of a line: that of the mistake, or for a mistake in an
    /// option of a route, that of its `[[route]]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let at = |span: Range<usize>, mistake: String| {
            let before = text.get(..span.start).unwrap_or(text);
            format!("line {}: {mistake}", before.matches('\n').count() + 1)
        };
        let file = DeTable::parse(text)
            .map_err(|error| at(error.span().unwrap_or(0..0), error.message().replace('\n', ", ")))?;
        let mut config = Self::default();
        for (key, value) in file.get_ref().iter() {
            let set = config.set(key.get_ref(), value.get_ref());
            set.map_err(|(span, mistake)| at(span.unwrap_or_else(|| key.span()), mistake))?;
        }
        Ok(config)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// Returns the place of the mistake as a range of bytes in the file, and the text of the mistake. `None`
    /// stands for the place of the key.
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), (Option<Range<usize>>, String)> {
        match (key, value) {
            ("backlog", DeValue::String(value)) => {
                let backlog = value.parse().map_err(|mistake| (None, format!("backlog: {mistake}")))?;
                self.backlog = Some(backlog);
            }
            ("drop-root", DeValue::Boolean(value)) => self.drop_root = *value,
            ("http", DeValue::String(value)) => {
                let address = value.parse().map_err(|_| {
                    (None, "http is an IP address and a port, such as 127.0.0.1:8000".to_owned())
                })?;
                self.http = Some(address);
            }
            ("http-names", DeValue::Array(names)) => {
                for name in names.iter() {
                    let name = scalar("http-names", name.get_ref()).map_err(|mistake| (None, mistake))?;
                    self.http_names.push(name);
                }
            }
            ("log-level", DeValue::String(value)) => {
                let level =
                    LogLevel::parse(value).ok_or("log-level is one of error, warn, info, debug, trace");
                self.log_level = Some(level.map_err(|mistake| (None, mistake.to_owned()))?);
            }
            ("no-seq", DeValue::Boolean(value)) => self.no_seq = *value,
            ("read", DeValue::String(value)) => {
                let read = value.parse().map_err(|mistake| (None, format!("read: {mistake}")))?;
                self.read = Some(read);
            }
            ("state", DeValue::String(value)) => self.state = Some(PathBuf::from(value.as_ref())),
            ("route", DeValue::Array(routes)) => {
                for route in routes.iter() {
                    let parsed = read_route(route).map_err(|mistake| (Some(route.span()), mistake))?;
                    self.routes.push(parsed);
                }
            }
            ("drop-root" | "no-seq", _) => return Err((None, format!("{key} is true or false"))),
            ("http-names", _) => return Err((None, "http-names is a list of texts".to_owned())),
            ("backlog" | "http" | "log-level" | "read" | "state", _) => {
                return Err((None, format!("{key} is a text in quotes")));
            }
            ("route", _) => return Err((None, "write a route as a table [[route]]".to_owned())),
            _ => {
                return Err((None, format!("unknown key {key:?}: use {KEYS} or [[route]]")));
            }
        }
        Ok(())
    }

    /// Returns the configuration as a file. Secrets are replaced by `***`.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} = {value}");
        };
        if let Some(state) = &self.state {
            line("state", quoted(&state.to_string_lossy()));
        }
        if let Some(backlog) = self.backlog {
            line("backlog", quoted(&backlog.to_string()));
        }
        if let Some(read) = &self.read {
            line("read", quoted(&read.to_string()));
        }
        if let Some(address) = self.http {
            line("http", quoted(&address.to_string()));
        }
        if !self.http_names.is_empty() {
            let names: Vec<_> = self.http_names.iter().map(|name| quoted(name)).collect();
            line("http-names", format!("[{}]", names.join(", ")));
        }
        if let Some(level) = self.log_level {
            line("log-level", quoted(level.as_str()));
        }
        for (key, _) in
            [("drop-root", self.drop_root), ("no-seq", self.no_seq)].iter().filter(|(_, set)| *set)
        {
            line(key, "true".to_owned());
        }
        for route in &self.routes {
            write_route(route, &mut text);
        }
        text
    }
}

/// Reads a table `[[route]]`.
fn read_route(route: &Spanned<DeValue<'_>>) -> Result<RouteUri, String> {
    let DeValue::Table(table) = route.get_ref() else {
        return Err("write a route as a table [[route]]".to_owned());
    };
    let mut options = Vec::new();
    flatten("", table, &mut options)?;
    let mut take = |key: &str| {
        let index = options.iter().position(|(name, _)| name == key)?;
        Some(options.remove(index).1)
    };
    let (to, name) = (take("to"), take("name"));
    let to = to.ok_or("the route has no destination: write to = \"gelf://HOST\"")?;
    let mut uri = RouteUri::parse(&to).map_err(|error| format!("to: {error}"))?;
    uri.name = name.or(uri.name);
    uri.options.append(&mut options);
    Ok(uri)
}

/// Adds the values of a table as options. The name of an option consists of the keys of the nested tables,
/// joined with dots.
fn flatten(prefix: &str, table: &DeTable<'_>, options: &mut Vec<(String, String)>) -> Result<(), String> {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{name}."), inner, options)?,
            DeValue::Array(values) => {
                for value in values.iter() {
                    options.push((name.clone(), scalar(&name, value.get_ref())?));
                }
            }
            value => options.push((name.clone(), scalar(&name, value)?)),
        }
    }
    Ok(())
}

fn scalar(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        _ => Err(format!("{name:?} is neither a text, a number, true or false, nor a list of these")),
    }
}

/// Appends a route as a table.
fn write_route(route: &RouteUri, text: &mut String) {
    let mut lines = vec![("to", vec![route.masked_location()])];
    lines.extend(route.name.iter().map(|name| ("name", vec![name.clone()])));
    for (name, value) in &route.options {
        let value = if name == "header" { "***".to_owned() } else { value.clone() };
        match lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => lines.push((name, vec![value])),
        }
    }
    text.push_str(if text.is_empty() { "[[route]]\n" } else { "\n[[route]]\n" });
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    for (name, values) in lines {
        let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        let value = match &values[..] {
            [value] => value.clone(),
            values => format!("[{}]", values.join(", ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} = {value}", key(name, &names));
    }
}

/// Returns the name of an option as a TOML key. The part behind the first dot is quoted if it has special
/// characters. If the part before the dot is the name of another option, the whole name is quoted, since a
/// TOML key cannot have both a value and a table.
fn key(name: &str, names: &[&str]) -> String {
    let is_bare = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match name.split_once('.') {
        Some((first, _)) if names.contains(&first) => quoted(name),
        Some((first, rest)) if !is_bare(rest) => format!("{first}.{}", quoted(rest)),
        _ => name.to_owned(),
    }
}

/// Returns the text as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
state = "/state"
backlog = "100"
read = "auto=/c"
log-level = "debug"
no-seq = true
http = "127.0.0.1:8000"
http-names = ["router.example"]

[[route]]
to = "gelf+tls://graylog?server_name=x"
name = "main"
queue = 100
ca = "/ca.pem"
filter.name = ["a*", "b,c"]
field.cluster = "prod"
field."a.b" = 'x"\y'

[[route]]
to = "gelf://archive#old"
[route.exclude]
label = "ship:false"
"#;

    #[test]
    fn an_option_is_a_key_in_quotes_if_the_part_before_its_dot_is_an_option_too() {
        let uri =
            RouteUri::parse("gelf://h?multiline=java&multiline.flush_after=9&redact.pattern=x").unwrap();
        let text = Config { routes: vec![uri.clone()], ..Config::default() }.to_toml();
        assert!(
            text.contains("\"multiline.flush_after\" = \"9\"") && text.contains("redact.pattern = "),
            "{text}"
        );
        let [read] = &Config::parse(&text).unwrap().routes[..] else { panic!("{text}") };
        let sorted = |uri: &RouteUri| {
            let mut options = uri.options.clone();
            options.sort();
            options
        };
        assert_eq!(sorted(read), sorted(&uri));
    }

    #[test]
    fn a_file_has_the_options_of_the_command_line_and_of_uris() {
        let config = Config::parse(FILE).unwrap();
        assert_eq!(config.state.as_deref(), Some(std::path::Path::new("/state")));
        assert!(config.no_seq && !config.drop_root);
        assert_eq!(config.backlog, Some(Backlog::Last(100)));
        assert_eq!(config.http, Some(SocketAddr::from(([127, 0, 0, 1], 8000))));
        assert_eq!(config.http_names, ["router.example"]);
        let uris: Vec<_> = config.routes.iter().map(RouteUri::to_uri).collect();
        assert_eq!(
            uris,
            [
                "gelf+tls://graylog?server_name=x&ca=/ca.pem&field.a.b=x%22%5Cy&field.cluster=prod\
                 &filter.name=a*&filter.name=b%2Cc&queue=100",
                "gelf://archive?exclude.label=ship:false",
            ]
        );
        let names: Vec<_> = config.routes.iter().map(|route| route.name.as_deref()).collect();
        assert_eq!(names, [Some("main"), Some("old")]);
    }

    #[test]
    fn a_printed_configuration_is_a_file_with_the_same_meaning() {
        let config = Config::parse(FILE).unwrap();
        let again = Config::parse(&config.to_toml()).unwrap();
        let sorted = |config: &Config| {
            let mut routes = config.routes.clone();
            routes.iter_mut().for_each(|route| route.options.sort());
            routes
        };
        assert_eq!(sorted(&again), sorted(&config));
        assert_eq!((again.backlog, again.read), (config.backlog, config.read));
        assert_eq!((again.http, &again.http_names), (config.http, &config.http_names));
        let odd = RouteUri::parse("gelf://h?field.a%0Ab=%1b[&host=%C3%A4").unwrap();
        let config = Config { routes: vec![odd.clone()], ..Config::default() };
        assert!(!config.to_toml().contains('\u{1b}'));
        assert_eq!(Config::parse(&config.to_toml()).unwrap().routes, [odd]);
    }

    #[test]
    fn a_printed_configuration_has_no_secrets() {
        let uri = RouteUri::parse("gelf+http://user:pass@h/p?header=Authorization:secret").unwrap();
        let text = Config { routes: vec![uri], ..Config::default() }.to_toml();
        assert_eq!(text, "[[route]]\nto = \"gelf+http://***@h/p\"\nheader = \"***\"\n");
    }

    #[test]
    fn a_mistake_is_one_line_that_begins_with_the_number_of_a_line() {
        for (file, says) in [
            ("state = ", "line 1: "),
            ("\nstate = 7", "line 2: state is a text"),
            ("backlog = \"some\"", "line 1: backlog: write none, all or a number"),
            ("backlog = 7", "line 1: backlog is a text in quotes"),
            ("read = \"file\"", "line 1: read: write api, files"),
            ("\n\nlog-level = \"loud\"", "line 3: log-level is one of error"),
            ("drop-root = \"yes\"", "line 1: drop-root is true or false"),
            ("http = \"localhost\"", "line 1: http is an IP address and a port"),
            ("http-names = \"a\"", "line 1: http-names is a list"),
            ("routes = []", "line 1: unknown key \"routes\": use"),
            ("route = 1", "line 1: write a route as a table"),
            ("route = [1]", "line 1: write a route as a table"),
            ("no-seq = true\n[[route]]\nqueue = 1", "line 2: the route has no destination"),
            ("[[route]]\nto = \"gelf://h\"\nhost = 1979-05-27", "line 1: \"host\" is neither a text"),
            ("[[route]]\nto = \"gelf://h?a=%zz\"", "line 1: to: "),
            ("a = 1\na = 2", "line 2: duplicate key"),
        ] {
            let mistake = Config::parse(file).unwrap_err();
            assert!(mistake.starts_with(says) && !mistake.contains('\n'), "{file:?}: {mistake}");
        }
        assert!(Config::parse(&"[".repeat(100_000)).is_err());
    }
}
