//! Tests of the command line.

use gelf_tokio::Transport;

use super::*;
use crate::route::UDP_RATE;

fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Options, Exit> {
    let arguments = ["gelf-router"].iter().chain(arguments).map(OsString::from);
    let variable = |name: &str| environment.iter().find(|(known, _)| *known == name);
    parse(arguments, |name| variable(name).map(|(_, value)| (*value).to_owned()), read)
}

const FILE: &str = "state = \"/s\"\nlog-level = \"warn\"\n[[route]]\nto = \"gelf+tcp://file\"";

/// Reads one of the two files that the tests use.
fn read(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some("file.toml") => Ok(FILE.to_owned()),
        Some("wrong.toml") => Ok("\nroutes = 1".into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

#[test]
fn the_file_sets_options_and_routes_that_the_command_line_does_not_set() {
    let options = parsed(&["--config=file.toml"], &[("ROUTE_URIS", "gelf://env")]).unwrap();
    assert_eq!(
        (options.routes[0].to_string(), options.log_level),
        ("gelf+tcp://file:12201".into(), Level::WARN)
    );
    assert_eq!(options.state.as_deref(), Some(Path::new("/s")));
    let arguments = ["--config=file.toml", "--state=/t", "--log-level=error", "gelf+tcp://argument"];
    let options = parsed(&arguments, &[]).unwrap();
    assert_eq!((options.routes.len(), options.log_level), (1, Level::ERROR));
    assert_eq!(options.routes[0].to_string(), "gelf+tcp://argument:12201");
    assert_eq!(options.state.as_deref(), Some(Path::new("/t")));
    assert_eq!(routes(&["explain", "--config=file.toml"], &[]).len(), 1);
    for (argument, says) in [
        ("--config=wrong.toml", "--config wrong.toml: line 2: unknown key"),
        ("--config=missing.toml", "--config missing.toml: entity not found"),
    ] {
        assert!(matches!(parsed(&[argument], &[]), Err(Exit::Mistake(mistake)) if mistake.starts_with(says)));
    }
}

#[test]
fn the_http_address_is_returned_with_its_origin_the_command_line_before_the_file_before_the_variables() {
    let [argument, file, variables] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    for (set, expected) in [
        ((Some(argument), Some(file), Some(variables)), Some((argument, AddressFrom::CommandLine))),
        ((None, Some(file), Some(variables)), Some((file, AddressFrom::File))),
        ((None, None, Some(variables)), Some((variables, AddressFrom::Variables))),
        ((None, None, None), None),
    ] {
        assert_eq!(http_address(set.0, set.1, set.2), expected);
    }
    let options = parsed(&["--http=127.0.0.1:1"], &[("HTTP_BIND_ADDRESS", "0.0.0.0")]).unwrap();
    assert_eq!(options.http.unwrap().address_from, AddressFrom::CommandLine);
}

#[test]
fn the_printed_configuration_has_the_options_of_the_environment() {
    let environment = [("EXCLUDE_LABEL", "a;b:c"), ("GELF_HOSTNAME", "web-1"), ("DEBUG", "1")];
    let arguments = ["--print-config", "--no-seq", "gelf://h?host=own,gelf+tcp://i"];
    let Err(Exit::Help(text)) = parsed(&arguments, &environment) else { panic!("no text") };
    assert_eq!(
        text,
        "log-level = \"debug\"\nno-seq = true\n\n\
         [[route]]\nto = \"gelf://h\"\nhost = \"own\"\nexclude.label = [\"a:true\", \"b:c\"]\n\n\
         [[route]]\nto = \"gelf+tcp://i\"\nhost = \"web-1\"\nexclude.label = [\"a:true\", \"b:c\"]\n"
    );
}

fn routes(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    parsed(arguments, environment).unwrap().routes.iter().map(Route::to_string).collect()
}

#[test]
fn one_argument_holds_several_routes() {
    let one = routes(&["gelf://logstash.core:12201"], &[]);
    assert_eq!(one.len(), 1);
    let both = routes(&["gelf://logstash.core:12201,gelf+tcp://b"], &[]);
    assert_eq!((both.len(), &both[0]), (2, &one[0]));
    assert_eq!(routes(&["gelf://a", "gelf://b"], &[]).len(), 2);
}

#[test]
fn route_uris_applies_only_if_the_command_line_has_no_routes() {
    let environment = [("ROUTE_URIS", "gelf://from-env,gelf://too")];
    assert_eq!(routes(&[], &environment).len(), 2);
    assert_eq!(routes(&["gelf://argument"], &environment), routes(&["gelf://argument"], &[]));
}

#[test]
fn a_route_over_udp_without_a_rate_gets_the_default_rate() {
    let rates = |route: &str| -> Vec<_> {
        let routes = parsed(&[route], &[]).unwrap().routes;
        let rate = |route: &Route| match route.endpoint.transport() {
            Transport::Udp(udp) => udp.rate.map(u32::from),
            _ => None,
        };
        routes.iter().map(rate).collect()
    };
    assert_eq!(
        rates("gelf://a,gelf+udp://b:1?rate=50&queue=9,gelf+tcp://c"),
        [Some(UDP_RATE), Some(50), None]
    );
    let [route] = &parsed(&["gelf://[::1]:7?queue=9"], &[]).unwrap().routes[..] else {
        panic!("there is not exactly one route")
    };
    let endpoint = &route.endpoint;
    assert_eq!((endpoint.host(), endpoint.port(), endpoint.queue().max_messages), ("::1", 7, 9));
}

#[test]
fn variables_are_expanded_before_routes_are_split() {
    let environment = [("HOST", "h"), ("ROUTES", "gelf://a,gelf://b"), ("EMPTY", "")];
    assert_eq!(routes(&["gelf://$HOST:1"], &environment), routes(&["gelf://h:1"], &[]));
    assert_eq!(routes(&["gelf://${HOST}x:1"], &environment), routes(&["gelf://hx:1"], &[]));
    assert_eq!(routes(&["$ROUTES,$EMPTY,$UNSET"], &environment).len(), 2);
}

#[test]
fn the_usage_is_shown_if_the_router_has_nothing_to_do() {
    assert!(matches!(parsed(&[], &[]), Err(Exit::Usage(usage)) if usage.contains("Usage: gelf-router")));
    assert!(matches!(parsed(&[","], &[]), Err(Exit::Usage(_))));
    assert!(parsed(&["--print"], &[]).unwrap().routes.is_empty());
}

#[test]
fn routes_of_other_adapters_are_left_out_with_a_warning_if_another_route_remains() {
    for (list, foreign) in [
        ("gelf://a,logstash://b:5000", "logstash://b:5000"),
        ("syslog+tls://b:514?structured_data=x,gelf+tcp://a", "syslog+tls://b:514"),
        ("raw://b#name,gelf://a", "raw://b"),
    ] {
        let options = parsed(&[list], &[]).unwrap();
        let warning = format!("route {foreign:?} is left out: only gelf:// and gelf+...:// are supported");
        assert_eq!((options.routes.len(), options.warnings), (1, vec![warning]));
    }
    assert_eq!(parsed(&["--print", "syslog://b"], &[]).unwrap().warnings.len(), 1);
    for list in ["syslog://b,raw://c", "gelf://a,gelff://b", "\"gelf://a,gelf://b\"", "gelf://a,b:1"] {
        assert!(matches!(parsed(&[list], &[]), Err(Exit::Mistake(_))), "{list}");
    }
}

#[test]
fn the_fragment_of_a_route_is_its_name_although_logspout_ignores_fragments() {
    let options = parsed(&["gelf://h?queue=9#archive,gelf://h#"], &[]).unwrap();
    let names: Vec<_> = options.routes.iter().map(|route| route.uri().name.as_deref()).collect();
    assert_eq!(names, [Some("archive"), None]);
}

#[test]
fn options_of_the_environment_reach_every_route_and_the_route_of_print() {
    let environment = [("EXCLUDE_LABEL", "secret"), ("DEBUG", "1"), ("INACTIVITY_TIMEOUT", "1m")];
    let options = parsed(&["--print", "gelf://a,gelf+tcp://b"], &environment).unwrap();
    let secret = docker_source::Container::builder("x").label("secret", "TRUE").build();
    assert!(options.routes.len() == 2 && options.routes.iter().all(|route| !route.takes(&secret)));
    assert!(!Route::new(options.print.unwrap()).unwrap().takes(&secret));
    assert_eq!((options.log_level, options.warnings.len()), (Level::DEBUG, 1));
    assert_eq!(parsed(&["gelf://a", "--log-level=warn"], &environment).unwrap().log_level, Level::WARN);
}

#[test]
fn the_doctor_and_tail_need_no_routes() {
    let arguments = ["doctor", "--config=file.toml", "--state=/t", "gelf://argument"];
    let options = parsed(&arguments, &[]).unwrap();
    assert_eq!((options.task, options.routes.len()), (Task::Doctor, 1));
    assert_eq!((options.state.as_deref(), options.log_level), (Some(Path::new("/t")), Level::WARN));
    assert_eq!(parsed(&["doctor"], &[]).unwrap().log_level, Level::ERROR);
    assert_eq!(parsed(&["doctor"], &[("ROUTE_URIS", "gelf://a,gelf://b")]).unwrap().routes.len(), 2);
    assert_eq!(parsed(&["tail"], &[]).unwrap().task, Task::Tail { names: Vec::new() });
    assert!(matches!(parsed(&["tail", "["], &[]), Err(Exit::Mistake(_))));
}

#[test]
fn the_backlog_of_the_command_line_takes_precedence_over_that_of_logspouts_variables() {
    let backlog = |argument: &[&str], environment: &[(&str, &str)]| {
        parsed(&[&["gelf://h"], argument].concat(), environment).map(|options| options.backlog)
    };
    assert_eq!(backlog(&[], &[]).unwrap(), None);
    for (variables, expected) in [
        (&[("BACKLOG", "true")][..], Some(Backlog::All)),
        (&[("BACKLOG", "true"), ("TAIL", "all")], Some(Backlog::All)),
        (&[("BACKLOG", "true"), ("TAIL", "50")], Some(Backlog::Last(50))),
        (&[("BACKLOG", "false"), ("TAIL", "50")], Some(Backlog::None)),
    ] {
        assert_eq!(backlog(&[], variables).unwrap(), expected, "{variables:?}");
        assert_eq!(backlog(&["--backlog=7"], variables).unwrap(), Some(Backlog::Last(7)));
    }
    for (variables, warning) in [
        (&[("BACKLOG", "false"), ("TAIL", "50")], "TAIL has no effect: BACKLOG is not true"),
        (&[("BACKLOG", "1"), ("DEBUG", "")], "BACKLOG has no effect: it is neither true nor false"),
    ] {
        assert_eq!(parsed(&["gelf://h"], variables).unwrap().warnings, [warning]);
    }
    let wrong = backlog(&[], &[("BACKLOG", "true"), ("TAIL", "-1")]).unwrap_err();
    assert!(matches!(&wrong, Exit::Mistake(text) if text.starts_with("TAIL: ")), "{wrong:?}");
    let Err(Exit::Help(text)) = parsed(&["gelf://h", "--print-config"], &[("BACKLOG", "true")]) else {
        panic!("no configuration is printed");
    };
    assert!(text.starts_with("backlog = \"all\"\n"), "{text}");
}

#[test]
fn the_value_of_print_holds_route_options() {
    let print = |arguments: &[&str]| parsed(arguments, &[]).unwrap().print.map(|uri| uri.options);
    assert_eq!(print(&["--print"]), Some(vec![]));
    let filter = ("filter.name".to_owned(), "a*".to_owned());
    assert_eq!(print(&["--print=filter.name=a*", "gelf://h"]), Some(vec![filter]));
    assert_eq!(print(&["gelf://h"]), None);
}

#[test]
fn a_task_without_routes_ignores_the_variables_of_the_agent() {
    let environment = [
        ("ROUTE_URIS", "nonsense"),
        ("RAW_FORMAT", "x"),
        ("LOGSPOUT_TLS_CA_CERTS", "/missing"),
        ("PORT", "http"),
    ];
    for arguments in [&["audit"][..], &["check"], &["proxy", "--listen=unix:///s"], &["tail"]] {
        let options = parsed(arguments, &environment).unwrap();
        assert_eq!((options.routes.len(), options.warnings.len()), (0, 0), "{arguments:?}");
    }
    for wrong in [&["proxy"][..], &["proxy", "--listen=/s"], &["check", "--within=0"], &["check", "--http=x"]]
    {
        assert!(matches!(parsed(wrong, &[]), Err(Exit::Mistake(_))), "{wrong:?}");
    }
}

#[test]
fn a_mistake_names_the_missing_arguments_on_one_line() {
    let Err(Exit::Mistake(mistake)) = parsed(&["proxy"], &[]) else { panic!() };
    assert_eq!(
        mistake,
        "the following required arguments were not provided: --listen <ADDRESS>; see gelf-router --help"
    );
    let Err(Exit::Mistake(mistake)) = parsed(&["check", "--within=0"], &[]) else { panic!() };
    assert_eq!(mistake.lines().count(), 1);
}
