//! The Engine's address: `DOCKER_HOST`, or the default socket.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The default socket of a Docker installation.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// The path of that socket in a container that was started with a command line for Logspout.
const LOGSPOUT_SOCKET: &str = "/tmp/docker.sock";
/// The port of an Engine without TLS.
const DEFAULT_PORT: u16 = 2375;

/// The address of a Docker Engine.
///
/// Parsed and displayed like `DOCKER_HOST`: `unix:///var/run/docker.sock` or `tcp://127.0.0.1:2375`. The
/// default is `/var/run/docker.sock`; [`from_env`](Self::from_env) reads the environment.
///
/// ```
/// use docker_source::EngineAddress;
///
/// let address: EngineAddress = "tcp://10.0.0.7".parse()?;
/// assert_eq!(address.to_string(), "tcp://10.0.0.7:2375");
/// # Ok::<(), docker_source::InvalidEngineAddress>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EngineAddress {
    /// A host name or IP address and a port, without TLS.
    Tcp {
        /// The host: `name`, `10.0.0.7` or, in brackets, `[::1]`.
        host: String,
        /// The port; 2375 if the text had none.
        port: u16,
    },
    /// The absolute path of a unix socket.
    Unix(PathBuf),
}

impl EngineAddress {
    /// Returns the address in `DOCKER_HOST`, else `/var/run/docker.sock`.
    ///
    /// An empty `DOCKER_HOST` counts as unset. If `/var/run/docker.sock` does not exist, returns
    /// `/tmp/docker.sock` if that exists: users of Logspout mount the socket there.
    ///
    /// # Errors
    /// Returns [`InvalidEngineAddress`] if `DOCKER_HOST` is invalid, or is a `tcp://` address while
    /// `DOCKER_TLS_VERIFY` is set: TLS is not supported.
    pub fn from_env() -> Result<Self, InvalidEngineAddress> {
        Self::choose(|name| std::env::var_os(name), |path| path.exists())
    }

    fn choose(
        variable: impl Fn(&str) -> Option<OsString>,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, InvalidEngineAddress> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let Some(host) = set("DOCKER_HOST") else {
            let logspout = !exists(Path::new(DEFAULT_SOCKET)) && exists(Path::new(LOGSPOUT_SOCKET));
            return Ok(Self::Unix(if logspout { LOGSPOUT_SOCKET } else { DEFAULT_SOCKET }.into()));
        };
        match host.to_str().ok_or(InvalidEngineAddress::NotUnicode)?.parse()? {
            Self::Tcp { .. } if set("DOCKER_TLS_VERIFY").is_some() => Err(InvalidEngineAddress::Tls),
            address => Ok(address),
        }
    }
}

impl Default for EngineAddress {
    fn default() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl FromStr for EngineAddress {
    type Err = InvalidEngineAddress;

    fn from_str(text: &str) -> Result<Self, InvalidEngineAddress> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidEngineAddress::Scheme)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(InvalidEngineAddress::RelativePath),
            "tcp" | "http" => parse_tcp(rest).ok_or(InvalidEngineAddress::HostAndPort),
            "https" => Err(InvalidEngineAddress::Tls),
            "ssh" => Err(InvalidEngineAddress::Ssh),
            "npipe" => Err(InvalidEngineAddress::NamedPipe),
            _ => Err(InvalidEngineAddress::Scheme),
        }
    }
}

impl TryFrom<&str> for EngineAddress {
    type Error = InvalidEngineAddress;

    fn try_from(text: &str) -> Result<Self, InvalidEngineAddress> {
        text.parse()
    }
}

fn parse_tcp(text: &str) -> Option<EngineAddress> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.rsplit_once(':') {
        // This colon is within the brackets of an IPv6 address, not in front of a port.
        Some((_, tail)) if tail.contains(']') => (text, DEFAULT_PORT),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, DEFAULT_PORT),
    };
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|address| address.contains(':'))?,
        None => host,
    };
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte) || (host != bare && byte == b':');
    (!bare.is_empty() && bare.bytes().all(allowed)).then(|| EngineAddress::Tcp { host: host.into(), port })
}

/// The error for a text that is not a supported address of an Engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEngineAddress {
    /// `tcp://` without a host, or with a port that is not a number from 1 to 65535.
    HostAndPort,
    /// `npipe://`, a Windows named pipe, is not supported.
    NamedPipe,
    /// `DOCKER_HOST` is not valid Unicode.
    NotUnicode,
    /// `unix://` with a path that does not begin with `/`.
    RelativePath,
    /// A missing or unknown scheme.
    Scheme,
    /// `ssh://` is not supported.
    Ssh,
    /// `https://`, and `tcp://` with `DOCKER_TLS_VERIFY`, are not supported.
    Tls,
}

