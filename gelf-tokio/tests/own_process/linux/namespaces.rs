//! Creates network namespaces. The functions need root, and the program `ip` of iproute2.

use std::io::Write;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::process::Other;

/// A network namespace, deleted on drop.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("gelf-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
        run(&format!("ip netns add {name}"))?;
        Ok(Self(name))
    }

    /// Runs `ip` in the namespace, with the arguments `words`.
    pub(crate) fn ip(&self, words: &str) -> Result<(), String> {
        run(&format!("ip -n {} {words}", self.0))
    }

    /// Starts a process of this program in the namespace.
    pub(crate) fn start(&self, role: &str, argument: &str) -> Other {
        Other::start(&["ip", "netns", "exec", &self.0], role, argument)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(&format!("ip netns delete {}", self.0));
    }
}

/// Runs a command to its end. The error has the command and the text that the command has written to stderr.
pub(crate) fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    match Command::new(words.next().unwrap()).args(words).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

/// Returns the namespaces that were made. If they could not be made, prints the reason, or panics if
/// `GELF_TESTS_REQUIRE` names `netns`.
pub(crate) fn or_skip<T>(made: Result<T, String>) -> Option<T> {
    made.map_err(|reason| {
        let required = std::env::var("GELF_TESTS_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|name| name.trim() == "netns");
        assert!(!is_required, "required by GELF_TESTS_REQUIRE={required}: {reason}");
        let _ = writeln!(std::io::stderr(), "skipped: cannot create network namespaces: {reason}");
    })
    .ok()
}
