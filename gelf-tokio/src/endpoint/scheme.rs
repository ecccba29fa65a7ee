//! URI schemes, each of which stands for a transport.

use crate::endpoint::error::without_options;
use crate::endpoint::{HttpOptions, InvalidEndpoint, TcpOptions, TlsOptions, Transport, UdpOptions};

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

    /// Reads a scheme, in any case, whose transport this build has.
    pub(super) fn parse(name: &str) -> Result<Self, InvalidEndpoint> {
        let lower_case = name.to_ascii_lowercase();
        let named = Self::ALL.into_iter().find(|scheme| scheme.name() == lower_case);
        let scheme = match named {
            None if lower_case == "gelf+udp" => Self::Udp,
            None => return Err(InvalidEndpoint::Scheme { scheme: shown(name) }),
            Some(scheme) => scheme,
        };
        scheme.check_features()?;
        Ok(scheme)
    }

    /// The transport of the scheme, with default options.
    pub(super) fn transport(self) -> Transport {
        let tls = matches!(self, Self::Tls | Self::Https).then(TlsOptions::default);
        match self {
            Self::Udp => Transport::Udp(UdpOptions::default()),
            Self::Tcp | Self::Tls => Transport::Tcp(TcpOptions { tls, ..TcpOptions::default() }),
            Self::Http | Self::Https => Transport::Http(HttpOptions { tls, ..HttpOptions::default() }),
        }
    }

    /// The scheme that stands for a transport.
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

    pub(super) fn has_path(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Checks that this build has the transport.
    pub(super) fn check_features(self) -> Result<(), InvalidEndpoint> {
        match self.missing_features(cfg!(feature = "http"), cfg!(feature = "tls")) {
            [] => Ok(()),
            missing => Err(InvalidEndpoint::Feature { scheme: self.name(), missing }),
        }
    }

    /// The cargo features that the scheme needs and a build does not have.
    fn missing_features(self, has_http: bool, has_tls: bool) -> &'static [&'static str] {
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

/// The part of a text without a known scheme that may be shown: the rest may be a password, or options.
pub(super) fn shown(text: &str) -> String {
    without_options(text).rsplit('@').next().unwrap_or_default().to_owned()
}

/// The schemes of this build: `a, b or c`.
pub(super) fn forms() -> String {
    let has_transport = |scheme: &Scheme| scheme.check_features().is_ok();
    let others = Scheme::ALL.into_iter().skip(1).filter(has_transport);
    let others = others.map(|scheme| format!("{}://", scheme.name()));
    let all: Vec<_> =
        ["gelf://HOST[:PORT]".to_owned(), "gelf+udp://".to_owned()].into_iter().chain(others).collect();
    enumerate(&all, "or")
}

/// The schemes as a user writes them: `a, b and c`.
pub(super) fn names(schemes: &[Scheme]) -> String {
    let names: Vec<_> = schemes.iter().map(|scheme| format!("{}://", scheme.name())).collect();
    enumerate(&names, "and")
}

/// `a, b and c`.
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
        let missing = |http, tls| Scheme::ALL.map(|scheme| scheme.missing_features(http, tls));
        let none: &[&str] = &[];
        assert_eq!(missing(true, true), [none; 5]);
        assert_eq!(missing(true, false), [none, none, &["tls"], none, &["tls"]]);
        assert_eq!(missing(false, true), [none, none, none, &["http"], &["http"]]);
        assert_eq!(missing(false, false), [none, none, &["tls"], &["http"], &["http", "tls"]]);
    }

    #[test]
    fn a_scheme_of_this_build_is_read_in_any_case() {
        for scheme in Scheme::ALL {
            let read = Scheme::parse(&scheme.name().to_uppercase());
            assert_eq!(read, scheme.check_features().map(|()| scheme));
        }
        assert_eq!(Scheme::parse("gelf+udp"), Ok(Scheme::Udp));
        assert_eq!(Scheme::parse("Gelf"), Ok(Scheme::Udp));
        assert_eq!(Scheme::parse("http"), Err(InvalidEndpoint::Scheme { scheme: "http".into() }));
    }

    #[test]
    fn things_are_enumerated_as_in_a_sentence() {
        let enumerated =
            |items: &[&str]| enumerate(&items.iter().map(|&s| s.to_owned()).collect::<Vec<_>>(), "or");
        assert_eq!(enumerated(&[]), "");
        assert_eq!(enumerated(&["a"]), "a");
        assert_eq!(enumerated(&["a", "b"]), "a or b");
        assert_eq!(enumerated(&["a", "b", "c"]), "a, b or c");
        assert_eq!(names(&[Scheme::Tls, Scheme::Https]), "gelf+tls:// and gelf+https://");
    }
}
