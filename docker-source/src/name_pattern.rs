//! Matches container names and other texts against patterns, as Logspout's `filter.name` does.

use std::fmt;
use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

/// A pattern of container names, with the syntax of Go's `path.Match`, which Logspout's `filter.name` uses.
///
/// ```text
/// *        any number of characters except '/'
/// ?        one character except '/'
/// [a-z]    one character of the class, which has at least one character or range and may contain '/'
/// [^a-z]   one character outside of the class
/// \x       the character x itself, inside and outside of a class
/// x        the character x itself
/// ```
///
/// A pattern matches the whole name or not at all. Parsing an invalid pattern is an error. In Logspout, an
/// invalid pattern silently selects nothing.
///
/// ```
/// use docker_source::NamePattern;
///
/// let pattern = NamePattern::new("ecs-*-web-[0-9]")?;
/// assert!(pattern.matches("ecs-production-web-1"));
/// assert!(!pattern.matches("ecs-production-web-12"));
/// # Ok::<(), docker_source::InvalidNamePattern>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamePattern {
    text: Box<str>,
    segments: Vec<Segment>,
}

impl NamePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns [`InvalidNamePattern`] if Go's `path.Match` returns `ErrBadPattern`.
    pub fn new(pattern: &str) -> Result<Self, InvalidNamePattern> {
        let mut segments = Vec::new();
        let mut segment = Segment::default();
        let mut rest = pattern.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            let matcher = match character {
                '*' => {
                    let next = Segment { after_star: true, matchers: Vec::new() };
                    let before = std::mem::replace(&mut segment, next);
                    // "**" means the same as "*", so a star directly before another star adds no segment.
                    if !before.matchers.is_empty() {
                        segments.push(before);
                    }
                    continue;
                }
                '?' => Matcher::Any,
                '[' => class(at, &mut rest)?,
                '\\' => match rest.next() {
                    Some((_, escaped)) => Matcher::Character(escaped),
                    None => return Err(InvalidNamePattern::TrailingBackslash { at }),
                },
                _ => Matcher::Character(character),
            };
            segment.matchers.push(matcher);
        }
        segments.push(segment);
        Ok(Self { text: pattern.into(), segments })
    }

    /// Returns whether the pattern matches the whole of `name`. The name must not have the `/` that the
    /// Engine's API puts in front of names.
    ///
    /// Matching takes at most (length of the name) × (length of the pattern) steps for any input. This is
    /// because, as in Go, the part of the pattern between two stars matches at the first place where it fits,
    /// and later places are not tried.
    pub fn matches(&self, name: &str) -> bool {
        self.matches_text(name, Slash::Separates)
    }

    /// Returns whether the pattern matches the whole of `text`. Unlike in [`matches`](Self::matches), `*` and
    /// `?` also stand for `/`, as the names of images and labels require.
    ///
    /// ```
    /// use docker_source::NamePattern;
    ///
    /// let pattern = NamePattern::new("*/pause:*")?;
    /// assert!(pattern.matches_with_slashes("registry.example/ecs/pause:3.9"));
    /// # Ok::<(), docker_source::InvalidNamePattern>(())
    /// ```
    pub fn matches_with_slashes(&self, text: &str) -> bool {
        self.matches_text(text, Slash::IsPlain)
    }

    fn matches_text(&self, text: &str, slash: Slash) -> bool {
        let mut rest = text;
        let mut segments = self.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            if is_last && segment.after_star && segment.matchers.is_empty() {
                return slash == Slash::IsPlain || !rest.contains('/');
            }
            match segment.find_in(rest, is_last, slash) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Returns a literal character of the pattern that no container name in Docker can contain, or `None`.
    /// With such a character, the pattern matches no container. Names in Docker consist of ASCII letters,
    /// digits, `_`, `.` and `-`.
    ///
    /// ```
    /// use docker_source::NamePattern;
    ///
    /// assert_eq!(NamePattern::new("web,db")?.impossible_character(), Some(','));
    /// assert_eq!(NamePattern::new("web-*")?.impossible_character(), None);
    /// # Ok::<(), docker_source::InvalidNamePattern>(())
    /// ```
    pub fn impossible_character(&self) -> Option<char> {
        self.segments.iter().flat_map(|segment| &segment.matchers).find_map(|matcher| match matcher {
            Matcher::Character(character) if !is_in_names(*character) => Some(*character),
            _ => None,
        })
    }
}

/// Writes the text of the pattern, as it was parsed.
impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The role of `/` in the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slash {
    /// `*` and `?` stand for any character.
    IsPlain,
    /// `*` and `?` stand for any character except `/`.
    Separates,
}

fn is_in_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

impl FromStr for NamePattern {
    type Err = InvalidNamePattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidNamePattern> {
        Self::new(pattern)
    }
}

/// The matchers between two stars, before the first star, or after the last star.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Segment {
    after_star: bool,
    matchers: Vec<Matcher>,
}

