//! Tests of `explain` and `--print-config`, and of the configurations that deployments of Logspout have. Each
//! configuration consists of a command line and an environment like those of a published deployment file.

use std::process::{Command, Output};

use simulated_engine::{ContainerOptions, SimulatedEngine};

/// Creates and starts the containers of the simulated Engine.
fn containers(engine: &SimulatedEngine) {
    let options = [
        ContainerOptions::named("shop-1").label("logger", "true"),
        ContainerOptions::named("k8s_app_web-5d4").tty(),
        ContainerOptions::named("vault").label("secret", "True"),
        ContainerOptions::named("logspout").env("LOGSPOUT=ignore"),
    ];
    options.into_iter().for_each(|options| engine.create(options).start());
}

async fn router(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let engine = SimulatedEngine::start().await;
    containers(&engine);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.args(arguments).env_remove("ROUTE_URIS").env("DOCKER_HOST", engine.docker_host());
    command.envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Asserts that `explain` shows these lines.
#[track_caller]
fn assert_shows(output: Output, lines: &[&str]) {
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for line in lines {
        assert!(text.lines().any(|shown| shown.trim() == *line), "{line:?} is missing:\n{text}");
    }
}

/// The lines for the containers if one route selects each container that does not exclude itself.
const ALL: [&str; 4] = [
    "shop-1 9e3779b97f4a: route 1",
    "k8s_app_web-5d4 3c6ef372fe94: route 1",
    "vault daa66d2c7ddf: route 1",
    "logspout 78dde6e5fd29: no route, since LOGSPOUT=ignore is in its environment",
];

#[tokio::test(flavor = "multi_thread")]
async fn one_route_ships_all_containers_that_do_not_exclude_themselves() {
    let output = router(&["explain", "gelf://logstash.core:12201"], &[]).await;
    assert_shows(output, &ALL);
    let backlog = [("BACKLOG", "false")];
    let output = router(&["explain", "gelf://logstash:12201"], &backlog).await;
    let says = "BACKLOG sets --backlog=all if it is true, and --backlog=none if it is false";
    assert_shows(output, &[&ALL[..], &[says]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_routes_keeps_the_gelf_routes_and_leaves_out_the_others() {
    let output = router(&["explain", "gelf://graylog:12201,logstash://elk:5000"], &[]).await;
    let left_out = "route \"logstash://elk:5000\" is left out: only gelf:// and gelf+...:// are supported";
    assert_shows(output, &[&ALL[..], &["1: gelf://graylog:12201", left_out]].concat());
    let output = router(&["explain", "logstash://elk:5000"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_for_a_label_ships_only_containers_with_this_label() {
    let output = router(&["explain", "gelf://graylog:12201?filter.labels=logger:true"], &[]).await;
    let vault = ["vault daa66d2c7ddf: no route", "not route 1: its labels do not match logger:true"];
    assert_shows(output, &[&ALL[..1], &vault].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactivity_timeout_has_no_effect() {
    let output = router(&["explain", "gelf://graylog:12201"], &[("INACTIVITY_TIMEOUT", "1m")]).await;
    assert_shows(
        output,
        &[&ALL[..], &["INACTIVITY_TIMEOUT has no effect: quiet logs need no restart"]].concat(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_logspout_gelf_image_apply_to_plain_and_multiline_routes() {
    let environment =
        [("COMPRESS_TYPE", "none"), ("EXCLUDE_LABEL", "secret"), ("EXTRA_JSON", r#"{"_cluster":"prod"}"#)];
    let shows = [
        "compression = none",
        "exclude.label = secret:true",
        "field.cluster = prod",
        ALL[0],
        "vault daa66d2c7ddf: no route",
        "not route 1: its label matches secret:true, which is excluded",
    ];
    let output = router(&["explain", "gelf://graylog:12201"], &environment).await;
    assert_shows(output, &shows);
    let output = router(&["explain", "multiline+gelf://graylog:12201"], &environment).await;
    let joins = ["1: gelf://graylog:12201", r"multiline.pattern = ^\s", r"multiline = nonfirst ^\s"];
    assert_shows(output, &[&shows[..], &joins].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_tls_in_the_environment_become_options_of_the_route() {
    let environment = [
        ("LOGSPOUT_TLS_CA_CERTS", "/opt/tls/ca.pem"),
        ("LOGSPOUT_TLS_CLIENT_CERT", "/opt/tls/client.pem"),
        ("LOGSPOUT_TLS_CLIENT_KEY", "/opt/tls/key.pem"),
    ];
    let output = router(&["explain", "gelf+tls://graylog:12201"], &environment).await;
    let shows = ["ca = /opt/tls/ca.pem", "cert = /opt/tls/client.pem", "key = /opt/tls/key.pem"];
    assert_shows(output, &[&ALL[..], &shows].concat());
    assert_shows(router(&["explain", "gelf+tls://graylog:12201"], &[]).await, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_route_and_the_effects_of_variables_are_shown() {
    let environment = [
        ("SYSLOG_HOSTNAME", "hassio"),
        ("INACTIVITY_TIMEOUT", "5m"),
        ("ROUTESPATH", "/data/routes"),
        ("STRIP_ANSI", "1"),
    ];
    let output = router(&["explain", "gelf://graylog:12201#hassio-main"], &environment).await;
    let shows = [
        "1: gelf://graylog:12201 (hassio-main)",
        "host = hassio",
        "strip_ansi = 1",
        "STRIP_ANSI sets strip_ansi= of routes that lack it",
        "ROUTESPATH keeps the routes that the HTTP API adds in this folder, if it exists, for the next start",
    ];
    assert_shows(output, &[&ALL[..], &shows].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_for_names_is_found_in_the_environment_and_quotes_are_refused() {
    let routes = [("ROUTE_URIS", "gelf://graylog:12201?filter.name=k8s_*")];
    let output = router(&["explain"], &routes).await;
    assert_shows(output, &[ALL[1], "not route 1: its name does not match k8s_*"]);
    let output = router(&["explain"], &[("ROUTE_URIS", "\"gelf://graylog:12201\"")]).await;
    assert_eq!(output.status.code(), Some(2));
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(says.contains("unknown scheme \"\\\"gelf\": use gelf://HOST"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_configuration_has_the_routes_and_options_of_the_router_that_printed_it() {
    let environment = [("EXCLUDE_LABEL", "secret"), ("GELF_HOSTNAME", "web-1")];
    let printed = router(&["--print-config", "gelf://graylog:12201#main"], &environment).await;
    let text = String::from_utf8(printed.stdout).unwrap();
    let file = std::env::temp_dir().join(format!("gelf-router-{}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let output = router(&["explain", "--config", file.to_str().unwrap()], &[]).await;
    std::fs::remove_file(file).unwrap();
    let shows = [
        "1: gelf://graylog:12201 (main)",
        "host = web-1",
        "exclude.label = secret:true",
        "No variable of Logspout is set",
        "vault daa66d2c7ddf: no route",
    ];
    assert_shows(output, &shows);
}

#[test]
fn an_explanation_without_an_engine_is_one_line_and_exit_status_1() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.args(["explain", "gelf://h"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}
