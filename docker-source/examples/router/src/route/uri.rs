//! Splits a route's URI into the destination, the options and the name of the route.

use gelf_tokio::InvalidEndpoint;

/// The scheme, host and path of a route, its options with decoded names and values, and its name.
///
/// Routes come from URIs and configuration files, and environment variables set further options. All these
/// parts of a route are collected in this type, which is then parsed as one URI.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RouteUri {
    /// The URI without options and name.
    pub(crate) location: String,
    pub(crate) options: Vec<(String, String)>,
    /// The name behind `#`, which Logspout ignores.
    pub(crate) name: Option<String>,
}

impl RouteUri {
    /// Splits a URI.
    ///
    /// # Errors
    /// Returns [`InvalidEndpoint::Escape`] if, behind the location, a `%` is not followed by two hexadecimal
    /// digits, or a decoded text is not UTF-8. If the options have an `@`, this error is
    /// [`InvalidEndpoint::UserInfo`] instead, because the text before the `@` may be a part of a password. For the
    /// same reason, an `@` behind a `#` always causes [`InvalidEndpoint::UserInfo`].
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let (text, name) = text.split_once('#').unwrap_or((text, ""));
        if name.contains('@') {
            return Err(InvalidEndpoint::UserInfo);
        }
        let (location, query) = text.split_once('?').unwrap_or((text, ""));
        let invalid = |text: &str| match query.contains('@') {
            true => InvalidEndpoint::UserInfo,
            false => InvalidEndpoint::Escape { text: text.to_owned() },
        };
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let name = decode(name).ok_or_else(|| invalid(name))?;
            // The value of a header is a secret, which the error must not show.
            let shown = if name == "header" { "header=***" } else { value };
            let value = decode(value).ok_or_else(|| invalid(shown))?;
            options.push((name, value));
        }
        let name = decode(name).ok_or_else(|| invalid(name))?;
        Ok(Self { location: location.to_owned(), options, name: (!name.is_empty()).then_some(name) })
    }

    /// Returns the scheme, if the URI has one.
    pub(crate) fn scheme(&self) -> Option<&str> {
        split_scheme(&self.location).map(|(scheme, _)| scheme)
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| name == option)
    }

    /// Returns the location without user and password, for the logs of a route that runs.
    pub(crate) fn shown(&self) -> String {
        shown_location(&self.location)
    }

    /// Returns the part of the location that an error may show.
    pub(crate) fn shown_in_errors(&self) -> String {
        let has_at = self.options.iter().any(|(name, value)| name.contains('@') || value.contains('@'));
        shown_before(&self.location, has_at)
    }

    /// Returns the location with `***` in place of user and password.
    pub(crate) fn masked_location(&self) -> String {
        let (start, rest) = split_scheme(&self.location)
            .map_or((String::new(), self.location.as_str()), |(scheme, rest)| (format!("{scheme}://"), rest));
        match rest.rsplit_once('@') {
            Some((_, rest)) => format!("{start}***@{rest}"),
            None => self.location.clone(),
        }
    }

    /// Returns the URI without the name.
    pub(crate) fn to_uri(&self) -> String {
        let mut uri = self.location.clone();
        for (index, (name, value)) in self.options.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            encode(name, &mut uri);
            uri.push('=');
            encode(value, &mut uri);
        }
        uri
    }
}

/// Returns the part of a URI that an error may show.
pub(super) fn shown_in_errors(uri: &str) -> String {
    let location = uri.split(['?', '#']).next().unwrap_or_default();
    shown_before(location, uri.get(location.len()..).is_some_and(|rest| rest.contains('@')))
}

/// Returns the location without user and password. If the text behind the location has an `@`, returns the
/// scheme alone, because the location may then end with the beginning of a password.
fn shown_before(location: &str, has_at: bool) -> String {
    match (has_at, split_scheme(location)) {
        (false, _) => shown_location(location),
        (true, Some((scheme, _))) => format!("{scheme}://***"),
        (true, None) => "***".to_owned(),
    }
}

fn shown_location(location: &str) -> String {
    let without_user = |text: &str| text.rsplit('@').next().unwrap_or_default().to_owned();
    match split_scheme(location) {
        Some((scheme, rest)) => format!("{scheme}://{}", without_user(rest)),
        None => without_user(location),
    }
}

/// Returns the scheme and the text behind `://`. A scheme has no colon and no `@`: the `://` behind one of
/// these may be a part of a password.
fn split_scheme(location: &str) -> Option<(&str, &str)> {
    location.split_once("://").filter(|(scheme, _)| !scheme.contains([':', '@']))
}

/// Decodes `%XX` and `+`, as in HTML forms. Returns `None` if a `%` is not followed by two hexadecimal digits, or
/// if the decoded text is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = digit().zip(digit())?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Encodes all but the characters that are plain in a query. An `@` stays, so that errors of the endpoint can
/// take the text before it for a part of a password.
fn encode(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'*' | b'-' | b'.' | b'/' | b':' | b'@' | b'_' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_keeps_its_parts() {
        let uri = RouteUri::parse("gelf+tls://h:1/p?a=1%2C2&b=x+y&a=&&c#my%20route").unwrap();
        assert_eq!((&*uri.location, uri.name.as_deref()), ("gelf+tls://h:1/p", Some("my route")));
        let options = [("a", "1,2"), ("b", "x y"), ("a", ""), ("c", "")];
        assert_eq!(uri.options, options.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(RouteUri { name: uri.name.clone(), ..RouteUri::parse(&uri.to_uri()).unwrap() }, uri);
        assert_eq!(uri.to_uri(), "gelf+tls://h:1/p?a=1%2C2&b=x%20y&a=&c=");
    }

    #[test]
    fn neither_a_password_nor_a_header_is_shown() {
        assert_eq!(RouteUri::parse("gelf+http://u:p%40@h?x=1").unwrap().shown(), "gelf+http://h");
        assert_eq!(RouteUri::parse("u:p@h").unwrap().shown(), "h");
        let error = RouteUri::parse("gelf+http://h?header=A:secret%zz").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
