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
    /// Returns [`InvalidEndpoint::Escape`] if a `%` is not followed by two hexadecimal digits, or if a
    /// decoded text is not UTF-8.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let (text, name) = text.split_once('#').unwrap_or((text, ""));
        let (location, query) = text.split_once('?').unwrap_or((text, ""));
        let decoded =
            |text: &str| decode(text).ok_or_else(|| InvalidEndpoint::Escape { text: text.to_owned() });
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let name = decoded(name)?;
            // The value of a header is a secret, which the error must not show.
            let value = match decode(value) {
                Some(value) => value,
                None if name == "header" => {
                    return Err(InvalidEndpoint::Escape { text: "header=***".into() });
                }
                None => return Err(InvalidEndpoint::Escape { text: value.to_owned() }),
            };
            options.push((name, value));
        }
        let name = decoded(name)?;
        Ok(Self { location: location.to_owned(), options, name: (!name.is_empty()).then_some(name) })
    }

    /// Returns the scheme, if the URI has one.
    pub(crate) fn scheme(&self) -> Option<&str> {
        self.location.split_once("://").map(|(scheme, _)| scheme)
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| name == option)
    }

    /// Returns the location without user and password, for errors.
    pub(crate) fn shown(&self) -> String {
        match self.location.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
            None => self.location.rsplit('@').next().unwrap_or_default().to_owned(),
        }
    }

    /// Returns the location with `***` in place of user and password.
    pub(crate) fn masked_location(&self) -> String {
        match (self.location.split_once("://"), self.location.contains('@')) {
            (Some((scheme, rest)), true) => {
                format!("{scheme}://***@{}", rest.rsplit('@').next().unwrap_or_default())
            }
            _ => self.location.clone(),
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

/// Decodes `%XX` and `+`, as in HTML forms. Returns `None` if two hexadecimal digits do not follow a `%`, or
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

fn encode(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'*' | b'-' | b'.' | b'/' | b':' | b'_' => encoded.push(byte.into()),
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
