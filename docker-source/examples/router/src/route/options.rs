//! Defines the table of a route's options, except the options of the route's endpoint.
//!
//! The parser of routes, the check of Logspout's variables for `multiline+`, `--help` and the table in the
//! README use this table. A new option needs a row here, and code that uses its setting.

use std::time::Duration;

use docker_source::content::{ContentOptions, InvalidContent};
use docker_source::gelf::{GelfFormat, InvalidCompat, InvalidFormat};
use docker_source::{ContainerFilter, InvalidFilter, Property, Redaction, Secret, StreamFilter};

use super::lines::{LineOptions, boolean};

/// The settings that the options of a route determine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) format: GelfFormat,
    pub(crate) filter: ContainerFilter,
    pub(crate) streams: StreamFilter,
    pub(crate) lines: LineOptions,
    pub(crate) content: ContentOptions,
    /// The maximum time until a line of a busy log is read, if the option `latency` is given.
    pub(crate) latency: Option<Duration>,
}

/// One option of a route.
pub(crate) struct RouteOption {
    /// The name, as in `?name=value`; `field.*` stands for all names that begin with `field.`.
    pub(crate) name: &'static str,
    /// The permitted values.
    pub(crate) values: &'static str,
    /// The default value, or a description of it.
    pub(crate) default: &'static str,
    /// True if the option may be given several times.
    pub(crate) is_list: bool,
    /// The meaning of the option.
    pub(crate) help: &'static str,
    /// The option or variable of Logspout, of its modules or of Docker's driver that this option replaces.
    pub(crate) replaces: &'static str,
    /// Adds a value to the settings. For an option such as `field.*`, the second argument is the part of the
    /// name behind `field.`.
    set: fn(Settings, &str, &str) -> Result<Settings, String>,
}

impl RouteOption {
    /// Adds a value of the option to the settings.
    ///
    /// # Errors
    /// Returns a text of one line if the value is not permitted.
    pub(crate) fn set(&self, settings: Settings, name: &str, value: &str) -> Result<Settings, String> {
        let rest = self.group().and_then(|group| name.strip_prefix(group)).unwrap_or_default();
        (self.set)(settings, rest, value)
    }

    /// Returns the common beginning of the names that the option stands for, if it stands for several names.
    fn group(&self) -> Option<&'static str> {
        self.name.strip_suffix('*')
    }
}

/// Returns the option with this name.
pub(crate) fn find(name: &str) -> Option<&'static RouteOption> {
    TABLE.iter().find(|option| match option.group() {
        Some(group) => name.starts_with(group),
        None => option.name == name,
    })
}

/// Checks a value of an option of this table.
///
/// # Errors
/// Returns a text of one line if the value is not permitted.
pub(crate) fn check_option(name: &str, value: &str) -> Result<(), String> {
    find(name).map_or(Ok(()), |option| option.set(Settings::default(), name, value).map(drop))
}

const GLOB: &str = "GLOB";
const LABEL: &str = "KEY or KEY:GLOB; KEY is a GLOB, too";

