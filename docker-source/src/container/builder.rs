//! Builds containers without an Engine, for tests.

use super::Container;

/// Makes a [`Container`] without an Engine, for tests of programs that take records.
///
/// Text is taken as it is given: the limits of metadata from an Engine do not apply.
///
/// # Examples
///
/// ```
/// use docker_source::Container;
///
/// let container = Container::builder("web-1").label("team", "shop").env("LOGSPOUT=ignore").build();
/// assert_eq!(container.name(), "web-1");
/// assert!(container.is_ignored());
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ContainerBuilder {
    container: Container,
}

impl ContainerBuilder {
    pub(super) fn new(name: String) -> Self {
        let container = Container {
            id: "0".repeat(64).into(),
            engine_host: "engine".into(),
            selected_name: name.clone(),
            name,
            image: String::new(),
            image_id: String::new(),
            command: String::new(),
            command_without_entry_point: String::new(),
            created: String::new(),
            labels: std::collections::BTreeMap::new(),
            env: Vec::new(),
            tty: None,
            log_driver: String::new(),
            log_options: std::collections::BTreeMap::new(),
            log_path: String::new(),
            published_ports: Vec::new(),
        };
        Self { container }
    }

    /// Sets the id. The default is 64 zeros. Containers need different ids if the same
    /// [`Progress`](crate::Progress) keeps account of their lines.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.container.id = id.as_ref().into();
        self
    }

    /// Sets the host name of the Engine. The default is `engine`.
    pub fn engine_host(mut self, host: impl AsRef<str>) -> Self {
        self.container.engine_host = host.as_ref().into();
        self
    }

    /// Sets the [name](Container::selected_name) by which the container was selected. The default is the
    /// container's name.
    pub fn selected_name(mut self, name: impl Into<String>) -> Self {
        self.container.selected_name = name.into();
        self
    }

    /// Sets the image name, such as `nginx:1.27`.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.container.image = image.into();
        self
    }

    /// Sets the image's id, `sha256:...`.
    pub fn image_id(mut self, id: impl Into<String>) -> Self {
        self.container.image_id = id.into();
        self
    }

    /// Sets the entry point, which can be empty, and the command behind the entry point.
    pub fn command(mut self, entry_point: &str, command: impl Into<String>) -> Self {
        let command = command.into();
        let parts = [entry_point, &command].into_iter().filter(|part| !part.is_empty());
        self.container.command = parts.collect::<Vec<_>>().join(" ");
        self.container.command_without_entry_point = command;
        self
    }

    /// Sets the time of creation, in RFC 3339.
    pub fn created(mut self, created: impl Into<String>) -> Self {
        self.container.created = created.into();
        self
    }

    /// Adds a label.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.container.labels.insert(name.into(), value.into());
        self
    }

    /// Adds an entry `NAME=value` of the environment.
    pub fn env(mut self, entry: impl Into<String>) -> Self {
        self.container.env.push(entry.into());
        self
    }

    /// Sets whether the container has a terminal. By default, this is unknown.
    pub fn tty(mut self, tty: bool) -> Self {
        self.container.tty = Some(tty);
        self
    }

    /// Sets the log driver, such as `json-file`.
    pub fn log_driver(mut self, driver: impl Into<String>) -> Self {
        self.container.log_driver = driver.into();
        self
    }

    /// Adds an option of the log driver.
    pub fn log_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.container.log_options.insert(name.into(), value.into());
        self
    }

    /// Sets the path of the log file.
    pub fn log_path(mut self, path: impl Into<String>) -> Self {
        self.container.log_path = path.into();
        self
    }

    /// Adds a TCP port of the container that the Engine publishes on the host.
    pub fn published_port(mut self, port: u16) -> Self {
        self.container.published_ports.push(port);
        self.container.published_ports.sort_unstable();
        self
    }

    /// Returns the container.
    pub fn build(self) -> Container {
        self.container
    }
}
