//! What a test needs from the machine, and what happens when it is not there.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Whether the program `tool` is on the path, for a test that needs it: `require("tshark")`.
///
/// When it is not, says on stderr that the test is skipped.
///
/// # Panics
/// Instead of `false`, when `GELF_TESTS_REQUIRE` names it.
pub fn require(tool: &str) -> bool {
    let found = find_on_path(tool).is_some();
    if !found {
        missing(tool, &format!("{tool} is not installed"));
    }
    found
}

/// Whether there is something at the path, for a test that needs it: a peer that was installed before.
///
/// When there is not, says on stderr that the test is skipped.
///
/// # Panics
/// Instead of `false`, when `GELF_TESTS_REQUIRE` names `requirement`.
pub fn require_path(requirement: &str, path: &Path) -> bool {
    let found = path.exists();
    if !found {
        missing(requirement, &format!("{} is not there", path.display()));
    }
    found
}

/// Returns the value of an environment variable, for a test that needs what it names: an image that was built before.
///
/// When it is not set, says on stderr that the test is skipped.
///
/// # Panics
/// Instead of `None`, when `GELF_TESTS_REQUIRE` names `requirement`.
pub fn require_variable(requirement: &str, variable: &str) -> Option<String> {
    let value = env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        missing(requirement, &format!("{variable} is not set (scripts/test sets it)"));
    }
    value
}

/// Says that a test is skipped, or fails it if its requirement was asked for by name.
pub(crate) fn missing(requirement: &str, reason: &str) {
    let required = env::var("GELF_TESTS_REQUIRE").unwrap_or_default();
    assert!(!is_listed(requirement, &required), "required by GELF_TESTS_REQUIRE={required}: {reason}");
    // Not by a macro: the test harness keeps what those print in a test that passes, and a skip must be seen.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

pub(crate) fn find_on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

fn is_listed(requirement: &str, required: &str) -> bool {
    required.split(',').any(|name| name.trim() == requirement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_one_whole_name_of_the_list() {
        assert!(is_listed("engine", "engine"));
        assert!(is_listed("engine", "tshark, engine"));
        assert!(!is_listed("engine", ""));
        assert!(!is_listed("engine", "engines,tshark"));
    }

    #[test]
    fn a_program_on_the_path_is_found() {
        assert!(require("cargo"));
    }
}
