//! Tests how a source ends, from where it reads if it replaces an earlier agent, and that it does not read its own
//! container.

use tokio::task;

use super::*;
use crate::start::Start;
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};

/// Returns a source that reads nothing and has the given task as its supervisor.
async fn supervised_by(task: impl Future<Output = EngineError> + Send + 'static) -> Source {
    let engine = SimulatedEngine::start().await;
    let builder = Source::builder().address(engine.docker_host().parse().unwrap());
    let mut source = builder.connect().await.unwrap();
    source.stop();
    assert!(source.next().await.unwrap().is_none());
    source.supervisor = Some(task::spawn(async { Some(task.await) }));
    source
}

#[tokio::test]
async fn a_supervisor_that_panics_ends_the_source_with_an_error() {
    let mut source = supervised_by(async { panic!("on purpose") }).await;
    let error = source.next().await.unwrap_err();
    assert!(error.to_string().starts_with("reading from the Engine ended early: "), "{error}");
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert!(source.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_source_as_a_stream_yields_the_same_records_and_ends_after_an_error() {
    let engine = SimulatedEngine::start().await;
    let builder = Source::builder().address(engine.docker_host().parse().unwrap());
    let mut source = builder.connect().await.unwrap();
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    web.line(Stream::Stdout, "one");
    let next = async |source: &mut Source| {
        poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *source), cx)).await
    };
    assert_eq!(next(&mut source).await.unwrap().unwrap().bytes(), b"one");
    source.stop();
    assert!(next(&mut source).await.is_none());
    source.supervisor = Some(task::spawn(async { Some(EngineError::Broken { endpoint: "events" }) }));
    assert!(matches!(next(&mut source).await, Some(Err(SourceError::Engine(_)))));
    assert!(next(&mut source).await.is_none());
}

#[tokio::test]
async fn a_source_that_is_stopped_ends_without_an_error() {
    let mut source = supervised_by(std::future::pending()).await;
    source.stop();
    assert!(source.next().await.unwrap().is_none());
}

#[tokio::test]
async fn the_container_of_this_process_is_not_read() {
    let engine = SimulatedEngine::start().await;
    let own = engine.create(ContainerOptions::named("agent"));
    own.start();
    let other = engine.create(ContainerOptions::named("web"));
    let mut source = builder_in(&engine, &own).connect().await.unwrap();
    engine.wait_for(1, "/containers/json").await;
    own.line(Stream::Stdout, "own");
    own.die();
    own.start();
    other.start();
    other.line(Stream::Stdout, "other");
    assert_eq!(source.next().await.unwrap().unwrap().bytes(), b"other");
    // The source opens the log of a container while it inspects the container. If the inspection shows that the
    // container is its own, it closes the log and never opens it again.
    assert!(own.log_requests() <= 1, "{:?}", engine.requests());
}

/// Returns a builder of a source that runs in the container `own`.
fn builder_in(engine: &SimulatedEngine, own: &simulated_engine::Container) -> SourceBuilder {
    let mountinfo = engine.socket().with_file_name("mountinfo");
    let mount = format!(
        "615 600 254:1 /var/lib/docker/containers/{}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n",
        own.id()
    );
    std::fs::write(&mountinfo, mount).unwrap();
    let mut builder = Source::builder().address(engine.docker_host().parse().unwrap());
    builder.mountinfo = mountinfo;
    builder
}

const SECOND: i64 = 1_000_000_000;

fn after_predecessor(engine: &SimulatedEngine, own: &simulated_engine::Container) -> SourceBuilder {
    let after = Start::AfterPredecessor { label: "agent".into() };
    builder_in(engine, own).select(|container| container.name() == "web").start(after)
}

/// Returns the first line that a source in the container `own` reads.
async fn first_line(engine: &SimulatedEngine, own: &simulated_engine::Container) -> String {
    let mut source = after_predecessor(engine, own).connect().await.unwrap();
    String::from_utf8_lossy(source.next().await.unwrap().unwrap().bytes()).into_owned()
}

