//! Parses the options of a route that join lines into messages.

use std::time::Duration;

use docker_source::multiline::{JoinOptions, Match, Rule};

/// The maximum value of `multiline.flush_after` in milliseconds: 10 minutes. A message ends if no line
/// continues it within the time of this option.
const MAX_FLUSH_AFTER_MS: u64 = 600_000;
/// The maximum values of `multiline.max_lines` and `multiline.max_bytes`. They bound the memory of an open
/// message.
const MAX_LINES: usize = 65_536;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The values of the options `multiline` and `multiline.*` that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineOptions {
    preset: Option<Rule>,
    pattern: Option<String>,
    matches: Option<Match>,
    is_opt_in: bool,
    join: JoinOptions,
}

/// The way in which a route's lines are joined into messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joining {
    /// The rule for the containers whose labels set no rule.
    pub(crate) rule: Option<Rule>,
    /// True if the rule applies only to containers that ask for it.
    pub(crate) is_opt_in: bool,
    pub(crate) options: JoinOptions,
}

impl Joining {
    /// Returns the rule for the containers whose labels set no rule. Returns `None` if only containers that
    /// ask for the rule use it.
    pub(crate) fn default(&self) -> Option<&Rule> {
        self.rule.as_ref().filter(|_| !self.is_opt_in)
    }
}

impl LineOptions {
    pub(super) fn preset(&mut self, value: &str) -> Result<(), String> {
        let preset =
            value.parse().map_err(|error: docker_source::multiline::InvalidPreset| error.to_string())?;
        self.preset = Some(Rule::preset(preset));
        Ok(())
    }

    pub(super) fn pattern(&mut self, value: &str) -> Result<(), String> {
        // The pattern is checked here, so that the error names the option with the pattern.
        Rule::pattern(value, Match::default()).map_err(|error| error.to_string())?;
        self.pattern = Some(value.to_owned());
        Ok(())
    }

    pub(super) fn matches(&mut self, value: &str) -> Result<(), String> {
        let matches =
            value.parse().map_err(|error: docker_source::multiline::InvalidMatch| error.to_string())?;
        self.matches = Some(matches);
        Ok(())
    }

    pub(super) fn separator(&mut self, value: &str) -> Result<(), String> {
        value.clone_into(&mut self.join.separator);
        Ok(())
    }

    pub(super) fn flush_after(&mut self, value: &str) -> Result<(), String> {
        let milliseconds = value.parse().ok().filter(|ms| (1..=MAX_FLUSH_AFTER_MS).contains(ms));
        let milliseconds =
            milliseconds.ok_or_else(|| format!("use a number of 1 to {MAX_FLUSH_AFTER_MS} ms"))?;
        self.join.flush_after = Duration::from_millis(milliseconds);
        Ok(())
    }

    pub(super) fn max_lines(&mut self, value: &str) -> Result<(), String> {
        self.join.max_lines = limit(value, MAX_LINES)?;
        Ok(())
    }

    pub(super) fn max_bytes(&mut self, value: &str) -> Result<(), String> {
        self.join.max_bytes = limit(value, MAX_BYTES)?;
        Ok(())
    }

    pub(super) fn default(&mut self, value: &str) -> Result<(), String> {
        self.is_opt_in = !boolean(value)?;
        Ok(())
    }

    /// Returns the way of joining that the options describe together.
    ///
    /// # Errors
    /// Returns the name of an option and the reason if the option contradicts another option or needs a missing one.
    pub(super) fn joining(self) -> Result<Joining, (&'static str, String)> {
        let Self { preset, pattern, matches, is_opt_in, join } = self;
        let rule = match (preset, pattern, matches) {
            (Some(_), Some(_), _) => {
                return Err((
                    "multiline.pattern",
                    "the route has a preset, too: give one of them".to_owned(),
                ));
            }
            (_, None, Some(_)) => return Err(("multiline.match", "it needs multiline.pattern".to_owned())),
            (None, Some(pattern), matches) => Some(
                Rule::pattern(&pattern, matches.unwrap_or_default())
                    .map_err(|error| ("multiline.pattern", error.to_string()))?,
            ),
            (preset, None, None) => preset,
        };
        Ok(Joining { rule, is_opt_in, options: join })
    }
}

/// Parses a boolean as Go does, since the variables of Logspout use the syntax of Go.
pub(super) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("use true or false".to_owned()),
    }
}

fn limit(value: &str, max: usize) -> Result<usize, String> {
    let limit = value.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| format!("use a number of 1 to {max}"))
}
