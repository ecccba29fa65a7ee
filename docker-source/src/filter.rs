//! Selects containers by their id, name, image, labels and log driver.

use std::fmt;

use crate::container::Container;
use crate::log::LogStream;
use crate::name_pattern::{InvalidNamePattern, NamePattern};

/// The property of a container that a pattern of a [`ContainerFilter`] is compared with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Property {
    /// The log driver, such as `json-file`. If a container was removed before its inspection, its driver is
    /// unknown. Such a container is included by every pattern of this property and excluded by none.
    Driver,
    /// The image name that the container was created with, with or without its tag or digest. `*` also stands
    /// for `/`.
    Image,
    /// A label. The pattern is `KEY`, for a label of any value, or `KEY:VALUE` or `KEY=VALUE`. `*` also
    /// stands for `/`. Values are compared without regard to case, as in Logspout's `EXCLUDE_LABEL`.
    Label,
    /// The name by which the container was [selected](Container::selected_name) for its present run.
    Name,
}

impl Property {
    const ALL: [Self; 4] = [Self::Driver, Self::Image, Self::Label, Self::Name];

    fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "log driver",
            Self::Image => "image",
            Self::Label => "label",
            Self::Name => "name",
        }
    }
}

/// A selection of containers. The default selects all.
///
/// A container is selected if it meets three conditions. It matches no [excluded](Self::exclude) pattern. It matches
/// at least one [included](Self::include) pattern of each property that has such patterns. It matches what
/// [`id`](Self::id) and [`logspout_labels`](Self::logspout_labels) require. Patterns have the syntax of
/// [`NamePattern`]. The decision depends only on metadata that stay the same for a run of the container.
///
/// The methods `id` and `logspout_labels` are Logspout's `filter.id` and `filter.labels`. Logspout's `filter.name` is
/// an included pattern of [`Property::Name`].
///
/// # Examples
///
/// ```
/// use docker_source::{Container, ContainerFilter, Property};
///
/// let filter = ContainerFilter::default()
///     .include(Property::Name, "shop-*")?
///     .exclude(Property::Label, "ship:false")?;
/// assert!(filter.selects(&Container::builder("shop-1").build()));
/// assert!(!filter.selects(&Container::builder("shop-1").label("ship", "False").build()));
/// # Ok::<(), docker_source::InvalidFilter>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContainerFilter {
    /// The prefixes of ids. If the list is not empty, at least one prefix has to match.
    ids: Vec<String>,
    /// The labels of Logspout's `filter.labels`. All of them have to match.
    labels: Vec<LogspoutLabel>,
    included: Vec<(Property, Pattern)>,
    excluded: Vec<(Property, Pattern)>,
}

