//! Reports lost events in messages that the layer itself makes.

use std::future::pending;
use std::sync::Weak;
use std::time::Duration;

use gelf_tokio::gelf_core::{FieldName, Level};
use gelf_tokio::stats::ClientStats;
use gelf_tokio::{Client, ClientState, NotQueuedReason};
use tokio::time::{sleep, timeout};

use crate::sink::Sink;

/// The minimum time between two reports.
const EVERY: Duration = Duration::from_secs(60);

/// The time between two checks of the counters. A report also waits at most this time for room in the queue.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const LOST: FieldName<'static> = FieldName::from_static("lost");
const LOST_TOTAL: FieldName<'static> = FieldName::from_static("lost_total");
const TARGET: FieldName<'static> = FieldName::from_static("target");

/// Sends a report whenever events have been lost, at most once a minute. The future never completes.
pub(crate) async fn run(sink: Weak<Sink>) {
    sleep(LOOK_EVERY).await;
    if let Some(sink) = sink.upgrade() {
        log_outage(&sink.client);
    }
    let mut reported = Reported::default();
    loop {
        // If the sink is gone, all layers and loggers were dropped. This future is dropped when the driver ends.
        let Some(sink) = sink.upgrade() else { return pending().await };
        let pause = match report(&sink, &mut reported).await {
            Report::Sent | Report::TooLarge => EVERY,
            Report::Delayed | Report::NotNeeded => LOOK_EVERY,
            Report::Closed => return pending().await,
        };
        drop(sink);
        sleep(pause).await;
    }
}

/// The result of [`report`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Report {
    /// The client takes no more messages.
    Closed,
    /// The queue had no room in time.
    Delayed,
    /// There is no loss to report.
    NotNeeded,
    Sent,
    /// The report has more bytes than the queue may have. Only other layers got it.
    TooLarge,
}

/// Sends a report if events have been lost since the last report. A report that is not queued is not counted as
/// a lost event.
async fn report(sink: &Sink, reported: &mut Reported) -> Report {
    let stats = sink.client.stats();
    let Some(lost) = reported.news(&stats) else { return Report::NotNeeded };
    let text = text(lost, &stats);
    let message = sink
        .constants
        .message(&*text)
        .with_level(Level::Warning)
        .with_field(TARGET, "gelf_tracing")
        .with_field(LOST, lost)
        .with_field(LOST_TOTAL, total(&stats));
    // Waits until the queue has room, unless a full queue drops its oldest message. The time limit is short, since
    // `sink` keeps the client open meanwhile.
    let report = match timeout(LOOK_EVERY, sink.client.send_uncounted(&message)).await {
        Ok(Ok(())) => Report::Sent,
        Ok(Err(refused)) => match refused.reason {
            NotQueuedReason::Closed | NotQueuedReason::DriverEnded => return Report::Closed,
            NotQueuedReason::TooLarge => Report::TooLarge,
            _ => return Report::Delayed,
        },
        Err(_) => return Report::Delayed,
    };
    reported.reported(&stats, report == Report::Sent);
    // This event is for other layers, such as a layer that writes to stderr.
    tracing::warn!(target: "gelf_tracing", "{text}");
    report
}

/// Logs an outage for other layers. The client has logged it too, but probably before the program has set its
/// subscriber.
fn log_outage(client: &Client) {
    if let (ClientState::Down { .. }, Some(error)) = (client.state(), client.last_error()) {
        tracing::warn!(target: "gelf_tracing", "the destination is down, retrying: {error}");
    }
}

/// The losses that have been reported.
#[derive(Debug, Default)]
struct Reported {
    lost: u64,
    /// The number of messages that the client had been given at the last report, including the report. `None`
    /// if the last report was not queued.
    offered: Option<u64>,
}

impl Reported {
    /// Returns the number of messages that were lost since the last report. Returns `None` if no message was
    /// lost. Also returns `None` if only one message was lost, and the client was given no message since the
    /// report: the lost message is then probably the report itself. Without this exception, a receiver that
    /// refuses everything would get a report each minute.
    fn news(&self, stats: &ClientStats) -> Option<u64> {
        let lost = total(stats) - self.lost;
        let is_report = lost == 1 && self.offered == Some(offered(stats));
        (lost > 0 && !is_report).then_some(lost)
    }

    fn reported(&mut self, stats: &ClientStats, is_queued: bool) {
        self.lost = total(stats);
        self.offered = is_queued.then(|| offered(stats) + 1);
    }
}

fn total(stats: &ClientStats) -> u64 {
    stats.not_queued.total() + stats.dropped.total()
}

fn offered(stats: &ClientStats) -> u64 {
    stats.queued + stats.not_queued.total()
}