impl Segment {
    /// Finds the segment in `name` and returns the rest of `name` behind it. The last segment has to match up
    /// to the end of `name`.
    fn find_in<'n>(&self, name: &'n str, is_last: bool, slash: Slash) -> Option<&'n str> {
        let mut from = name;
        loop {
            match self.strip_from(from, slash) {
                Some(behind) if behind.is_empty() || !is_last => return Some(behind),
                _ => {}
            }
            let mut skipped = from.chars();
            match skipped.next() {
                None => return None,
                Some('/') if slash == Slash::Separates => return None,
                Some(_) if !self.after_star => return None,
                Some(_) => {}
            }
            from = skipped.as_str();
        }
    }

    fn strip_from<'n>(&self, name: &'n str, slash: Slash) -> Option<&'n str> {
        let mut characters = name.chars();
        self.matchers
            .iter()
            .all(|matcher| characters.next().is_some_and(|character| matcher.accepts(character, slash)))
            .then_some(characters.as_str())
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Matcher {
    Any,
    Character(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Matcher {
    fn accepts(&self, character: char, slash: Slash) -> bool {
        match self {
            Self::Any => slash == Slash::IsPlain || character != '/',
            Self::Character(expected) => character == *expected,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

type Characters<'p> = Peekable<CharIndices<'p>>;

/// Parses the rest of a class whose `[` is at byte `at`.
fn class(at: usize, rest: &mut Characters<'_>) -> Result<Matcher, InvalidNamePattern> {
    let negated = rest.next_if(|(_, character)| *character == '^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if(|(_, character)| *character == ']').is_none() {
        let low = class_member(at, rest)?;
        let high = match rest.next_if(|(_, character)| *character == '-') {
            Some(_) => class_member(at, rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Ok(Matcher::Class { negated, ranges })
}

fn class_member(at: usize, rest: &mut Characters<'_>) -> Result<char, InvalidNamePattern> {
    match rest.next() {
        None => Err(InvalidNamePattern::UnclosedClass { at }),
        Some((_, '-' | ']')) => Err(InvalidNamePattern::MisplacedInClass { at }),
        Some((at, '\\')) => {
            rest.next().map(|(_, escaped)| escaped).ok_or(InvalidNamePattern::TrailingBackslash { at })
        }
        Some((_, character)) => Ok(character),
    }
}

/// The error for a text that is not a [`NamePattern`]. `at` is a position in bytes from the start of the
/// text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidNamePattern {
    /// The class that opens at `at` has `-` or `]` in place of a character. In a class, these characters are
    /// written `\-` and `\]`.
    MisplacedInClass {
        /// The position of the class.
        at: usize,
    },
    /// The pattern ends in a backslash that escapes nothing.
    TrailingBackslash {
        /// The position of the backslash.
        at: usize,
    },
    /// The class that opens at `at` has no closing `]`.
    UnclosedClass {
        /// The position of the class.
        at: usize,
    },
}

impl fmt::Display for InvalidNamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MisplacedInClass { at } => write!(
                f,
                "the class '[' at byte {at} has '-' or ']' in place of a character; write '\\-' or '\\]'"
            ),
            Self::TrailingBackslash { at } => {
                write!(f, "the backslash at byte {at} escapes nothing; write '\\\\' for a backslash")
            }
            Self::UnclosedClass { at } => write!(f, "the class '[' at byte {at} is not closed by ']'"),
        }
    }
}

impl std::error::Error for InvalidNamePattern {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_is_any_number_of_characters() {
        assert!(matches("*", ""));
        assert!(matches("*", "web"));
        assert!(matches("ecs-*", "ecs-"));
        assert!(matches("*-web-*", "ecs-production-web-12"));
        assert!(!matches("*-web", "ecs-web-1"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("*x", "xxx"));
        assert!(matches("a**b", "a-b"));
        assert!(matches("**", "ab"));
        assert!(!matches("a*b*c", "acb"));
    }

    #[test]
    fn a_question_mark_is_one_character() {
        assert!(matches("web?", "web1"));
        assert!(!matches("web?", "web"));
        assert!(!matches("web?", "web12"));
        assert!(matches("a?b", "a☺b"));
        assert!(!matches("a???b", "a☺b"));
    }

    #[test]
    fn neither_a_star_nor_a_question_mark_matches_a_slash() {
        assert!(!matches("a*b", "a/b"));
        assert!(!matches("a?b", "a/b"));
        assert!(!matches("*", "a/b"));
        assert!(!matches("*b", "a/b"));
        assert!(matches("*/*", "a/b"));
        assert!(matches("*/", "a/"));
    }

    #[test]
    fn star_and_question_mark_are_a_slash_if_slashes_are_plain() {
        let matches = |pattern, text| NamePattern::new(pattern).unwrap().matches_with_slashes(text);
        assert!(matches("a*b", "a/x/b") && matches("a?b", "a/b") && matches("*", "a/b"));
        assert!(matches("*/name", "app.example/part/name") && !matches("*/name", "name"));
        assert!(!matches("a*b", "a/c") && !matches("web", "a/web"));
    }

    #[test]
    fn a_class_is_one_character_of_its_ranges() {
        assert!(matches("web[0-9]", "web7"));
        assert!(!matches("web[0-9]", "webx"));
        assert!(matches("ab[c]", "abc"));
        assert!(matches("ab[e-g]", "abf") && !matches("ab[e-g]", "abc"));
        assert!(matches("[a-ζ]*", "α"));
        assert!(!matches("*[a-ζ]", "A"));
        assert!(!matches("[z-a]", "m"));
        assert!(matches("[abx-z]", "y"));
    }

    #[test]
    fn a_negated_class_is_one_character_outside_of_its_ranges_even_a_slash() {
        assert!(!matches("ab[^c]", "abc"));
        assert!(matches("ab[^e-g]", "abc"));
        assert!(matches("a[^a]b", "a☺b"));
        assert!(!matches("a[^a][^a][^a]b", "a☺b"));
        assert!(matches("a[^b]c", "a/c"));
        assert!(matches("[a^]", "^"));
        assert!(matches("[!a]", "a") && matches("[!a]", "!"));
    }

    #[test]
    fn a_backslash_makes_a_special_character_plain() {
        assert!(matches("a\\*b", "a*b") && !matches("a\\*b", "axb"));
        assert!(matches("\\\\", "\\"));
        assert!(matches("\\a", "a"));
        assert!(matches("[\\]a]", "]"));
        assert!(matches("[\\-]", "-"));
        assert!(matches("[x\\-]", "x") && matches("[x\\-]", "-") && !matches("[x\\-]", "z"));
        assert!(matches("[\\-x]", "x") && matches("[\\-x]", "-") && !matches("[\\-x]", "a"));
        assert!(matches("[\\[-\\]]", "\\"));
    }

    #[test]
    fn a_pattern_that_go_refuses_is_an_error_with_its_position() {
        let error = |pattern| NamePattern::new(pattern).unwrap_err();
        assert_eq!(error("[]a]"), InvalidNamePattern::MisplacedInClass { at: 0 });
        assert_eq!(error("x[-]"), InvalidNamePattern::MisplacedInClass { at: 1 });
        assert_eq!(error("[x-]"), InvalidNamePattern::MisplacedInClass { at: 0 });
        assert_eq!(error("[-x]"), InvalidNamePattern::MisplacedInClass { at: 0 });
        assert_eq!(error("[a-b-c]"), InvalidNamePattern::MisplacedInClass { at: 0 });
        assert_eq!(error("\\"), InvalidNamePattern::TrailingBackslash { at: 0 });
        assert_eq!(error("[a\\"), InvalidNamePattern::TrailingBackslash { at: 2 });
        for (pattern, at) in [("[", 0), ("[^", 0), ("[^bc", 0), ("a[", 1), ("a/b[", 3), ("*[a-", 1)] {
            assert_eq!(error(pattern), InvalidNamePattern::UnclosedClass { at }, "{pattern}");
        }
    }

    #[test]
    fn a_match_between_two_stars_is_final_as_in_go() {
        // Go matches the class with 'c', and the second star cannot match the slash.
        assert!(!matches("*[^a]*b", "c/b"));
        assert!(matches("*[^a]*b", "a/b"));
    }

    #[test]
    fn many_stars_on_a_long_name_take_no_exponential_time() {
        let pattern = NamePattern::new(&"a*".repeat(2_000)).unwrap();
        assert!(!pattern.matches(&format!("{}/", "a".repeat(4_000))));
        assert!(!NamePattern::new(&format!("{}b", "*a".repeat(30))).unwrap().matches(&"a".repeat(10_000)));
    }

    proptest! {
        #[test]
        fn patterns_without_slashes_match_as_in_an_exhaustive_matcher(
            pattern in "[ab?*\\[\\]^\\\\-]{0,10}",
            name in "[ab-]{0,10}",
        ) {
            if let Ok(parsed) = NamePattern::new(&pattern) {
                let everything = every_way(&flat(&parsed), &name.chars().collect::<Vec<_>>());
                prop_assert_eq!(parsed.matches(&name), everything);
            }
        }

        #[test]
        fn an_escaped_name_matches_that_name_only(name in "\\PC{1,12}", other in "\\PC{1,12}") {
            let pattern: String = name.chars().flat_map(|character| ['\\', character]).collect();
            let pattern = NamePattern::new(&pattern).unwrap();
            prop_assert!(pattern.matches(&name));
            prop_assert_eq!(pattern.matches(&other), name == other);
        }
    }

    /// Returns the matchers of all segments in order, with `None` for each star.
    fn flat(pattern: &NamePattern) -> Vec<Option<Matcher>> {
        let mut flat = Vec::new();
        for segment in &pattern.segments {
            flat.extend(segment.after_star.then_some(None));
            flat.extend(segment.matchers.iter().cloned().map(Some));
        }
        flat
    }

    fn every_way(pattern: &[Option<Matcher>], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((None, rest)) => (0..=name.len()).any(|skipped| every_way(rest, &name[skipped..])),
            Some((Some(matcher), rest)) => name.split_first().is_some_and(|(first, name)| {
                matcher.accepts(*first, Slash::Separates) && every_way(rest, name)
            }),
        }
    }
}