impl ContainerFilter {
    /// Selects only containers whose id begins with `prefix`, or with the prefix of another call of this
    /// method. A prefix can have all 64 digits of an id, whereas Logspout compares only 12 digits.
    ///
    /// # Errors
    /// Returns [`InvalidFilter::Id`] if the prefix is not 1 to 64 digits `0-9a-f`.
    pub fn id(mut self, prefix: &str) -> Result<Self, InvalidFilter> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(is_digit) {
            return Err(InvalidFilter::Id);
        }
        self.ids.push(prefix.to_owned());
        Ok(self)
    }

    /// Selects only containers with these labels: a list `KEY:GLOB,KEY:GLOB`, as in Logspout's
    /// `filter.labels`. All entries of all calls have to match.
    ///
    /// An entry has the same meaning as in Logspout. Its key ends at the first colon. The value is compared in
    /// the same way as by Go's `path.Match`. A missing label counts as an empty value, so `KEY:*` also selects
    /// containers without the label. The entry `KEY:` selects all containers.
    ///
    /// # Errors
    /// Returns [`InvalidFilter`] for an invalid pattern, and for an entry without a colon. Logspout ignores
    /// an entry without a colon.
    pub fn logspout_labels(mut self, list: &str) -> Result<Self, InvalidFilter> {
        for entry in list.split(',') {
            let (key, value) = entry.split_once(':').ok_or(InvalidFilter::NoColon)?;
            let value = (!value.is_empty()).then(|| NamePattern::new(value)).transpose()?;
            self.labels.push(LogspoutLabel { key: key.to_owned(), value });
        }
        Ok(self)
    }

    /// Selects only containers whose property matches the pattern. After several calls for the same property,
    /// a container has to match at least one of their patterns.
    ///
    /// # Errors
    /// Returns [`InvalidFilter`] if the pattern is invalid or empty, or if the pattern of a label has an empty key.
    /// Also returns it if a pattern of [`Property::Name`] has a character that no container name has.
    pub fn include(mut self, property: Property, pattern: &str) -> Result<Self, InvalidFilter> {
        self.included.push((property, Pattern::new(property, pattern)?));
        Ok(self)
    }

    /// Excludes containers whose property matches the pattern. Exclusion takes precedence over inclusion.
    ///
    /// # Errors
    /// Returns the errors of [`include`](Self::include).
    pub fn exclude(mut self, property: Property, pattern: &str) -> Result<Self, InvalidFilter> {
        self.excluded.push((property, Pattern::new(property, pattern)?));
        Ok(self)
    }

    /// Returns whether the filter selects the container.
    pub fn selects(&self, container: &Container) -> bool {
        self.mismatch(container).is_none()
    }

    /// Returns the reason why the filter does not select the container, in words for operators. Returns
    /// `None` if the filter selects the container. The words contain no text of the container.
    pub fn mismatch(&self, container: &Container) -> Option<String> {
        if !self.ids.is_empty() && !self.ids.iter().any(|id| container.id().starts_with(id)) {
            return Some(format!("its id does not begin with {}", self.ids.join(" or ")));
        }
        if let Some(label) = self.labels.iter().find(|label| !label.matches(container)) {
            return Some(format!("its labels do not match {label}"));
        }
        for property in Property::ALL {
            let mut patterns = self.included.iter().filter(|(other, _)| *other == property).peekable();
            let has_patterns = patterns.peek().is_some();
            if has_patterns && !patterns.any(|(_, pattern)| pattern.matches(container, true)) {
                let texts = self.included.iter().filter(|(other, _)| *other == property);
                let texts: Vec<_> = texts.map(|(_, pattern)| pattern.to_string()).collect();
                return Some(format!("its {} does not match {}", property.as_str(), texts.join(" or ")));
            }
        }
        let excluded = self.excluded.iter().find(|(_, pattern)| pattern.matches(container, false))?;
        Some(format!("its {} matches {}, which is excluded", excluded.0.as_str(), excluded.1))
    }
}

/// An entry of Logspout's `filter.labels`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct LogspoutLabel {
    key: String,
    /// The pattern of the value; `None` matches all containers.
    value: Option<NamePattern>,
}

impl LogspoutLabel {
    fn matches(&self, container: &Container) -> bool {
        let value = container.labels().get(&self.key).map_or("", String::as_str);
        self.value.as_ref().is_none_or(|pattern| pattern.matches(value))
    }
}

impl fmt::Display for LogspoutLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A pattern of a property.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Pattern {
    Driver(NamePattern),
    Image(NamePattern),
    Label {
        text: String,
        key: NamePattern,
        /// The pattern of the value in lower case; `None` matches any value.
        value: Option<NamePattern>,
    },
    Name(NamePattern),
}

impl Pattern {
    fn new(property: Property, text: &str) -> Result<Self, InvalidFilter> {
        if text.is_empty() {
            return Err(InvalidFilter::Empty);
        }
        Ok(match property {
            Property::Driver => Self::Driver(NamePattern::new(text)?),
            Property::Image => Self::Image(NamePattern::new(text)?),
            Property::Label => {
                let (key, value) = match text.split_once([':', '=']) {
                    Some((key, value)) => (key, Some(NamePattern::new(&value.to_lowercase())?)),
                    None => (text, None),
                };
                if key.is_empty() {
                    return Err(InvalidFilter::Empty);
                }
                Self::Label { text: text.to_owned(), key: NamePattern::new(key)?, value }
            }
            Property::Name => {
                let pattern = NamePattern::new(text)?;
                if let Some(character) = pattern.impossible_character() {
                    return Err(InvalidFilter::NoSuchName { character });
                }
                Self::Name(pattern)
            }
        })
    }