pub(crate) static TABLE: [RouteOption; 34] = [
    RouteOption {
        name: "filter.id",
        values: "the beginning of an id",
        default: "all",
        is_list: true,
        help: "Ship only containers with this id",
        replaces: "filter.id",
        set: |settings, _, value| match value {
            "" => Ok(settings),
            _ => settings.filtered(|filter| filter.id(value)),
        },
    },
    RouteOption {
        name: "filter.name",
        values: GLOB,
        default: "all",
        is_list: true,
        help: "Ship only containers with this name; the same as include.name",
        replaces: "filter.name",
        set: |settings, _, value| match value {
            "" => Ok(settings),
            _ => settings.filtered(|filter| filter.include(Property::Name, value)),
        },
    },
    RouteOption {
        name: "filter.labels",
        values: "KEY:GLOB,KEY:GLOB...",
        default: "all",
        is_list: true,
        help: "Ship only containers with all these labels; a missing label has an empty value",
        replaces: "filter.labels",
        set: |settings, _, value| match value {
            "" => Ok(settings),
            _ => settings.filtered(|filter| filter.logspout_labels(value)),
        },
    },
    RouteOption {
        name: "filter.sources",
        values: "stdout, stderr or both with a comma",
        default: "both",
        is_list: false,
        help: "Ship only lines of these streams",
        replaces: "filter.sources",
        set: |mut settings, _, value| {
            if !value.is_empty() {
                settings.streams = StreamFilter::new(value).map_err(|error| error.to_string())?;
            }
            Ok(settings)
        },
    },
    RouteOption {
        name: "include.name",
        values: GLOB,
        default: "all",
        is_list: true,
        help: "Ship only containers with this name",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.include(Property::Name, value)),
    },
    RouteOption {
        name: "include.image",
        values: GLOB,
        default: "all",
        is_list: true,
        help: "Ship only containers of this image; its tag may be left out",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.include(Property::Image, value)),
    },
    RouteOption {
        name: "include.label",
        values: LABEL,
        default: "all",
        is_list: true,
        help: "Ship only containers with this label, such as ship:true as an opt-in",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.include(Property::Label, value)),
    },
    RouteOption {
        name: "include.driver",
        values: GLOB,
        default: "all",
        is_list: true,
        help: "Ship only containers with this log driver; Logspout reads json-file and journald",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.include(Property::Driver, value)),
    },
    RouteOption {
        name: "exclude.name",
        values: GLOB,
        default: "none",
        is_list: true,
        help: "Ship no containers with this name",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.exclude(Property::Name, value)),
    },
    RouteOption {
        name: "exclude.image",
        values: GLOB,
        default: "none",
        is_list: true,
        help: "Ship no containers of this image; its tag may be left out",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.exclude(Property::Image, value)),
    },
    RouteOption {
        name: "exclude.label",
        values: LABEL,
        default: "none",
        is_list: true,
        help: "Ship no containers with this label",
        replaces: "EXCLUDE_LABELS, EXCLUDE_LABEL",
        set: |settings, _, value| settings.filtered(|filter| filter.exclude(Property::Label, value)),
    },
    RouteOption {
        name: "exclude.driver",
        values: GLOB,
        default: "none",
        is_list: true,
        help: "Ship no containers with this log driver",
        replaces: "",
        set: |settings, _, value| settings.filtered(|filter| filter.exclude(Property::Driver, value)),
    },
    RouteOption {
        name: "compat",
        values: "docker, micahhausler or vincit-2017",
        default: "docker",
        is_list: false,
        help: "Shape of messages: fields, levels and timestamps of Docker's driver or a module of Logspout",
        replaces: "the module of the image",
        set: |settings, _, value| {
            let compat = value.parse().map_err(|error: InvalidCompat| error.to_string())?;
            settings.formatted(|format| Ok::<_, String>(format.with_compat(compat)))
        },
    },
    RouteOption {
        name: "host",
        values: "NAME",
        default: "the Engine's host name",
        is_list: false,
        help: "Host of messages",
        replaces: "/etc/host_hostname, GELF_HOSTNAME, SYSLOG_HOSTNAME",
        set: |settings, _, value| settings.formatted(|format| format.with_host(value)),
    },
    RouteOption {
        name: "field.*",
        values: "VALUE",
        default: "none",
        is_list: true,
        help: "Adds the field _NAME to each message, as field.NAME=VALUE; each name once",
        replaces: "EXTRA_JSON",
        set: |settings, name, value| settings.formatted(|format| format.with_field(name, value.to_owned())),
    },
    RouteOption {
        name: "labels",
        values: "GLOB,GLOB...",
        default: "none",
        is_list: true,
        help: "Sends each label whose name matches as a field; those of Compose, Swarm, Kubernetes and ECS \
               need no option",
        replaces: "labels of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_labels(value)),
    },
    RouteOption {
        name: "labels-regex",
        values: "a regular expression",
        default: "none",
        is_list: true,
        help: "Sends each label whose name has a match as a field",
        replaces: "labels-regex of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_labels_regex(value)),
    },
    RouteOption {
        name: "env",
        values: "GLOB,GLOB...",
        default: "none",
        is_list: true,
        help: "Sends each variable of a container whose name matches as a field",
        replaces: "env of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_env(value)),
    },
    RouteOption {
        name: "env-regex",
        values: "a regular expression",
        default: "none",
        is_list: true,
        help: "Sends each variable of a container whose name has a match as a field",
        replaces: "env-regex of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_env_regex(value)),
    },
    RouteOption {
        name: "dots",
        values: "keep or underscore",
        default: "keep",
        is_list: false,
        help: "Dots in the names of fields of labels and variables; Elasticsearch refuses a and a.b together",
        replaces: "",
        set: |settings, _, value| match value {
            "keep" => Ok(settings),
            "underscore" => settings.formatted(|format| Ok::<_, String>(format.with_dots_replaced())),
            _ => Err("use keep or underscore".to_owned()),
        },
    },
    RouteOption {
        name: "tag",
        values: "a template",
        default: "{{.ID}} with compat=docker",
        is_list: false,
        help: "Text of the field _tag, with {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}, {{.ImageID}}, \
               {{.ImageFullID}} and {{.DaemonName}}",
        replaces: "tag of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_tag(value)),
    },
    RouteOption {
        name: "latency",
        values: "a number of milliseconds up to 60000",
        default: "200",
        is_list: false,
        help: "Time that a line of a busy log may wait until it is read; 0 follows each log by a stream; the \
               shortest time of all routes counts",
        replaces: "",
        set: |mut settings, _, value| match value.parse() {
            Ok(milliseconds @ 0..=60_000) => {
                settings.latency = Some(Duration::from_millis(milliseconds));
                Ok(settings)
            }
            _ => Err("use a number of milliseconds up to 60000".to_owned()),
        },
    },
    RouteOption {
        name: "content",
        values: "json, logfmt, level or all",
        default: "none",
        is_list: true,
        help: "Reads the severity, time, message, ids and fields of lines in JSON or logfmt; level reads plain lines",
        replaces: "",
        set: |mut settings, _, value| {
            let content: ContentOptions = value.parse().map_err(|error: InvalidContent| error.to_string())?;
            settings.content = settings.content.and(content);
            Ok(settings)
        },
    },
    RouteOption {
        name: "strip_ansi",
        values: "true or false",
        default: "false",
        is_list: false,
        help: "Removes escape sequences of terminals, such as colours",
        replaces: "STRIP_ANSI",
        set: |mut settings, _, value| {
            settings.content.strip_ansi = boolean(value)?;
            Ok(settings)
        },
    },
    RouteOption {
        name: "multiline",
        values: "java, python, go, ruby, node, dotnet, php or rust",
        default: "none",
        is_list: false,
        help: "Joins the lines of stack traces of this language, per container and stream",
        replaces: "",
        set: |settings, _, value| settings.lined(|lines| lines.preset(value)),
    },
    RouteOption {
        name: "multiline.pattern",
        values: "a regular expression",
        default: "none",
        is_list: false,
        help: "Joins lines by a pattern in Go's syntax, which multiline.match explains; a comma is written %2C",
        replaces: "MULTILINE_PATTERN",
        set: |settings, _, value| settings.lined(|lines| lines.pattern(value)),
    },
    RouteOption {
        name: "multiline.match",
        values: "first, last, nonfirst or nonlast",
        default: "nonfirst",
        is_list: false,
        help: "Lines of a message that match the pattern: only the first, only the last, all but the first, \
               or all but the last",
        replaces: "MULTILINE_MATCH",
        set: |settings, _, value| settings.lined(|lines| lines.matches(value)),
    },
    RouteOption {
        name: "multiline.separator",
        values: "TEXT",
        default: "a newline",
        is_list: false,
        help: "Text between two lines of a message",
        replaces: "MULTILINE_SEPARATOR",
        set: |settings, _, value| settings.lined(|lines| lines.separator(value)),
    },
    RouteOption {
        name: "multiline.flush_after",
        values: "1 to 600000 milliseconds",
        default: "500",
        is_list: false,
        help: "Time after its last line at which a message ends",
        replaces: "MULTILINE_FLUSH_AFTER",
        set: |settings, _, value| settings.lined(|lines| lines.flush_after(value)),
    },
    RouteOption {
        name: "multiline.max_lines",
        values: "1 to 65536",
        default: "2048",
        is_list: false,
        help: "Maximum lines of a message; further lines are a further message",
        replaces: "",
        set: |settings, _, value| settings.lined(|lines| lines.max_lines(value)),
    },
    RouteOption {
        name: "multiline.max_bytes",
        values: "1 to 4194304",
        default: "131072",
        is_list: false,
        help: "Maximum bytes of a message of several lines; further lines are a further message",
        replaces: "",
        set: |settings, _, value| settings.lined(|lines| lines.max_bytes(value)),
    },
    RouteOption {
        name: "multiline.default",
        values: "true or false",
        default: "true",
        is_list: false,
        help: "With false, only the lines of containers with LOGSPOUT_MULTILINE=true or a label are joined",
        replaces: "MULTILINE_ENABLE_DEFAULT",
        set: |settings, _, value| settings.lined(|lines| lines.default(value)),
    },
    RouteOption {
        name: "redact",
        values: "default, or some of cards, keys, mail, tokens with commas",
        default: "none",
        is_list: true,
        help: "Replaces secrets by ***, in lines and in fields of commands, labels and variables; default is \
               all kinds",
        replaces: "",
        set: |mut settings, _, value| {
            for kind in value.split(',') {
                let secrets: &[Secret] = match kind {
                    "default" => &Secret::ALL,
                    "cards" => &[Secret::Card],
                    "keys" => &[Secret::Key],
                    "mail" => &[Secret::Mail],
                    "tokens" => &[Secret::Token],
                    _ => return Err("use default, or some of cards, keys, mail and tokens".to_owned()),
                };
                for secret in secrets {
                    settings = settings.redacted(|redaction| redaction.with(*secret))?;
                }
            }
            Ok(settings)
        },
    },
    RouteOption {
        name: "redact.pattern",
        values: "a regular expression",
        default: "none",
        is_list: true,
        help: "Replaces each match, or the groups of each match, by ***",
        replaces: "",
        set: |settings, _, value| settings.redacted(|redaction| redaction.with_pattern(value)),
    },
];

