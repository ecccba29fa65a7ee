//! The Engine's JSON answers, parsed leniently: missing and null members are empty, unknown ones are ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use gelf_core::Timestamp;

/// The id of a container: 12 to 64 lower-case hexadecimal digits; the Engine's own have 64.
///
/// No other text from the Engine is put into the path of a request.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ContainerId(Arc<str>);

impl ContainerId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        ((12..=64).contains(&text.len()) && text.bytes().all(hexadecimal)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ContainerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a container id"))
    }
}

/// An element of a list. If it is invalid, the rest of the list is still read.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Good(T),
    Bad(IgnoredAny),
}

impl<T> Lenient<T> {
    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Good(good) => Some(good),
            Self::Bad(_) => None,
        }
    }
}

/// Accepts `null`, which the Engine writes for an empty list or map.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// `GET /info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    /// The Engine's host name.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) name: String,
    /// The Engine's clock, RFC 3339.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) system_time: String,
}

/// One element of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerSummary {
    pub(crate) id: ContainerId,
    /// `/name`, and `/other/alias` for each link to it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) names: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) image: String,
    #[serde(default, deserialize_with = "null_is_default", rename = "ImageID")]
    pub(crate) image_id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) labels: BTreeMap<String, String>,
    /// `running`, `exited`, `created`, `paused`, `restarting`, `removing` or `dead`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) state: String,
}

impl ContainerSummary {
    /// Returns the container's own name, without the slash.
    pub(crate) fn name(&self) -> Option<&str> {
        self.names.iter().filter_map(|name| name.strip_prefix('/')).find(|name| !name.contains('/'))
    }

    /// Returns whether the container's processes exist, so that its log can grow.
    pub(crate) fn is_running(&self) -> bool {
        matches!(&*self.state, "running" | "paused")
    }

    /// Returns whether the container was created and never started, so that it has no log.
    pub(crate) fn never_ran(&self) -> bool {
        self.state == "created"
    }
}

/// `GET /containers/{id}/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Inspect {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) name: String,
    /// RFC 3339.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) created: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) path: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) args: Vec<String>,
    /// The id, `sha256:...`.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) image: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) state: State,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) config: Config,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) graph_driver: GraphDriver,
}

/// The storage of a container; absent with the image store of containerd.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GraphDriver {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) data: GraphDriverData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GraphDriverData {
    /// The writable folder of an overlay; empty with other drivers.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) upper_dir: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct State {
    #[serde(deserialize_with = "null_is_default")]
    running: bool,
    #[serde(deserialize_with = "null_is_default")]
    restarting: bool,
    /// RFC 3339; the year 1 if no run ever ended.
    #[serde(deserialize_with = "null_is_default")]
    finished_at: String,
    /// RFC 3339; the year 1 if no run ever began.
    #[serde(deserialize_with = "null_is_default")]
    started_at: String,
}

impl State {
    /// Returns whether the container's processes exist, so that its log can grow. The Engine also reports a
    /// container as running while it waits for its restart policy.
    pub(crate) fn is_running(&self) -> bool {
        self.running && !self.restarting
    }

    /// Returns the end of the container's last run, if a run has ended.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        time(&self.finished_at)
    }

    /// Returns the beginning of the container's last run, if there was one.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        time(&self.started_at)
    }
}

/// Parses the time of a run; `None` for the year 1.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::from_rfc3339(text).ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Config {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) env: Vec<String>,
    /// The image name that the container was created with.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) image: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) tty: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn only_hexadecimal_ids_of_12_to_64_digits_are_valid() {
        assert_eq!(ContainerId::parse(ID).unwrap().as_str(), ID);
        assert!(ContainerId::parse(&ID[..12]).is_some());
        for text in [
            "",
            "0123456789a",
            "0123456789aB",
            "0123456789a/",
            "../../images",
            "0123456789ag",
            &format!("{ID}0"),
        ] {
            assert_eq!(ContainerId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn missing_and_null_members_are_empty() {
        for text in [
            "{}",
            r#"{"Name":null,"Args":null,"State":null,"Config":null}"#,
            r#"{"State":{"Running":null},"Config":{"Env":null,"Labels":null,"Tty":null},"New":[1]}"#,
        ] {
            let inspect: Inspect = serde_json::from_str(text).unwrap();
            assert!(!inspect.state.is_running());
            assert_eq!(inspect.config.tty, None);
            assert!(inspect.name.is_empty() && inspect.args.is_empty() && inspect.config.env.is_empty());
        }
    }

    #[test]
    fn an_invalid_element_of_a_list_leaves_the_others_valid() {
        let text = format!(
            r#"[{{"Id":"../etc"}},7,{{"Id":"{ID}","Names":["/a/alias","/a"],"State":"running"}},null]"#
        );
        let list: Vec<Lenient<ContainerSummary>> = serde_json::from_str(&text).unwrap();
        let good: Vec<_> = list.into_iter().filter_map(Lenient::good).collect();
        assert_eq!(good.len(), 1);
        assert_eq!(good[0].name(), Some("a"));
        assert!(good[0].is_running());
    }

    #[test]
    fn a_container_that_waits_for_its_restart_policy_is_not_running() {
        let state = |text| serde_json::from_str::<State>(text).unwrap();
        assert!(state(r#"{"Running":true,"Restarting":false}"#).is_running());
        assert!(!state(r#"{"Running":true,"Restarting":true}"#).is_running());
        assert!(!state(r#"{"Running":false}"#).is_running());
    }

    #[test]
    fn the_year_one_means_that_no_run_has_ended() {
        let end = |text: &str| State { finished_at: text.into(), ..State::default() }.finished_at();
        assert_eq!(end("0001-01-01T00:00:00Z"), None);
        assert_eq!(end(""), None);
        assert_eq!(end("1970-01-01T00:00:01.5Z"), Timestamp::from_unix(1, 500_000_000));
    }
}