    /// Returns whether the container matches the pattern. `if_unknown` is the result for unknown metadata.
    fn matches(&self, container: &Container, if_unknown: bool) -> bool {
        match self {
            Self::Driver(_) if container.log_driver().is_empty() => if_unknown,
            Self::Driver(pattern) => pattern.matches_with_slashes(container.log_driver()),
            Self::Image(pattern) => {
                let image = container.image();
                pattern.matches_with_slashes(image) || pattern.matches_with_slashes(without_tag(image))
            }
            Self::Label { key, value, .. } => container.labels().iter().any(|(label, text)| {
                let matches = |value: &NamePattern| value.matches_with_slashes(&text.to_lowercase());
                key.matches_with_slashes(label) && value.as_ref().is_none_or(matches)
            }),
            Self::Name(pattern) => pattern.matches(container.selected_name()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(pattern) | Self::Image(pattern) | Self::Name(pattern) => pattern.fmt(f),
            Self::Label { text, .. } => f.pad(text),
        }
    }
}

/// Returns the image name without its digest and tag. The port of a registry is not a tag.
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// A selection of the streams of a container. The default selects stdout and stderr.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamFilter {
    only: Option<LogStream>,
}

impl StreamFilter {
    /// Parses a comma-separated list of `stdout` and `stderr`, as in Logspout's `filter.sources`.
    ///
    /// # Errors
    /// Returns [`InvalidFilter::Stream`] for any other word.
    pub fn new(list: &str) -> Result<Self, InvalidFilter> {
        let stream = |word: &str| {
            let streams = [LogStream::Stdout, LogStream::Stderr];
            streams.into_iter().find(|stream| stream.as_str() == word).ok_or(InvalidFilter::Stream)
        };
        let mut words = list.split(',').map(stream);
        let first = words.next().transpose()?;
        let mut only = first;
        for other in words {
            if Some(other?) != first {
                only = None;
            }
        }
        Ok(Self { only })
    }

    /// Returns whether the filter selects the stream.
    pub fn selects(self, stream: LogStream) -> bool {
        self.only.is_none_or(|only| only == stream)
    }
}

/// The error for a text that is not valid in a filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// The pattern, or the key of a label, is empty.
    Empty,
    /// The text is not the beginning of an id.
    Id,
    /// The entry of Logspout's `filter.labels` has no colon. In Logspout, such an entry selects all
    /// containers.
    NoColon,
    /// The pattern has a character that no container name has.
    NoSuchName {
        /// The character.
        character: char,
    },
    /// The pattern is invalid.
    Pattern(InvalidNamePattern),
    /// The word is neither `stdout` nor `stderr`.
    Stream,
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty, and matches no container"),
            Self::Id => f.write_str("an id has at most 64 digits 0-9 and a-f"),
            Self::NoColon => f.write_str(
                "an entry without a colon would select all containers: write LABEL:VALUE, or \
                 include.label=LABEL for any value",
            ),
            Self::NoSuchName { character } => write!(
                f,
                "no container name has the character {character:?}; for several patterns, give the \
                 option several times"
            ),
            Self::Pattern(error) => error.fmt(f),
            Self::Stream => f.write_str("use stdout, stderr or both with a comma, which is %2C in a URI"),
        }
    }
}

impl std::error::Error for InvalidFilter {}

