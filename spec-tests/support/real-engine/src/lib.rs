//! Provides a real Docker Engine for tests. The crate finds the Engine, makes an image without a registry,
//! and runs and removes containers.
//!
//! All access is through the `docker` command. A test takes its expected lines from `docker logs --timestamps`,
//! so these lines do not come from the program under test. All calls block. In an async test, use
//! `tokio::task::spawn_blocking`, or a multi-threaded runtime where a short wait does no harm.
//!
//! A test that needs an Engine begins with this line:
//!
//! ```no_run
//! let Some(engine) = real_engine::Engine::find() else { return };
//! ```
//!
//! Without an Engine, such a test is skipped: it passes, and writes the reason to stderr. The variable
//! `GELF_TESTS_REQUIRE` is a comma-separated list of requirements, such as `engine,image,logstash,peers`. If
//! the list names a requirement that is missing, a test that needs it fails instead of being skipped.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support: a failure ends the test"
)]

mod command;
mod container;
mod image;
mod requirement;

pub use container::{RunOptions, RunningContainer};
pub use requirement::{require_path, require_variable};

use std::process::Output;

/// Docker's default address.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// A Docker Engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    host: String,
}

impl Engine {
    /// Returns the Engine at `DOCKER_HOST`, or at the default socket if the variable is empty or not set.
    ///
    /// Returns `None`, with the reason on stderr, if the Engine does not answer within 10 s, or if there is
    /// no `docker` command or no busybox to make an image of.
    ///
    /// # Panics
    /// Panics instead of returning `None` if `GELF_TESTS_REQUIRE` names `engine`.
    pub fn find() -> Option<Self> {
        let given = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let host = given.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        match answer(&host) {
            Ok(()) => Some(Self { host }),
            Err(reason) => {
                requirement::missing("engine", &reason);
                None
            }
        }
    }

    /// Returns the Engine at this address, which has the form of `DOCKER_HOST`.
    ///
    /// # Errors
    /// Returns the reason in the cases in which [`find`](Self::find) returns `None`.
    pub fn at(host: &str) -> Result<Self, String> {
        answer(host).map(|()| Self { host: host.to_owned() })
    }

    /// Returns the Engine's address in the form of `DOCKER_HOST`, such as `unix:///var/run/docker.sock`.
    pub fn docker_host(&self) -> &str {
        &self.host
    }

    /// Returns the name of an image that contains a busybox and has no entry point. All commands of the
    /// busybox are linked in `/bin`.
    ///
    /// The image is imported once from the machine's own busybox, and is not removed. Its name contains a
    /// hash of the busybox file.
    ///
    /// # Panics
    /// Panics if there is no busybox on the path (`apt-get install busybox-static`), or if the import fails.
    /// The busybox must be statically linked, because the image has no libraries. This is not checked.
    pub fn image(&self) -> String {
        image::busybox(self)
    }

    /// Starts a container in the background, by default from [`image`](Self::image).
    ///
    /// # Panics
    /// Panics if the container does not start.
    pub fn run(&self, options: RunOptions) -> RunningContainer {
        RunningContainer::start(self, options)
    }

    /// Runs `docker ARGUMENTS...` to its end and returns its output.
    ///
    /// # Panics
    /// Panics if the command fails or takes more than 120 s.
    pub fn docker<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        command::docker(&self.host, arguments)
    }
}

/// Checks that an Engine answers at `host` and that there is a busybox, or returns what is missing.
fn answer(host: &str) -> Result<(), String> {
    let no_engine = |reason: &str| format!("no Docker Engine at {host}: {reason}");
    let output = command::try_docker(host, ["version"], command::Limit::seconds(10))
        .map_err(|error| no_engine(&error.to_string()))?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        return Err(no_engine(printed.lines().last().unwrap_or("docker version failed")));
    }
    if requirement::find_on_path("busybox").is_none() {
        return Err("no busybox on the path to make an image of".to_owned());
    }
    Ok(())
}
