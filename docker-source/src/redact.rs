//! Replaces secrets in the text of lines before the lines are sent.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::gelf::InvalidFormat;

mod cards;
mod values;

/// The text in place of a secret.
const MASK: &str = "***";
/// The maximum memory of a compiled regular expression: 1 MiB.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The maximum memory of the set of all regular expressions: 16 MiB.
const MAX_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// A kind of secrets that [`Redaction`] knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Secret {
    /// The numbers of payment cards: 12 to 19 digits, with or without spaces and dashes, that begin like the
    /// numbers of an issuer and have a valid check digit (Luhn).
    Card,
    /// Private keys in PEM, the values of names such as `password`, `secret`, `api_key` and `token`, and
    /// passwords in URLs. The lines of a private key are found only in a text that also has the line `BEGIN ...
    /// PRIVATE KEY` in front of them. If each line of the key is a separate record, the key stays as it is.
    Key,
    /// Mail addresses.
    Mail,
    /// The values of `Authorization` and `Bearer`, JSON web tokens, and tokens with the prefixes of Amazon,
    /// GitHub, GitLab, Google, npm, OpenAI, Slack and Stripe.
    Token,
}

impl Secret {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Card, Self::Key, Self::Mail, Self::Token];

    /// Returns the regular expressions of the kind. All of them are valid.
    const fn patterns(self) -> &'static [(Match, &'static str)] {
        match self {
            Self::Card => &[(Match::Digits, r"[0-9](?:[ -]?[0-9]){11,}")],
            Self::Key => &[
                (Match::Secret, r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----((?s:.+?))(?:-----END|\z)"),
                (
                    Match::Name,
                    concat!(
                        r"(?i)(?:passw(?:or)?d|passphrase|(?-u:\b)pwd|secret|token",
                        r"|(?:api|access|private|secret)[_-]?key)",
                        r#"\\*["']?\s*(?:=>|[=:])\s*"#,
                    ),
                ),
                (Match::Secret, r"://[^\s/:@]*:([^\s/@]+)@"),
            ],
            Self::Mail => &[(
                Match::Secret,
                r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
            )],
            Self::Token => &[
                (Match::Header, r#"(?i)(?-u:\b)authorization\\*["']?\s*(?:=>|[=:])\s*"#),
                (Match::Secret, r"(?i)(?-u:\b)bearer\s+([a-z0-9._~+/=-]{16,})"),
                (Match::Secret, r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
                (Match::Secret, r"(?-u:\b)(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)"),
                (Match::Secret, r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
                (Match::Secret, r"(?-u:\b)glpat-[A-Za-z0-9_-]{20,}"),
                (
                    Match::Secret,
                    r"(?-u:\b)(?:AIza[A-Za-z0-9_-]{35}|npm_[A-Za-z0-9]{36}|sk-[A-Za-z0-9_-]{20,})",
                ),
                (
                    Match::Secret,
                    r"(?-u:\b)(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,})",
                ),
            ],
        }
    }
}

/// What a match of a regular expression is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Match {
    /// A secret. If the expression has groups, only the groups are secrets.
    Secret,
    /// A run of digits that can contain the numbers of payment cards.
    Digits,
    /// A name and its separator, in front of a secret value.
    Name,
    /// The name of a header and its separator, in front of a scheme and a secret value.
    Header,
}

/// The secrets that are replaced by `***` in the text of lines. The default replaces nothing.
///
/// If a pattern has groups, the texts of its groups are replaced. Otherwise, the whole match is replaced. The
/// redacted text is at most three times as long as the original text.
///
/// In JSON, the value of a member is replaced whatever its type if the member's name is that of a secret: an
/// array, an object, a number, a boolean and `null` become the text `"***"`, so the line stays JSON. An empty
/// text stays as it is.
///
/// The time of the search grows linearly with the length of the text. A pattern of the caller can be an exception: if
/// it has to read far beyond the end of each match, as `a.*b|a` does in a text of many `a`, its time grows with the
/// square of the length.
///
/// ```
/// use docker_source::{Redaction, Secret};
///
/// let redaction = Redaction::default().with(Secret::Key)?.with_pattern("customer ([0-9]+)")?;
/// assert_eq!(redaction.text("customer 4711: password=hunter2"), "customer ***: password=***");
/// assert_eq!(redaction.value("db_password", "correct horse"), "***");
/// # Ok::<(), docker_source::gelf::InvalidFormat>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    patterns: Vec<Pattern>,
    /// All patterns as one set, which finds in a single search the patterns that match a text.
    set: RegexSet,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    kind: Match,
}

impl Redaction {
    /// Redacts a kind of secrets.
    ///
    /// # Errors
    /// Returns [`InvalidFormat`] if all expressions together need more than 16 MiB. The expressions of all
    /// kinds need much less.
    pub fn with(self, secret: Secret) -> Result<Self, InvalidFormat> {
        self.with_all(secret.patterns(), MAX_TOTAL_BYTES)
    }

    /// Redacts the matches of a regular expression.
    ///
    /// # Errors
    /// Returns [`InvalidFormat`] if the expression is invalid, matches the empty text, or needs more than
    /// 1 MiB, or if all expressions together need more than 16 MiB.
    pub fn with_pattern(self, pattern: &str) -> Result<Self, InvalidFormat> {
        self.with_all(&[(Match::Secret, pattern)], MAX_TOTAL_BYTES)
    }

    /// Adds regular expressions. `limit` is the maximum memory of all regular expressions together, in bytes.
    fn with_all(self, added: &[(Match, &str)], limit: usize) -> Result<Self, InvalidFormat> {
        let mut patterns = self.inner.as_ref().map_or_else(Vec::new, |inner| inner.patterns.clone());
        for (kind, text) in added {
            if patterns.iter().any(|known: &Pattern| known.kind == *kind && known.regex.as_str() == *text) {
                continue;
            }
            let regex = RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
            let regex = regex.map_err(|error| InvalidFormat::regex(&error))?;
            if regex.is_match("") {
                return Err(InvalidFormat::EmptyPattern);
            }
            patterns.push(Pattern { regex, kind: *kind });
        }
        let texts = patterns.iter().map(|pattern| pattern.regex.as_str());
        let set = RegexSetBuilder::new(texts).size_limit(limit).build();
        let set = set.map_err(|error| InvalidFormat::regex_set(&error))?;
        Ok(Self { inner: Some(Arc::new(Inner { patterns, set })) })
    }

    /// Returns the text with its secrets replaced.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(inner) = &self.inner else { return Cow::Borrowed(text) };
        let mut secrets: Vec<Range<usize>> = Vec::new();
        for index in inner.set.matches(text) {
            let Some(Pattern { regex, kind }) = inner.patterns.get(index) else { continue };
            let matches = regex.find_iter(text).map(|found| found.range());
            match kind {
                Match::Digits => secrets.extend(matches.flat_map(|run| cards::find(text, run))),
                Match::Name => secrets.extend(values::find(text, matches, false)),
                Match::Header => secrets.extend(values::find(text, matches, true)),
                Match::Secret if regex.captures_len() == 1 => secrets.extend(matches),
                Match::Secret => secrets.extend(regex.captures_iter(text).flat_map(|groups| {
                    groups.iter().skip(1).flatten().map(|group| group.range()).collect::<Vec<_>>()
                })),
            }
            merge(&mut secrets);
        }
        if secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut end = 0;
        for secret in secrets {
            let before = text.get(end..secret.start).unwrap_or_default();
            let quote = values::quote_of_member(before);
            [before, quote, MASK, quote].into_iter().for_each(|part| redacted.push_str(part));
            end = secret.end;
        }
        redacted.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// Returns the value of the field `name`, with its secrets replaced. If the name of the field is the name
    /// of a secret, such as `password`, the whole value is replaced, unless it is empty.
    pub fn value<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.inner.is_none() || value.is_empty() {
            return Cow::Borrowed(value);
        }
        let probe = format!("{name}=x");
        match self.text(&probe).strip_prefix(name).is_some_and(|rest| rest == "=x") {
            true => self.text(value),
            false => Cow::Borrowed(MASK),
        }
    }
}

