//! Finds the default `host` of messages.
//!
//! The name comes from the file or the variables by which images of Logspout are configured.

use std::io;

/// The path at which containers of Logspout find the host's `/etc/hostname`, if it is mounted.
pub(crate) const HOST_FILE: &str = "/etc/host_hostname";

/// The variables that Logspout and its GELF modules read, in the order of precedence.
const VARIABLES: [&str; 2] = ["GELF_HOSTNAME", "SYSLOG_HOSTNAME"];

/// A host name that is not blank, and its source.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) source: &'static str,
}

/// Finds the host name in the file, or in a variable if the file has no name. Ignores blank names.
///
/// `file` is the result of reading [`HOST_FILE`], and `variable` looks up a variable of the environment. The
/// second returned value is a warning about an unusable file, such as the directory that Docker creates for a
/// mount whose source is missing.
pub(crate) fn find(
    file: io::Result<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> (Option<Host>, Option<String>) {
    let named = |name: &str, source| {
        let name = name.trim();
        (!name.is_empty()).then(|| Host { name: name.to_owned(), source })
    };
    let (in_file, warning) = match file {
        Ok(text) => match named(&text, HOST_FILE) {
            None => (None, Some(format!("ignoring {HOST_FILE}: it is blank"))),
            host => (host, None),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => (None, Some(format!("ignoring {HOST_FILE}: {error}"))),
    };
    let in_variable =
        || VARIABLES.into_iter().find_map(|source| variable(source).and_then(|name| named(&name, source)));
    (in_file.or_else(in_variable), warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn find_with(file: io::Result<String>, variables: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        find(file, variable).0.map(|host| (host.name, host.source))
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
        let warning = |file| find(file, |_| None).1;
        assert_eq!(warning(missing()), None);
        assert_eq!(warning(Ok("web-1".into())), None);
        assert_eq!(warning(Ok(" \n".into())).as_deref(), Some("ignoring /etc/host_hostname: it is blank"));
        let directory = warning(Err(io::ErrorKind::IsADirectory.into())).unwrap();
        assert!(directory.starts_with("ignoring /etc/host_hostname: "), "{directory}");
    }
}
