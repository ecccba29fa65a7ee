//! Defines the table of a route's options. A new option needs a row here, and code that uses its setting.

use std::time::Duration;

use docker_source::content::{ContentOptions, InvalidContent};
use docker_source::gelf::InvalidCompat;
use docker_source::{Property, Secret, StreamFilter};

use super::RouteOption;
use crate::route::lines::boolean;

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
        help: "Sends as a field each label whose name matches; those of Compose, Swarm, Kubernetes and ECS \
               need no option",
        replaces: "labels of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_labels(value)),
    },
    RouteOption {
        name: "labels-regex",
        values: "a regular expression",
        default: "none",
        is_list: true,
        help: "Sends as a field each label whose name has a match",
        replaces: "labels-regex of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_labels_regex(value)),
    },
    RouteOption {
        name: "env",
        values: "GLOB,GLOB...",
        default: "none",
        is_list: true,
        help: "Sends as a field each variable of a container, if the variable's name matches",
        replaces: "env of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_env(value)),
    },
    RouteOption {
        name: "env-regex",
        values: "a regular expression",
        default: "none",
        is_list: true,
        help: "Sends as a field each variable of a container, if the variable's name has a match",
        replaces: "env-regex of Docker's driver",
        set: |settings, _, value| settings.formatted(|format| format.with_env_regex(value)),
    },
    RouteOption {
        name: "dots",
        values: "keep or underscore",
        default: "keep",
        is_list: false,
        help: "Dots in the names of fields that labels and variables become; Elasticsearch refuses a and a.b together",
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
        help: "A message ends this time after its last line",
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