/// Removes empty ranges, sorts the others, and joins ranges that overlap or touch each other.
fn merge(ranges: &mut Vec<Range<usize>>) {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|later, earlier| {
        let touches = later.start <= earlier.end;
        if touches {
            earlier.end = earlier.end.max(later.end);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// The redaction of all kinds. Compiling it takes a while in a debug build.
    static ALL: LazyLock<Redaction> =
        LazyLock::new(|| Secret::ALL.into_iter().try_fold(Redaction::default(), Redaction::with).unwrap());

    #[test]
    fn every_known_pattern_compiles() {
        let count: usize = Secret::ALL.iter().map(|secret| secret.patterns().len()).sum();
        assert_eq!(ALL.clone().with(Secret::Card).unwrap().inner.unwrap().patterns.len(), count);
    }

    #[test]
    fn secrets_are_replaced_and_the_rest_stays() {
        for (text, redacted) in [
            ("Authorization: Basic dXNlcjpwYXNz rest", "Authorization: Basic *** rest"),
            (r#""authorization":"Bearer abc.def","x":1"#, r#""authorization":"Bearer ***","x":1"#),
            ("using Bearer abcdefghijklmnop1234.", "using Bearer ***"),
            ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "jwt *** end"),
            ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
            ("clone with ghp_0123456789abcdefghij0123456789abcdef", "clone with ***"),
            ("xoxb-123456789012-abc sk_live_0123456789abcdef", "*** ***"),
            ("password=hunter2&user=bob", "password=***&user=bob"),
            (r#"{"user":"bob","password":"a \" b","n":1}"#, r#"{"user":"bob","password":"***","n":1}"#),
            (r#"{\"api_key\":\"abc\",\"n\":1}"#, r#"{\"api_key\":\"***\",\"n\":1}"#),
            ("DB_SECRET: 'x y' ok", "DB_SECRET: '***' ok"),
            ("postgres://app:pa55@db:5432/shop", "postgres://app:***@db:5432/shop"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA",
                "-----BEGIN RSA PRIVATE KEY-----***-----END RSA",
            ),
            ("mail to jane.doe+x@mail.example.com, now", "mail to ***, now"),
            ("paid with 4111 1111 1111 1111 12/29", "paid with *** 12/29"),
            ("ä 5500-0000-0000-0004 é", "ä *** é"),
        ] {
            assert_eq!(ALL.text(text), redacted, "{text}");
        }
    }

    #[test]
    fn ordinary_lines_stay_as_they_are() {
        for text in [
            "GET /items/17 200 1.5 ms",
            "tokens: 17, monkey: 4, passwords are fine",
            "Basic authentication is off, Bearer authentication too",
            "at 1764418000123456789 ns, trace 4bf92f3577b34da6a3ce929d0e0e4736",
            "ratio 0.4532015112830366",
            "12:30:45 a@b http://host:80/path@x",
            "",
        ] {
            assert!(matches!(ALL.text(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn the_groups_of_a_given_pattern_or_its_whole_match_are_replaced() {
        let own = |pattern| Redaction::default().with_pattern(pattern).unwrap();
        assert_eq!(own("id=[0-9]+").text("a id=1 b id=22"), "a *** b ***");
        assert_eq!(
            own("id=([0-9]+)(?: name=([a-z]+))?").text("id=1 name=x, id=2"),
            "id=*** name=***, id=***"
        );
        let both = own("b+").with_pattern("abb").unwrap();
        assert_eq!(both.text("xabbbx"), "x***x");
    }

    #[test]
    fn patterns_that_are_invalid_or_too_large_or_match_the_empty_text_are_refused() {
        for pattern in ["", "a*", "(", "[a-z]{1000000}"] {
            let error = Redaction::default().with_pattern(pattern).unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_kind_that_does_not_fit_beside_the_given_patterns_is_refused() {
        const LIMIT: usize = 1024 * 1024;
        let key = |redaction: Redaction| redaction.with_all(Secret::Key.patterns(), LIMIT);
        assert!(key(Redaction::default()).is_ok());
        let own = |letter| format!("{letter}{}", "[a-z]".repeat(10_000));
        let full = Redaction::default().with_pattern(&own('a')).unwrap().with_pattern(&own('b')).unwrap();
        let error = key(full).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("all regular expressions together need more than 1 MiB of memory"));
    }

    #[test]
    fn a_text_grows_to_three_times_its_length_at_most() {
        let own = Redaction::default().with_pattern("a").unwrap().with_pattern(r"\*").unwrap();
        assert_eq!(own.text(&"ab".repeat(50_000)).len(), 200_000);
        assert_eq!(own.text(&"a".repeat(100_000)), MASK);
    }

    #[test]
    fn a_value_is_replaced_if_its_field_has_the_name_of_a_secret() {
        assert_eq!(ALL.value("DB_PASSWORD", "correct horse"), MASK);
        assert_eq!(ALL.value("user.token", "a b"), MASK);
        assert_eq!(ALL.value("user", "a@example.com or b"), "*** or b");
        assert_eq!(ALL.value("user", "bob"), "bob");
        assert_eq!(ALL.value("password", ""), "");
        assert_eq!(Redaction::default().value("password", "x"), "x");
    }

    proptest! {
        #[test]
        fn a_secret_between_spaces_is_replaced_whatever_surrounds_it(
            before in "[ é,\"a-z0-9@=:{}*-]{0,40}",
            after in "[ é,\"a-z0-9@=:{}*-]{0,40}",
        ) {
            for secret in ["4111 1111 1111 1111", "jane@example.com", "AKIAIOSFODNN7EXAMPLE"] {
                let text = format!("{before} {secret} {after}");
                let redacted = ALL.text(&text);
                prop_assert!(!redacted.contains(secret), "{text} became {redacted}");
                prop_assert!(redacted.len() <= 3 * text.len());
            }
        }
    }
}
