//! Makes fields from labels and variables of a container.
//!
//! As in Logspout's GELF modules, the labels `gelf_NAME` become fields. As in Docker's log drivers, other
//! labels and variables become fields if a pattern allows their names.

use std::collections::BTreeMap;

use gelf_core::FieldName;
use regex::{Regex, RegexBuilder};

use super::invalid::InvalidFormat;
use super::names::is_reserved;
use crate::container::Container;
use crate::name_pattern::NamePattern;
use crate::one_line::one_line;

/// The maximum number of labels and variables that become fields: 64. With 10,000 labels, each line of a
/// container would make a message of a megabyte.
const MAX_FIELDS: usize = 64;

/// The maximum total size of the names and values of the labels and variables that become fields: 32 KiB.
const MAX_BYTES: usize = 32 * 1024;

/// The maximum memory of a compiled regular expression: 1 MiB.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// The patterns for labels and variables that become fields in addition to the labels `gelf_NAME`.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    pub(super) labels: Vec<KeyPattern>,
    pub(super) env: Vec<KeyPattern>,
    /// True if dots in the names of fields become `_`.
    pub(super) replaces_dots: bool,
}

/// A pattern of the names of labels or variables.
#[derive(Clone, Debug)]
pub(super) enum KeyPattern {
    Glob(NamePattern),
    Regex(Regex),
}

impl KeyPattern {
    pub(super) fn glob(pattern: &str) -> Result<Self, InvalidFormat> {
        if pattern.is_empty() {
            return Err(InvalidFormat::EmptyPattern);
        }
        NamePattern::new(pattern).map(Self::Glob).map_err(InvalidFormat::Pattern)
    }

    pub(super) fn regex(pattern: &str) -> Result<Self, InvalidFormat> {
        if pattern.is_empty() {
            return Err(InvalidFormat::EmptyPattern);
        }
        let built = RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build();
        built.map(Self::Regex).map_err(|error| InvalidFormat::regex(&error))
    }

    fn matches(&self, key: &str) -> bool {
        match self {
            Self::Glob(pattern) => pattern.matches_with_slashes(key),
            Self::Regex(regex) => regex.is_match(key),
        }
    }
}

/// The fields of labels and variables.
pub(super) struct LabelFields<'c> {
    pub(super) fields: Vec<(FieldName<'static>, &'c str)>,
    /// A warning, if labels or variables are left out.
    pub(super) warning: Option<String>,
}

/// Returns the fields of the labels and variables. `is_taken` returns whether a name belongs to a field of
/// the caller, in addition to the names that this crate reserves.
pub(super) fn fields<'c>(
    container: &'c Container,
    allowed: &Allowed,
    is_taken: impl Fn(&str) -> bool,
) -> LabelFields<'c> {
    let mut fields: Vec<(FieldName<'static>, &str)> = Vec::new();
    let mut warning = None;
    let mut bytes = 0;
    for (kind, key, name, value) in sources(container, allowed) {
        bytes += name.len() + value.len();
        if fields.len() == MAX_FIELDS || bytes > MAX_BYTES {
            // The name of a label can have many kilobytes.
            let key: String = key.chars().take(64).collect();
            let kind = if kind == "env" { "variable" } else { kind };
            warning = Some(format!(
                "dropping the {kind} {} and all later labels and variables: at most {MAX_FIELDS} of them, \
                 with at most {MAX_BYTES} bytes in total, become fields",
                one_line(key.as_bytes())
            ));
            break;
        }
        let is_reserved = |name: &str| is_reserved(name) || is_taken(name);
        let name = if allowed.replaces_dots { name.replace('.', "_") } else { name.to_owned() };
        let name = if is_reserved(&name) { format!("{kind}_{name}") } else { name };
        let name = FieldName::sanitize(name).into_owned();
        let is_given = |name: &FieldName<'_>| fields.iter().any(|(other, _)| other == name);
        let mut free = name.clone();
        for number in 2..=MAX_FIELDS + 1 {
            if !is_given(&free) && !is_reserved(free.as_str()) {
                break;
            }
            free = FieldName::sanitize(format!("{name}_{number}")).into_owned();
        }
        fields.push((free, value));
    }
    LabelFields { fields, warning }
}

