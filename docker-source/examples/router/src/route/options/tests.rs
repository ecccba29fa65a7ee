//! Tests the table of a route's options, and the tables of options and of variables in the README.

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
        assert!(gelf_tokio::Endpoint::options().all(|other| other.name != option.name), "{}", option.name);
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
fn each_filter_of_containers_selects_by_its_property() {
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

/// Returns the message that a route with these options sends for a line.
fn message(query: &str, line: &str) -> serde_json::Value {
    let route = Route::parse(&format!("gelf://h?{query}")).unwrap();
    let record = Record::builder(shop(), line.to_owned()).build();
    let message = GelfFormatter::new(route.format).message(&record).to_string();
    serde_json::from_str(&message).unwrap()
}

#[test]
fn options_of_fields_set_the_fields_of_a_message() {
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
