//! Answers `GET /status` with everything that the page shows: the account, the routes, the containers, the
//! gaps and the rates of the last 15 minutes.
//!
//! All counters are from the same moment, since one thread counts all lines and makes the answer without
//! waiting. The account is an equation that holds if no line is lost without being counted:
//!
//! ```text
//! read + copies = delivered + joined + in flight + dropped by reason + skipped by reason + left unread
//! ```
//!
//! If several routes that read from one source select a line, it counts as one line read, and as one copy for each
//! of these routes after the first.

use std::time::{Instant, SystemTime};

use docker_source::gelf_core::Timestamp;
use gelf_tokio::{ClientState, Transport};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, JSON, text};
use super::progress::Part;
use super::time::{rfc3339, since};
use super::{Api, MAX_TAILS, containers, health};
use crate::account::{DROP_REASONS, RouteAccount};
use crate::gaps::GapEntry;
use crate::registry::RunningRoute;

/// Returns the status of the router.
pub(super) fn answer(api: &Api) -> Answer {
    let now = Timestamp::from(SystemTime::now());
    let stalled: Vec<_> = api.progress.stalled(Instant::now()).into_iter().map(|(part, ..)| part).collect();
    let routes = api.registry.routes();
    let lost = lost(api);
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": rfc3339(now),
        "started": rfc3339(api.started),
        "problems": health::problems(api),
        "account": account(api),
        "lost": {
            "dropped": lost.dropped,
            "gaps": lost.gaps,
            "possibly_lost": lost.possibly_lost,
            "unavailable_logs": lost.unavailable_logs,
            "last_15_minutes": lost.total().saturating_sub(api.history.lost_before()),
        },
        "routes": routes.iter().map(|route| shown(route, &stalled, now)).collect::<Value>(),
        "containers": containers::list(api),
        "gaps": api.sources.gaps().entries().iter().map(gap).collect::<Value>(),
        "history": api.history.shown(),
        "live_tails": { "open": MAX_TAILS.saturating_sub(api.tails.available_permits()), "maximum": MAX_TAILS },
    });
    text(StatusCode::OK, JSON, value.to_string())
}

/// Returns the account of all lines.
fn account(api: &Api) -> Value {
    let (total, of_routes) = (api.sources.sum().total, routes_account(api));
    let (unrouted, copies) = (api.sources.unrouted(), api.sources.copies());
    let left_unread = api.sources.left_unread();
    let in_flight = api.sources.in_flight() + of_routes.in_flight;
    let skipped = [
        ("empty", total.skipped_empty),
        ("no_route", unrouted),
        ("old", total.skipped_old),
        ("repeated", total.skipped_repeated),
    ];
    let sum = of_routes.sum() + total.in_flight + skipped.iter().map(|(_, lines)| lines).sum::<u64>();
    json!({
        "read": total.read,
        "copies": copies,
        "delivered": of_routes.delivered,
        "joined": of_routes.joined,
        "in_flight": in_flight,
        "dropped": dropped(&of_routes),
        "skipped": skipped.into_iter().map(|(reason, lines)| (reason.to_owned(), lines.into())).collect::<Map<_, _>>(),
        "left_unread": left_unread,
        "difference": difference(total.read + copies, sum),
    })
}

/// Returns the sum of the accounts of all routes, including the removed routes.
pub(super) fn routes_account(api: &Api) -> RouteAccount {
    let mut sum = api.registry.removed_account();
    for route in api.registry.routes() {
        sum += RouteAccount::from(&route.tally.figures());
    }
    sum
}

fn dropped(account: &RouteAccount) -> Value {
    let reasons = DROP_REASONS.iter().zip(account.dropped);
    Value::Object(reasons.map(|(reason, lines)| ((*reason).to_owned(), lines.into())).collect())
}

/// Returns `lines - sum`: the number of lines that no term counts. It is negative if the terms count too
/// many.
fn difference(lines: u64, sum: u64) -> Value {
    match lines.checked_sub(sum) {
        Some(missing) => missing.into(),
        None => json!(-i128::from(sum - lines) as i64),
    }
}

/// The numbers of dropped lines, of gaps, of possibly lost lines, and of logs that could not be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    dropped: u64,
    gaps: u64,
    possibly_lost: u64,
    /// The number of logs that could not be read to the end. The total does not include it, since most of
    /// these logs have a driver that does not support reading.
    unavailable_logs: u64,
}

impl Lost {
    /// Returns the total of all losses except `unavailable_logs`.
    pub(super) fn total(self) -> u64 {
        self.dropped + self.gaps + self.possibly_lost
    }
}

/// Returns the losses since the start.
pub(super) fn lost(api: &Api) -> Lost {
    let (total, of_routes) = (api.sources.sum().total, routes_account(api));
    Lost {
        dropped: of_routes.dropped(),
        gaps: total.gaps,
        possibly_lost: of_routes.possibly_lost,
        unavailable_logs: total.unavailable_logs,
    }
}

/// Returns the approximate age of the oldest line in flight of a route, in seconds; see `Tally::lag`.
pub(super) fn lag(route: &RunningRoute, now: Timestamp) -> f64 {
    route.tally.lag(now) as f64 / 1000.0
}

/// Returns the JSON of a route, without its credentials.
fn shown(route: &RunningRoute, stalled: &[Part], now: Timestamp) -> Value {
    let figures = route.tally.figures();
    let account = RouteAccount::from(&figures);
    let (client, queue) = (figures.client, route.route.endpoint.queue());
    let is_stalled = stalled.contains(&Part::Route(route.id.clone()));
    let problem = health::destination_problem(route);
    let state = match route.tally.state() {
        _ if problem.is_some() => "down",
        ClientState::Closed | ClientState::DriverEnded => "closed",
        _ if is_stalled => "stalled",
        ClientState::Connected => "connected",
        _ => "connecting",
    };
    json!({
        "id": route.id,
        "name": route.route.uri().name,
        "destination": route.route.to_string(),
        "is_udp": matches!(route.route.endpoint.transport(), Transport::Udp(_)),
        "state": state,
        "since": problem.as_ref().map(|problem| since(problem.since)),
        "error": problem.map(|problem| problem.error),
        "account": {
            "selected": account.selected,
            "delivered": account.delivered,
            "joined": account.joined,
            "in_flight": account.in_flight,
            "dropped": dropped(&account),
            "difference": difference(account.selected, account.sum()),
        },
        "receipts": { "accepted": client.accepted, "acknowledged": client.acknowledged, "sent": client.sent },
        "possibly_lost": account.possibly_lost,
        "resent": client.resent,
        "queue": { "messages": client.waiting, "maximum": queue.max_messages },
        "lag_seconds": lag(route, now),
    })
}

fn gap(entry: &GapEntry) -> Value {
    json!({
        "container": entry.container.name(),
        "container_id": entry.container.id(),
        "reason": entry.last.reason.as_str(),
        "count": entry.count,
        "after": entry.last.after.map(rfc3339),
        "before": entry.last.before.map(rfc3339),
    })
}
