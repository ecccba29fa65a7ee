//! Tests the image of the agent. The tests run the agent in a container with the least privileges, let it
//! read the other containers of the same host, and replace it with new agents.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::common::{TIMEOUT, figure};
use gelf_tokio::TcpReceiver;
use gelf_tokio::gelf_core::Decoder;
use real_engine::{Engine, RunOptions, RunningContainer, require_variable};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Returns an Engine on a unix socket, and the name of the image.
fn engine_and_image() -> Option<(Engine, String)> {
    let engine = Engine::find()?;
    let image = require_variable("image", "GELF_TESTS_IMAGE")?;
    assert!(engine.docker_host().starts_with("unix://"), "only a unix socket can be mounted");
    Some((engine, image))
}

fn socket(engine: &Engine) -> &str {
    engine.docker_host().strip_prefix("unix://").unwrap()
}

/// Starts the agent as a container and waits until it is ready.
fn agent(engine: &Engine, image: &str, name: &str, options: &[&str], route: &str) -> RunningContainer {
    let volume = format!("--volume={}:/var/run/docker.sock", socket(engine));
    let arguments = options.iter().copied().chain([volume.as_str()]);
    let options = RunOptions::new(name, [route]).image(image).network("host").docker_arguments(arguments);
    let agent = engine.run(options);
    let deadline = Instant::now() + TIMEOUT;
    while !logged(&agent).iter().any(|line| line.contains("ready: ")) {
        assert!(Instant::now() < deadline, "{:#?}", logged(&agent));
        std::thread::sleep(Duration::from_millis(50));
    }
    agent
}

fn logged(agent: &RunningContainer) -> Vec<String> {
    agent.logs_with_timestamps().1.lines().map(str::to_owned).collect()
}

