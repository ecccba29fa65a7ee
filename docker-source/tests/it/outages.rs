//! Tests with an Engine that does not run, that stops, or that is not supported.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{
    Logged, assert_nothing_left, builder, connect, eventually, ready, texts, timing, within,
};
use docker_source::EngineError;
use simulated_engine::{ContainerOptions, Fault, Options, RequestKind, SimulatedEngine, Stream};
use tokio::time::sleep;

#[tokio::test]
async fn an_engine_that_is_too_old_is_a_permanent_error() {
    let engine =
        SimulatedEngine::start_with(Options { api_version: "1.39".into(), ..Options::default() }).await;
    let error = within(builder(&engine).connect()).await.unwrap_err();
    assert!(matches!(error, EngineError::TooOld { .. }), "{error:?}");
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "the Engine supports API versions up to 1.39, but 1.40 is required: upgrade to Docker 19.03 or later"
    );
}

#[tokio::test]
async fn an_engine_that_no_longer_supports_this_client_is_a_permanent_error() {
    let options =
        Options { api_version: "1.60".into(), min_api_version: "1.50".into(), ..Options::docker_29() };
    let engine = SimulatedEngine::start_with(options).await;
    let error = within(builder(&engine).connect()).await.unwrap_err();
    assert!(error.is_permanent(), "{error:?}");
    let expected = "status 400: client version 1.47 is too old. Minimum supported API version is 1.50";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_newer_engine_is_used_with_the_newest_supported_version() {
    let engine =
        SimulatedEngine::start_with(Options { api_version: "1.54".into(), ..Options::default() }).await;
    let _source = connect(&engine).await;
    assert!(engine.count("GET /v1.47/") >= 3, "{:?}", engine.requests());
    assert_eq!(engine.count("GET /v1.54/"), 0);
}

#[tokio::test]
async fn a_socket_without_permission_is_a_permanent_error() {
    let engine = SimulatedEngine::start().await;
    std::fs::set_permissions(engine.socket(), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::os::unix::net::UnixStream::connect(engine.socket()).is_ok() {
        eprintln!("skipped: this user may open any socket");
        return;
    }
    let error = within(builder(&engine).connect()).await.unwrap_err();
    assert!(error.is_permanent());
    assert!(error.to_string().starts_with("permission denied on unix:///"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_log_without_a_proof_is_resumed_without_the_parameter_since_which_skips_compressed_files() {
    let engine = SimulatedEngine::start_with(Options { clock_runs: true, ..Options::docker_20_10() }).await;
    for options in [ContainerOptions::named("web"), ContainerOptions::named("shell").tty()] {
        // The Engine writes each line into a separate file.
        let web = engine.create(options.rotated(1, 0).compressed());
        let mut source = connect(&engine).await;
        web.start();
        web.line(Stream::Stdout, "1");
        assert_eq!(texts(&mut source, 1).await, ["1"]);
        sleep(Duration::from_millis(1500)).await;
        web.line(Stream::Stdout, "2");
        assert_eq!(texts(&mut source, 1).await, ["2"]);
        engine.go_away().await;
        web.line(Stream::Stdout, "3");
        engine.come_back();
        assert_eq!(texts(&mut source, 1).await, ["3"]);
        assert_eq!(source.stats().snapshot().total.gaps, 0);
        assert_nothing_left(&mut source).await;
        web.die();
        web.destroy();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_info_the_host_name_and_clock_of_this_machine_are_used_with_one_warning() {
    use std::time::SystemTime;

    let own_host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for code in [401, 403, 404, 405, 501] {
        let logged = Logged::here();
        let engine = SimulatedEngine::start().await;
        engine.fail_info(Fault::Status(code, "no".into()));
        let web = engine.create(ContainerOptions::named("web"));
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        web.start();
        web.piece(Stream::Stdout, i64::try_from(before).unwrap(), "before\n");
        let mut source = connect(&engine).await;
        assert_eq!(source.engine_host(), own_host.trim());
        let after = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        web.piece(Stream::Stdout, i64::try_from(after).unwrap(), "after\n");
        assert_eq!(texts(&mut source, 1).await, ["after"]);
        let warnings = logged.matching("WARN");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("GET info with status {code}: no")), "{warnings:?}");
        assert!(warnings[0].ends_with(&format!("of this machine, {:?}", own_host.trim())), "{warnings:?}");
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn the_source_waits_with_one_warning_for_an_engine_that_does_not_run_yet() {
    let logged = Logged::here();
    let engine = SimulatedEngine::away(Options::default());
    let web = engine.create(ContainerOptions::named("web"));
    let connecting = tokio::spawn(builder(&engine).connect());
    let warned = async {
        while logged.matching("WARN").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within(warned).await;
    assert!(!connecting.is_finished());
    // Once the Engine runs, it answers the first `GET info` with an error. This error prolongs the outage,
    // and is not logged.
    engine.fail_info(Fault::Status(500, "starting".into()));
    engine.come_back();
    let mut source = within(connecting).await.unwrap().unwrap();
    web.start();
    web.line(Stream::Stdout, "one");
    assert_eq!(texts(&mut source, 1).await, ["one"]);
    let warnings = logged.matching("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("start Docker, mount the socket, or set DOCKER_HOST"), "{warnings:?}");
    assert_eq!(logged.matching("INFO the Engine answers again").len(), 1);
}

#[tokio::test]
async fn an_outage_loses_no_line_and_is_logged_once() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let stats = source.stats();
    let web = engine.create(ContainerOptions::named("web"));
    let job = engine.create(ContainerOptions::named("job"));
    let renamed = engine.create(ContainerOptions::named("before"));
    for container in [&web, &job, &renamed] {
        container.start();
        container.line(Stream::Stdout, "0");
        assert_eq!(texts(&mut source, 1).await, ["0"]);
    }
    for outage in 1..=3u64 {
        engine.go_away().await;
        web.line(Stream::Stdout, format!("web {outage}"));
        if outage == 1 {
            job.line(Stream::Stdout, "last words");
            job.die();
            renamed.rename("after");
            renamed.line(Stream::Stdout, "renamed");
        }
        engine.come_back();
        eventually(&stats, |stats| stats.snapshot().events_connections == outage + 1).await;
        eventually(&stats, |stats| stats.snapshot().lists == outage + 1).await;
        let mut lines = texts(&mut source, if outage == 1 { 3 } else { 1 }).await;
        lines.sort();
        match outage {
            1 => assert_eq!(lines, ["last words", "renamed", "web 1"]),
            _ => assert_eq!(lines, [format!("web {outage}")]),
        }
    }
    web.line(Stream::Stdout, "end");
    assert_eq!(texts(&mut source, 1).await, ["end"]);
    assert!(logged.matching("WARN").len() <= 3, "{:?}", logged.matching("WARN"));
    assert_eq!(logged.matching("WARN").len(), logged.matching("answers again").len());
    assert_nothing_left(&mut source).await;
}

#[tokio::test(start_paused = true)]
async fn logs_are_resumed_in_turn_after_an_outage_but_a_container_that_starts_is_read_immediately() {
    const CONTAINERS: usize = 50;
    const IN_TURN: usize = 2;
    for options in [Options::docker_20_10(), Options::docker_29(), Options::podman_4_3()] {
        let engine = SimulatedEngine::start_with(options).await;
        let mut source = connect(&engine).await;
        let create = |number: usize| engine.create(ContainerOptions::named(&format!("web-{number}")));
        let containers: Vec<_> = (0..CONTAINERS).map(create).collect();
        for container in &containers {
            container.start();
            container.line(Stream::Stdout, "before");
        }
        assert_eq!(texts(&mut source, CONTAINERS).await.len(), CONTAINERS);
        engine.go_away().await;
        for container in &containers {
            container.line(Stream::Stdout, "meanwhile");
            container.fail_logs(Fault::LateBody(Duration::from_secs(10)));
        }
        engine.come_back();
        let resumed = || containers.iter().filter(|container| container.log_requests() > 1).count();
        let start = tokio::time::Instant::now();
        let mut read = 0;
        while read < CONTAINERS {
            let next = start + Duration::from_secs(10 * (read / IN_TURN) as u64 + 5);
            tokio::time::sleep_until(next).await;
            assert_eq!(resumed() - read, IN_TURN, "after {read} lines");
            let new = create(CONTAINERS + read);
            new.start();
            new.line(Stream::Stdout, "new");
            let at_once = tokio::time::timeout(Duration::from_secs(1), texts(&mut source, 1)).await;
            assert_eq!(at_once.expect("a start waits for nothing"), ["new"]);
            assert_eq!(texts(&mut source, IN_TURN).await, ["meanwhile"; IN_TURN]);
            read += IN_TURN;
        }
        assert_nothing_left(&mut source).await;
    }
}

#[tokio::test]
async fn waits_do_not_grow_from_one_outage_to_the_next() {
    let engine = SimulatedEngine::start().await;
    let mut timing = timing();
    timing.reconnect_min = Duration::from_millis(5);
    // Waits that doubled 16 times would exceed the time limit of this test.
    timing.reconnect_max = Duration::from_secs(600);
    let source = ready(builder(&engine).timing(timing)).await;
    for outage in 1..=16 {
        sleep(10 * timing.reconnect_min).await;
        if outage % 2 == 0 {
            engine.end_events();
        } else {
            engine.go_away().await;
            engine.come_back();
        }
        eventually(&source.stats(), |stats| stats.snapshot().lists == outage + 1).await;
    }
}

#[tokio::test]
async fn a_broken_connection_is_not_logged_as_an_invalid_response() {
    let engine = SimulatedEngine::start().await;
    let broke =
        |endpoint| format!("the connection to the Engine broke before the end of GET {endpoint}; retrying");
    let logged = Logged::here();
    engine.fail_list(Fault::CutAfter(1));
    let source = connect(&engine).await;
    assert!(logged.matching("WARN")[0].contains(&broke("containers/json")), "{:?}", logged.matching("WARN"));
    let logged = Logged::here();
    engine.go_away().await;
    engine.come_back();
    eventually(&source.stats(), |stats| stats.snapshot().events_connections == 2).await;
    assert!(logged.matching("WARN")[0].contains(&broke("events")), "{:?}", logged.matching("WARN"));
}

#[tokio::test]
async fn logs_that_a_proxy_cuts_when_they_are_quiet_are_resumed_without_a_warning() {
    let logged = Logged::here();
    let engine = SimulatedEngine::start().await;
    let mut source = connect(&engine).await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    for cut in 1..=20 {
        web.line(Stream::Stdout, format!("line {cut}"));
        assert_eq!(texts(&mut source, 1).await, [format!("line {cut}")]);
        web.cut_followers();
        web.wait_for(cut + 1, RequestKind::Follow).await;
    }
    let total = source.stats().snapshot().total;
    assert_eq!((total.unavailable_logs, total.bad_frames, total.gaps), (0, 0, 0));
    assert_eq!(logged.matching("WARN"), Vec::<String>::new());
    assert_nothing_left(&mut source).await;
}
