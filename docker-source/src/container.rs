//! Defines containers and their metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use gelf_core::Timestamp;

use crate::engine::{ContainerId, ContainerSummary, Inspect};
use crate::log_size;

mod builder;

pub use builder::ContainerBuilder;

/// The maximum length of a command: 8 KiB. A command line can contain a whole script.
const MAX_COMMAND_BYTES: usize = 8 * 1024;

/// A container with its metadata. The container of a record has the metadata of the time at which the record was read.
///
/// The metadata come from an inspection. If the inspection fails, for example because the container is gone, the
/// metadata come from an event or from the list of containers. In this case, [`tty`](Self::tty) is `None`, and
/// [`command`](Self::command), [`command_without_entry_point`](Self::command_without_entry_point),
/// [`created`](Self::created), [`env`](Self::env), [`log_driver`](Self::log_driver),
/// [`log_options`](Self::log_options), [`log_path`](Self::log_path) and
/// [`published_ports`](Self::published_ports) are empty. If the metadata come from an event,
/// [`image_id`](Self::image_id) is empty, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    id: Arc<str>,
    engine_host: Arc<str>,
    name: String,
    selected_name: String,
    image: String,
    image_id: String,
    command: String,
    command_without_entry_point: String,
    created: String,
    labels: BTreeMap<String, String>,
    env: Vec<String>,
    tty: Option<bool>,
    log_driver: String,
    log_options: BTreeMap<String, String>,
    log_path: String,
    published_ports: Vec<u16>,
}

impl Container {
    /// Returns a builder of a container for tests, without an Engine.
    pub fn builder(name: impl Into<String>) -> ContainerBuilder {
        ContainerBuilder::new(name.into())
    }