impl fmt::Display for InvalidEngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostAndPort => "DOCKER_HOST: expected host:port after tcp://, as in tcp://127.0.0.1:2375",
            Self::NamedPipe => "DOCKER_HOST: named pipes (npipe://) are not supported; use unix:// or tcp://",
            Self::NotUnicode => "DOCKER_HOST is not valid Unicode",
            Self::RelativePath => {
                "DOCKER_HOST: expected an absolute path after unix://, as in unix:///var/run/docker.sock"
            }
            Self::Scheme => "DOCKER_HOST must begin with unix:// or tcp://, as in unix:///var/run/docker.sock",
            Self::Ssh => {
                "DOCKER_HOST: ssh:// is not supported; forward the socket with `ssh -L` and use unix:// or tcp://"
            }
            Self::Tls => {
                "DOCKER_HOST: TLS is not supported; use the Engine's unix socket, or tcp:// without DOCKER_TLS_VERIFY"
            }
        })
    }
}

impl std::error::Error for InvalidEngineAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, InvalidEngineAddress> {
        text.parse::<EngineAddress>().map(|address| address.to_string())
    }

    fn choose(variables: &[(&str, &str)], existing: &[&str]) -> Result<String, InvalidEngineAddress> {
        EngineAddress::choose(
            |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()),
            |path| existing.iter().any(|known| Path::new(known) == path),
        )
        .map(|address| address.to_string())
    }

    #[test]
    fn unix_and_tcp_addresses_are_parsed() {
        assert_eq!(
            parse("unix:///run/user/1000/docker.sock"),
            Ok("unix:///run/user/1000/docker.sock".into())
        );
        assert_eq!(parse("tcp://127.0.0.1:2376"), Ok("tcp://127.0.0.1:2376".into()));
        assert_eq!(parse("tcp://docker-proxy"), Ok("tcp://docker-proxy:2375".into()));
        assert_eq!(parse("http://proxy:80/"), Ok("tcp://proxy:80".into()));
        assert_eq!(parse("tcp://[::1]:2375"), Ok("tcp://[::1]:2375".into()));
        assert_eq!(parse("tcp://[::1]"), Ok("tcp://[::1]:2375".into()));
    }

    #[test]
    fn the_error_for_an_unsupported_address_names_the_reason() {
        use InvalidEngineAddress as E;
        for (text, error) in [
            ("", E::Scheme),
            ("/var/run/docker.sock", E::Scheme),
            ("fd://", E::Scheme),
            ("unix://docker.sock", E::RelativePath),
            ("unix://", E::RelativePath),
            ("https://host:2376", E::Tls),
            ("ssh://user@host", E::Ssh),
            ("npipe:////./pipe/docker_engine", E::NamedPipe),
            ("tcp://", E::HostAndPort),
            ("tcp://:2375", E::HostAndPort),
            ("tcp://host:port", E::HostAndPort),
            ("tcp://host:0", E::HostAndPort),
            ("tcp://host:65536", E::HostAndPort),
            ("tcp://::1", E::HostAndPort),
            ("tcp://[host]:1", E::HostAndPort),
            ("tcp://a/b:1", E::HostAndPort),
            ("tcp://a\r\nb:1", E::HostAndPort),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn without_docker_host_the_first_existing_default_socket_is_taken() {
        assert_eq!(choose(&[], &[]), Ok("unix:///var/run/docker.sock".into()));
        assert_eq!(EngineAddress::default().to_string(), "unix:///var/run/docker.sock");
        assert_eq!(choose(&[("DOCKER_HOST", "")], &[LOGSPOUT_SOCKET]), Ok("unix:///tmp/docker.sock".into()));
        assert_eq!(choose(&[], &[DEFAULT_SOCKET, LOGSPOUT_SOCKET]), Ok("unix:///var/run/docker.sock".into()));
        assert_eq!(
            choose(&[("DOCKER_HOST", "unix:///a.sock")], &[LOGSPOUT_SOCKET]),
            Ok("unix:///a.sock".into())
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_docker_host_that_is_not_unicode_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |_: &str| Some(OsString::from_vec(b"unix:///\xff.sock".to_vec()));
        assert_eq!(EngineAddress::choose(variable, |_| true), Err(InvalidEngineAddress::NotUnicode));
    }

    #[test]
    fn tcp_with_docker_tls_verify_is_refused_as_tls() {
        let tcp = ("DOCKER_HOST", "tcp://host:2376");
        assert_eq!(choose(&[tcp, ("DOCKER_TLS_VERIFY", "1")], &[]), Err(InvalidEngineAddress::Tls));
        assert_eq!(choose(&[tcp, ("DOCKER_TLS_VERIFY", "")], &[]), Ok("tcp://host:2376".into()));
        let unix = ("DOCKER_HOST", "unix:///a.sock");
        assert_eq!(choose(&[unix, ("DOCKER_TLS_VERIFY", "1")], &[]), Ok("unix:///a.sock".into()));
    }
}