impl From<InvalidNamePattern> for InvalidFilter {
    fn from(error: InvalidNamePattern) -> Self {
        Self::Pattern(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn shop() -> Container {
        let builder = Container::builder("shop-1").id(ID).image("registry:5000/team/shop:1.2");
        builder.label("ship", "True").label("com.example/team", "a/b").log_driver("json-file").build()
    }

    fn all() -> ContainerFilter {
        ContainerFilter::default()
    }

    /// Makes a filter from each text, and asserts whether the filter selects the container [`shop`].
    #[track_caller]
    fn assert_selects(
        make: impl Fn(&str) -> Result<ContainerFilter, InvalidFilter>,
        expected: &[(&str, bool)],
    ) {
        for (text, selects) in expected {
            assert_eq!(make(text).unwrap().selects(&shop()), *selects, "{text}");
        }
    }

    #[test]
    fn logspouts_id_is_a_prefix_of_any_length() {
        let expected =
            [("0", true), ("0123456789ab", true), (ID, true), ("1", false), ("0123456789abd", false)];
        assert_selects(|text| all().id(text), &expected);
        assert!(all().id("f").unwrap().id("01").unwrap().selects(&shop()));
        for text in ["", "xyz", "0123456789AB", &format!("{ID}0")] {
            assert_eq!(all().id(text), Err(InvalidFilter::Id), "{text}");
        }
    }

    #[test]
    fn all_entries_of_logspouts_labels_have_to_match_and_a_missing_label_is_empty() {
        let expected = [
            ("ship:True", true),
            ("ship:true", false),
            ("ship:*", true),
            ("ship:", true),
            ("missing:*", true),
            ("missing:?", false),
            ("missing:", true),
            ("ship:T*,missing:x", false),
            ("ship:T*,com.example/team:a/*", true),
            ("com.example/team:*", false),
        ];
        assert_selects(|text| all().logspout_labels(text), &expected);
        let two = all().logspout_labels("ship:True").unwrap().logspout_labels("missing:x").unwrap();
        assert!(!two.selects(&shop()));
        assert_eq!(all().logspout_labels("ship"), Err(InvalidFilter::NoColon));
        assert_eq!(all().logspout_labels("a:b,ship"), Err(InvalidFilter::NoColon));
        assert!(matches!(all().logspout_labels("a:[b"), Err(InvalidFilter::Pattern(_))));
    }

    #[test]
    fn logspouts_sources_are_a_list_of_streams() {
        for (list, stdout, stderr) in [
            ("stdout", true, false),
            ("stderr", false, true),
            ("stderr,stdout", true, true),
            ("stderr,stderr", false, true),
        ] {
            let filter = StreamFilter::new(list).unwrap();
            let selects = (filter.selects(LogStream::Stdout), filter.selects(LogStream::Stderr));
            assert_eq!(selects, (stdout, stderr), "{list}");
        }
        for list in ["", "stdin", "stdout,", "stdout, stderr", "STDOUT"] {
            assert_eq!(StreamFilter::new(list), Err(InvalidFilter::Stream), "{list:?}");
        }
    }

    #[test]
    fn each_property_can_be_included_and_excluded() {
        let expected: [(Property, &[(&str, bool)]); 4] = [
            (Property::Name, &[("shop-*", true), ("shop", false), ("db", false)]),
            (
                Property::Image,
                &[
                    ("*/shop", true),
                    ("*/shop:1.*", true),
                    ("registry:5000/team/shop", true),
                    ("shop", false),
                    ("*:2", false),
                ],
            ),
            (
                Property::Label,
                &[
                    ("ship", true),
                    ("ship:true", true),
                    ("ship=TRUE", true),
                    ("ship:t*", true),
                    ("com.example/*", true),
                    ("com.*:a*", true),
                    ("missing", false),
                    ("missing:*", false),
                    ("ship:", false),
                ],
            ),
            (Property::Driver, &[("json-file", true), ("json*", true), ("journald", false)]),
        ];
        for (property, expected) in expected {
            assert_selects(|text| all().include(property, text), expected);
            let opposite: Vec<_> = expected.iter().map(|(text, selects)| (*text, !selects)).collect();
            assert_selects(|text| all().exclude(property, text), &opposite);
        }
    }

    #[test]
    fn included_patterns_of_a_property_are_alternatives_and_an_exclusion_wins() {
        let either = all().include(Property::Name, "db").unwrap().include(Property::Name, "shop-*").unwrap();
        assert!(either.selects(&shop()));
        let and_label = either.clone().include(Property::Label, "missing").unwrap();
        assert_eq!(and_label.mismatch(&shop()).unwrap(), "its label does not match missing");
        let without = either.exclude(Property::Image, "*/shop").unwrap();
        assert_eq!(without.mismatch(&shop()).unwrap(), "its image matches */shop, which is excluded");
    }

    #[test]
    fn an_unknown_log_driver_is_included_and_not_excluded() {
        let removed = Container::builder("job").build();
        assert!(all().include(Property::Driver, "json-file").unwrap().selects(&removed));
        assert!(all().exclude(Property::Driver, "*").unwrap().selects(&removed));
    }

    #[test]
    fn a_renaming_within_a_run_does_not_change_the_decision() {
        let renamed = Container::builder("old-shop-1").selected_name("shop-1").build();
        assert!(all().include(Property::Name, "shop-*").unwrap().selects(&renamed));
        assert!(!all().exclude(Property::Name, "shop-*").unwrap().selects(&renamed));
    }

    #[test]
    fn an_empty_or_invalid_pattern_and_a_name_with_an_impossible_character_are_refused() {
        let refused = |property, text| all().include(property, text).unwrap_err();
        for property in Property::ALL {
            assert_eq!(refused(property, ""), InvalidFilter::Empty);
            assert!(matches!(refused(property, "[a"), InvalidFilter::Pattern(_)));
        }
        assert_eq!(refused(Property::Label, ":true"), InvalidFilter::Empty);
        assert_eq!(refused(Property::Name, "a,b"), InvalidFilter::NoSuchName { character: ',' });
    }
}
