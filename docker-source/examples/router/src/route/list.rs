//! Parses lists of routes, as on the command line and in `ROUTE_URIS`.

use std::fmt;

use gelf_tokio::InvalidEndpoint;

use super::{Route, RouteUri, uri::shown_in_errors};
use crate::logspout::Environment;

/// Parses a list with commas between the routes. Variables are expanded before the split, as in Logspout, so
/// one variable may hold several routes.
///
/// # Errors
/// Returns a text of one line for a route that is not a URI.
pub(crate) fn parse(list: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<RouteUri>, String> {
    let expanded = expand(list, variable);
    let uris: Vec<_> = expanded.split(',').map(str::trim).filter(|uri| !uri.is_empty()).collect();
    // A comma in a password would split the route there. The error for the first part would then show the
    // beginning of the password.
    if uris.iter().skip(1).any(|uri| !uri.contains("://") && uri.contains('@')) {
        return Err(format!("list of routes: {}", InvalidEndpoint::UserInfo));
    }
    let parse = |uri: &&str| {
        RouteUri::parse(uri).map_err(|error| format!("route {:?}: {error}", shown_in_errors(uri)))
    };
    uris.iter().map(parse).collect()
}

/// Makes the routes, with the options that the environment sets. If there is a GELF route or `--print`,
/// routes of other adapters are left out with a warning. Thus a deployment of Logspout with several adapters
/// keeps its GELF routes.
///
/// # Errors
/// Returns a text of one line for an invalid route.
pub(crate) fn routes(
    uris: Vec<RouteUri>,
    environment: &mut Environment,
    has_print: bool,
) -> Result<Vec<Route>, String> {
    let has_gelf = has_print || uris.iter().any(|uri| !is_foreign(uri));
    let mut routes = Vec::new();
    for mut uri in uris {
        let shown = uri.shown_in_errors();
        if has_gelf && is_foreign(&uri) {
            let warning = format!("route {shown:?} is left out: only gelf:// and gelf+...:// are supported");
            environment.warnings.push(warning);
            continue;
        }
        let mistake = |error: &dyn fmt::Display| format!("route {shown:?}: {error}");
        let without_environment = uri.clone();
        environment.apply(&mut uri).map_err(|error| mistake(&error))?;
        let route = Route::new(uri).and_then(Route::paced);
        routes.push(route.map_err(|error| match Route::new(without_environment) {
            Ok(_) => format!("{}; the option comes from {}", mistake(&error), environment.names()),
            Err(_) => mistake(&error),
        })?);
    }
    Ok(routes)
}

/// Returns whether the URI belongs to an adapter of Logspout other than `gelf`, such as `logstash://`.
fn is_foreign(uri: &RouteUri) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    let is_other =
        |scheme: &str| !scheme.is_empty() && scheme.chars().all(is_plain) && !scheme.contains("gelf");
    uri.scheme().is_some_and(is_other)
}

/// Returns the route of `--print=OPTIONS`. Its address is a placeholder for the address of the receiver.
///
/// # Errors
/// Returns a text of one line for an invalid option.
pub(crate) fn print(options: &str, environment: &mut Environment) -> Result<RouteUri, String> {
    let mistake = |error: &dyn fmt::Display| format!("--print: {error}");
    let uri = format!("gelf://127.0.0.1:9?{options}");
    let mut uri = RouteUri::parse(&uri).map_err(|error| mistake(&error))?;
    environment.apply(&mut uri).map_err(|error| mistake(&error))?;
    Route::new(uri.clone()).map_err(|error| mistake(&error))?;
    Ok(uri)
}

/// Replaces `$NAME` and `${NAME}` by the values of the variables. Unset variables are empty, as in Logspout.
/// A dollar sign without a name is kept.
fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            }
        };
        if name.is_empty() {
            expanded.push('$');
        } else {
            expanded.push_str(&variable(name).unwrap_or_default());
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all texts that the router would log for a list of routes.
    fn logged(list: &str) -> String {
        let uris = match parse(list, |_| None) {
            Ok(uris) => uris,
            Err(error) => return error,
        };
        let mut environment = Environment::default();
        match routes(uris, &mut environment, true) {
            Ok(routes) => {
                let shown = |route: &Route| {
                    format!("{route} {} {}", route.uri().shown(), route.uri().masked_location())
                };
                let shown: Vec<_> = routes.iter().map(shown).collect();
                format!("{shown:?} {:?}", environment.warnings)
            }
            // A route that is refused is shown only in its error.
            Err(error) => error,
        }
    }

    #[test]
    fn no_part_of_a_password_is_logged() {
        let parts = ["s3cret", "s3cret%zz", "12", "12&x=1", "12&queue=s3cret", "", "[", "host"];
        for scheme in ["gelf+http://", "gelf+https://", "gelf+tcp://", "syslog://", "", "gelf+http:"] {
            for separator in ["#", "?", "/", "@", ":", ",", "%", "://", "&", "#%", "?x=%zz&", "/?", "?#"] {
                for (first, second) in parts.iter().flat_map(|first| parts.map(|second| (first, second))) {
                    for rest in ["h", "h:1/gelf?queue=9", "h?header=A:b#name", "h,gelf://other"] {
                        let list = format!("{scheme}user:{first}{separator}{second}@{rest}");
                        let logged = logged(&list);
                        assert!(!logged.contains("s3cret"), "{list}: {logged}");
                        assert!(!logged.contains("user:12"), "{list}: {logged}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_dollar_sign_without_a_name_is_kept() {
        assert_eq!(expand("$ a$$b ${", |_| None), "$ a$ ${");
    }
}
