//! Containers that are removed when their handle is dropped.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Engine, command};

/// Options of a container. The defaults are no network and the Engine's default log driver.
#[derive(Clone, Debug)]
pub struct RunOptions {
    name_prefix: String,
    network: String,
    image: Option<String>,
    docker_arguments: Vec<String>,
    command: Vec<String>,
}

impl RunOptions {
    /// Creates options for a command. The name of the container is `name_prefix` and a unique suffix. An
    /// example is `RunOptions::new("numbers", ["sh", "-c", "seq 10"])`.
    pub fn new<C: Into<String>>(name_prefix: &str, command: impl IntoIterator<Item = C>) -> Self {
        Self {
            name_prefix: name_prefix.to_owned(),
            network: "none".to_owned(),
            image: None,
            docker_arguments: Vec::new(),
            command: command.into_iter().map(Into::into).collect(),
        }
    }

    /// Creates options for the command `sh -c script`.
    pub fn shell(name_prefix: &str, script: &str) -> Self {
        Self::new(name_prefix, ["sh", "-c", script])
    }

    /// Adds arguments of `docker run`, such as `["--log-driver", "local", "--tty"]`.
    pub fn docker_arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.docker_arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the image. The default is [`Engine::image`].
    pub fn image(mut self, image: &str) -> Self {
        self.image = Some(image.to_owned());
        self
    }

    /// Sets the network. The default is `none`. Some test Engines have no networks except `none` and `host`.
    pub fn network(mut self, network: &str) -> Self {
        network.clone_into(&mut self.network);
        self
    }
}

/// A container that was started. Dropping the handle removes the container by force.
#[derive(Debug)]
pub struct RunningContainer {
    engine: Engine,
    id: String,
    name: String,
    removed: bool,
}

impl RunningContainer {
    pub(crate) fn start(engine: &Engine, options: RunOptions) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", options.name_prefix, process::id());
        let image = options.image.unwrap_or_else(|| engine.image());
        // The handle is created first, so that it also removes a container that cannot start.
        let mut container = Self { engine: engine.clone(), id: String::new(), name, removed: false };
        let fixed =
            ["run", "--detach", "--label", "gelf-tests=container", "--network", &options.network, "--name"];
        let arguments = fixed
            .into_iter()
            .chain([container.name.as_str()])
            .chain(options.docker_arguments.iter().map(String::as_str))
            .chain([image.as_str()])
            .chain(options.command.iter().map(String::as_str));
        let output = engine.docker(arguments);
        container.id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            container.id.len() == 64 && container.id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "docker run printed {:?}, not a container's id",
            container.id
        );
        container
    }

    /// Returns the container's id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the container's name, without the leading slash of the API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the current log of stdout and of stderr, each line with the Engine's timestamp in front:
    /// `2026-01-02T03:04:05.123456789Z the line`. Bytes that are not UTF-8 are replaced by U+FFFD.
    ///
    /// With `--tty`, the first of the two texts has all lines.
    pub fn logs_with_timestamps(&self) -> (String, String) {
        let output = self.engine.docker(["logs", "--timestamps", &self.id]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Waits for the end of the container and returns its exit code.
    ///
    /// # Panics
    /// Panics if the container does not end within 120 s.
    pub fn wait(&self) -> i32 {
        let output = self.engine.docker(["wait", &self.id]);
        let code = String::from_utf8_lossy(&output.stdout);
        code.trim().parse().unwrap_or_else(|_| panic!("docker wait printed {code:?}, not an exit code"))
    }

    /// Starts the container again, with the same id and log.
    pub fn start_again(&self) {
        self.engine.docker(["start", &self.id]);
    }

    /// Stops the container by SIGTERM, and by SIGKILL if it still runs after 10 s. Returns its exit code. The
    /// container and its log stay.
    pub fn stop(&self) -> i32 {
        self.engine.docker(["stop", "--time", "10", &self.id]);
        self.wait()
    }

    /// Kills the container by SIGKILL. The container and its log stay.
    pub fn kill(&self) {
        self.engine.docker(["kill", &self.id]);
    }

    /// Kills and removes the container and its log.
    pub fn remove(mut self) {
        self.engine.docker(["rm", "--force", "--volumes", &self.id]);
        self.removed = true;
    }
}

impl Drop for RunningContainer {
    fn drop(&mut self) {
        if !self.removed {
            // A container that could not start is removed by its name, since its id is unknown. Any other
            // container is removed by its id, since a test may have renamed it. A failure of the removal is
            // ignored, so that it does not hide the failure of the test.
            let known = if self.id.is_empty() { &self.name } else { &self.id };
            let arguments = ["rm", "--force", "--volumes", known];
            let _ = command::try_docker(self.engine.docker_host(), arguments, command::DEFAULT_LIMIT);
        }
    }
}
