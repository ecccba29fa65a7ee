//! Tests of mistakes on the command line and in the environment. The router prints one line that names the mistake,
//! and exits with status 2, or with status 1 if a file of a route is unusable. Without arguments, it prints the usage.

use std::process::{Command, Output};

fn router(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.args(arguments).env_remove("ROUTE_URIS").env("RUST_BACKTRACE", "1");
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command.envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn one_line(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

#[test]
fn an_invalid_route_causes_one_line_and_exit_status_2() {
    for (route, says) in [
        ("syslog://host:514", "gelf://"),
        ("logstash.core:12201", "gelf://"),
        ("gelf://", "host"),
        ("gelf://host:99999", "port"),
        ("gelf://host/path", "path"),
        ("gelf://user@host", "user"),
        ("gelf://host?colour=red", "compression"),
        ("gelf://host?filter.name=%5Ba", "filter.name"),
        ("gelf://host?filter.name=a%2Cb", "no container name has the character ','"),
        ("gelf://host?filter.name=ok&filter.name=shop%20*", "no container name has the character ' '"),
        ("\"gelf://host\"", "gelf://"),
        ("gelf://host?compression=brotli", "gzip"),
        ("gelf://host?datagram_size=12", "datagram_size"),
        ("gelf+tcp://host?compression=gzip", "compression"),
        ("gelf://host?compat=vincit", "vincit-2017"),
        ("gelf://host?compat=docker&compat=docker", "twice"),
        ("gelf://host?host=%20", "blank"),
        ("gelf://host?field.a/b=1", "\"field.a/b=1\": a field name may have only"),
        ("gelf://host?field._id=1", "\"field._id=1\": the field name 'id' is reserved"),
        ("gelf://host?field.container_name=x", "\"field.container_name=x\": the name is reserved"),
        ("gelf://host?field.type=ecs", "reserved"),
        ("gelf://host?field.a=1&field._a=2", "\"field._a=2\": the field is given twice"),
        ("gelf://host?filter.id=web", "\"filter.id=web\": an id has"),
        ("gelf://host?filter.labels=logger", "\"filter.labels=logger\": an entry without a colon"),
        ("gelf://host?filter.sources=stdin", "\"filter.sources=stdin\": use stdout"),
        ("gelf://host?exclude.image=%5Ba", "\"exclude.image=[a\": the class"),
        ("gelf://host?labels=", "\"labels=\": the pattern matches the empty text"),
        ("gelf://host?env=%5Ba", "\"env=[a\": the class"),
        ("gelf://host?labels-regex=(", "\"labels-regex=(\": not a regular expression: unclosed group"),
        ("gelf://host?tag={{.Nome}}", "\"tag={{.Nome}}\": the braces at byte 0 are none of {{.ID}}"),
        ("gelf://host?dots=drop", "\"dots=drop\": use keep or underscore"),
        ("gelf://host?redact=card", "\"redact=card\": use default, or some of cards, keys"),
        ("gelf://host?redact.pattern=a*", "\"redact.pattern=a*\": the pattern matches the empty text"),
        ("gelf://host?redact.pattern=x{99999999}", "regular expression"),
        ("gelf://host?include.label=", "\"include.label=\": the pattern is empty"),
        ("gelf://host?filter.sources=stdout&filter.sources=stderr", "twice"),
        (
            "gelf://host?content=xml",
            "\"content=xml\": use all, off, or a comma-separated list of json, logfmt and level",
        ),
        ("gelf://host?strip_ansi=yes", "use true or false"),
        ("gelf://host?multiline=cobol", "\"multiline=cobol\": unknown preset: use java, "),
        ("gelf://host?multiline.pattern=(", "the pattern cannot be used: unclosed group"),
        ("gelf://host?multiline.pattern=(.{99}){99}", "more than 128 KiB"),
        ("gelf://host?multiline.pattern=a&multiline.match=second", "use first, last, nonfirst or nonlast"),
        ("gelf://host?multiline.match=first", "\"multiline.match\": it needs multiline.pattern"),
        ("gelf://host?multiline=go&multiline.pattern=a", "the route has a preset, too"),
        ("gelf://host?multiline.flush_after=1s", "use a number of 1 to 600000 ms"),
        ("gelf://host?multiline.max_lines=0", "use a number of 1 to 65536"),
    ] {
        let line = one_line(&router(&[route], &[]), 2);
        assert!(line.starts_with("gelf-router: route "), "{line}");
        assert!(line.contains(says), "{line}");
        assert_eq!(one_line(&router(&[], &[("ROUTE_URIS", route)]), 2), line);
    }
}

#[test]
fn a_route_with_an_unusable_file_ends_the_router_even_if_no_engine_runs() {
    for options in ["ca=/nonexistent.pem", "cert=/nonexistent.pem&key=/nonexistent.pem"] {
        let route = format!("gelf+tls://host?{options}");
        for arguments in [vec![route.as_str()], vec!["gelf://host", &route, "--print"]] {
            let line = one_line(&router(&[&["--log-level=error"], &arguments[..]].concat(), &[]), 1);
            assert!(line.starts_with(&format!("gelf-router: {}", "gelf+tls://host:12201?")), "{line}");
            assert!(line.contains("/nonexistent.pem"), "{line}");
        }
    }
}

#[test]
fn an_unknown_option_or_an_invalid_value_causes_one_line_and_exit_status_2() {
    let line = one_line(&router(&["--pront"], &[]), 2);
    assert_eq!(line, "gelf-router: unexpected argument '--pront' found; did you mean --print?");
    assert!(one_line(&router(&["--log-level=loud", "gelf://h"], &[]), 2).contains("--help"));
    assert!(one_line(&router(&["--print=colour=red"], &[]), 2).contains("--print"));
}

#[test]
fn an_invalid_docker_host_causes_one_line_and_exit_status_2() {
    for host in ["https://host", "ssh://host", "npipe:////./pipe/docker", "tcp://", "nonsense"] {
        let line = one_line(&router(&["gelf://h"], &[("DOCKER_HOST", host)]), 2);
        assert!(line.contains("DOCKER_HOST"), "{line}");
    }
}

#[test]
fn without_arguments_the_router_shows_its_usage_and_exits_with_status_2() {
    let output = router(&[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: gelf-router"));
}

#[test]
fn help_and_version_go_to_stdout_and_the_exit_status_is_0() {
    for (argument, says) in [("--help", "ROUTE_URIS"), ("-h", "Usage"), ("--version", "gelf-router 0.1.0")] {
        let output = router(&[argument], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        assert!(String::from_utf8(output.stdout).unwrap().contains(says), "{argument}");
    }
}

#[test]
fn a_missing_certificate_of_the_engine_causes_one_line_and_exit_status_2() {
    let tls =
        [("DOCKER_HOST", "tcp://host"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/nonexistent")];
    let line = one_line(&router(&["gelf://h"], &tls), 2);
    assert!(line.starts_with("gelf-router: DOCKER_CERT_PATH: /nonexistent/ca.pem: "), "{line}");
}

#[test]
fn an_invalid_variable_of_logspout_causes_one_line_and_exit_status_2() {
    for (name, value) in [
        ("EXCLUDE_LABEL", ":true"),
        ("EXCLUDE_LABELS", "a;:true"),
        ("EXTRA_JSON", "env=prod"),
        ("LOGSPOUT_TLS_CA_CERTS", "/a.pem,/b.pem"),
    ] {
        let line = one_line(&router(&["gelf://h"], &[(name, value)]), 2);
        assert!(line.starts_with(&format!("gelf-router: {name}")), "{line}");
    }
    for (name, value, says) in [
        (
            "COMPRESS_TYPE",
            "snappy",
            "compression cannot be \"snappy\": use gzip, zlib or none; the option comes from COMPRESS_TYPE",
        ),
        ("EXTRA_JSON", r#"{"type":"x"}"#, "\"field.type=x\": the name is reserved"),
    ] {
        let line = one_line(&router(&["gelf://h"], &[(name, value)]), 2);
        assert!(line.contains(says) && line.ends_with(&format!("; the option comes from {name}")), "{line}");
    }
    let untrusted = [("LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS", "true")];
    let line = one_line(&router(&["gelf+tls://h"], &untrusted), 2);
    assert!(
        line.starts_with("gelf-router: route \"gelf+tls://h\": LOGSPOUT_TLS_DISABLE_SYSTEM_ROOTS"),
        "{line}"
    );
}