/// Returns the kind, the key, the name and the value of each field: first the labels `gelf_NAME`, then other
/// labels, then variables. Each of these three groups is in alphabetical order.
fn sources<'c>(
    container: &'c Container,
    allowed: &Allowed,
) -> impl Iterator<Item = (&'static str, &'c str, &'c str, &'c str)> {
    let is_allowed = |patterns: &[KeyPattern], key: &str| patterns.iter().any(|pattern| pattern.matches(key));
    let gelf = container
        .labels()
        .iter()
        .filter_map(|(label, value)| Some(("label", label.as_str(), gelf_name(label)?, value.as_str())));
    let labels = container
        .labels()
        .iter()
        .filter(move |(label, _)| gelf_name(label).is_none() && is_allowed(&allowed.labels, label))
        .map(|(label, value)| ("label", label.as_str(), label.as_str(), value.as_str()));
    let variables: BTreeMap<_, _> = match allowed.env.is_empty() {
        true => BTreeMap::new(),
        // If several entries have the same name, the last one counts.
        false => container.env().iter().filter_map(|entry| entry.split_once('=')).collect(),
    };
    let variables = variables
        .into_iter()
        .filter(move |(name, _)| !name.is_empty() && is_allowed(&allowed.env, name))
        .map(|(name, value)| ("env", name, name, value));
    gelf.chain(labels).chain(variables)
}

