//! Joins lines that belong together, such as the lines of a stack trace.
//!
//! A [`MultilineJoiner`] takes records and yields messages of one or several lines. It only joins lines of
//! the same stream of the same container. The [`Rule`] of the container says which lines belong together. A
//! rule is a [`Preset`] for the stack traces of a language, or a [pattern](Rule::pattern) as in Logspout.
//! [`container_rule`] finds the rule in the labels of a container.
//!
//! The joiner performs no I/O and reads no clock. The caller passes the time to [`MultilineJoiner::push`],
//! and calls [`MultilineJoiner::expire`] at the time that [`MultilineJoiner::due`] returns.
//!
//! A message of several lines has the first line as `short_message`, and all lines as `full_message`. It has
//! no empty lines, because a [`Source`](crate::Source) skips empty lines.

mod container;
mod joiner;
mod lines;
mod options;
mod preset;
mod rule;

pub use container::{InvalidLabel, container_rule};
pub use joiner::MultilineJoiner;
pub use lines::JoinedLines;
pub use options::JoinOptions;
pub use preset::{InvalidPreset, Preset};
pub use rule::{InvalidMatch, InvalidPattern, Match, Rule};

#[cfg(test)]
mod tests;
