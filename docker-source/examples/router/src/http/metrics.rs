//! Answers `GET /metrics` with the counters of the sources and routes.
//!
//! The labels have few values: reasons, and the id, name and destination of a route. There is no label for
//! the container, since a host may have any number of containers.

use docker_source::FollowState;
use gelf_tokio::stats::ClientStats;
use hyper::StatusCode;

use super::answer::{Answer, text};
use super::exposition::{CONTENT_TYPE, Exposition};
use super::health::destination_problem;
use super::{Api, MAX_TAILS};
use crate::registry::RunningRoute;
use crate::tally::Figures;

/// Answers with all counters.
pub(super) fn answer(api: &Api) -> Answer {
    let mut exposition = Exposition::default();
    let info = &[("version", env!("CARGO_PKG_VERSION"))];
    exposition.gauge("info", "The version of the router; always 1").sample(info, 1);
    let engine = u64::from(api.engine.problem().is_none());
    exposition.gauge("engine_up", "1 if the Engine answers").value(engine);
    let state = u64::from(api.is_writable.problem().is_none());
    exposition.gauge("state_writable", "1 unless the state folder cannot be written").value(state);
    let tails = MAX_TAILS.saturating_sub(api.tails.available_permits());
    exposition.gauge("live_tails", "Live tails of clients").value(tails as u64);
    sources(api, &mut exposition);
    routes(&api.registry.routes(), &mut exposition);
    text(StatusCode::OK, CONTENT_TYPE, exposition.into_text())
}

/// Writes the sums of the counters of all sources.
fn sources(api: &Api, exposition: &mut Exposition) {
    let (sum, reading) = (api.sources.sum(), api.sources.reading());
    let followed = reading.iter().flat_map(|stats| stats.containers());
    let followed = followed.filter(|status| status.state == FollowState::Followed);
    let mut followed: Vec<_> = followed.map(|status| status.container.id().to_owned()).collect();
    followed.sort_unstable();
    followed.dedup();

    let total = sum.total;
    exposition.counter("lines_read", "Lines read; a line that is read twice counts twice").value(total.read);
    exposition.counter("lines_yielded", "Lines passed to the routes").value(total.yielded);
    let mut skipped = exposition.counter("lines_skipped", "Lines read and not passed on, by reason");
    skipped.sample(&[("reason", "empty")], total.skipped_empty);
    skipped.sample(&[("reason", "old")], total.skipped_old);
    skipped.sample(&[("reason", "repeated")], total.skipped_repeated);
    exposition.gauge("lines_in_flight", "Lines read and not yet passed on").value(api.sources.in_flight());
    let help = "Lines read for removed routes and not passed on";
    exposition.counter("lines_left_unread", help).value(api.sources.left_unread());
    let help = "Lines that were passed on and that no route selects";
    exposition.counter("lines_unrouted", help).value(api.sources.unrouted());
    exposition.counter("lines_truncated", "Lines cut because they are too long").value(total.truncated);
    let help = "Places where lines may be missing; a message announces each, and counts as a line read";
    exposition.counter("gaps", help).value(total.gaps);
    let help = "Runs of containers whose log could not be read to the end";
    exposition.counter("unavailable_logs", help).value(total.unavailable_logs);
    exposition.counter("bad_frames", "Violations of Docker's log format").value(total.bad_frames);
    exposition.counter("log_requests", "Requests for logs").value(total.requests);
    exposition.counter("log_resumes", "Requests that followed a log again").value(total.resumes);
    let help = "Requests for the last records of a log, to read a busy log or to find omitted lines";
    exposition.counter("log_windows", help).value(total.windows);
    let help = "Requests of all kinds to the Engine, without the questions of the health check";
    exposition.counter("engine_requests", help).value(sum.engine_requests);
    exposition.counter("event_streams", "Event streams that were opened").value(sum.events_connections);
    exposition.counter("bad_events", "Events that could not be read").value(sum.events_bad);
    let help = "Lists of all containers that were compared with the followed containers";
    exposition.counter("container_lists", help).value(sum.lists);
    exposition.counter("container_list_failures", "Lists of containers that failed").value(sum.list_failures);
    exposition.counter("bad_list_entries", "Entries of lists that could not be read").value(sum.list_bad);
    exposition.counter("metadata_cut", "Containers whose metadata are cut").value(sum.metadata_cut);
    exposition.counter("follower_restarts", "Readers restarted after a panic").value(sum.follower_restarts);
    exposition.gauge("containers_followed", "Containers whose log is followed").value(followed.len() as u64);
    let help = "Containers read in turn for want of a file descriptor";
    exposition.gauge("containers_waiting_for_descriptor", help).value(sum.waiting_for_descriptor);
}

