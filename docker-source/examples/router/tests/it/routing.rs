//! Tests that the lines of a container go to the routes that select the container, and to no other routes, and that the
//! router accounts for each line.

use std::process::Command;
use std::time::Duration;

use crate::common::{Router, TIMEOUT, figure, new_lines, refusing_tcp, refusing_udp};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use simulated_engine::{ContainerOptions, Fault, SimulatedEngine, Stream};
use tokio::time::timeout;

/// Returns the name of the container and the text of the next message.
async fn next(receiver: &mut TcpReceiver) -> (String, String) {
    let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
    let message = Decoder::strict().decode(&received.payload).unwrap().message;
    let name = message.field("container_name").unwrap().as_str().unwrap().to_owned();
    (name, message.short_message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_keeps_a_renamed_container_until_the_container_ends() {
    let engine = SimulatedEngine::start().await;
    let container = engine.create(ContainerOptions::named("shop-1"));
    container.start();
    let mut shop = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let mut old = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = |receiver: &TcpReceiver, pattern: &str| {
        format!("gelf+tcp://{}?filter.name={pattern}", receiver.local_addr().unwrap())
    };
    let routes = [route(&shop, "shop-*"), route(&old, "old-*")];
    let mut router = Router::start(&engine.docker_host(), &[&routes[0], &routes[1]]);
    router.wait_until_ready();
    container.line(Stream::Stdout, "first");
    assert_eq!(next(&mut shop).await, ("shop-1".into(), "first".into()));
    container.rename("old-shop-1");
    let mut written = 1;
    loop {
        container.line(Stream::Stdout, "more");
        written += 1;
        if next(&mut shop).await == ("old-shop-1".into(), "more".into()) {
            break;
        }
    }
    container.line(Stream::Stdout, "last");
    container.die();
    assert_eq!(next(&mut shop).await, ("old-shop-1".into(), "last".into()));
    container.start();
    container.line(Stream::Stdout, "second run");
    assert_eq!(next(&mut old).await, ("old-shop-1".into(), "second run".into()));
    let (_, logged) = tokio::task::spawn_blocking(move || router.terminate()).await.unwrap();
    let account = format!("= {} routed + 0 of no route + ", written + 2);
    assert!(logged.iter().any(|line| line.contains(&account)), "{account}: {logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_on_one_host_do_not_read_each_other() {
    let engine = SimulatedEngine::start().await;
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_until_ready();
    let agent = ContainerOptions::named("agent");
    let labelled = engine.create(agent.clone().label("gelf-router.agent", "true"));
    // The inspection of this container fails, but the start event also has the label.
    let not_inspected = engine.create(agent.clone().label("gelf-router.agent", ""));
    for _ in 0..3 {
        not_inspected.fail_inspect(Fault::Status(404, "no such container".into()));
    }
    let by_command = engine.create(agent.program("/usr/local/bin/gelf-router"));
    let namesake = engine.create(ContainerOptions::named("gelf-router").program("/bin/gelf-router-test"));
    for (container, text) in
        [(labelled, "labelled"), (not_inspected, "gone"), (by_command, "command"), (namesake, "namesake")]
    {
        container.start();
        container.line(Stream::Stdout, text);
        container.wait_for_log_requests(1).await;
    }
    assert_eq!(router.next_message()["short_message"], "namesake");
    let rest = tokio::task::spawn_blocking(move || {
        let rest = router.lines_until_silent(Duration::from_millis(500));
        (rest, router.terminate())
    });
    let (rest, (_, logged)) = rest.await.unwrap();
    assert_eq!((rest.len(), new_lines(&logged)), (0, 1), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_lines_of_selected_containers_and_streams_are_shipped() {
    let engine = SimulatedEngine::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_gelf-router"));
    command.args(["--print=filter.sources=stderr&exclude.name=tmp-*"]).env("EXCLUDE_LABEL", "other;secret");
    command.env("DOCKER_HOST", engine.docker_host()).env_remove("ROUTE_URIS");
    let mut router = Router::spawn(command);
    router.wait_until_ready();
    let named = ContainerOptions::named;
    let unselected =
        [named("secret").label("secret", "TRUE"), named("tmp-1"), named("ignored").env("LOGSPOUT=Ignore")];
    for options in unselected {
        let container = engine.create(options);
        container.start();
        container.line(Stream::Stderr, "unselected");
        container.wait_for_log_requests(1).await;
    }
    let web = engine.create(named("web").label("secret", "false"));
    web.start();
    web.line(Stream::Stdout, "out");
    web.line(Stream::Stderr, "err");
    assert_eq!(router.next_message()["short_message"], "err");
    let (rest, logged) = tokio::task::spawn_blocking(move || router.terminate()).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    let account = " = 1 routed + 1 of no route + 0 empty + ";
    assert!(new_lines(&logged) == 2 && logged.iter().any(|line| line.contains(account)), "{logged:#?}");
}

/// Asserts that the total of an account is the sum of its parts, as in
/// `9 lines read = 8 routed + 1 empty + 0 repeated`.
#[track_caller]
fn assert_adds_up(account: &str) {
    let number = |text: &str| -> u64 { text.split(' ').next().unwrap().parse().unwrap() };
    let (total, parts) = account.split_once(" = ").unwrap();
    let total = total.rsplit(' ').nth(2).unwrap();
    assert_eq!(number(total), parts.split(" + ").map(number).sum::<u64>(), "{account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_accounted_for_although_no_destination_accepts_it() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    let db = engine.create(ContainerOptions::named("db"));
    let ((_tcp, closed), (_udp, refusing)) = (refusing_tcp(), refusing_udp());
    let routes = [
        format!("gelf+tcp://{closed}?queue=20&filter.name=w*&filter.name=db"),
        format!("gelf+tcp://{closed}?queue=10&when_full=drop_oldest&filter.name=web"),
        format!("gelf://{refusing}"),
    ];
    let mut router = Router::start(&engine.docker_host(), &routes.each_ref().map(String::as_str));
    router.wait_until_ready();
    for container in [&web, &db] {
        container.start();
        for number in 0..50 {
            container.line(Stream::Stdout, if number % 10 == 0 { " " } else { "line" });
        }
    }
    router.wait_for("the destination is down");
    tokio::time::sleep(Duration::from_millis(500)).await;
    router.signal("TERM");
    router.wait_for("shutting down");
    router.signal("TERM");
    let (status, _, logged) = tokio::task::spawn_blocking(move || router.wait()).await.unwrap();
    assert_eq!(status, Some(1), "{logged:#?}");
    let accounts: Vec<_> = logged.iter().filter(|line| line.contains(" = ")).collect();
    assert_eq!(accounts.len(), 4, "{logged:#?}");
    for account in &accounts {
        assert_adds_up(account);
    }
    // The last route selects every container, so it gets every routed line. The first route is full. If it holds
    // up the others for too long, they read on without it, so it can get fewer lines on a loaded machine.
    let routed = figure(&logged, "routed +");
    assert!(accounts[2].contains(&format!(" {routed} lines routed = ")), "{accounts:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_logs_a_destination_without_the_options_of_its_queue() {
    let engine = SimulatedEngine::start().await;
    let (_reserved, closed) = refusing_tcp();
    for queue in ["", "&queue=10"] {
        let route = format!("gelf+tcp://{closed}?connect_timeout=3{queue}");
        let mut router = Router::start(&engine.docker_host(), &[&route]);
        router.wait_for("the destination is down");
        let (_, logged) = tokio::task::spawn_blocking(move || router.terminate()).await.unwrap();
        let name = format!("destination=\"gelf+tcp://{closed}?connect_timeout=3\"");
        let lines: Vec<_> = logged.iter().filter(|line| line.contains("destination=")).collect();
        assert_eq!(lines.len(), 2, "{logged:#?}");
        assert!(lines.iter().all(|line| line.contains(&name)), "{lines:#?}");
    }
}
