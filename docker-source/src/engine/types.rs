//! Defines the types of the Engine's JSON answers. Parsing is lenient: missing members and null members
//! become empty values, and unknown members are ignored. Only the id in a list of containers is required.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use gelf_core::Timestamp;

use super::keep::{ITEM_COST, Items, Keep};

/// The limits of a container's labels: 32 KiB for any labels, and another 48 KiB that are reserved for labels
/// that become fields of messages (see [`crate::gelf`]). The attributes `name` and `image` of an event can
/// use the reserved 48 KiB, too.
pub(super) const LABELS: Keep = Keep::Items(Items {
    each: 40 * 1024,
    total: 32 * 1024,
    reserved: 48 * 1024,
    prefixes: &[
        "gelf",
        "com.amazonaws.ecs.",
        "com.docker.compose.",
        "com.docker.swarm.",
        "io.kubernetes.",
        "name\"",
        "image\"",
    ],
});

/// The limits of a command's arguments. An argument can be a whole script.
const ARGUMENTS: Keep = Keep::Items(Items { each: 32 * 1024, total: 64 * 1024, reserved: 0, prefixes: &[] });

/// The limits of a container's environment. The reserved room is for `LOGSPOUT`, the variable by which a
/// container asks not to be followed.
const ENVIRONMENT: Keep =
    Keep::Items(Items { each: 16 * 1024, total: 64 * 1024, reserved: 1024, prefixes: &["LOGSPOUT="] });

/// The maximum length of a text that users choose, such as a name: 4 KiB. In practice, such a text has at
/// most a few hundred bytes.
const TEXT: Keep = Keep::Value(4 * 1024);

/// The maximum length of an id, a time or a word: 256 bytes. In practice, each of them is shorter.
const WORD: Keep = Keep::Value(256);

/// The options of the log driver that are kept. Other options may be secrets, such as the token for a remote
/// receiver.
const LOG_OPTIONS: Keep = Keep::Members(&[
    ("max-size", WORD),
    ("max-file", WORD),
    ("cache-disabled", WORD),
    ("mode", WORD),
    ("max-buffer-size", WORD),
]);

/// The limits of a container's ports. A port takes about 100 bytes.
const PORTS: Keep = Keep::Items(Items { each: 1024, total: 8 * 1024, reserved: 0, prefixes: &[] });

/// The members of the answer to `GET /info` that are kept.
pub(super) const INFO: Keep = Keep::Members(&[("Name", TEXT), ("SystemTime", WORD)]);

/// The members that are kept of each element of the answer to `GET /containers/json`.
pub(super) const SUMMARY: Keep = Keep::Members(&[
    ("Id", WORD),
    ("Names", Keep::Items(Items { each: 4 * 1024, total: 8 * 1024, reserved: 0, prefixes: &[] })),
    ("Image", TEXT),
    ("ImageID", WORD),
    ("Labels", LABELS),
    ("State", WORD),
    ("Status", WORD),
]);

/// The members of the answer to `GET /containers/{id}/json` that are kept.
pub(super) const INSPECT: Keep = Keep::Members(&[
    ("Name", TEXT),
    ("Created", WORD),
    ("Path", TEXT),
    ("Args", ARGUMENTS),
    ("Image", WORD),
    ("LogPath", TEXT),
    (
        "State",
        Keep::Members(&[
            ("Running", WORD),
            ("Restarting", WORD),
            ("StartedAt", WORD),
            ("FinishedAt", WORD),
            ("ExitCode", WORD),
        ]),
    ),
    (
        "Config",
        Keep::Members(&[
            ("Cmd", ARGUMENTS),
            ("Env", ENVIRONMENT),
            ("Image", TEXT),
            ("Labels", LABELS),
            ("Tty", WORD),
        ]),
    ),
    ("GraphDriver", Keep::Members(&[("Data", Keep::Members(&[("UpperDir", TEXT)]))])),
    (
        "HostConfig",
        Keep::Members(&[
            ("AutoRemove", WORD),
            ("LogConfig", Keep::Members(&[("Type", TEXT), ("Config", LOG_OPTIONS)])),
        ]),
    ),
    ("NetworkSettings", Keep::Members(&[("Ports", PORTS)])),
]);

/// The id of a container: 12 to 64 lower-case hexadecimal digits. The Engine's ids have 64 digits.
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

/// Accepts `null`, which the Engine writes for an empty list or map.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The answer to `GET /info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    /// The Engine's host name.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) name: String,
    /// The time of the Engine's clock in RFC 3339 format.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) system_time: String,
}

/// One element of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerSummary {
    pub(crate) id: ContainerId,
    /// The container's name as `/name`, and an entry `/other/alias` for each link to the container.
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
    /// The state in words, such as `Exited (0) 5 seconds ago`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) status: String,
    /// True if a part of the metadata is missing because it was too long.
    #[serde(skip)]
    pub(crate) is_cut: bool,
}

impl ContainerSummary {
    /// Returns the container's own name, without the slash.
    pub(crate) fn name(&self) -> Option<&str> {
        self.names.iter().filter_map(|name| name.strip_prefix('/')).find(|name| !name.contains('/'))
    }

