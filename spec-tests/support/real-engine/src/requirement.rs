//! Checks the requirements of tests. A test whose requirement is missing is skipped.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Returns whether a path exists, such as the path of an installed peer. If not, writes to stderr that the
/// test is skipped.
///
/// # Panics
/// Panics instead of returning `false` if `GELF_TESTS_REQUIRE` names `requirement`.
pub fn require_path(requirement: &str, path: &Path) -> bool {
    let found = path.exists();
    if !found {
        missing(requirement, &format!("{} does not exist", path.display()));
    }
    found
}

/// Returns the value of an environment variable, such as the name of an image that was built before. If the
/// variable is empty or not set, writes to stderr that the test is skipped.
///
/// # Panics
/// Panics instead of returning `None` if `GELF_TESTS_REQUIRE` names `requirement`.
pub fn require_variable(requirement: &str, variable: &str) -> Option<String> {
    let value = env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        missing(requirement, &format!("{variable} is not set (scripts/test sets it)"));
    }
    value
}

/// Writes to stderr that a test is skipped, or panics if `GELF_TESTS_REQUIRE` names its requirement.
pub(crate) fn missing(requirement: &str, reason: &str) {
    let required = env::var("GELF_TESTS_REQUIRE").unwrap_or_default();
    assert!(!is_listed(requirement, &required), "required by GELF_TESTS_REQUIRE={required}: {reason}");
    // `eprintln` is not used, because the test harness hides its output in a test that passes.
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
        assert!(find_on_path("cargo").is_some());
    }
}