fn inspect(engine: &Engine, container: &RunningContainer, format: &str) -> String {
    let output = engine.docker(["inspect", "--format", format, container.id()]);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the numbers in the line `name` of `/proc/PID/status`, for the first process of a container.
fn status(engine: &Engine, container: &RunningContainer, name: &str) -> Vec<u64> {
    let process = inspect(engine, container, "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Receives `count` lines, and then further lines until nothing arrives for a second. Returns the container
/// and the number of each line.
async fn lines(receiver: &mut TcpReceiver, count: usize) -> Vec<(String, usize)> {
    let mut lines = Vec::new();
    loop {
        let patience = if lines.len() < count { TIMEOUT } else { Duration::from_secs(1) };
        let Ok(received) = timeout(patience, receiver.recv()).await else { return lines };
        let payload = received.unwrap().unwrap().payload;
        let message = Decoder::strict().decode(&payload).unwrap().message;
        let number = message.short_message().split(' ').nth(1).and_then(|number| number.parse().ok());
        let container = message.field("container_id").unwrap().to_string();
        lines.push((container, number.unwrap_or_else(|| panic!("{:?}", message.short_message()))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_the_least_privileges_and_32_mib_delivers_all_200_000_lines() {
    const LINES: usize = 200_000;
    let Some((engine, image)) = engine_and_image() else { return };
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    let user = format!("--user=65534:{}", std::fs::metadata(socket(&engine)).unwrap().gid());
    let least = ["--read-only", "--cap-drop=ALL", &user, "--memory=32m", "--memory-swap=32m"];
    let route = format!("gelf+tcp://127.0.0.1:{port}?filter.name=image-lines-*&compat=vincit-2017");
    let agent = agent(&engine, &image, "least", &least, &route);

    let started = Instant::now();
    let script = format!(
        "awk 'BEGIN {{ for (i = 0; i < {LINES}; i++) print \"line\", i, \"GET /items/\" i \" 200 1.5 ms {}\" }}'",
        "x".repeat(100)
    );
    let writer = engine.run(RunOptions::shell("image-lines", &script));
    let arrived = lines(&mut receiver, LINES).await;
    let elapsed = started.elapsed() - Duration::from_secs(1);
    let peak = status(&engine, &agent, "VmHWM")[0];
    eprintln!("{LINES} lines in {elapsed:.1?}, peak resident set {peak} KiB");

    assert!(arrived.iter().all(|(container, _)| container == writer.id()));
    assert!(arrived.iter().map(|(_, number)| *number).eq(0..LINES), "each once and in order");
    assert!(peak < 32 * 1024, "{peak} KiB");
    assert_eq!(agent.stop(), 0, "{:#?}", logged(&agent));
    assert_eq!(inspect(&engine, &agent, "{{.State.OOMKilled}}"), "false");
    let logged = logged(&agent);
    assert_eq!(
        (figure(&logged, "delivered"), figure(&logged, "in flight")),
        (LINES as u64, 0),
        "{logged:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_as_root_becomes_user_65534_in_the_group_of_the_socket_or_warns_that_it_cannot()
{
    let Some((engine, image)) = engine_and_image() else { return };
    let group = u64::from(std::fs::metadata(socket(&engine)).unwrap().gid());
    let route = "gelf://127.0.0.1:9?filter.name=none";

    let least = ["--read-only", "--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID"];
    let dropped = agent(&engine, &image, "dropped", &least, route);
    assert_eq!(status(&engine, &dropped, "Uid"), [65534; 4]);
    assert_eq!(status(&engine, &dropped, "Gid"), [group; 4]);
    assert!(status(&engine, &dropped, "Groups").is_empty());
    assert!(
        logged(&dropped).iter().any(|line| line.contains(&format!("running as user 65534, group {group}")))
    );

    let kept = agent(&engine, &image, "kept", &["--cap-drop=ALL"], route);
    assert_eq!(status(&engine, &kept, "Uid"), [0; 4]);
    assert!(
        logged(&kept).iter().any(|line| line.contains("WARN") && line.contains("still running as root: "))
    );
}

/// This is a rolling update of a service: the new agent starts before the old agent ends.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_while_one_agent_takes_over_from_another() {
    const LINES: usize = 16_000;
    let Some((engine, image)) = engine_and_image() else { return };
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    // The pattern matches the names of the agents, too. Nevertheless, no agent reads the other.
    let route = format!("gelf+tcp://127.0.0.1:{port}?filter.name=rolling-*");
    let start = async || {
        let (engine, image, route) = (engine.clone(), image.clone(), route.clone());
        spawn_blocking(move || agent(&engine, &image, "rolling-agent", &[], &route)).await.unwrap()
    };
    let receiving = tokio::spawn(async move { lines(&mut receiver, LINES).await });

    let mut old = start().await;
    let script = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i + 1)); usleep 500; done");
    let writer = engine.run(RunOptions::shell("rolling-writer", &script));
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let new = start().await;
        let ended = std::mem::replace(&mut old, new);
        spawn_blocking(move || assert_eq!(ended.stop(), 0, "{:#?}", logged(&ended))).await.unwrap();
    }
    assert_eq!(inspect(&engine, &writer, "{{.State.Running}}"), "true", "the writer outlasts both updates");

    let arrived = receiving.await.unwrap();
    assert!(arrived.iter().all(|(container, _)| container == writer.id()), "no agent reads another");
    let mut times = vec![0; LINES];
    for (_, number) in arrived {
        times[number] += 1;
    }
    // Lines that are written while both agents run arrive from both. No other line arrives twice.
    assert!(times.iter().all(|times| (1..=2).contains(times)), "{times:?}");
    let overlaps =
        times.chunk_by(|a, b| a == b).filter(|run| run[0] == 2).map(<[_]>::len).collect::<Vec<_>>();
    eprintln!("lines that came twice: {overlaps:?}");
    assert_eq!(overlaps.len(), 2, "one stretch of repeated lines for each update");
}

/// This is a deployment on Amazon ECS: the old agent ends before the new agent starts, and no state folder
/// keeps the positions in the logs.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_between_an_agent_and_its_successor() {
    const LINES: usize = 16_000;
    let Some((engine, image)) = engine_and_image() else { return };
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    let route = format!("gelf+tcp://127.0.0.1:{port}?filter.name=handed-*");
    let start = async || {
        let (engine, image, route) = (engine.clone(), image.clone(), route.clone());
        spawn_blocking(move || agent(&engine, &image, "handing-agent", &[], &route)).await.unwrap()
    };
    let receiving = tokio::spawn(async move { lines(&mut receiver, LINES).await });

    let mut agents = vec![start().await];
    let script = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i + 1)); usleep 500; done");
    let writer = engine.run(RunOptions::shell("handed-writer", &script));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let old = agents.pop().unwrap();
        let old = spawn_blocking(move || {
            assert_eq!(old.stop(), 0, "{:#?}", logged(&old));
            old
        });
        agents.push(old.await.unwrap());
        tokio::time::sleep(Duration::from_millis(300)).await;
        agents.push(start().await);
    }
    assert_eq!(inspect(&engine, &writer, "{{.State.Running}}"), "true", "the writer outlasts all hand-overs");

    let mut times = vec![0; LINES];
    for (_, number) in receiving.await.unwrap() {
        times[number] += 1;
    }
    // At each hand-over, the new agent starts to read one second before the signal that ended the old agent, and
    // repeats the lines that the old agent has read since then.
    assert_eq!(times.iter().filter(|times| **times == 0).count(), 0, "lines that were lost");
    let repeated: usize = times.iter().map(|times| times - 1).sum();
    eprintln!("{} hand-overs repeated {repeated} lines", agents.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_takes_the_address_of_the_api_from_the_agents_command_line_and_passes_without_an_api()
 {
    let Some((engine, image)) = engine_and_image() else { return };
    for (name, arguments, says) in [
        ("unasked", &["--print"][..], "it has no HTTP API"),
        ("healthy", &["--print", "--http=127.0.0.1:12281"], "healthy"),
        (
            "down",
            &["gelf+tcp://127.0.0.1:9", "--http=127.0.0.1:12282"],
            "the destination is down: gelf+tcp://",
        ),
    ] {
        let volume = format!("--volume={}:/var/run/docker.sock", socket(&engine));
        let options = [&*volume, "--read-only", "--health-interval=300ms", "--health-start-period=0s"];
        let options =
            RunOptions::new(name, arguments.iter().copied()).image(&image).docker_arguments(options);
        let agent = engine.run(options.network("host"));
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let health = inspect(&engine, &agent, "{{.State.Health.Status}} {{json .State.Health.Log}}");
            if health.starts_with("healthy") && health.contains(says) {
                break;
            }
            assert!(Instant::now() < deadline, "{health} {:#?}", logged(&agent));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
