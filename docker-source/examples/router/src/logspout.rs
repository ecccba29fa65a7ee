//! Variables of Logspout that the router does not support.
//!
//! A deployment that replaces Logspout keeps its environment. The router warns of each variable that has no
//! effect. It ends with an error if a variable is set whose neglect would ship excluded containers, or would
//! trust other authorities than meant.

/// The variables that the router ignores with a warning. Each text names the router's behavior or option.
const IGNORED: [(&str, &str); 25] = [
    ("ALLOW_TTY", "containers with a terminal are always read"),
    ("BACKLOG", "lines from before the start are read only behind saved positions or the previous agent"),
    ("COMPRESS_TYPE", "use the route option compression="),
    ("DEBUG", "use --log-level=debug"),
    ("EXTRA_JSON", "use the route option field.NAME=VALUE"),
    ("HTTP_BIND_ADDRESS", "there is no HTTP server"),
    ("HTTP_PORT", "there is no HTTP server"),
    ("INACTIVITY_TIMEOUT", "quiet logs need no restart"),
    ("MULTILINE_ENABLE_DEFAULT", "lines are not joined"),
    ("MULTILINE_FLUSH_AFTER", "lines are not joined"),
    ("MULTILINE_MATCH", "lines are not joined"),
    ("MULTILINE_PATTERN", "lines are not joined"),
    ("MULTILINE_SEPARATOR", "lines are not joined"),
    ("PORT", "there is no HTTP server"),
    ("RAW_FORMAT", "only GELF is sent"),
    ("RETRY_COUNT", "a destination that is down is retried without a limit"),
    ("ROUTESPATH", "routes are given on the command line or in ROUTE_URIS"),
    ("SYSLOG_DATA", "only GELF is sent"),
    ("SYSLOG_FORMAT", "only GELF is sent"),
    ("SYSLOG_PID", "only GELF is sent"),
    ("SYSLOG_PRIORITY", "only GELF is sent"),
    ("SYSLOG_STRUCTURED_DATA", "only GELF is sent"),
    ("SYSLOG_TAG", "only GELF is sent"),
    ("SYSLOG_TIMESTAMP", "only GELF is sent"),
    ("TAIL", "only lines that are written after the start are read"),
];

/// The variables that end the router if they are set. Each text tells the user what to do instead.
const REFUSED: [(&str, &str); 7] = [
    ("EXCLUDE_LABEL", EXCLUDE),
    ("EXCLUDE_LABELS", EXCLUDE),
    ("LOGSPOUT_TLS_CA_CERTS", "use the route option ca=FILE"),
    ("LOGSPOUT_TLS_CLIENT_CERT", "use the route option cert=FILE"),
    ("LOGSPOUT_TLS_CLIENT_KEY", "use the route option key=FILE"),
    (
        "LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS",
        "use the route option ca=FILE, which replaces the system's authorities",
    ),
    ("LOGSPOUT_TLS_HARDENING", "TLS 1.2 and 1.3 with safe cipher suites are always used; unset it"),
];

const EXCLUDE: &str =
    "its containers would be shipped; set LOGSPOUT=ignore in their environment, or use filter.name=";

/// Returns the warnings' texts: one for each variable that is set and ignored.
///
/// # Errors
/// Returns a text of one line for a variable that the router must not ignore.
pub(crate) fn check(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if let Some((name, instead)) = REFUSED.into_iter().find(|(name, _)| is_set(name)) {
        return Err(format!("{name} is set and not supported: {instead}"));
    }
    let ignored = IGNORED.into_iter().filter(|(name, _)| is_set(name));
    Ok(ignored.map(|(name, instead)| format!("{name} is set and has no effect: {instead}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(set: &'static str, value: &'static str) -> Result<Vec<String>, String> {
        check(|name| (name == set).then(|| value.to_owned()))
    }

    #[test]
    fn each_unsupported_variable_that_is_set_causes_one_warning() {
        for (name, _) in IGNORED {
            let warnings = check_with(name, "1").unwrap();
            assert!(warnings.len() == 1 && warnings[0].starts_with(name), "{warnings:?}");
        }
        assert_eq!(check_with("BACKLOG", ""), Ok(vec![]));
        assert_eq!(check_with("SYSLOG_HOSTNAME", "web-1"), Ok(vec![]));
    }

    #[test]
    fn a_variable_that_excludes_containers_or_sets_trust_is_refused() {
        for (name, _) in REFUSED {
            assert!(check_with(name, "1").unwrap_err().starts_with(name));
        }
        assert_eq!(check_with("EXCLUDE_LABEL", ""), Ok(vec![]));
    }
}
