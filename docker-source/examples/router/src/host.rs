//! Finds the default `host` of messages.
//!
//! The name comes from a file or a variable with which images of Logspout are configured. If neither is
//! present, the name is the host name of the agent's container, unless Docker generated that name.

use std::io;
use std::path::Path;

/// The path at which deployments of Logspout mount the host's `/etc/hostname`.
pub(crate) const HOST_FILE: &str = "/etc/host_hostname";

/// The variables that Logspout and its GELF modules read, in the order of precedence.
const VARIABLES: [&str; 2] = ["GELF_HOSTNAME", "SYSLOG_HOSTNAME"];

/// A host name that is not blank, and its source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) source: &'static str,
}

/// The variable in which Docker and Podman put the host name of a container.
const CONTAINER_VARIABLE: &str = "HOSTNAME";

/// The files that mark a container: Docker puts the first one into each of its containers, and Podman the second.
const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Finds the host name in the file or in a variable. Otherwise returns the host name of this container, as
/// Logspout does. Ignores blank names, and host names that Docker generated from the id of the container.
///
/// `file` reads a file, and `variable` looks up a variable of the environment. The second returned value is a
/// warning about an unusable file, such as the directory that Docker creates for a mount whose source is
/// missing.
pub(crate) fn find(
    file: impl Fn(&Path) -> io::Result<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> (Option<Host>, Option<String>) {
    let named = |name: &str, source| {
        let name = name.trim();
        (!name.is_empty()).then(|| Host { name: name.to_owned(), source })
    };
    let (in_file, warning) = match file(Path::new(HOST_FILE)) {
        Ok(text) => match named(&text, HOST_FILE) {
            None => (None, Some(format!("ignoring {HOST_FILE}: it is blank"))),
            host => (host, None),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => (None, Some(format!("ignoring {HOST_FILE}: {error}"))),
    };
    let in_variable =
        || VARIABLES.into_iter().find_map(|source| variable(source).and_then(|name| named(&name, source)));
    let of_container = || {
        let name = variable(CONTAINER_VARIABLE).filter(|name| !is_generated(name))?;
        let is_in_container = CONTAINER_FILES.into_iter().any(|path| file(Path::new(path)).is_ok());
        is_in_container.then(|| named(&name, "the host name of this container")).flatten()
    };
    (in_file.or_else(in_variable).or_else(of_container), warning)
}

/// Returns whether Docker generated the host name: 12 hexadecimal digits of the container's id.
fn is_generated(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn missing() -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn find_with(file: io::Result<String>, variables: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let file = Cell::new(Some(file));
        let read = |path: &Path| match path.to_str() {
            Some(HOST_FILE) => file.take().unwrap(),
            Some("/.dockerenv") => Ok(String::new()),
            _ => missing(),
        };
        find(read, variable).0.map(|host| (host.name, host.source))
    }

    #[test]
    fn the_file_takes_precedence_then_gelf_hostname_then_syslog_hostname() {
        let both = [("SYSLOG_HOSTNAME", "s"), ("GELF_HOSTNAME", "g")];
        assert_eq!(find_with(Ok("web-1\n".into()), &both), Some(("web-1".into(), HOST_FILE)));
        assert_eq!(find_with(missing(), &both), Some(("g".into(), "GELF_HOSTNAME")));
        assert_eq!(find_with(missing(), &both[..1]), Some(("s".into(), "SYSLOG_HOSTNAME")));
        assert_eq!(find_with(missing(), &[]), None);
    }

    #[test]
    fn a_blank_name_is_ignored() {
        let blank = [("GELF_HOSTNAME", " "), ("SYSLOG_HOSTNAME", "s")];
        assert_eq!(find_with(Ok("\n".into()), &blank), Some(("s".into(), "SYSLOG_HOSTNAME")));
    }

    #[test]
    fn a_file_without_a_name_causes_a_warning() {
        let warning = |file: io::Result<&str>| {
            let read = |path: &Path| match (path.to_str(), &file) {
                (Some(HOST_FILE), Ok(text)) => Ok((*text).to_owned()),
                (Some(HOST_FILE), Err(error)) => Err(error.kind().into()),
                _ => missing(),
            };
            find(read, |_| None).1
        };
        assert_eq!(warning(Err(io::ErrorKind::NotFound.into())), None);
        assert_eq!(warning(Ok("web-1")), None);
        assert_eq!(warning(Ok(" \n")).as_deref(), Some("ignoring /etc/host_hostname: it is blank"));
        let directory = warning(Err(io::ErrorKind::IsADirectory.into())).unwrap();
        assert!(directory.starts_with("ignoring /etc/host_hostname: "), "{directory}");
    }

    #[test]
    fn a_host_name_that_was_given_to_the_container_is_used_and_a_generated_name_is_not() {
        let given = [("HOSTNAME", "my.message.source")];
        assert_eq!(find_with(missing(), &given).unwrap().0, "my.message.source");
        assert_eq!(find_with(missing(), &[("HOSTNAME", "0123456789ab")]), None);
        let both = [given[0], ("SYSLOG_HOSTNAME", "s")];
        assert_eq!(find_with(missing(), &both), Some(("s".into(), "SYSLOG_HOSTNAME")));
        let on_a_host = find(|_| missing(), |name| (name == CONTAINER_VARIABLE).then(|| "vm".to_owned()));
        assert_eq!(on_a_host, (None, None));
    }
}