    /// Returns the approximate memory of the summary, in bytes.
    pub(super) fn memory(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() + ITEM_COST).sum();
        let labels: usize =
            self.labels.iter().map(|(name, value)| name.len() + value.len() + ITEM_COST).sum();
        let words = self.state.len() + self.status.len();
        size_of::<Self>() + self.image.len() + self.image_id.len() + words + names + labels
    }

    /// Returns whether the container's processes exist, so that its log can grow.
    pub(crate) fn is_running(&self) -> bool {
        matches!(&*self.state, "running" | "paused")
    }

    /// Returns whether the last run of the container ended at most `time` before the list was made. The
    /// status gives the time since the end in whole seconds, minutes or longer units, rounded down. Returns
    /// `false` if the unit is longer than a minute.
    pub(crate) fn has_ended_within(&self, time: Duration) -> bool {
        let Some((_, age)) = self.status.split_once(") ").filter(|(state, _)| state.starts_with("Exited"))
        else {
            return false;
        };
        let seconds = match age.split(' ').collect::<Vec<_>>()[..] {
            ["Less", ..] => Some(0),
            [count, "second" | "seconds", "ago"] => count.parse().ok(),
            ["About", "a", "minute", "ago"] => Some(60),
            [count, "minutes", "ago"] => count.parse().ok().and_then(|count: u64| count.checked_mul(60)),
            _ => None,
        };
        seconds.is_some_and(|seconds| seconds <= time.as_secs())
    }

    /// Returns whether the container was created and never started, so that it has no log.
    pub(crate) fn never_ran(&self) -> bool {
        self.state == "created"
    }
}

/// The answer to `GET /containers/{id}/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Inspect {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) name: String,
    /// The time of creation in RFC 3339 format.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) created: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) path: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) args: Vec<String>,
    /// The id of the image: `sha256:...`.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) image: String,
    /// The path of the log file on the Engine's machine. It is absent or empty for drivers without such a
    /// file.
    pub(crate) log_path: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) state: State,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) config: Config,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) graph_driver: GraphDriver,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) host_config: HostConfig,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) network_settings: NetworkSettings,
    /// True if a part of the metadata is missing because it was too long.
    #[serde(skip)]
    pub(crate) is_cut: bool,
}

/// The options of the host with which the container was created.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HostConfig {
    /// True if the Engine removes the container, with its log, when the container ends.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) auto_remove: bool,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) log_config: LogConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct LogConfig {
    /// The log driver, such as `json-file`.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) r#type: String,
    /// The options of the driver. They include the options of the Engine's configuration at the time when the
    /// container was created.
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) config: BTreeMap<String, String>,
}

/// The network of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkSettings {
    /// The ports of the container, such as `80/tcp`. Each published port has a list of the host's addresses
    /// at which it is published. A port that is not published has no list.
    #[serde(deserialize_with = "null_is_default")]
    ports: BTreeMap<String, Option<Vec<IgnoredAny>>>,
}

impl NetworkSettings {
    /// Returns the TCP ports of the container that are published on the host, in increasing order.
    pub(crate) fn published_ports(&self) -> Vec<u16> {
        let is_published = |addresses: &Option<Vec<_>>| addresses.as_ref().is_some_and(|all| !all.is_empty());
        let published = self.ports.iter().filter(|(_, addresses)| is_published(addresses));
        let mut ports: Vec<_> =
            published.filter_map(|(port, _)| port.strip_suffix("/tcp")?.parse().ok()).collect();
        ports.sort_unstable();
        ports
    }
}

/// The storage of a container. The member is absent if the Engine uses containerd's image store.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GraphDriver {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) data: GraphDriverData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GraphDriverData {
    /// The writable folder of an overlay. It is empty with other storage drivers.
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
    /// The end of the last run in RFC 3339 format. The year is 1 if no run has ended.
    #[serde(deserialize_with = "null_is_default")]
    finished_at: String,
    /// The beginning of the last run in RFC 3339 format. The year is 1 if no run has begun.
    #[serde(deserialize_with = "null_is_default")]
    started_at: String,
    /// The status with which the last run ended; 0 while the container runs.
    #[serde(deserialize_with = "null_is_default")]
    exit_code: i64,
}

impl State {
    /// Returns whether the container's processes exist, so that its log can grow. The Engine also reports a
    /// container as running while the container waits for its restart policy.
    pub(crate) fn is_running(&self) -> bool {
        self.running && !self.restarting
    }

    /// Returns the end of the container's last run, if a run has ended.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        time(&self.finished_at)
    }

    /// Returns the status with which the container's last run ended. The status is 0 while the container runs,
    /// whatever the status of its earlier runs was.
    pub(crate) fn exit_code(&self) -> i64 {
        self.exit_code
    }

    /// Returns the beginning of the container's last run, if there was one.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        time(&self.started_at)
    }
}

