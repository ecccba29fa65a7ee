//! The table of endpoint options.
//!
//! Parsing, [`Display`](std::fmt::Display), error texts, the tables in the documentation and
//! [`Endpoint::options`] use this table. A new option needs a field in `options.rs`, a row in `rows.rs`, and
//! the code that uses the option.

mod rows;

use crate::endpoint::scheme::{Scheme, names};
use crate::endpoint::{
    Endpoint, HttpOptions, InvalidEndpoint, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions,
};

pub(super) use rows::TABLE;

/// The text that stands in place of a secret.
pub(super) const MASK: &str = "***";

/// One option of an [`Endpoint`]'s URI, for one group of transports. See [`Endpoint::options`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EndpointOption {
    /// The name, as in `?name=value`.
    pub name: &'static str,
    /// The transports that have the option, such as `TCP, TLS`.
    pub transports: &'static str,
    /// The permitted values, such as `true or false`.
    pub values: &'static str,
    /// The default value, or a description of it.
    pub default: &'static str,
    /// The meaning, in one line.
    pub help: &'static str,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    values: &'static str,
    default: &'static str,
    help: &'static str,
    field: Field,
}

/// The part of an endpoint that holds the option. This part determines which schemes have the option.
#[derive(Debug)]
enum Field {
    Http(Access<HttpOptions>),
    Queue(Access<QueueOptions>),
    Tcp(Access<TcpOptions>),
    Tls(Access<TlsOptions>),
    Udp(Access<UdpOptions>),
}

#[derive(Debug)]
struct Access<O> {
    /// Sets the option from its text.
    read: fn(&mut O, &str) -> Result<(), Mistake>,
    show: Show<O>,
    /// Returns whether the value of the option is valid, however the option was set.
    is_valid: fn(&O) -> bool,
}

/// The text of an option.
#[derive(Debug)]
enum Show<O> {
    /// Returns the texts of an option that may be repeated, one for each time that the option is given.
    All(fn(&O) -> Vec<String>),
    /// Returns the text of an option that is given once, or `None` if the option is unset.
    One(fn(&O) -> Option<String>),
}

impl<O> Show<O> {
    fn texts(&self, options: &O) -> Vec<String> {
        match self {
            Self::All(show) => show(options),
            Self::One(show) => show(options).into_iter().collect(),
        }
    }
}

/// The reason why an option cannot be set from a text.
#[derive(Debug)]
enum Mistake {
    LevelOfNothing,
    Value,
}

impl Row {
    pub(super) fn schemes(&self) -> &'static [Scheme] {
        match self.field {
            Field::Http(_) => &[Scheme::Http, Scheme::Https],
            Field::Queue(_) => &Scheme::ALL,
            Field::Tcp(_) => &[Scheme::Tcp, Scheme::Tls],
            Field::Tls(_) => &[Scheme::Tls, Scheme::Https],
            Field::Udp(_) => &[Scheme::Udp],
        }
    }

    /// Sets the option from its text.
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint`] if the text is not a value of the option, or if the transport does not
    /// have the option.
    pub(super) fn read(
        &self,
        text: &str,
        transport: &mut Transport,
        queue: &mut QueueOptions,
    ) -> Result<(), InvalidEndpoint> {
        let read = match (&self.field, &mut *transport) {
            (Field::Http(access), Transport::Http(options)) => (access.read)(options, text),
            (Field::Queue(access), _) => (access.read)(queue, text),
            (Field::Tcp(access), Transport::Tcp(options)) => (access.read)(options, text),
            (
                Field::Tls(access),
                Transport::Http(HttpOptions { tls: Some(options), .. })
                | Transport::Tcp(TcpOptions { tls: Some(options), .. }),
            ) => (access.read)(options, text),
            (Field::Udp(access), Transport::Udp(options)) => (access.read)(options, text),
            _ => return Err(other_scheme(self.name, Scheme::of(transport))),
        };
        read.map_err(|mistake| match mistake {
            Mistake::LevelOfNothing => InvalidEndpoint::LevelOfNothing,
            Mistake::Value => self.invalid(text.to_owned()),
        })
    }

    /// Returns one text for each time that the option is given. Returns no text if the option has the default
    /// value, is unset, or belongs to another transport.
    pub(super) fn show(&self, transport: &Transport, queue: &QueueOptions) -> Vec<String> {
        match self.inspect(transport, queue) {
            Some((shown, default, _)) if shown != default => shown,
            _ => Vec::new(),
        }
    }

    /// Returns whether the option may be repeated.
    pub(super) fn is_list(&self) -> bool {
        match &self.field {
            Field::Http(access) => matches!(access.show, Show::All(_)),
            Field::Queue(access) => matches!(access.show, Show::All(_)),
            Field::Tcp(access) => matches!(access.show, Show::All(_)),
            Field::Tls(access) => matches!(access.show, Show::All(_)),
            Field::Udp(access) => matches!(access.show, Show::All(_)),
        }
    }

    /// Checks the value of the option, however it was set.
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint::Value`] if the value is invalid.
    pub(super) fn check(&self, transport: &Transport, queue: &QueueOptions) -> Result<(), InvalidEndpoint> {
        match self.inspect(transport, queue) {
            Some((shown, _, false)) => Err(self.invalid(shown.join(", "))),
            Some((_, _, true)) | None => Ok(()),
        }
    }

    /// Returns the texts of the option, the texts of its default, and whether the value is valid. Returns
    /// `None` if the option belongs to another transport.
    fn inspect(
        &self,
        transport: &Transport,
        queue: &QueueOptions,
    ) -> Option<(Vec<String>, Vec<String>, bool)> {
        fn with<O: Default>(access: &Access<O>, options: &O) -> (Vec<String>, Vec<String>, bool) {
            let shown = access.show.texts(options);
            (shown, access.show.texts(&O::default()), (access.is_valid)(options))
        }
        Some(match (&self.field, transport) {
            (Field::Http(access), Transport::Http(options)) => with(access, options),
            (Field::Queue(access), _) => with(access, queue),
            (Field::Tcp(access), Transport::Tcp(options)) => with(access, options),
            (
                Field::Tls(access),
                Transport::Http(HttpOptions { tls: Some(options), .. })
                | Transport::Tcp(TcpOptions { tls: Some(options), .. }),
            ) => with(access, options),
            (Field::Udp(access), Transport::Udp(options)) => with(access, options),
            _ => return None,
        })
    }

    fn invalid(&self, value: String) -> InvalidEndpoint {
        InvalidEndpoint::Value { name: self.name.to_owned(), value, expected: self.values }
    }

    fn option(&self) -> EndpointOption {
        let transports = match self.field {
            Field::Http(_) => "HTTP, HTTPS",
            Field::Queue(_) => "all",
            Field::Tcp(_) => "TCP, TLS",
            Field::Tls(_) => "TLS, HTTPS",
            Field::Udp(_) => "UDP",
        };
        let Self { name, values, default, help, field: _ } = *self;
        EndpointOption { name, transports, values, default, help }
    }
}

