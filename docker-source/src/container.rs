//! What is known of a container.

use std::collections::BTreeMap;
use std::sync::Arc;

use gelf_core::Timestamp;

use crate::engine::{ContainerId, ContainerSummary, Inspect};

/// What is known of a container, as of when a record of it was read.
///
/// Mostly it comes from the Engine's inspection. A container that is gone before it can be inspected is known by the event of
/// its start alone: then [`image_id`](Self::image_id), [`command`](Self::command), [`created`](Self::created) and
/// [`env`](Self::env) are empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    id: Arc<str>,
    engine_host: Arc<str>,
    name: String,
    image: String,
    image_id: String,
    command: String,
    command_without_entry_point: String,
    created: String,
    labels: BTreeMap<String, String>,
    env: Vec<String>,
    tty: Option<bool>,
}

impl Container {
    /// The id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first 12 digits of the id, as `docker ps` shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// The name, without the slash that the Engine puts before it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host name of the Engine that runs it.
    pub fn engine_host(&self) -> &str {
        &self.engine_host
    }

    /// The name by which the image was asked for, such as `nginx:1.27`.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The image's id, `sha256:...`; empty when unknown.
    pub fn image_id(&self) -> &str {
        &self.image_id
    }

    /// Entry point and arguments, joined by spaces; empty when unknown.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The command as the image or `docker run` has it, without the entry point, joined by spaces; empty when unknown.
    pub fn command_without_entry_point(&self) -> &str {
        &self.command_without_entry_point
    }

    /// When it was created: RFC 3339, as the Engine writes it; empty when unknown.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// The labels of the container and of its image.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The environment, `NAME=value` each; empty when unknown.
    pub fn env(&self) -> &[String] {
        &self.env
    }

    /// The value of an environment variable. Of several of that name the last counts.
    pub fn env_var(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| -> Option<usize> {
            entry.strip_prefix(name)?.starts_with('=').then_some(name.len() + 1)
        };
        self.env.iter().rev().find_map(|entry| entry.get(value(entry)?..))
    }

    /// Whether it has a terminal, where that is known. Docker merges the two streams of such a container.
    pub fn tty(&self) -> Option<bool> {
        self.tty
    }

    /// Whether it asked not to be read: `LOGSPOUT=ignore` in its environment, the value in any case. Logspout's rule.
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
            image: inspect.config.image,
            image_id: inspect.image,
            command,
            command_without_entry_point: inspect.config.cmd.join(" "),
            created: if Timestamp::from_rfc3339(&inspect.created).is_ok() {
                inspect.created
            } else {
                String::new()
            },
            labels: inspect.config.labels,
            env: inspect.config.env,
            tty: inspect.config.tty,
        }
    }

    /// What an event or a list told of a container that cannot be inspected any more.
    pub(crate) fn from_glimpse(id: &ContainerId, glimpse: &Glimpse, engine_host: Arc<str>) -> Self {
        Self {
            id: id.to_shared(),
            engine_host,
            name: glimpse.name.clone(),
            image: glimpse.image.clone(),
            image_id: glimpse.image_id.clone(),
            command: String::new(),
            command_without_entry_point: String::new(),
            created: String::new(),
            labels: glimpse.labels.clone(),
            env: Vec::new(),
            tty: None,
        }
    }

    /// The same container under a new name.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: without_slash(name).to_owned(), ..self.clone() }
    }
}

fn without_slash(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// What the list of containers or an event tells of one, without a request of its own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Glimpse {
    pub(crate) name: String,
    image: String,
    image_id: String,
    labels: BTreeMap<String, String>,
}

impl Glimpse {
    pub(crate) fn from_summary(summary: &ContainerSummary) -> Self {
        Self {
            name: summary.name().unwrap_or_default().to_owned(),
            image: summary.image.clone(),
            image_id: summary.image_id.clone(),
            labels: summary.labels.clone(),
        }
    }

    /// The attributes of an event are the labels, and among them what the Engine says of its own.
    pub(crate) fn from_event_attributes(mut attributes: BTreeMap<String, String>) -> Self {
        let name = attributes.remove("name").unwrap_or_default();
        let image = attributes.remove("image").unwrap_or_default();
        for own in ["exitCode", "execDuration", "execID", "oldName", "signal"] {
            attributes.remove(own);
        }
        Self { name: without_slash(&name).to_owned(), image, image_id: String::new(), labels: attributes }
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
    fn an_inspection_gives_what_dockers_own_gelf_driver_sends() {
        let container = container(
            r#"{"Name":"/web","Created":"2026-11-22T22:44:18.123456789Z","Path":"/entry.sh","Args":["serve","--port","80"],
                "Image":"sha256:abcd","Config":{"Image":"nginx:1.27","Cmd":["serve","--port","80"],"Env":["A=1","B=x=y"],"Labels":{"l":"v"},"Tty":false}}"#,
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
    }

    #[test]
    fn the_last_of_several_variables_counts_and_a_prefix_of_a_name_is_not_it() {
        let container = container(r#"{"Config":{"Env":["A=1","A=2","AB=3","NOVALUE"]}}"#);
        assert_eq!(container.env_var("A"), Some("2"));
        assert_eq!(container.env_var("AB"), Some("3"));
        assert_eq!(container.env_var("NOVALUE"), None);
        assert_eq!(container.env_var(""), None);
    }

    #[test]
    fn logspout_ignore_is_heeded_in_any_case_and_nothing_else_is() {
        let ignored = |env: &str| container(&format!(r#"{{"Config":{{"Env":["{env}"]}}}}"#)).is_ignored();
        assert!(ignored("LOGSPOUT=ignore"));
        assert!(ignored("LOGSPOUT=IGNORE"));
        assert!(!ignored("LOGSPOUT=ignored"));
        assert!(!ignored("LOGSPOUT="));
        assert!(!ignored("logspout=ignore"));
        assert!(!ignored("XLOGSPOUT=ignore"));
    }

    #[test]
    fn a_creation_time_that_is_none_is_left_out() {
        assert_eq!(container(r#"{"Created":"yesterday"}"#).created(), "");
    }

    #[test]
    fn an_event_tells_name_image_and_labels() {
        let attributes =
            [("name", "job"), ("image", "busybox"), ("exitCode", "0"), ("com.example.team", "a")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let glimpse = Glimpse::from_event_attributes(attributes.into());
        let container = Container::from_glimpse(&ContainerId::parse(ID).unwrap(), &glimpse, "host".into());
        assert_eq!((container.name(), container.image()), ("job", "busybox"));
        assert_eq!(container.labels().len(), 1);
        assert_eq!((container.command(), container.created(), container.tty()), ("", "", None));
    }

    #[test]
    fn renaming_changes_the_name_alone() {
        let before = container(r#"{"Name":"/a","Config":{"Image":"i"}}"#);
        let after = before.renamed("/b");
        assert_eq!(after.name(), "b");
        assert_eq!(after.renamed("a"), before);
    }
}