/// Parses the time of a run. Returns `None` for a time before 1970, such as the year 1, and for text that is
/// not a timestamp.
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
pub(super) mod tests {
    use super::*;
    use serde::de::{DeserializeOwned, Error as _, Visitor, value};
    use serde::forward_to_deserialize_any;

    /// Records the members from which a type is parsed.
    struct Members<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Members<'_> {
        type Error = value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
            Err(value::Error::custom("not a struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            members: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, value::Error> {
            self.0.extend(members);
            self.deserialize_any(visitor)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    /// Asserts that the members at `path` in `keep` are exactly the members from which `T` is parsed.
    pub(in super::super) fn assert_keeps<T: DeserializeOwned>(keep: &Keep, path: &[&str]) {
        let (mut keep, mut parsed) = (keep, Vec::new());
        for name in path {
            let Keep::Members(members) = keep else { panic!("{name} is not in an object") };
            keep = &members.iter().find(|(member, _)| member == name).unwrap().1;
        }
        let Keep::Members(members) = keep else { panic!("{path:?} is not an object") };
        let mut kept: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        let _ = T::deserialize(Members(&mut parsed));
        kept.sort_unstable();
        parsed.sort_unstable();
        assert_eq!(kept, parsed, "{path:?}");
    }

    #[test]
    fn all_members_that_are_parsed_are_kept() {
        assert_keeps::<Info>(&INFO, &[]);
        assert_keeps::<ContainerSummary>(&SUMMARY, &[]);
        assert_keeps::<Inspect>(&INSPECT, &[]);
        assert_keeps::<State>(&INSPECT, &["State"]);
        assert_keeps::<Config>(&INSPECT, &["Config"]);
        assert_keeps::<HostConfig>(&INSPECT, &["HostConfig"]);
        assert_keeps::<LogConfig>(&INSPECT, &["HostConfig", "LogConfig"]);
        assert_keeps::<NetworkSettings>(&INSPECT, &["NetworkSettings"]);
        assert_keeps::<GraphDriver>(&INSPECT, &["GraphDriver"]);
        assert_keeps::<GraphDriverData>(&INSPECT, &["GraphDriver", "Data"]);
    }

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
    fn the_own_name_of_a_container_is_the_one_without_a_second_slash() {
        let name = |names: &str| {
            let text = format!(r#"{{"Id":"{ID}","Names":{names}}}"#);
            let summary: ContainerSummary = serde_json::from_str(&text).unwrap();
            summary.name().map(str::to_owned)
        };
        assert_eq!(name(r#"["/other/db","/web","/third/db"]"#).as_deref(), Some("web"));
        assert_eq!(name(r#"["/other/db"]"#), None);
        assert_eq!(name("null"), None);
    }

    #[test]
    fn the_age_of_the_last_run_is_read_from_the_status() {
        let has_ended = |status: &str, seconds| {
            let text = format!(r#"{{"Id":"{ID}","Status":"{status}"}}"#);
            let summary: ContainerSummary = serde_json::from_str(&text).unwrap();
            summary.has_ended_within(Duration::from_secs(seconds))
        };
        for (status, age) in [
            ("Exited (0) Less than a second ago", 0),
            ("Exited (137) 1 second ago", 1),
            ("Exited (0) 59 seconds ago", 59),
            ("Exited (0) About a minute ago", 60),
            ("Exited (1) 59 minutes ago", 3540),
        ] {
            assert!(has_ended(status, age) && (age == 0 || !has_ended(status, age - 1)), "{status}");
        }
        for status in
            ["", "Up 5 seconds", "Created", "Exited (0) About an hour ago", "Exited (0) ", "Exited (0) x"]
        {
            assert!(!has_ended(status, u64::MAX), "{status}");
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
    fn a_container_that_waits_for_its_restart_policy_is_not_running() {
        let state = |text| serde_json::from_str::<State>(text).unwrap();
        assert!(state(r#"{"Running":true,"Restarting":false}"#).is_running());
        assert!(!state(r#"{"Running":true,"Restarting":true}"#).is_running());
        assert!(!state(r#"{"Running":false}"#).is_running());
    }

    #[test]
    fn only_tcp_ports_with_an_address_of_the_host_are_published() {
        let text = r#"{"Ports":{"9000/tcp":[{"HostIp":"","HostPort":"9000"}],"80/tcp":[{"HostPort":"8000"}],
            "443/tcp":null,"81/tcp":[],"53/udp":[{"HostPort":"53"}],"x/tcp":[1]}}"#;
        let ports = |text| serde_json::from_str::<NetworkSettings>(text).unwrap().published_ports();
        assert_eq!(ports(text), [80, 9000]);
        assert!(ports(r#"{"Ports":null}"#).is_empty() && ports("{}").is_empty());
    }

    #[test]
    fn the_year_one_means_that_no_run_has_ended() {
        let end = |text: &str| State { finished_at: text.into(), ..State::default() }.finished_at();
        assert_eq!(end("0001-01-01T00:00:00Z"), None);
        assert_eq!(end(""), None);
        assert_eq!(end("1970-01-01T00:00:01.5Z"), Timestamp::from_unix(1, 500_000_000));
    }
}