impl Endpoint {
    /// Returns the options that a URI may have, for `--help` texts and documentation. An option that several
    /// groups of transports have, such as `compression`, is returned once for each group.
    ///
    /// ```
    /// use gelf_tokio::Endpoint;
    ///
    /// for option in Endpoint::options() {
    ///     println!("{:<16} {}: {} ({})", option.name, option.transports, option.help, option.values);
    /// }
    /// ```
    pub fn options() -> impl Iterator<Item = EndpointOption> {
        TABLE.iter().map(Row::option)
    }
}

/// Returns the row of an option of the scheme, or `None` if no scheme has an option of this name.
///
/// # Errors
/// Returns [`InvalidEndpoint::OtherScheme`] for an option that only other schemes have.
pub(super) fn find(name: &str, scheme: Scheme) -> Result<Option<&'static Row>, InvalidEndpoint> {
    let mut named = TABLE.iter().filter(|row| row.name == name).peekable();
    let Some(first) = named.peek() else { return Ok(None) };
    let name = first.name;
    match named.find(|row| row.schemes().contains(&scheme)) {
        Some(row) => Ok(Some(row)),
        None => Err(other_scheme(name, scheme)),
    }
}

fn other_scheme(name: &'static str, scheme: Scheme) -> InvalidEndpoint {
    let has_option =
        |scheme: &Scheme| TABLE.iter().any(|row| row.name == name && row.schemes().contains(scheme));
    let schemes: Vec<_> = Scheme::ALL.into_iter().filter(has_option).collect();
    InvalidEndpoint::OtherScheme { name, scheme: names(&[scheme]), schemes: names(&schemes) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;

    /// Returns the table as Markdown.
    fn markdown() -> String {
        let mut table = "| option | for | values | default | meaning |\n|---|---|---|---|---|\n".to_owned();
        for EndpointOption { name, transports, values, default, help } in Endpoint::options() {
            writeln!(table, "| `{name}` | {transports} | {values} | {default} | {help} |").unwrap();
        }
        table
    }

    /// Compares the tables, or writes them if `GELF_UPDATE_DOCS` is set.
    #[test]
    fn the_tables_in_the_documentation_equal_this_table() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (rustdoc, readme) = (directory.join("src/endpoint/options.md"), directory.join("README.md"));
        let table = markdown();
        let readme_text = std::fs::read_to_string(&readme).unwrap();
        let start = readme_text.find("| option | for |").expect("README.md has the table");
        let end = readme_text[start..].find("\n\n").expect("text follows the table") + start + 1;
        if std::env::var_os("GELF_UPDATE_DOCS").is_some() {
            std::fs::write(&rustdoc, &table).unwrap();
            let updated = format!("{}{table}{}", &readme_text[..start], &readme_text[end..]);
            return std::fs::write(&readme, updated).unwrap();
        }
        let advice = "run this test with GELF_UPDATE_DOCS=1 to write the table";
        assert_eq!(std::fs::read_to_string(&rustdoc).unwrap(), table, "{advice}");
        assert_eq!(&readme_text[start..end], table, "{advice}");
    }

    #[test]
    fn each_default_that_a_uri_can_express_is_the_default_of_the_table() {
        let tls = Some(TlsOptions::default());
        let transports = [
            Transport::Udp(UdpOptions::default()),
            Transport::Tcp(TcpOptions { tls: tls.clone(), ..TcpOptions::default() }),
            Transport::Http(HttpOptions { tls, ..HttpOptions::default() }),
        ];
        let queue = QueueOptions::default();
        for row in &TABLE {
            let inspected = transports.iter().filter_map(|transport| row.inspect(transport, &queue));
            for (shown, default, is_valid) in inspected {
                assert!(is_valid && shown == default, "{}", row.name);
                assert!(shown.iter().all(|shown| shown == row.default), "{}", row.name);
            }
        }
    }
}