/// A metric that each route has. `values` returns pairs of a reason and a value of the metric. The reason
/// becomes the label `reason`. A value with the reason [`NONE`] gets no such label.
struct Column {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    values: fn(&Snapshot) -> Vec<(&'static str, u64)>,
}

/// The counters of a route at one moment.
struct Snapshot {
    figures: Figures,
    client: ClientStats,
    is_up: bool,
}

/// The text in place of a reason for a value that gets no label `reason`.
const NONE: &str = "";

const fn counter(
    name: &'static str,
    help: &'static str,
    values: fn(&Snapshot) -> Vec<(&'static str, u64)>,
) -> Column {
    Column { name, help, is_counter: true, values }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    values: fn(&Snapshot) -> Vec<(&'static str, u64)>,
) -> Column {
    Column { name, help, is_counter: false, values }
}

static COLUMNS: [Column; 18] = [
    gauge("route_up", "0 if the last attempt to connect to the destination, or to send, failed", |route| {
        vec![(NONE, route.is_up.into())]
    }),
    gauge("route_connected", "1 if there is a connection, or over UDP a socket", |route| {
        vec![(NONE, route.client.is_connected.into())]
    }),
    counter("route_lines_routed", "Lines that the route selects", |route| vec![(NONE, route.figures.routed)]),
    counter("route_lines_joined", "Lines sent with the line before as one message", |route| {
        vec![(NONE, route.figures.joined)]
    }),
    gauge("route_lines_in_flight", "Lines neither delivered nor dropped", |route| {
        vec![(NONE, route.figures.in_flight())]
    }),
    counter("route_messages_queued", "Messages put into the queue", |route| {
        vec![(NONE, route.client.queued)]
    }),
    gauge("route_queue_messages", "Messages that wait in the queue", |route| {
        vec![(NONE, route.client.waiting as u64)]
    }),
    gauge("route_messages_in_flight", "Messages being sent", |route| {
        vec![(NONE, route.client.in_flight as u64)]
    }),
    counter(
        "route_messages_delivered",
        "Messages delivered: answered (accepted), acknowledged by the kernel of the destination, or sent over UDP",
        |route| {
            let ClientStats { accepted, acknowledged, sent, .. } = route.client;
            vec![("accepted", accepted), ("acknowledged", acknowledged), ("sent", sent)]
        },
    ),
    counter("route_messages_dropped", "Messages dropped, by reason", |route| {
        let dropped = route.client.dropped;
        vec![
            ("datagram_too_long", dropped.datagram_too_long),
            ("ended", dropped.ended),
            ("queue_full", dropped.queue_full),
            ("refused", dropped.refused),
            ("rejected", dropped.rejected),
            ("system", dropped.system),
            ("too_large", dropped.too_large),
        ]
    }),
    counter("route_messages_not_queued", "Messages dropped before the queue, by reason", |route| {
        let refused = route.client.not_queued;
        vec![
            ("closed", refused.closed),
            ("driver_ended", refused.driver_ended),
            ("full", refused.full),
            ("invalid", refused.invalid),
            ("too_large", refused.too_large),
        ]
    }),
    counter("route_messages_possibly_lost", "Messages acknowledged on a connection that broke", |route| {
        vec![(NONE, route.client.possibly_lost)]
    }),
    counter("route_messages_resent", "Messages sent again", |route| vec![(NONE, route.client.resent)]),
    counter("route_messages_truncated", "Messages cut to fit into 128 chunks", |route| {
        vec![(NONE, route.client.truncated)]
    }),
    counter("route_receipts_lost", "Receipts that were lost, since too many were unread", |route| {
        vec![(NONE, route.client.receipts_lost)]
    }),
    counter("route_datagrams_refused", "Datagrams that the host of the destination refused", |route| {
        vec![(NONE, route.client.refused_datagrams)]
    }),
    counter("route_connections", "Connections made", |route| vec![(NONE, route.client.connections)]),
    counter("route_connection_failures", "Connections that failed or broke, by reason", |route| {
        vec![("connect", route.client.failed_connects), ("broken", route.client.broken_connections)]
    }),
];

/// Adds the counters of each route.
fn routes(routes: &[RunningRoute], exposition: &mut Exposition) {
    let rows: Vec<_> = routes
        .iter()
        .map(|route| {
            let destination = route.route.to_string();
            let name = route.route.uri().name.clone().unwrap_or_default();
            let figures = route.tally.figures();
            let is_up = destination_problem(route).is_none();
            (route.id.as_str(), name, destination, Snapshot { client: figures.client, figures, is_up })
        })
        .collect();
    for Column { name, help, is_counter, values } in &COLUMNS {
        let mut family = match is_counter {
            true => exposition.counter(name, help),
            false => exposition.gauge(name, help),
        };
        for (id, name, destination, snapshot) in &rows {
            let labels = [("id", *id), ("name", name), ("destination", destination)];
            for (reason, value) in values(snapshot) {
                let reason = ("reason", reason);
                match reason.1 {
                    NONE => family.sample(&labels, value),
                    _ => family.sample(&[&labels[..], &[reason]].concat(), value),
                }
            }
        }
    }
}
