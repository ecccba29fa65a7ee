//! Finds the Engine's address: `DOCKER_HOST`, or the first default socket that exists.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[cfg(feature = "tls")]
use super::EngineCertificates;

/// The socket of a Docker installation, and of Podman's `podman-docker`.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// The socket of a Podman installation.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// The path at which users of Logspout mount Docker's socket in the container.
const LOGSPOUT_SOCKET: &str = "/tmp/docker.sock";
/// The port of an Engine without TLS. It is registered as `docker`.
const DEFAULT_PORT: u16 = 2375;
/// The port of an Engine with TLS. It is registered as `docker-s`.
const DEFAULT_TLS_PORT: u16 = 2376;

/// The address of a Docker Engine.
///
/// An address is parsed and displayed like `DOCKER_HOST`: `unix:///var/run/docker.sock` or
/// `tcp://127.0.0.1:2375`. The default is `/var/run/docker.sock`; [`from_env`](Self::from_env) reads the
/// environment.
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
    /// A host name or IP address and a port, with TLS; displayed as `tcp://host:2376 (TLS)`. Parsing a
    /// text never returns this variant: [`from_env`](Self::from_env) or the caller creates it.
    #[cfg(feature = "tls")]
    Tls {
        /// The host: `name`, `10.0.0.7` or, in brackets, `[::1]`. The Engine's certificate has to be valid
        /// for this host.
        host: String,
        /// The port, usually 2376.
        port: u16,
        /// The certificates.
        certificates: EngineCertificates,
    },
    /// The absolute path of a unix socket.
    Unix(PathBuf),
}

impl EngineAddress {
    /// Returns the address in `DOCKER_HOST`. If the variable is not set, returns the first default socket
    /// that exists.
    ///
    /// An empty `DOCKER_HOST` counts as unset. The default sockets are, in this order:
    /// - `/var/run/docker.sock`, which is also returned if no default socket exists;
    /// - `$XDG_RUNTIME_DIR/docker.sock`, the socket of Docker without root;
    /// - `/run/podman/podman.sock` and `$XDG_RUNTIME_DIR/podman/podman.sock`, the sockets of Podman;
    /// - `/tmp/docker.sock`, where users of Logspout mount the socket.
    ///
    /// As for the docker CLI, a `tcp://` address uses TLS if `DOCKER_TLS_VERIFY` is set and not empty. The
    /// certificates come from the folder `DOCKER_CERT_PATH`. By default, this is the folder of the CLI:
    /// `DOCKER_CONFIG` or `~/.docker`. `DOCKER_TLS` has the same effect as `DOCKER_TLS_VERIFY`: with either
    /// variable, the Engine's certificate is verified. With TLS, the default port is 2376.
    ///
    /// # Errors
    /// Returns [`InvalidEngineAddress`] if `DOCKER_HOST` is invalid, or if a certificate is missing or
    /// invalid. Without the feature `tls`, a `tcp://` address is also an error if `DOCKER_TLS_VERIFY` or
    /// `DOCKER_TLS` is set.
    pub fn from_env() -> Result<Self, InvalidEngineAddress> {
        Self::choose(|name| std::env::var_os(name), |path| path.exists())
    }

