//! URI schemes, each of which stands for a transport.

use crate::endpoint::{HttpOptions, TcpOptions, TlsOptions, Transport, UdpOptions};

/// The part of a URI before `://`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scheme {
    Udp,
    Tcp,
    Tls,
    Http,
    Https,
}

impl Scheme {
    pub(super) const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Http, Self::Https];

    /// Parses a scheme in upper or lower case. Returns `None` if the scheme is unknown.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let lower_case = name.to_ascii_lowercase();
        match Self::ALL.into_iter().find(|scheme| scheme.name() == lower_case) {
            None if lower_case == "gelf+udp" => Some(Self::Udp),
            named => named,
        }
    }

    /// Returns the transport of the scheme, with default options.
    pub(super) fn transport(self) -> Transport {
        let tls = matches!(self, Self::Tls | Self::Https).then(TlsOptions::default);
        match self {
            Self::Udp => Transport::Udp(UdpOptions::default()),
            Self::Tcp | Self::Tls => Transport::Tcp(TcpOptions { tls, ..TcpOptions::default() }),
            Self::Http | Self::Https => Transport::Http(HttpOptions { tls, ..HttpOptions::default() }),
        }
    }

    /// Returns the scheme that stands for a transport.
    pub(super) fn of(transport: &Transport) -> Self {
        match transport {
            Transport::Http(options) if options.tls.is_some() => Self::Https,
            Transport::Http(_) => Self::Http,
            Transport::Tcp(options) if options.tls.is_some() => Self::Tls,
            Transport::Tcp(_) => Self::Tcp,
            Transport::Udp(_) => Self::Udp,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Udp => "gelf",
            Self::Tcp => "gelf+tcp",
            Self::Tls => "gelf+tls",
            Self::Http => "gelf+http",
            Self::Https => "gelf+https",
        }
    }

    /// Returns the cargo features that the scheme needs and this build does not have.
    pub(super) fn missing_features(self) -> &'static [&'static str] {
        self.missing_in(cfg!(feature = "http"), cfg!(feature = "tls"))
    }

    fn missing_in(self, has_http: bool, has_tls: bool) -> &'static [&'static str] {
        let needs_http = matches!(self, Self::Http | Self::Https) && !has_http;
        let needs_tls = matches!(self, Self::Tls | Self::Https) && !has_tls;
        match (needs_http, needs_tls) {
            (true, true) => &["http", "tls"],
            (true, false) => &["http"],
            (false, true) => &["tls"],
            (false, false) => &[],
        }
    }
}

/// Returns the schemes of this build as text: `a, b or c`.
pub(super) fn forms() -> String {
    let has_transport = |scheme: &Scheme| scheme.missing_features().is_empty();
    let others = Scheme::ALL.into_iter().skip(1).filter(has_transport);
    let others = others.map(|scheme| format!("{}://", scheme.name()));
    let all: Vec<_> =
        ["gelf://HOST[:PORT]".to_owned(), "gelf+udp://".to_owned()].into_iter().chain(others).collect();
    enumerate(&all, "or")
}

/// Returns the schemes as a user writes them: `a, b and c`.
pub(super) fn names(schemes: &[Scheme]) -> String {
    let names: Vec<_> = schemes.iter().map(|scheme| format!("{}://", scheme.name())).collect();
    enumerate(&names, "and")
}

/// Joins items to a text such as `a, b and c`.
pub(super) fn enumerate(items: &[String], conjunction: &str) -> String {
    match items {
        [others @ .., last] if !others.is_empty() => format!("{} {conjunction} {last}", others.join(", ")),
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_needs_the_features_of_its_transport() {
        let missing = |http, tls| Scheme::ALL.map(|scheme| scheme.missing_in(http, tls));
        let none: &[&str] = &[];
        assert_eq!(missing(true, true), [none; 5]);
        assert_eq!(missing(true, false), [none, none, &["tls"], none, &["tls"]]);
        assert_eq!(missing(false, true), [none, none, none, &["http"], &["http"]]);
        assert_eq!(missing(false, false), [none, none, &["tls"], &["http"], &["http", "tls"]]);
    }
}