    /// Returns the id. An Engine's ids have 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        self.id.clone()
    }

    /// Returns the first 12 digits of the id, as `docker ps` shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Returns the name, without the leading slash of the Engine's API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name that the [filter](crate::SourceBuilder::select) saw when it selected the container
    /// for its present run. It differs from [`name`](Self::name) once the container is renamed while it runs.
    ///
    /// A program that sends records to several destinations should choose the destination by this name. Then
    /// a renaming does not move later lines of the same run to another destination.
    pub fn selected_name(&self) -> &str {
        &self.selected_name
    }

    /// Returns the host name of the Engine.
    pub fn engine_host(&self) -> &str {
        &self.engine_host
    }

    /// Returns the image name that the container was created with, such as `nginx:1.27`.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Returns the image's id, `sha256:...`; empty if unknown.
    pub fn image_id(&self) -> &str {
        &self.image_id
    }

    /// Returns the entry point and arguments, joined by spaces and cut to 8 KiB; empty if unknown.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns the command of the image or of `docker run`, without the entry point, joined by spaces and cut
    /// to 8 KiB; empty if unknown.
    pub fn command_without_entry_point(&self) -> &str {
        &self.command_without_entry_point
    }

    /// Returns the time of creation in RFC 3339, as the Engine writes it; empty if unknown.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Returns the labels of the container and of its image. All labels together can take about 32 KiB. Labels with
    /// the prefix of a [field](crate::gelf) can take about 48 KiB more. Labels that do not fit are left out.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Returns the environment as `NAME=value` entries; empty if unknown. An entry is cut to about 16 KiB.
    /// Entries that do not fit into about 64 KiB in total are left out.
    pub fn env(&self) -> &[String] {
        &self.env
    }

    /// Returns the value of an environment variable. If several entries have this name, the last one counts.
    pub fn env_var(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| -> Option<usize> {
            entry.strip_prefix(name)?.starts_with('=').then_some(name.len() + 1)
        };
        self.env.iter().rev().find_map(|entry| entry.get(value(entry)?..))
    }

    /// Returns whether the container has a terminal, if known. Docker merges the two streams of such a
    /// container.
    pub fn tty(&self) -> Option<bool> {
        self.tty
    }

    /// Returns the name of the log driver, such as `json-file`; empty if unknown.
    pub fn log_driver(&self) -> &str {
        &self.log_driver
    }

    /// Returns these options of the log driver: `max-size`, `max-file`, `cache-disabled`, `mode` and
    /// `max-buffer-size`. Other options are left out. The map is empty if the options are unknown. An option
    /// is present if it is set for the container, or was set for the Engine when the container was created.
    pub fn log_options(&self) -> &BTreeMap<String, String> {
        &self.log_options
    }

    /// Returns the option `max-size` of the log driver in bytes: the size at which the driver begins a new file.
    /// Returns `None` if the option is absent, is not a size, or sets no limit.
    pub fn max_log_size(&self) -> Option<u64> {
        log_size::parse(self.log_options.get("max-size")?)
    }

    /// Returns the path of the log file on the Engine's machine; empty if unknown, or if the log driver has no
    /// such file.
    pub fn log_path(&self) -> &str {
        &self.log_path
    }

    /// Returns the TCP ports of the container that the Engine publishes on the host, in increasing order.
    pub fn published_ports(&self) -> &[u16] {
        &self.published_ports
    }

    /// Returns whether the container asks not to be followed: it has `LOGSPOUT=ignore` in its environment, as
    /// for Logspout. The value may be in upper or lower case.
    pub fn is_ignored(&self) -> bool {
        self.env_var("LOGSPOUT").is_some_and(|value| value.eq_ignore_ascii_case("ignore"))
    }

    pub(crate) fn from_inspect(id: &ContainerId, inspect: Inspect, engine_host: Arc<str>) -> Self {
        let mut command = inspect.path;
        for argument in &inspect.args {
            if !command.is_empty() {
                command.push(' ');
            }
            command.push_str(argument);
        }
        Self {
            id: id.to_shared(),
            engine_host,
            name: without_slash(&inspect.name).to_owned(),
            selected_name: without_slash(&inspect.name).to_owned(),
            image: inspect.config.image,
            image_id: inspect.image,
            command: at_most(&command, MAX_COMMAND_BYTES).to_owned(),
            command_without_entry_point: at_most(&inspect.config.cmd.join(" "), MAX_COMMAND_BYTES).to_owned(),
            created: if Timestamp::from_rfc3339(&inspect.created).is_ok() {
                inspect.created
            } else {
                String::new()
            },
            labels: inspect.config.labels,
            env: inspect.config.env,
            tty: inspect.config.tty,
            log_driver: inspect.host_config.log_config.r#type,
            log_options: inspect.host_config.log_config.config,
            log_path: inspect.log_path.unwrap_or_default(),
            published_ports: inspect.network_settings.published_ports(),
        }
    }

    /// Creates a container from the metadata of an event or a list. These metadata are used until the
    /// container is inspected, and if the container can no longer be inspected.
    pub(crate) fn from_partial(id: &ContainerId, partial: PartialMetadata, engine_host: Arc<str>) -> Self {
        Self {
            id: id.to_shared(),
            engine_host,
            selected_name: partial.name.clone(),
            name: partial.name,
            image: partial.image,
            image_id: partial.image_id,
            command: String::new(),
            command_without_entry_point: String::new(),
            created: String::new(),
            labels: partial.labels,
            env: Vec::new(),
            tty: None,
            log_driver: String::new(),
            log_options: BTreeMap::new(),
            log_path: String::new(),
            published_ports: Vec::new(),
        }
    }

    /// Returns the same container with a new name. The selected name stays the same.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: without_slash(name).to_owned(), ..self.clone() }
    }

    /// Returns the same container with `name` as its selected name.
    pub(crate) fn selected_as(&self, name: &str) -> Self {
        Self { selected_name: name.to_owned(), ..self.clone() }
    }
}

