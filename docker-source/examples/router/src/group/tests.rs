use docker_source::Container;
use docker_source::gelf_core::Timestamp;
use simulated_engine::{ContainerOptions, SimulatedEngine, Stream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::condition::Condition;
use crate::deliver::{Destination, OpenRoute, Opener};
use crate::lines::WarnedContainers;
use crate::print::Window;
use crate::registry::{Registry, RunningRoute};

/// Returns a route that sends nothing until its destination runs.
fn queue(uri: &str) -> (RouteQueue, Destination) {
    queue_of(uri, Route::parse(uri).unwrap())
}

/// Returns such a route with this name.
fn queue_of(name: &str, route: Route) -> (RouteQueue, Destination) {
    let OpenRoute { route, delivery, destination, tally } = Opener::default().open(route).unwrap();
    let queue = RouteQueue {
        name: name.to_owned(),
        lines: LineStage::new(&route, WarnedContainers::default()),
        route,
        decisions: Decisions::default(),
        delivery,
        tally,
        progress: SharedProgress::default(),
        removal: Removal::default(),
        hold_up: HoldUp::default(),
    };
    (queue, destination)
}

fn shared() -> (Shared, UnboundedReceiver<LeavingRoute>) {
    let (leaving, left) = unbounded_channel();
    let shared = Shared {
        log_files: None,
        address: "unix:///nowhere.sock".parse().unwrap(),
        stop: Stop::new().unwrap(),
        sources: Sources::default(),
        route_started: Arc::default(),
        leaving,
        removals: watch::Sender::new(0).subscribe(),
        ticks: Ticks::new(Instant::now()),
    };
    (shared, left)
}

/// Passes lines to the routes. Returns the total time for which the routes delayed the lines.
async fn pass(lines: usize, routes: &mut Vec<RouteQueue>, shared: &mut Shared) -> Duration {
    let container = Arc::new(Container::builder("web").build());
    let mut total = Duration::ZERO;
    for _ in 0..lines {
        let before = Instant::now();
        route(&Arc::new(Record::builder(container.clone(), "line").build()), routes, shared);
        assert!(deliver(routes, shared).await);
        total += before.elapsed();
        // During the pause, the destinations that are not full send the line.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    total
}

const LIMIT: Duration = Duration::from_millis(250);
/// The tolerance for the measured time, since waiting is measured by samples.
const TOLERANCE: Duration = Duration::from_millis(50);
/// A destination that takes datagrams faster than the tests send them.
const ALIVE: &str = "gelf://127.0.0.1:9";

#[tokio::test(start_paused = true)]
async fn several_full_routes_hold_up_the_others_for_at_most_250_ms_in_total() {
    let (alive, destination) = queue(ALIVE);
    tokio::spawn(destination.run());
    let (first, _never_takes) = queue("gelf+tcp://127.0.0.1:9?queue=3");
    let (second, _never_takes_either) = queue("gelf+tcp://127.0.0.1:9?queue=3");
    let mut routes = vec![first, alive, second];
    let (mut shared, mut left) = shared();
    let total = pass(20, &mut routes, &mut shared).await;
    assert!(total <= LIMIT + TOLERANCE, "{total:?}");
    assert_eq!(routes.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>(), [ALIVE]);
    assert!(left.try_recv().is_ok() && left.try_recv().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_slow_route_holds_up_the_others_no_longer_than_a_full_route() {
    // The route is full except for the 1 ms after each datagram. At a rate of 40, a datagram is sent every 25 ms,
    // which is also the mean time between two samples.
    for rate in [30, 37, 40, 50] {
        let (alive, destination) = queue(ALIVE);
        tokio::spawn(destination.run());
        let (slow, destination) = queue(&format!("gelf://127.0.0.1:9?queue=3&rate={rate}"));
        tokio::spawn(destination.run());
        let mut routes = vec![slow, alive];
        let (mut shared, _left) = shared();
        let total = pass(1000, &mut routes, &mut shared).await;
        assert!(total <= LIMIT + TOLERANCE, "{rate} a second: {total:?}");
        assert_eq!(routes.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_route_leaves_although_the_other_is_full_at_the_same_time() {
    for at in 0..2 {
        let (alive, destination) = queue("gelf://127.0.0.1:9?queue=3&rate=1000");
        tokio::spawn(destination.run());
        let (dead, _never_takes) = queue("gelf+tcp://127.0.0.1:9?queue=3");
        let mut routes = vec![alive];
        routes.insert(at, dead);
        let (mut shared, mut left) = shared();
        let container = Arc::new(Container::builder("web").build());
        for _ in 0..20 {
            let record = Arc::new(Record::builder(container.clone(), "line").build());
            route(&record, &mut routes, &shared);
        }
        let delivered =
            tokio::time::timeout(Duration::from_secs(10), deliver(&mut routes, &mut shared)).await;
        assert_eq!(delivered, Ok(true));
        assert_eq!(routes.len(), 1);
        assert_eq!(left.try_recv().unwrap().queue.name, "gelf+tcp://127.0.0.1:9?queue=3");
        assert_eq!(routes[0].tally.figures().routed, 20);
        assert!(routes[0].lines.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn routes_that_are_full_together_stay_together() {
    let (first, _never_takes) = queue("gelf+tcp://127.0.0.1:9?queue=3");
    let (second, _never_takes_either) = queue("gelf+tcp://127.0.0.1:9?queue=5");
    let mut routes = vec![first, second];
    let (mut shared, _left) = shared();
    let passing = pass(10, &mut routes, &mut shared);
    assert!(tokio::time::timeout(Duration::from_secs(3600), passing).await.is_err());
    assert_eq!(routes.len(), 2);
}

/// Adds the route to a registry, with the id `a1`.
fn registered(queue: &RouteQueue) -> Registry {
    let registry = Registry::default();
    let RouteQueue { name, route, tally, removal, .. } = queue;
    let running = RunningRoute {
        id: "a1".to_owned(),
        name: name.clone(),
        route: route.clone(),
        tally: tally.clone(),
        removal: removal.clone(),
        is_reachable: Condition::default(),
    };
    registry.add(running, queue.delivery.closer());
    registry
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_routes_are_removed_does_not_wait_for_the_engine() {
    let (queue, _destination) = queue(ALIVE);
    let registry = registered(&queue);
    let (mut shared, _left) = shared();
    shared.removals = registry.removals();
    let group = tokio::spawn(run(vec![queue], Start::Now, shared));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!group.is_finished());
    assert!(registry.remove("a1"));
    let routes = tokio::time::timeout(Duration::from_secs(1), group).await.unwrap().unwrap().unwrap();
    assert!(routes.is_empty());
}

#[tokio::test]
async fn a_route_that_is_removed_gets_no_line_although_the_source_has_lines() {
    let engine = SimulatedEngine::start().await;
    let web = engine.create(ContainerOptions::named("web"));
    web.start();
    let address = engine.docker_host().parse().unwrap();
    let source = Source::builder().address(address).connect().await.unwrap();
    web.wait_for_followers(1).await;
    web.line(Stream::Stdout, "line");
    let stats = source.stats();
    while stats.snapshot().total.in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (queue, _destination) = queue(ALIVE);
    let tally = queue.tally.clone();
    let registry = registered(&queue);
    let (mut shared, _left) = shared();
    shared.removals = registry.removals();
    assert!(registry.remove("a1"));
    let mut routes = vec![queue];
    read(source, &mut routes, &mut shared).await.unwrap();
    assert_eq!((routes.len(), tally.figures().routed), (0, 0));
}

#[tokio::test]
async fn a_route_that_is_removed_after_it_has_left_its_group_sends_its_open_message() {
    let receiver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf://{}?multiline=java", receiver.local_addr().unwrap());
    let (mut queue, destination) = queue(&uri);
    tokio::spawn(destination.run());
    let (shared, _left) = shared();
    let container = Arc::new(Container::builder("web").build());
    let record = Arc::new(Record::builder(container, "java.lang.IllegalStateException: refused").build());
    route(&record, std::slice::from_mut(&mut queue), &shared);
    assert!(queue.lines.due().is_some() && queue.lines.is_empty(), "the message is open");
    let registry = registered(&queue);
    assert!(registry.remove("a1"));
    let routes = LeavingRoute { queue, since: Instant::now() }.run(shared).await.unwrap();
    assert!(routes.is_empty());
    let received = tokio::time::timeout(Duration::from_secs(10), receiver.recv(&mut [0; 2048])).await;
    assert!(received.unwrap().unwrap() > 0);
}

/// Returns a printed route to which lines were passed, and the window of its printer.
fn printed(uri: &str, lines: usize) -> (RouteQueue, Destination, Window) {
    let window = Window::new();
    let mut printed = Route::parse(uri).unwrap();
    printed.window = Some(window.clone());
    let (mut queue, destination) = queue_of(uri, printed);
    let (shared, _left) = shared();
    let container = Arc::new(Container::builder("web").build());
    for _ in 0..lines {
        let record = Arc::new(Record::builder(container.clone(), "line").build());
        route(&record, std::slice::from_mut(&mut queue), &shared);
    }
    (queue, destination, window)
}

#[tokio::test]
async fn only_queued_messages_take_room_in_the_window_of_the_printer() {
    let (mut queue, _never_takes, window) = printed("gelf://127.0.0.1:9?queue=1", 2);
    // The queue has room for the first message only, so each call tries to send the second message.
    for _ in 0..20 {
        queue.send_at_once().await;
    }
    assert!(queue.is_full());
    assert_eq!(window.free(), 15);
}

#[tokio::test]
async fn dropped_messages_leave_the_window_of_the_printer() {
    let receiver = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf://{}?queue=1&when_full=drop_oldest", receiver.local_addr().unwrap());
    let (mut queue, destination, window) = printed(&uri, 3);
    queue.send_at_once().await;
    assert!(!queue.is_full());
    drop(queue);
    destination.run().await;
    assert_eq!(window.free(), 15, "two of the three messages were dropped");
}

#[tokio::test]
async fn the_lag_of_a_route_is_the_age_of_its_oldest_line_in_flight() {
    let (route, _destination) = queue(ALIVE);
    let at = |second| Timestamp::from_unix(second, 0).unwrap();
    let tally = &route.tally;
    assert_eq!(tally.lag(at(5)), 0);
    tally.routed(at(10));
    tally.routed(at(11));
    assert_eq!(tally.lag(at(15)), 5000);
    tally.settled(at(10));
    tally.settled(at(11));
    // A message of three lines counts two lines as joined, so neither of the two routed lines is in flight.
    tally.handed(3);
    assert_eq!(tally.lag(at(20)), 0);
    tally.routed(at(3600));
    assert_eq!(tally.lag(at(3601)), 1000);
}