#[tokio::test]
async fn a_source_can_start_at_the_end_of_its_predecessor() {
    let engine = SimulatedEngine::start().await;
    let create = |name| engine.create(ContainerOptions::named(name).label("agent", ""));
    let web = engine.create(ContainerOptions::named("web"));
    let (own, old) = (create("own"), create("old"));
    web.start();
    old.start();
    web.line(Stream::Stdout, "while the old agent runs");
    engine.set_clock(web.line(Stream::Stdout, "2 s before the signal") + 2 * SECOND);
    old.kill(15);
    old.die();
    engine.set_clock(web.line(Stream::Stdout, "after its end") + 10 * SECOND);
    own.start();
    assert_eq!(first_line(&engine, &own).await, "after its end");

    // The own container starts again, so only the event of its end has the status of the ended run. If this
    // status is not 0, or if the Engine no longer has the event, reading starts 10 s before the end of that run.
    for (status, later_events, expected) in [
        (0, 0, "after the end of its own run"),
        (1, 0, "9.5 s before the signal to its own run"),
        (0, 256, "9.5 s before the signal to its own run"),
    ] {
        engine.set_clock(web.line(Stream::Stdout, "11 s before the end of its own run") + SECOND * 3 / 2);
        let before = web.line(Stream::Stdout, "9.5 s before the signal to its own run");
        engine.set_clock(before + SECOND * 19 / 2);
        own.kill(15);
        own.die_with(status);
        engine.set_clock(web.line(Stream::Stdout, "after the end of its own run") + 20 * SECOND);
        for _ in 0..later_events {
            engine.send_event("{}");
        }
        own.start();
        assert_eq!(first_line(&engine, &own).await, expected, "{status}, {later_events}");
    }

    old.start();
    engine.set_clock(web.line(Stream::Stdout, "while another agent runs") + 1);
    let next = async {
        engine.wait_for(3, "/logs").await;
        web.line(Stream::Stdout, "new");
    };
    assert_eq!(tokio::join!(first_line(&engine, &own), next).0, "new");
}

#[tokio::test]
async fn reading_starts_1_s_before_a_known_sigterm_to_the_predecessor_or_10_s_before_its_end() {
    /// Signals, each with the time from the signal to the end in seconds.
    type Signals = &'static [(u8, i64)];
    // The signals, the number of events after the end, and the first line that is read. The lines are
    // named by their time in seconds before the end.
    let cases: [(Signals, usize, i64); 7] = [
        (&[(15, 0)], 0, 1),
        (&[(15, 7)], 0, 8),
        (&[(15, 31), (9, 0)], 0, 32),
        (&[(15, 36), (15, 5), (15, 3)], 0, 6),
        (&[(9, 0)], 0, 10),
        (&[], 0, 10),
        // The Engine no longer has the event of the signal.
        (&[(15, 3)], 256, 10),
    ];
    for (signals, later_events, expected) in cases {
        let engine = SimulatedEngine::start().await;
        let web = engine.create(ContainerOptions::named("web"));
        let create = |name| engine.create(ContainerOptions::named(name).label("agent", ""));
        let (own, old) = (create("own"), create("old"));
        web.start();
        old.start();
        for before_end in (0..40).rev() {
            // The clock is set first, so that the line gets the stamp of its second.
            engine.set_clock(simulated_engine::START + (40 - before_end) * SECOND);
            for (signal, _) in signals.iter().filter(|(_, time)| *time == before_end) {
                old.kill(*signal);
            }
            web.line(Stream::Stdout, before_end.to_string());
        }
        engine.set_clock(simulated_engine::START + 40 * SECOND);
        old.die();
        for _ in 0..later_events {
            engine.send_event("{}");
        }
        own.start();
        assert_eq!(first_line(&engine, &own).await, expected.to_string(), "{signals:?}");
    }
}
