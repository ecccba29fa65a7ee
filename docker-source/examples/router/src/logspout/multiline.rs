//! Replaces Logspout's adapter `multiline+`, and the variables that configure it, with options of the route.

use crate::route::RouteUri;

/// The beginning of the URI of a route whose lines are joined.
const SCHEME: &str = "multiline+";

/// The name of each variable, the option that it sets, and Logspout's default if that differs from the
/// default of the option.
const VARIABLES: [(&str, &str, Option<&str>); 5] = [
    ("MULTILINE_ENABLE_DEFAULT", "multiline.default", None),
    ("MULTILINE_FLUSH_AFTER", "multiline.flush_after", None),
    ("MULTILINE_MATCH", "multiline.match", None),
    ("MULTILINE_PATTERN", "multiline.pattern", Some(r"^\s")),
    ("MULTILINE_SEPARATOR", "multiline.separator", None),
];

/// The variables that are set.
#[derive(Clone, Debug, Default)]
pub(super) struct Multiline {
    set: Vec<(&'static str, String)>,
    is_used: bool,
}

impl Multiline {
    /// Reads the variables. `value` returns the value of a variable that is not empty.
    pub(super) fn read(value: impl Fn(&str) -> Option<String>) -> Self {
        let set = VARIABLES.iter().filter_map(|(name, ..)| Some((*name, value(name)?))).collect();
        Self { set, is_used: false }
    }

    /// Removes `multiline+` from a URI that begins with it, and adds the options of the adapter that the URI
    /// does not set. A preset or pattern in the URI takes the place of the adapter's pattern and match.
    ///
    /// # Errors
    /// Returns a text of one line for a variable with an invalid value.
    pub(super) fn apply(&mut self, uri: &mut RouteUri) -> Result<(), String> {
        let Some(location) = uri.location.strip_prefix(SCHEME) else { return Ok(()) };
        uri.location = location.to_owned();
        self.is_used = true;
        let has_rule = uri.has("multiline") || uri.has("multiline.pattern");
        for (name, option, default) in VARIABLES {
            let value = self.set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.as_str());
            let is_of_rule = matches!(option, "multiline.match" | "multiline.pattern");
            let Some(value) = value.or(default) else { continue };
            if uri.has(option) || is_of_rule && has_rule {
                continue;
            }
            crate::route::check_option(option, value)
                .map_err(|error| format!("{name}={value:?}: {error}"))?;
            uri.options.push((option.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// Returns a warning for each variable that is set, if no route uses the variables.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let unused = self.set.iter().filter(|_| !self.is_used);
        unused.map(|(name, _)| format!("{name} is set and has no effect: no route begins with {SCHEME}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Multiline {
        Multiline::read(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn applied(set: &[(&str, &str)], uri: &str) -> Result<String, String> {
        let mut uri = RouteUri::parse(uri).unwrap();
        read(set).apply(&mut uri).map(|()| uri.to_uri())
    }

    #[test]
    fn a_route_of_logspouts_multiline_adapter_gets_the_options_of_its_variables() {
        let route = |uri: &str| RouteUri::parse(uri).unwrap().to_uri();
        assert_eq!(
            applied(&[], "multiline+gelf+tcp://h:1"),
            Ok(route("gelf+tcp://h:1?multiline.pattern=^\\s"))
        );
        let set = [
            ("MULTILINE_ENABLE_DEFAULT", "false"),
            ("MULTILINE_FLUSH_AFTER", "250"),
            ("MULTILINE_MATCH", "First"),
            ("MULTILINE_PATTERN", "^%5B,a+"),
            ("MULTILINE_SEPARATOR", " | "),
        ];
        let all = "multiline.default=false&multiline.flush_after=250&multiline.match=First&\
                   multiline.pattern=^%255B%2Ca%2B&multiline.separator=+|+";
        assert_eq!(applied(&set, "multiline+gelf://h"), Ok(route(&format!("gelf://h?{all}"))));
        assert_eq!(applied(&set, "gelf://h"), Ok("gelf://h".to_owned()));
        let own = "multiline=java&multiline.flush_after=9&multiline.separator=x";
        let expected = format!("gelf://h?{own}&multiline.default=false");
        assert_eq!(applied(&set, &format!("multiline+gelf://h?{own}")), Ok(expected));
    }

    #[test]
    fn an_invalid_variable_is_an_error_only_if_a_route_uses_it() {
        for (name, value) in [
            ("MULTILINE_ENABLE_DEFAULT", "maybe"),
            ("MULTILINE_FLUSH_AFTER", "0"),
            ("MULTILINE_FLUSH_AFTER", "1s"),
            ("MULTILINE_MATCH", "any"),
            ("MULTILINE_PATTERN", "("),
        ] {
            let error = applied(&[(name, value)], "multiline+gelf://h").unwrap_err();
            assert!(error.starts_with(&format!("{name}={value:?}: ")), "{error}");
            let mut unused = read(&[(name, value)]);
            unused.apply(&mut RouteUri::parse("gelf://h").unwrap()).unwrap();
            let warnings: Vec<_> = unused.warnings().collect();
            assert_eq!(
                warnings,
                [format!("{name} is set and has no effect: no route begins with multiline+")]
            );
        }
    }
}