    fn choose(
        variable: impl Fn(&str) -> Option<OsString>,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, InvalidEngineAddress> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let Some(host) = set("DOCKER_HOST") else {
            return Ok(Self::Unix(default_socket(set("XDG_RUNTIME_DIR"), exists)));
        };
        let host = host.to_str().ok_or(InvalidEngineAddress::NotUnicode)?;
        if set("DOCKER_TLS_VERIFY").or_else(|| set("DOCKER_TLS")).is_none() {
            return host.parse();
        }
        match Self::parse(host, DEFAULT_TLS_PORT)? {
            Self::Tcp { host, port } => Self::with_tls(host, port, set),
            address => Ok(address),
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(
        host: String,
        port: u16,
        set: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, InvalidEngineAddress> {
        let folder = set("DOCKER_CERT_PATH")
            .or_else(|| set("DOCKER_CONFIG"))
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&set("HOME")?).join(".docker")))
            .ok_or_else(|| InvalidEngineAddress::Certificates {
                path: "~/.docker".into(),
                reason: "HOME is not set".into(),
            })?;
        let certificates = EngineCertificates::from_folder(folder)?;
        Ok(Self::Tls { host, port, certificates })
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(
        _: String,
        _: u16,
        _: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, InvalidEngineAddress> {
        Err(InvalidEngineAddress::Tls)
    }

    fn parse(text: &str, default_port: u16) -> Result<Self, InvalidEngineAddress> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidEngineAddress::Scheme)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(InvalidEngineAddress::RelativePath),
            "tcp" | "http" => parse_tcp(rest, default_port).ok_or(InvalidEngineAddress::HostAndPort),
            "https" => Err(InvalidEngineAddress::Tls),
            "ssh" => Err(InvalidEngineAddress::Ssh),
            "npipe" => Err(InvalidEngineAddress::NamedPipe),
            _ => Err(InvalidEngineAddress::Scheme),
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
            #[cfg(feature = "tls")]
            Self::Tls { host, port, .. } => write!(f, "tcp://{host}:{port} (TLS)"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl FromStr for EngineAddress {
    type Err = InvalidEngineAddress;

    fn from_str(text: &str) -> Result<Self, InvalidEngineAddress> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl TryFrom<&str> for EngineAddress {
    type Error = InvalidEngineAddress;

    fn try_from(text: &str) -> Result<Self, InvalidEngineAddress> {
        text.parse()
    }
}

/// Returns the first default socket that exists, or the first default socket if none exists.
fn default_socket(runtime_dir: Option<OsString>, exists: impl Fn(&Path) -> bool) -> PathBuf {
    // The XDG specification tells programs to ignore relative paths.
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let of_user = |name: &str| runtime_dir.as_ref().map(|folder| folder.join(name));
    [
        Some(DEFAULT_SOCKET.into()),
        of_user("docker.sock"),
        Some(PODMAN_SOCKET.into()),
        of_user("podman/podman.sock"),
        // This socket comes last, since any user can create files in its folder.
        Some(LOGSPOUT_SOCKET.into()),
    ]
    .into_iter()
    .flatten()
    .find(|path| exists(path))
    .unwrap_or_else(|| DEFAULT_SOCKET.into())
}

fn parse_tcp(text: &str, default_port: u16) -> Option<EngineAddress> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.rsplit_once(':') {
        // This colon is within the brackets of an IPv6 address, not in front of a port.
        Some((_, tail)) if tail.contains(']') => (text, default_port),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, default_port),
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
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidEngineAddress {
    /// A file in the folder of the certificates is missing, unreadable or invalid, or the folder is unknown because
    /// `HOME` is not set. This error occurs only with the feature `tls`.
    Certificates {
        /// The file or the folder.
        path: PathBuf,
        /// The defect, without the contents of the file.
        reason: String,
    },
    /// The host of a `tcp://` address is missing or invalid, or its port is not a number from 1 to 65535.
    HostAndPort,
    /// `npipe://`, a Windows named pipe, is not supported.
    NamedPipe,
    /// `DOCKER_HOST` is not valid Unicode.
    NotUnicode,
    /// The address is `unix://` with a path that does not begin with `/`.
    RelativePath,
    /// The scheme is missing or unknown.
    Scheme,
    /// `ssh://` is not supported.
    Ssh,
    /// `https://` is not supported. Without the feature `tls`, `tcp://` with `DOCKER_TLS_VERIFY` or `DOCKER_TLS`
    /// is not supported either.
    Tls,
}

impl fmt::Display for InvalidEngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificates { path, reason } => {
                return write!(f, "DOCKER_CERT_PATH: {}: {reason}", path.display());
            }
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
            Self::Tls if cfg!(feature = "tls") => {
                "DOCKER_HOST: https:// is not supported; use tcp:// with DOCKER_TLS_VERIFY=1"
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
        assert_eq!(EngineAddress::default().to_string(), "unix:///var/run/docker.sock");
        let order = [
            DEFAULT_SOCKET,
            "/run/user/7/docker.sock",
            PODMAN_SOCKET,
            "/run/user/7/podman/podman.sock",
            LOGSPOUT_SOCKET,
        ];
        let taken = |runtime_dir, existing: &[&str]| {
            choose(&[("DOCKER_HOST", ""), ("XDG_RUNTIME_DIR", runtime_dir)], existing).unwrap()
        };
        for (index, first) in order.into_iter().enumerate() {
            assert_eq!(taken("/run/user/7", &order[index..]), format!("unix://{first}"));
        }
        assert_eq!(taken("/run/user/7", &[]), "unix:///var/run/docker.sock");
        for runtime_dir in ["", ".", "run/user/7"] {
            let relative = ["docker.sock", "./docker.sock", "run/user/7/docker.sock", "/docker.sock"];
            assert_eq!(taken(runtime_dir, &relative), "unix:///var/run/docker.sock");
        }
        assert_eq!(choose(&[("DOCKER_HOST", "unix:///a.sock")], &order), Ok("unix:///a.sock".into()));
    }

    #[test]
    #[cfg(unix)]
    fn a_docker_host_that_is_not_unicode_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |_: &str| Some(OsString::from_vec(b"unix:///\xff.sock".to_vec()));
        assert_eq!(EngineAddress::choose(variable, |_| true), Err(InvalidEngineAddress::NotUnicode));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_the_feature_tls_an_address_that_requires_tls_is_refused() {
        for variable in ["DOCKER_TLS_VERIFY", "DOCKER_TLS"] {
            let variables = [("DOCKER_HOST", "tcp://host:2376"), (variable, "1")];
            assert_eq!(choose(&variables, &[]), Err(InvalidEngineAddress::Tls));
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn certificates_are_read_from_the_folder_that_the_docker_cli_uses() {
        let missing = |variables: &[(&str, &str)]| {
            let tcp = [("DOCKER_HOST", "tcp://host"), ("DOCKER_TLS_VERIFY", "1")];
            choose(&[&tcp, variables].concat(), &[]).unwrap_err().to_string()
        };
        let not_there = "ca.pem: No such file or directory (os error 2)";
        let home = ("HOME", "/none/home");
        let config = ("DOCKER_CONFIG", "/none/config");
        for (variables, folder) in [
            (&[home][..], "/none/home/.docker"),
            (&[home, config], "/none/config"),
            (&[home, config, ("DOCKER_CERT_PATH", "/none/certificates")], "/none/certificates"),
            (&[home, ("DOCKER_CERT_PATH", "")], "/none/home/.docker"),
        ] {
            assert_eq!(missing(variables), format!("DOCKER_CERT_PATH: {folder}/{not_there}"));
        }
        assert_eq!(missing(&[]), "DOCKER_CERT_PATH: ~/.docker: HOME is not set");
    }

    #[test]
    fn only_a_tcp_address_with_a_non_empty_tls_variable_requires_tls() {
        let tcp = ("DOCKER_HOST", "tcp://host:2376");
        assert_eq!(choose(&[tcp, ("DOCKER_TLS_VERIFY", "")], &[]), Ok("tcp://host:2376".into()));
        let unix = ("DOCKER_HOST", "unix:///a.sock");
        assert_eq!(choose(&[unix, ("DOCKER_TLS_VERIFY", "1")], &[]), Ok("unix:///a.sock".into()));
    }
}
