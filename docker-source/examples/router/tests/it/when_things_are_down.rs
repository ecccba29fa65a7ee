//! Tests that the router logs an outage of the Engine or of a destination once and tries again, and that a
//! permanent error ends the router.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::{Router, TIMEOUT, figure, listen_again, new_lines, refusing_tcp, refusing_udp};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use simulated_engine::{Container, ContainerOptions, Options, SimulatedEngine, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

async fn engine_with(name: &str) -> (SimulatedEngine, Container) {
    let engine = SimulatedEngine::start().await;
    let container = engine.create(ContainerOptions::named(name));
    container.start();
    (engine, container)
}

fn count(logged: &[String], word: &str) -> usize {
    logged.iter().filter(|line| line.contains(word)).count()
}

/// Returns the numbers of the next `count` lines. The text of each line is `line N`.
async fn numbers(receiver: &mut TcpReceiver, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let received = timeout(TIMEOUT, receiver.recv()).await.expect("timed out").unwrap().unwrap();
        let decoded = Decoder::strict().decode(&received.payload).unwrap();
        numbers.push(decoded.message.short_message().strip_prefix("line ").unwrap().parse().unwrap());
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_too_old_causes_one_line_and_exit_status_1() {
    let engine =
        SimulatedEngine::start_with(Options { api_version: "1.39".into(), ..Options::default() }).await;
    let (status, stdout, logged) =
        Router::start(&engine.docker_host(), &["--log-level=error", "--print"]).wait();
    assert_eq!((status, stdout.len(), logged.len()), (Some(1), 0, 1), "{logged:#?}");
    assert!(logged[0].starts_with("gelf-router: ") && logged[0].contains("1.39"), "{logged:#?}");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    String::from_utf8(id).unwrap().trim() == "0"
}

/// Copies the router into the Engine's folder, and makes the copy executable for any user.
///
/// The program `cp` writes the copy. If this process wrote the copy, a child process that another test starts
/// in the meantime would inherit the open file. Linux refuses to run a file that a process has open for writing.
fn copy_for_any_user(engine: &SimulatedEngine) -> PathBuf {
    let binary = engine.socket().with_file_name("gelf-router");
    assert!(
        Command::new("cp").arg(env!("CARGO_BIN_EXE_gelf-router")).arg(&binary).status().unwrap().success()
    );
    for path in [&binary, binary.parent().unwrap()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    binary
}

/// Starts the router as `user`, limited to `threads` threads. The limit counts all threads of the user, so
/// `user` must have no other process.
fn start_with_threads(user: u32, threads: u32, engine: &SimulatedEngine, host: &str, route: &str) -> Router {
    fs::set_permissions(engine.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nproc={threads}:1000")).arg(copy_for_any_user(engine)).arg(route);
    command.env("DOCKER_HOST", host).uid(user).gid(user);
    Router::spawn(command)
}

/// Limits a running router of `user` to `threads` threads.
fn limit_threads(user: u32, threads: u32, router: &Router) {
    let limit = [format!("--nproc={threads}:1000"), "--pid".into(), router.id().to_string()];
    assert!(Command::new("prlimit").args(limit).uid(user).gid(user).status().unwrap().success());
}

/// The printer writes in a separate thread. This thread must stay alive while there is nothing to print,
/// because the router cannot start another thread.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn printing_goes_on_after_a_pause_even_if_the_system_starts_no_further_thread() {
    if !is_root() {
        eprintln!("skipped: only root can start a process as another user");
        return;
    }
    let (engine, container) = engine_with("web").await;
    let mut router = start_with_threads(54_322, 2, &engine, &engine.docker_host(), "--print");
    router.wait_until_ready();
    container.line(Stream::Stdout, "before");
    assert_eq!(router.next_message()["short_message"], "before");
    limit_threads(54_322, 1, &router);
    // By default, a thread of tokio's pool ends after 10 s without work.
    tokio::time::sleep(Duration::from_secs(11)).await;
    container.line(Stream::Stdout, "after");
    assert_eq!(router.next_message()["short_message"], "after");
}

/// Runs the router as another user, because the limit of threads does not apply to root.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_lookup_of_the_engine_that_gets_no_thread_is_retried() {
    if !is_root() {
        eprintln!("skipped: only root can start a process as another user");
        return;
    }
    let (engine, container) = engine_with("web").await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://localhost:{}", proxy.local_addr().unwrap().port());
    let socket = engine.socket().to_owned();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = proxy.accept().await.unwrap();
            let mut server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let mut router = start_with_threads(54_321, 1, &engine, &host, &route);
    router.wait_for("no thread for the name lookup");
    limit_threads(54_321, 1000, &router);
    router.wait_until_ready();
    container.line(Stream::Stdout, "line 7");
    assert_eq!(numbers(&mut receiver, 1).await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_destination_that_is_down_at_the_start_gets_every_line_later() {
    let (engine, container) = engine_with("web").await;
    let (reserved, address) = refusing_tcp();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf+tcp://{address}")]);
    router.wait_for("the destination is down");
    router.wait_until_ready();
    for number in 0..100 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    drop(reserved);
    let mut receiver = listen_again(address).await;
    assert_eq!(numbers(&mut receiver, 100).await, (0..100).collect::<Vec<_>>());
    // If a connection ends within 500 ms, the router sends the lines of that connection again. This
    // connection stays open for longer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The destination stops and starts again. The receiver is closed before it is dropped: the connection of
    // a dropped receiver stays open for a moment, and would take lines that nobody reads.
    receiver.close(TIMEOUT);
    assert!(timeout(TIMEOUT, receiver.recv()).await.expect("timed out").is_none());
    let mut receiver = listen_again(address).await;
    for number in 100..200 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    assert_eq!(numbers(&mut receiver, 100).await, (100..200).collect::<Vec<_>>());
    let ending = tokio::task::spawn_blocking(move || router.terminate());
    // The receiver must read, because only then does it notice that the router has closed the connection.
    let _ = timeout(Duration::from_millis(500), receiver.recv()).await;
    drop(receiver);
    let (_, logged) = ending.await.unwrap();
    assert_eq!((figure(&logged, "delivered"), figure(&logged, "in flight")), (200, 0), "{logged:#?}");
    assert_eq!(count(&logged, "the destination is down"), count(&logged, "the destination is back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_a_udp_destination_refuses_are_counted() {
    let (engine, container) = engine_with("web").await;
    let (_reserved, closed) = refusing_udp();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf://{closed}")]);
    router.wait_until_ready();
    for number in 0..20 {
        container.line(Stream::Stdout, format!("line {number}"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    router.wait_for("the destination is down");
    // The lines of a busy log are read every 200 ms.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, logged) = router.terminate();
    let (routed, delivered, refused) =
        (figure(&logged, "lines routed"), figure(&logged, "sent"), figure(&logged, "dropped as refused"));
    assert_eq!((routed, figure(&logged, "in flight")), (20, 0), "{logged:#?}");
    assert_eq!(routed, delivered + refused, "{logged:#?}");
    assert!(refused > 0, "{logged:#?}");
    assert_eq!(count(&logged, "the destination is down"), 1, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_the_lines_that_were_read_are_delivered_and_the_counters_add_up() {
    let (engine, container) = engine_with("web").await;
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let mut router = Router::start(&engine.docker_host(), &[&route]);
    router.wait_until_ready();
    for number in 0..20_000 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    let first = numbers(&mut receiver, 1).await;
    router.signal("TERM");
    let ending = tokio::task::spawn_blocking(move || router.wait());
    let mut received = first.len();
    loop {
        match timeout(Duration::from_millis(500), receiver.recv()).await {
            Ok(message) => received += usize::from(matches!(message, Some(Ok(_)))),
            Err(_) if ending.is_finished() => break,
            Err(_) => {}
        }
    }
    let (status, _, logged) = ending.await.unwrap();
    assert_eq!(status, Some(0), "{logged:#?}");
    assert_eq!(figure(&logged, "delivered"), received as u64, "{logged:#?}");
    assert_eq!(figure(&logged, "lines routed"), received as u64, "{logged:#?}");
    assert_eq!(figure(&logged, "in flight"), 0, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sighup_a_router_whose_destination_is_down_ends_and_logs_the_loss() {
    let (engine, container) = engine_with("web").await;
    let (_reserved, closed) = refusing_tcp();
    let mut router = Router::start(&engine.docker_host(), &["--print", &format!("gelf+tcp://{closed}")]);
    router.wait_until_ready();
    for number in 0..10 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    // The router passes each line to the TCP route first, and to the printer last.
    for _ in 0..10 {
        router.next_line();
    }
    router.signal("HUP");
    let (status, _, logged) = router.wait();
    assert_eq!(status, Some(1), "{logged:#?}");
    assert!(
        logged.last().unwrap().contains("the grace period is over: 10 lines were given up"),
        "{logged:#?}"
    );
    // The printer got all of its lines, so only one destination has a warning.
    assert_eq!(count(&logged, "lines were not delivered"), 1, "{logged:#?}");
    let logged: Vec<_> = logged.into_iter().filter(|line| line.contains("destination=\"gelf+tcp:")).collect();
    assert_eq!((figure(&logged, "delivered"), figure(&logged, "in flight")), (0, 10), "{logged:#?}");
    assert_eq!(count(&logged, "10 lines were not delivered"), 1, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_lines_given_up_after_a_second_signal_includes_lines_that_were_not_routed_yet() {
    let (engine, container) = engine_with("web").await;
    let (_reserved, closed) = refusing_tcp();
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf+tcp://{closed}?queue=10")]);
    router.wait_until_ready();
    for number in 0..100 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    router.signal("TERM");
    router.wait_for("shutting down");
    router.signal("INT");
    let (status, _, logged) = router.wait();
    assert_eq!(status, Some(1), "{logged:#?}");
    assert_eq!(count(&logged, "the grace period is over"), 0, "{logged:#?}");
    let given_up = figure(&logged, "in flight") + figure(&logged, "not routed at the end");
    assert_eq!(new_lines(&logged), given_up, "{logged:#?}");
    assert_eq!(count(&logged, &format!("a further signal arrived: {given_up} lines were given up")), 1);
    // All lines of the router's log give the destination the same name.
    let named = count(&logged, "destination=");
    assert_eq!(count(&logged, &format!("destination=\"gelf+tcp://{closed}\"")), named, "{logged:#?}");
    assert!(named >= 3, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_lines_that_a_destination_rejects_the_log_has_the_first_and_the_number_of_the_others() {
    let (engine, container) = engine_with("web").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let mut router = Router::start(&engine.docker_host(), &[&format!("gelf+http://{address}/gelf")]);
    router.wait_until_ready();
    for number in 0..50 {
        container.line(Stream::Stdout, format!("line {number}"));
    }
    router.wait_for("a line was dropped");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, logged) = router.terminate();
    assert_eq!(figure(&logged, "dropped as rejected"), 50, "{logged:#?}");
    // One warning is from the client, one is about the first dropped line, and one is about all later dropped
    // lines.
    assert_eq!(count(&logged, "WARN"), 3, "{logged:#?}");
    assert_eq!(figure(&logged, "more lines were dropped"), 48, "{logged:#?}");
}

/// Starts `gelf-router --print ROUTE | head -n 1` in a shell that writes the router's exit status to stderr.
fn printing_one_line(docker_host: &str, route: &str) -> Router {
    let mut command = Command::new("sh");
    let script = "{ \"$0\" --print \"$@\"; echo \"status $?\" >&2; } | head -n 1";
    command.args(["-c", script, env!("CARGO_BIN_EXE_gelf-router"), route]);
    command.env("DOCKER_HOST", docker_host);
    Router::spawn(command)
}

/// Writes lines until the router ends, because the router notices the closed pipe only when it writes again.
/// Returns the lines on stdout and on stderr.
async fn write_until_ended(router: Router, container: &Container) -> (Vec<String>, Vec<String>) {
    let ending = tokio::task::spawn_blocking(move || router.wait());
    let mut number = 0;
    while !ending.is_finished() {
        container.line(Stream::Stdout, format!("line {number}"));
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, stdout, logged) = ending.await.unwrap();
    (stdout, logged)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_final_account_has_the_number_of_logs_that_could_not_be_read() {
    let (engine, container) = engine_with("mute").await;
    container.unreadable();
    let mut router = Router::start(&engine.docker_host(), &["--print"]);
    router.wait_for("the log cannot be read");
    let (_, logged) = router.terminate();
    assert_eq!(count(&logged, "logs that could not be read to the end: 1"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_beyond_the_limit_of_open_files_are_reported_once_and_all_are_read() {
    let engine = SimulatedEngine::start().await;
    let mut containers: HashMap<String, Container> = HashMap::new();
    for number in 0..45 {
        let name = format!("web-{number}");
        let container = engine.create(ContainerOptions::named(&name));
        container.start();
        containers.insert(name, container);
    }
    let ignored = engine.create(ContainerOptions::named("ignored").env("LOGSPOUT=ignore"));
    ignored.start();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" --print", env!("CARGO_BIN_EXE_gelf-router")]);
    command.env("DOCKER_HOST", engine.docker_host());
    let mut router = Router::spawn(command);
    router.wait_for("containers are read in turn");
    for container in containers.values() {
        container.line(Stream::Stdout, "hello");
    }
    let mut read = Vec::new();
    while !containers.is_empty() {
        let message = router.next_message();
        let container = containers.remove(message["_container_name"].as_str().unwrap());
        read.push(container.expect("each line arrives once"));
    }
    read.iter().for_each(Container::die);
    router.wait_for("there are enough file descriptors again");
    let (rest, logged) = router.terminate();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(count(&logged, "WARN"), 1, "{logged:#?}");
    let waiting = figure(&logged, "containers are read in turn");
    assert!((1..=35).contains(&waiting), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_ends_the_router_once_the_other_destinations_have_their_lines() {
    let (engine, container) = engine_with("web").await;
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let receiving = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    let mut router = printing_one_line(&engine.docker_host(), &route);
    router.wait_until_ready();
    let (stdout, logged) = write_until_ended(router, &container).await;
    receiving.abort();
    assert_eq!((stdout.len(), count(&logged, "status 0")), (1, 1), "{logged:#?}");
    assert_eq!(figure(&logged, "not routed at the end"), 0, "{logged:#?}");
    let read = new_lines(&logged);
    let logged: Vec<_> = logged.into_iter().filter(|line| line.contains("destination=\"gelf+tcp:")).collect();
    assert_eq!((figure(&logged, "delivered"), figure(&logged, "in flight")), (read, 0), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_does_not_hide_the_lines_that_another_destination_lost() {
    let (engine, container) = engine_with("web").await;
    let (_reserved, closed) = refusing_tcp();
    let mut router = printing_one_line(&engine.docker_host(), &format!("gelf+tcp://{closed}"));
    router.wait_until_ready();
    let (_, logged) = write_until_ended(router, &container).await;
    assert_eq!(count(&logged, "status 1"), 1, "{logged:#?}");
    assert_eq!(count(&logged, "the grace period is over: "), 2, "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_cannot_write_ends_the_router_with_status_1() {
    let (engine, container) = engine_with("web").await;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --print > /dev/full", env!("CARGO_BIN_EXE_gelf-router")]);
    command.env("DOCKER_HOST", engine.docker_host());
    let mut router = Router::spawn(command);
    router.wait_until_ready();
    container.line(Stream::Stdout, "line");
    let (status, _, logged) = router.wait();
    assert_eq!(status, Some(1), "{logged:#?}");
    assert!(logged.last().unwrap().starts_with("gelf-router: printing failed: "), "{logged:#?}");
}