impl Settings {
    fn filtered(
        self,
        change: impl FnOnce(ContainerFilter) -> Result<ContainerFilter, InvalidFilter>,
    ) -> Result<Self, String> {
        Ok(Self { filter: change(self.filter).map_err(|error| error.to_string())?, ..self })
    }

    fn lined(mut self, change: impl FnOnce(&mut LineOptions) -> Result<(), String>) -> Result<Self, String> {
        change(&mut self.lines)?;
        Ok(self)
    }

    fn redacted(
        self,
        change: impl FnOnce(Redaction) -> Result<Redaction, InvalidFormat>,
    ) -> Result<Self, String> {
        self.formatted(|format| {
            let redaction = change(format.redaction().cloned().unwrap_or_default())?;
            Ok::<_, InvalidFormat>(format.with_redaction(redaction))
        })
    }

    fn formatted<E: ToString>(
        self,
        change: impl FnOnce(GelfFormat) -> Result<GelfFormat, E>,
    ) -> Result<Self, String> {
        Ok(Self { format: change(self.format).map_err(|error| error.to_string())?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use docker_source::gelf::GelfFormatter;
    use docker_source::{Container, Record};

    use super::*;
    use crate::logspout::{Effect, VARIABLES};
    use crate::route::Route;

    /// Returns the tables of the options and of the variables as Markdown.
    fn tables() -> [String; 2] {
        let mut options =
            "| option | values | default | meaning | in place of |\n|---|---|---|---|---|\n".to_owned();
        for RouteOption { name, values, default, is_list, help, replaces, .. } in &TABLE {
            let again = if *is_list { "; may be repeated" } else { "" };
            let values = values.replace('|', "\\|");
            writeln!(options, "| `{name}` | {values} | {default} | {help}{again} | {replaces} |").unwrap();
        }
        let mut variables = "| variable | effect |\n|---|---|\n".to_owned();
        for variable in &VARIABLES {
            let effect = match variable.effect {
                Effect::Some(effect) => effect.to_owned(),
                Effect::None(reason) => format!("none, with a warning: {reason}"),
            };
            writeln!(variables, "| `{}` | {effect} |", variable.name).unwrap();
        }
        [options, variables]
    }

    /// Compares the tables with those of the README, or writes them if `GELF_UPDATE_DOCS` is set.
    #[test]
    fn the_readme_has_the_tables_of_options_and_variables() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for table in tables() {
            let head = table.lines().next().unwrap();
            let start = text.find(head).expect("README.md has the table");
            let end = text[start..].find("\n\n").expect("text follows the table") + start + 1;
            if std::env::var_os("GELF_UPDATE_DOCS").is_some() {
                text.replace_range(start..end, &table);
            } else {
                assert_eq!(&text[start..end], table, "run this test with GELF_UPDATE_DOCS=1 to write it");
            }
        }
        if std::env::var_os("GELF_UPDATE_DOCS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
    }

    #[test]
    fn a_name_is_in_the_table_once_and_is_no_option_of_an_endpoint() {
        for (index, option) in TABLE.iter().enumerate() {
            assert!(TABLE[..index].iter().all(|other| other.name != option.name), "{}", option.name);
            assert!(
                gelf_tokio::Endpoint::options().all(|other| other.name != option.name),
                "{}",
                option.name
            );
        }
    }

    fn shop() -> Container {
        Container::builder("shop-1")
            .id("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
            .image("team/shop:1.2")
            .label("ship", "true")
            .label("com.example.team", "blue")
            .env("STAGE=prod")
            .env("DB_PASSWORD=hunter2")
            .log_driver("json-file")
            .build()
    }

    #[test]
    fn each_filter_selects_by_its_property() {
        let takes = |query: &str| Route::parse(&format!("gelf://h?{query}")).unwrap().takes(&shop());
        for (option, matching, other) in [
            ("filter.id", "0123", "123"),
            ("filter.name", "shop-*", "db"),
            ("filter.labels", "ship:t*,com.example.team:blue", "ship:t*,com.example.team:red"),
            ("include.name", "shop-*", "db"),
            ("include.image", "team/shop", "json-file"),
            ("include.label", "ship:TRUE", "ship:false"),
            ("include.driver", "json-*", "journald"),
        ] {
            assert!(takes(&format!("{option}={matching}")), "{option}");
            assert!(!takes(&format!("{option}={other}")), "{option}");
            if let Some(property) = option.strip_prefix("include.") {
                assert!(!takes(&format!("exclude.{property}={matching}")), "{property}");
                assert!(takes(&format!("exclude.{property}={other}")), "{property}");
            } else {
                // As in Logspout, an empty filter selects all containers.
                assert!(takes(&format!("{option}=")), "{option}");
            }
            assert!(option == "filter.labels" || takes(&format!("{option}={other}&{option}={matching}")));
        }
        assert!(!takes("filter.labels=ship:true&filter.labels=ship:false"));
        assert!(!takes("include.name=shop-*&exclude.label=ship"));
    }

    /// Returns the message of a line that a route with these options sends.
    fn message(query: &str, line: &str) -> serde_json::Value {
        let route = Route::parse(&format!("gelf://h?{query}")).unwrap();
        let record = Record::builder(shop(), line.to_owned()).build();
        let message = GelfFormatter::new(route.format).message(&record).to_string();
        serde_json::from_str(&message).unwrap()
    }

    #[test]
    fn each_option_of_fields_adds_its_field() {
        for (query, field, value) in [
            ("host=web-1", "host", "web-1"),
            ("field.cluster=prod", "_cluster", "prod"),
            ("labels=com.example.*", "_com.example.team", "blue"),
            ("labels=x,com.example.team&dots=underscore", "_com_example_team", "blue"),
            ("labels-regex=team$", "_com.example.team", "blue"),
            ("env=STAGE", "_STAGE", "prod"),
            ("env-regex=^ST", "_STAGE", "prod"),
            ("tag={{.ImageName}}/{{.Name}}", "_tag", "team/shop:1.2/shop-1"),
            ("compat=vincit-2017", "_container_name", "/shop-1"),
            ("env=*&redact=keys", "_DB_PASSWORD", "***"),
        ] {
            assert_eq!(message(query, "x")[field], value, "{query}");
        }
        let plain = message("labels=*", "x").to_string();
        assert!(!plain.contains("hunter2") && !plain.contains("prod"), "{plain}");
    }

    #[test]
    fn each_option_of_redaction_replaces_its_secrets() {
        let line = "token=abc a@example.com 4111111111111111 Bearer abcdefghijklmnop id-7";
        for (query, redacted) in [
            ("", line),
            ("redact=default", "token=*** *** *** Bearer *** id-7"),
            ("redact=cards,mail", "token=abc *** *** Bearer abcdefghijklmnop id-7"),
            ("redact=keys&redact=tokens", "token=*** a@example.com 4111111111111111 Bearer *** id-7"),
            ("redact.pattern=[a-z] id-([0-9])", &line.replace("id-7", "id-***")),
        ] {
            assert_eq!(message(query, line)["short_message"], redacted, "{query}");
        }
    }
}
