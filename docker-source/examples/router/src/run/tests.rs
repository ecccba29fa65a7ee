use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, span};

use super::*;
use crate::cli;

fn options(arguments: &[&str]) -> Options {
    let arguments = ["gelf-router"].iter().chain(arguments).map(Into::into);
    cli::parse(arguments, |_| None, |_| Err(io::ErrorKind::NotFound.into())).unwrap()
}

/// Causes a panic in the task that logs this text.
struct PanicAt(&'static str);

impl Visit for PanicAt {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        assert!(field.name() != "message" || !format!("{value:?}").contains(self.0), "on purpose");
    }
}

impl Subscriber for PanicAt {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self(self.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_source_that_ends_early_ends_the_router_with_status_1_and_the_reason() {
    let _panics = tracing::subscriber::set_default(PanicAt("; retrying"));
    let engine = SimulatedEngine::start().await;
    let address = engine.docker_host().parse().unwrap();
    let running = tokio::spawn(run(address, options(&["gelf://127.0.0.1:9"])));
    engine.wait_for(1, "/containers/json").await;
    engine.go_away().await;
    let failure = running.await.unwrap().unwrap_err();
    assert_eq!(failure.status, 1);
    assert!(failure.reason.starts_with("reading from the Engine ended early: "), "{failure:?}");
}

#[tokio::test]
async fn a_source_that_ends_early_leaves_the_positions_of_the_last_lines() {
    let _panics = tracing::subscriber::set_default(PanicAt("; retrying"));
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let receiver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let folder = engine.socket().with_file_name("state");
    let state = format!("--state={}", folder.display());
    let route = format!("gelf://{}", receiver.local_addr().unwrap());
    let running = tokio::spawn(run(engine.docker_host().parse().unwrap(), options(&[&state, &route])));
    web.wait_for_log_requests(1).await;
    web.line(Stream::Stdout, "last");
    receiver.recv(&mut [0; 2000]).await.unwrap();
    engine.go_away().await;
    assert_eq!(running.await.unwrap().unwrap_err().status, 1);
    let positions = StateFolder::open(&folder).unwrap().load().unwrap();
    assert!(format!("{positions:?}").contains(web.id()), "{positions:?}");
}

#[test]
fn saved_positions_take_precedence_over_the_backlog() {
    let positions = Positions::from_time(SystemTime::now().into());
    for (backlog, expected) in
        [(Backlog::None, Start::Now), (Backlog::All, Start::Beginning), (Backlog::Last(9), Start::Tail(9))]
    {
        assert_eq!(start(None, Some(backlog)), expected);
        assert_eq!(start(Some(positions.clone()), Some(backlog)), Start::At(positions.clone()));
    }
}

#[test]
fn unfinished_work_is_an_error_that_names_the_given_up_lines_or_else_the_unread_logs() {
    let reason = |given_up, unread_logs| {
        Unfinished { given_up, unread_logs }
            .result("the grace period is over")
            .map_err(|failure| failure.reason)
    };
    assert_eq!(reason(0, 0), Ok(()));
    assert_eq!(reason(0, 2), Err("logs whose last lines were not read in time: 2".to_owned()));
    assert_eq!(reason(3, 2), Err("the grace period is over: 3 lines were given up".to_owned()));
}