/// Returns the name behind the prefix `gelf_`. The prefix may be in upper or lower case.
fn gelf_name(label: &str) -> Option<&str> {
    let (prefix, name) = label.split_at_checked("gelf_".len())?;
    (prefix.eq_ignore_ascii_case("gelf_") && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gelf::tests::container;

    fn fields_of(container: &Container, allowed: &Allowed) -> Vec<(String, String)> {
        let fields = fields(container, allowed, |_| false).fields.into_iter();
        fields.map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect()
    }

    fn labelled(labels: &[(&str, &str)], taken: &[&str]) -> Vec<(String, String)> {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).into())).collect();
        let container = container(&serde_json::json!({"Config": {"Labels": labels}}));
        fields(&container, &Allowed::default(), |name| taken.contains(&name))
            .fields
            .into_iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_owned()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_gelf_name_in_upper_or_lower_case_become_fields_and_other_labels_do_not() {
        let labels =
            [("gelf_service", "pay"), ("GELF_Team", "blue"), ("gelf_", "x"), ("gelfx", "x"), ("a", "x")];
        assert_eq!(labelled(&labels, &[]), pairs(&[("Team", "blue"), ("service", "pay")]));
    }

    #[test]
    fn a_label_cannot_replace_a_field_of_this_crate_of_logstash_or_of_ecs() {
        let labels = [
            ("gelf_type", "ecs"),
            ("gelf_container_id", "forged"),
            ("gelf_ecs_cluster", "forged"),
            ("gelf_@timestamp", "0"),
        ];
        let expected = [
            ("label__timestamp", "0"),
            ("label_container_id", "forged"),
            ("label_ecs_cluster", "forged"),
            ("label_type", "ecs"),
        ];
        assert_eq!(labelled(&labels, &[]), pairs(&expected));
        assert_eq!(labelled(&[("gelf_id", "7")], &[]), pairs(&[("id_", "7")]));
        assert_eq!(labelled(&[("gelf__type", "x")], &[]), pairs(&[("type_2", "x")]));
    }

    #[test]
    fn a_label_cannot_replace_a_constant_field() {
        let labels = [("gelf_cluster", "forged"), ("gelf_team", "blue")];
        assert_eq!(labelled(&labels, &["cluster"]), pairs(&[("label_cluster", "forged"), ("team", "blue")]));
    }

    #[test]
    fn labels_that_would_become_the_same_field_are_numbered() {
        assert_eq!(
            labelled(&[("gelf_a/b", "1"), ("gelf_a b", "2"), ("gelf_a_b", "3")], &[]),
            pairs(&[("a_b", "2"), ("a_b_2", "1"), ("a_b_3", "3")])
        );
    }

    #[test]
    fn labels_are_bounded_in_number_and_bytes() {
        let many: Vec<(String, String)> =
            (0..100).map(|at| (format!("gelf_l{at:03}"), "v".to_owned())).collect();
        let many: Vec<(&str, &str)> =
            many.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        assert_eq!(labelled(&many, &[]).len(), MAX_FIELDS);
        let long = "x".repeat(20_000);
        assert_eq!(labelled(&[("gelf_a", &long), ("gelf_b", &long)], &[]).len(), 1);
    }

    fn globs(patterns: &[&str]) -> Vec<KeyPattern> {
        patterns.iter().map(|pattern| KeyPattern::glob(pattern).unwrap()).collect()
    }

    fn shop() -> Container {
        Container::builder("shop")
            .label("com.example.team", "blue")
            .label("app.example/part", "api")
            .label("gelf_x", "1")
            .label("type", "ecs")
            .env("STAGE=test")
            .env("STAGE=prod")
            .env("PASSWORD=hunter2")
            .env("level=9")
            .env("BROKEN")
            .env("=x")
            .build()
    }

    #[test]
    fn allowed_labels_and_variables_become_fields_with_names_that_gelf_allows() {
        let allowed =
            Allowed { labels: globs(&["com.*", "*/part"]), env: globs(&["STAGE"]), ..Allowed::default() };
        let expected =
            [("x", "1"), ("app.example_part", "api"), ("com.example.team", "blue"), ("STAGE", "prod")];
        assert_eq!(fields_of(&shop(), &allowed), pairs(&expected));
        let regex = |pattern| vec![KeyPattern::regex(pattern).unwrap()];
        let allowed = Allowed { labels: regex("team$"), env: regex("^(?i)stage"), replaces_dots: true };
        assert_eq!(
            fields_of(&shop(), &allowed),
            pairs(&[("x", "1"), ("com_example_team", "blue"), ("STAGE", "prod")])
        );
    }

    #[test]
    fn allowed_labels_and_variables_cannot_replace_other_fields() {
        let allowed = Allowed { labels: globs(&["type"]), env: globs(&["level"]), ..Allowed::default() };
        assert_eq!(
            fields_of(&shop(), &allowed),
            pairs(&[("x", "1"), ("label_type", "ecs"), ("env_level", "9")])
        );
        let dotted = Container::builder("a").label("gelf_container.id", "7").build();
        let allowed = Allowed { replaces_dots: true, ..Allowed::default() };
        assert_eq!(fields_of(&dotted, &allowed), pairs(&[("label_container_id", "7")]));
    }

    #[test]
    fn no_variable_becomes_a_field_unless_its_name_is_allowed() {
        let with_all_labels = Allowed { labels: globs(&["*"]), ..Allowed::default() };
        for allowed in [Allowed::default(), with_all_labels] {
            let fields = fields_of(&shop(), &allowed);
            assert!(fields.iter().all(|(_, value)| value != "hunter2" && value != "prod"), "{fields:?}");
        }
    }

    #[test]
    fn labels_and_variables_share_the_limits() {
        let mut container = Container::builder("a");
        for number in 0..50 {
            container = container.label(format!("l{number}"), "v").env(format!("E{number}=v"));
        }
        let allowed = Allowed { labels: globs(&["*"]), env: globs(&["*"]), ..Allowed::default() };
        assert_eq!(fields_of(&container.build(), &allowed).len(), MAX_FIELDS);
        let long = Container::builder("a").env(format!("A={}", "x".repeat(MAX_BYTES))).build();
        assert_eq!(fields_of(&long, &allowed), []);
    }

    #[test]
    fn a_pattern_that_is_empty_invalid_or_too_large_is_refused() {
        assert!(matches!(KeyPattern::glob(""), Err(InvalidFormat::EmptyPattern)));
        assert!(matches!(KeyPattern::regex(""), Err(InvalidFormat::EmptyPattern)));
        assert!(matches!(KeyPattern::glob("[a"), Err(InvalidFormat::Pattern(_))));
        for pattern in ["(", "a{100000}", "(?P<x"] {
            let error = KeyPattern::regex(pattern).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, InvalidFormat::Regex { .. }) && !text.contains('\n'), "{text}");
        }
    }
}
