//! Finds the rule that a container asks for.

use std::fmt;

use super::preset::{InvalidPreset, Preset};
use super::rule::{InvalidMatch, InvalidPattern, Match, Rule};
use crate::container::Container;

/// The label with the name of a preset, or `off`.
const LABEL: &str = "gelf.multiline";
/// The label with a pattern.
const LABEL_PATTERN: &str = "gelf.multiline.pattern";
/// The label with a [`Match`], which tells which lines the pattern matches.
const LABEL_MATCH: &str = "gelf.multiline.match";
/// Logspout's variable in the environment of a container: `true` or `false`, in upper or lower case.
const VARIABLE: &str = "LOGSPOUT_MULTILINE";

/// Returns the rule for the lines of a container, or `None` if its lines are not joined.
///
/// `default` is the rule for containers that ask for no other rule. `is_enabled` corresponds to Logspout's
/// `MULTILINE_ENABLE_DEFAULT`: it tells whether `default` applies to containers that ask for nothing. A
/// container asks with one of the following settings. If it has several of them, only the first counts:
///
/// 1. the label `gelf.multiline`: the name of a [`Preset`], or `off`,
/// 2. the label `gelf.multiline.pattern`: a [pattern](Rule::pattern); the label `gelf.multiline.match` tells
///    which lines the pattern matches (default `nonfirst`),
/// 3. `LOGSPOUT_MULTILINE=true` or `false` in the environment, as in Logspout: `true` asks for `default`.
///
/// # Errors
/// Returns [`InvalidLabel`] if the setting that counts is a label with an invalid value. The label
/// `gelf.multiline.match` is a part of the second setting.
///
/// # Examples
///
/// ```
/// use docker_source::Container;
/// use docker_source::multiline::container_rule;
///
/// let shop = Container::builder("shop").label("gelf.multiline", "java").build();
/// assert!(container_rule(&shop, None, true)?.is_some());
/// # Ok::<(), docker_source::multiline::InvalidLabel>(())
/// ```
pub fn container_rule(
    container: &Container,
    default: Option<&Rule>,
    is_enabled: bool,
) -> Result<Option<Rule>, InvalidLabel> {
    let label = |name| container.labels().get(name).map(String::as_str);
    if let Some(value) = label(LABEL) {
        return match value {
            "off" => Ok(None),
            value => value.parse().map(|preset| Some(Rule::preset(preset))).map_err(InvalidLabel::Preset),
        };
    }
    if let Some(pattern) = label(LABEL_PATTERN) {
        let matches = label(LABEL_MATCH).map_or_else(|| Ok(Match::default()), str::parse);
        let matches = matches.map_err(InvalidLabel::Match)?;
        return Rule::pattern(pattern, matches).map(Some).map_err(InvalidLabel::Pattern);
    }
    let variable = container.env_var(VARIABLE).map(str::to_ascii_lowercase);
    let is_enabled = match variable.as_deref() {
        Some("true") => true,
        Some("false") => false,
        _ => is_enabled,
    };
    Ok(default.filter(|_| is_enabled).cloned())
}

/// The error for an invalid label of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidLabel {
    /// `gelf.multiline` is neither a preset nor `off`.
    Preset(InvalidPreset),
    /// `gelf.multiline.match` has an unknown value.
    Match(InvalidMatch),
    /// `gelf.multiline.pattern` has an invalid pattern.
    Pattern(InvalidPattern),
}

impl fmt::Display for InvalidLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(_) => {
                let presets = Preset::ALL.map(Preset::as_str).join(", ");
                write!(f, "label {LABEL}: use off, {presets}")
            }
            Self::Match(error) => write!(f, "label {LABEL_MATCH}: {error}"),
            Self::Pattern(error) => write!(f, "label {LABEL_PATTERN}: {error}"),
        }
    }
}

impl std::error::Error for InvalidLabel {}