fn text(lost: u64, stats: &ClientStats) -> String {
    let (dropped, not_queued) = (&stats.dropped, &stats.not_queued);
    let reasons = [
        ("the queue was full", not_queued.full + dropped.queue_full),
        ("the receiver refused them", dropped.refused + dropped.rejected),
        ("they were too long", not_queued.too_large + dropped.too_large + dropped.datagram_too_long),
        ("the system did not take them", dropped.system),
        ("their payloads were invalid", not_queued.invalid),
        ("the client was closed", not_queued.closed + dropped.ended),
        ("the driver had ended", not_queued.driver_ended),
    ];
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{count} because {reason}"))
        .collect();
    let events = if lost == 1 { "event was" } else { "events were" };
    format!("{lost} {events} lost; in all: {}", reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gelf_tokio::Driver;

    use super::*;

    fn stats(queued: u64, not_queued: u64, rejected: u64) -> ClientStats {
        let mut stats = ClientStats::default();
        stats.queued = queued;
        stats.not_queued.full = not_queued;
        stats.dropped.rejected = rejected;
        stats
    }

    #[test]
    fn a_loss_is_news_once_and_the_loss_of_a_report_is_no_news() {
        let mut reported = Reported::default();
        assert_eq!(reported.news(&stats(5, 0, 0)), None);
        assert_eq!(reported.news(&stats(5, 2, 1)), Some(3));
        reported.reported(&stats(5, 2, 1), true);
        // The report was queued, and then rejected.
        assert_eq!(reported.news(&stats(6, 2, 1)), None);
        assert_eq!(reported.news(&stats(6, 2, 2)), None);
        assert_eq!(reported.news(&stats(7, 2, 3)), Some(2));
    }

    fn sink(uri: &str, host: &str) -> (Arc<Sink>, Driver) {
        let (client, driver) = Client::builder(&uri.parse().unwrap()).build().unwrap();
        let constants = gelf_tokio::gelf_core::FieldSet::builder(host.to_owned()).build();
        (Arc::new(Sink { client, constants, max_value_bytes: 100, blocks: false }), driver)
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_is_not_queued_is_no_lost_event() {
        let long = "h".repeat(1024);
        for (host, closes) in [(&*long, false), ("h", true)] {
            let (sink, _driver) = sink("gelf+tcp://127.0.0.1:1?queue_bytes=1024", host);
            sink.client.try_send_payload(b"").unwrap_err();
            if closes {
                sink.client.close(Duration::ZERO).await.unwrap();
            }
            let reporting = tokio::spawn(run(Arc::downgrade(&sink)));
            sleep(Duration::from_secs(600)).await;
            assert!(!reporting.is_finished());
            assert_eq!((total(&sink.client.stats()), sink.client.stats().queued), (1, 0), "closes: {closes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn losses_without_end_are_reported_once_a_minute() {
        let (sink, _driver) = sink("gelf+tcp://127.0.0.1:1", "h");
        tokio::spawn(run(Arc::downgrade(&sink)));
        for _ in 0..600 {
            sink.client.try_send_payload(b"").unwrap_err();
            sleep(Duration::from_secs(1)).await;
        }
        let reports = sink.client.stats().queued;
        assert!((9..=10).contains(&reports), "{reports}");
    }

    #[test]
    fn the_text_names_each_reason_with_its_count() {
        assert_eq!(
            text(3, &stats(5, 2, 1)),
            "3 events were lost; in all: 2 because the queue was full, 1 because the receiver refused them"
        );
        let mut invalid = ClientStats::default();
        invalid.not_queued.invalid = 1;
        assert_eq!(text(1, &invalid), "1 event was lost; in all: 1 because their payloads were invalid");
    }

    #[test]
    fn each_counted_loss_has_a_reason() {
        let counts: [fn(&mut ClientStats) -> &mut u64; 12] = [
            |stats| &mut stats.dropped.datagram_too_long,
            |stats| &mut stats.dropped.ended,
            |stats| &mut stats.dropped.queue_full,
            |stats| &mut stats.dropped.refused,
            |stats| &mut stats.dropped.rejected,
            |stats| &mut stats.dropped.system,
            |stats| &mut stats.dropped.too_large,
            |stats| &mut stats.not_queued.closed,
            |stats| &mut stats.not_queued.driver_ended,
            |stats| &mut stats.not_queued.full,
            |stats| &mut stats.not_queued.invalid,
            |stats| &mut stats.not_queued.too_large,
        ];
        for (index, count) in counts.into_iter().enumerate() {
            let mut stats = ClientStats::default();
            *count(&mut stats) = 7;
            assert_eq!(total(&stats), 7);
            assert!(text(7, &stats).contains("in all: 7 because "), "{index}: {}", text(7, &stats));
        }
    }
}
