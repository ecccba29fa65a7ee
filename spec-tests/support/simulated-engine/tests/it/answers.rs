//! Tests of the forms and the ends of answers, and of the Engine's clock.

use std::time::Duration;

use simulated_engine::{ContainerOptions, Fault, Options, RequestKind, START, SimulatedEngine, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::{get, get_logs};

#[tokio::test]
async fn events_have_the_members_of_the_engines_version_and_the_last_256_are_kept() {
    for (options, has_status) in [(Options::docker_28_5(), true), (Options::docker_29(), false)] {
        let engine = SimulatedEngine::start_with(options).await;
        let web = engine.create(ContainerOptions::named("web"));
        for _ in 0..150 {
            web.start();
            web.die();
        }
        let since = get(&engine, "/events?since=1").await;
        let later = get(&engine, "/events").await;
        engine.wait_for(2, "/events").await;
        web.rename("other");
        engine.end_events();
        let (_, body, _) = since.whole().await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(text.lines().count(), 257);
        assert_eq!(text.contains(r#""status""#), has_status);
        assert_eq!(later.whole().await.1.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}

#[tokio::test]
async fn api_versions_outside_of_the_engines_range_are_refused() {
    let engine = SimulatedEngine::start_with(Options::docker_26_1()).await;
    for (version, status) in [("1.23", 400), ("1.24", 200), ("1.45", 200), ("1.46", 400)] {
        let (head, _, _) = get(&engine, &format!("/v{version}/info")).await.whole().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{version}: {head}");
    }
}

#[tokio::test]
async fn followers_that_are_cut_get_no_final_chunk_and_followers_that_are_ended_get_it() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "line");
    let mut cut = get_logs(&engine, &web, "follow=1").await;
    cut.has_received("line").await;
    web.cut_followers();
    let (_, body, is_complete) = cut.whole().await;
    assert_eq!((crate::client::records(&body).len(), is_complete), (1, false));
    let mut ended = get_logs(&engine, &web, "follow=1").await;
    ended.has_received("line").await;
    web.line(Stream::Stdout, "not sent");
    web.end_followers();
    let (_, body, is_complete) = ended.whole().await;
    assert_eq!((crate::client::records(&body).len(), is_complete), (1, true));
    let later = get_logs(&engine, &web, "follow=1").await;
    web.wait_for_followers(1).await;
    web.die();
    assert!(later.whole().await.2);
}

#[tokio::test(start_paused = true)]
async fn lines_and_set_clock_move_the_clock_and_tokios_time_does_with_the_option_clock_runs() {
    for (clock_runs, passed) in [(false, 0), (true, 5_000_000_000)] {
        let engine = SimulatedEngine::start_with(Options { clock_runs, ..Options::default() }).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        let first = web.line(Stream::Stdout, "one");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(web.line(Stream::Stdout, "two") - first, passed + 1000);
        engine.set_clock(START - 7);
        assert_eq!(web.line(Stream::Stdout, "three"), START + 993);
    }
}

#[tokio::test]
async fn requests_share_a_connection_until_an_answer_is_cut() {
    let engine = SimulatedEngine::start().await;
    engine.fail_list(Fault::CutAfter(1));
    let mut socket = UnixStream::connect(engine.socket()).await.unwrap();
    let requests = ["/_ping", "/info", "/containers/json", "/info"];
    let heads = requests.map(|target| format!("GET {target} HTTP/1.1\r\nHost: docker\r\n\r\n"));
    socket.write_all(heads.concat().as_bytes()).await.unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    assert!(answers.ends_with("1\r\n[\r\n"), "{answers}");
    assert_eq!(engine.requests(), ["GET /_ping", "GET /info", "GET /containers/json"]);
}

#[tokio::test]
async fn a_log_is_sent_as_json_only_by_new_engines_and_on_request() {
    for (options, is_json) in [(Options::docker_28_5(), false), (Options::docker_29(), true)] {
        let engine = SimulatedEngine::start_with(options).await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        web.line(Stream::Stderr, b"\xff");
        let (head, body, _) = get_logs(&engine, &web, "format=json").await.whole().await;
        assert_eq!(head.contains("application/x-ndjson"), is_json, "{head}");
        assert_eq!(body.starts_with(b"{\"Line\":\"\xef\xbf\xbd\\n\",\"Source\":\"stderr\""), is_json);
        assert_eq!(get_logs(&engine, &web, "follow=0").await.records().await.len(), 1);
    }
}

#[tokio::test]
async fn containers_are_found_by_id_or_name_and_the_parameters_of_lists_and_logs_are_obeyed_or_refused() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    let job = engine.create(ContainerOptions::named("job"));
    job.start();
    let status = async |target: &str| get(&engine, target).await.whole().await.0[9..12].to_owned();
    for name in [web.id(), &web.id()[..12], "web"] {
        assert_eq!(status(&format!("/containers/{name}/json")).await, "200");
    }
    assert_eq!(status("/containers/other/json").await, "404");
    assert_eq!(status("/version").await, "200");
    assert_eq!(web.count(RequestKind::Inspect), 3);
    for frozen in [false, true] {
        engine.freeze_list(frozen);
        for (target, count) in [("/containers/json", 1), ("/containers/json?all=1", 2)] {
            let (_, body, _) = get(&engine, target).await.whole().await;
            assert_eq!(String::from_utf8(body).unwrap().matches(r#""Id""#).count(), count);
        }
    }
    job.line(Stream::Stdout, "out");
    job.line(Stream::Stderr, "err");
    let logs = async |more: &str| get(&engine, &format!("/containers/job/logs?{more}")).await.whole().await;
    for refused in ["follow=0", "stdout=1&since=2026-11-22T00:00:00Z", "stdout=1&until=x"] {
        assert!(logs(refused).await.0.starts_with("HTTP/1.1 400"), "{refused}");
    }
    assert_eq!(logs("stderr=true&stdout=0").await.1, b"\x02\0\0\0\0\0\0\x04err\n");
    assert_eq!(logs("stderr=1&tail=1").await.1, logs("stderr=1").await.1);
    assert_eq!(logs("stdout=1&tail=1").await.1, b"", "records of both streams count");
}