/// Returns at most the first `bytes` bytes of the text, cut between two characters.
fn at_most(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

fn without_slash(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// The metadata of a container in the list of containers or in an event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct PartialMetadata {
    pub(crate) name: String,
    image: String,
    image_id: String,
    labels: BTreeMap<String, String>,
    /// True if a part is missing because it was too long.
    pub(crate) is_cut: bool,
}

impl PartialMetadata {
    pub(crate) fn from_summary(summary: &ContainerSummary) -> Self {
        Self {
            name: summary.name().unwrap_or_default().to_owned(),
            image: summary.image.clone(),
            image_id: summary.image_id.clone(),
            labels: summary.labels.clone(),
            is_cut: summary.is_cut,
        }
    }

    /// Creates the metadata from the attributes of an event. The attributes are the labels, mixed with
    /// attributes that the Engine adds. `is_cut` is true if some attributes are missing because they were too
    /// long.
    pub(crate) fn from_event_attributes(mut attributes: BTreeMap<String, String>, is_cut: bool) -> Self {
        let name = attributes.remove("name").unwrap_or_default();
        let image = attributes.remove("image").unwrap_or_default();
        for own in ["exitCode", "execDuration", "execID", "oldName", "signal"] {
            attributes.remove(own);
        }
        Self {
            name: without_slash(&name).to_owned(),
            image,
            image_id: String::new(),
            labels: attributes,
            is_cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn container(text: &str) -> Container {
        let id = ContainerId::parse(ID).unwrap();
        Container::from_inspect(&id, serde_json::from_str(text).unwrap(), "host".into())
    }

    #[test]
    fn an_inspection_has_the_metadata_that_dockers_gelf_driver_sends() {
        let container = container(
            r#"{"Name":"/web","Created":"2026-11-22T22:44:18.123456789Z","Path":"/entry.sh","Args":["serve","--port","80"],
                "Image":"sha256:abcd","Config":{"Image":"nginx:1.27","Cmd":["serve","--port","80"],"Env":["A=1","B=x=y"],"Labels":{"l":"v"},"Tty":false},
                "HostConfig":{"LogConfig":{"Type":"local","Config":{"max-file":"3"}}},
                "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8000"}]}}}"#,
        );
        assert_eq!(container.id(), ID);
        assert_eq!(container.short_id(), "0123456789ab");
        assert_eq!(container.name(), "web");
        assert_eq!(container.engine_host(), "host");
        assert_eq!(container.image(), "nginx:1.27");
        assert_eq!(container.image_id(), "sha256:abcd");
        assert_eq!(container.command(), "/entry.sh serve --port 80");
        assert_eq!(container.command_without_entry_point(), "serve --port 80");
        assert_eq!(container.created(), "2026-11-22T22:44:18.123456789Z");
        assert_eq!(container.labels().get("l").map(String::as_str), Some("v"));
        assert_eq!(container.env_var("B"), Some("x=y"));
        assert_eq!(container.tty(), Some(false));
        assert_eq!(container.log_driver(), "local");
        assert_eq!(container.log_options()["max-file"], "3");
        assert_eq!(container.published_ports(), [80]);
    }

    #[test]
    fn of_several_variables_with_the_same_name_the_last_one_wins() {
        let container = container(r#"{"Config":{"Env":["A=1","A=2","AB=3","NOVALUE"]}}"#);
        assert_eq!(container.env_var("A"), Some("2"));
        assert_eq!(container.env_var("AB"), Some("3"));
        assert_eq!(container.env_var("NOVALUE"), None);
        assert_eq!(container.env_var(""), None);
    }

    #[test]
    fn a_container_is_ignored_only_if_its_variable_logspout_is_ignore_in_any_case() {
        let ignored = |env: &str| container(&format!(r#"{{"Config":{{"Env":["{env}"]}}}}"#)).is_ignored();
        assert!(ignored("LOGSPOUT=ignore"));
        assert!(ignored("LOGSPOUT=IGNORE"));
        assert!(!ignored("LOGSPOUT=ignored"));
        assert!(!ignored("LOGSPOUT="));
        assert!(!ignored("logspout=ignore"));
        assert!(!ignored("XLOGSPOUT=ignore"));
    }

    #[test]
    fn an_invalid_creation_time_is_left_out() {
        assert_eq!(container(r#"{"Created":"yesterday"}"#).created(), "");
    }

    #[test]
    fn commands_are_cut_between_characters() {
        assert_eq!(at_most("aéb", 2), "a");
        assert_eq!(at_most("aéb", 3), "aé");
        assert_eq!(at_most("a", 100), "a");
        let script = "é".repeat(10_000);
        let container = container(&format!(
            r#"{{"Path":"sh","Args":["-c","{script}"],"Config":{{"Cmd":["{script}"]}}}}"#
        ));
        assert_eq!(container.command().len(), 8192);
        assert_eq!(container.command_without_entry_point().len(), 8192);
    }

    #[test]
    fn an_event_has_name_image_and_labels() {
        let attributes =
            [("name", "job"), ("image", "busybox"), ("exitCode", "0"), ("com.example.team", "a")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let partial = PartialMetadata::from_event_attributes(attributes.into(), false);
        let container = Container::from_partial(&ContainerId::parse(ID).unwrap(), partial, "host".into());
        assert_eq!((container.name(), container.image()), ("job", "busybox"));
        assert_eq!(container.labels().len(), 1);
        assert_eq!((container.command(), container.created(), container.tty()), ("", "", None));
    }

    #[test]
    fn renaming_changes_only_the_name() {
        let before = container(r#"{"Name":"/a","Config":{"Image":"i"}}"#);
        let after = before.renamed("/b");
        assert_eq!((after.name(), after.selected_name()), ("b", "a"));
        assert_eq!(after.renamed("a"), before);
    }
}
