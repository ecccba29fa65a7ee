//! Keeps the rates and the lag of the last 15 minutes, so that a newly opened page can show them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use docker_source::gelf_core::Timestamp;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::{Api, containers, status};

/// The length of the interval that one sample covers.
const INTERVAL: Duration = Duration::from_secs(5);
/// The maximum number of samples: 15 minutes, in about 6 KiB.
const MAX_SAMPLES: usize = 180;

/// The counters at the beginning or the end of a sample.
#[derive(Clone, Debug, Default)]
struct Counters {
    /// Lines read for the first time.
    read: u64,
    /// Lines delivered by all routes.
    delivered: u64,
    /// The losses, as [`Lost::total`](status::Lost::total) counts them.
    lost: u64,
    /// The lines of each container, by id.
    containers: HashMap<String, u64>,
}

/// The rates within one interval.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Lines read per second.
    read: f64,
    /// Lines delivered per second.
    delivered: f64,
    /// The approximate age of the oldest line that waits at the end of the sample, in seconds.
    lag: f64,
    /// The number of losses at the beginning of the sample.
    lost_before: u64,
}

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: Option<(Counters, Instant)>,
    samples: VecDeque<Sample>,
    /// The lines per second of each container, by id.
    rates: Arc<HashMap<String, f64>>,
}

impl History {
    /// Adds the sample that ends at the time `now`. The first call adds no sample, but begins the first
    /// sample.
    fn note(&self, counters: Counters, lag: f64, now: Instant) {
        let inner = &mut *self.lock();
        let Some((before, since)) = &inner.last else {
            inner.last = Some((counters, now));
            return;
        };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        // The counter of a container starts again at 0 if the container has a new source. The rate is 0 if the
        // counter is lower than before.
        let rate = |now: u64, before: u64| tenths(now.saturating_sub(before) as f64 / seconds.max(0.001));
        let sample = Sample {
            read: rate(counters.read, before.read),
            delivered: rate(counters.delivered, before.delivered),
            lag,
            lost_before: before.lost,
        };
        let containers = counters.containers.iter();
        let rates = containers.map(|(id, lines)| {
            let before = before.containers.get(id).copied().unwrap_or(0);
            (id.clone(), rate(*lines, before))
        });
        inner.rates = Arc::new(rates.collect());
        if inner.samples.len() == MAX_SAMPLES {
            inner.samples.pop_front();
        }
        inner.samples.push_back(sample);
        inner.last = Some((counters, now));
    }

    /// Returns the lines per second of each container, by id. The map is empty before the end of the first
    /// sample.
    pub(super) fn rates(&self) -> Arc<HashMap<String, f64>> {
        self.lock().rates.clone()
    }

    /// Returns the number of losses before the oldest sample that is kept.
    pub(super) fn lost_before(&self) -> u64 {
        self.lock().samples.front().map_or(0, |sample| sample.lost_before)
    }

    /// Returns the JSON of the samples, beginning with the oldest one.
    pub(super) fn shown(&self) -> Value {
        let inner = self.lock();
        let values = |of: fn(&Sample) -> f64| inner.samples.iter().map(of).collect::<Vec<_>>();
        json!({
            "interval_seconds": INTERVAL.as_secs(),
            "lines_per_second": values(|sample| sample.read),
            "delivered_per_second": values(|sample| sample.delivered),
            "lag_seconds": values(|sample| sample.lag),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number with one decimal.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Takes samples at an interval.
pub(super) async fn watch(api: Arc<Api>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let known = containers::known(&api);
        let of_routes = status::routes_account(&api);
        let total = api.sources.sum().total;
        let counters = Counters {
            read: total.read.saturating_sub(total.skipped_repeated),
            delivered: of_routes.delivered + of_routes.joined,
            lost: status::lost(&api).total(),
            containers: known
                .iter()
                .map(|status| (status.container.id().to_owned(), containers::lines(status)))
                .collect(),
        };
        let now = Timestamp::from(SystemTime::now());
        let of_containers = known.iter().map(|status| containers::lag(status, now));
        let of_routes = api.registry.routes().into_iter().map(|route| status::lag(&route, now));
        let lag = of_containers.chain(of_routes).fold(0.0, f64::max);
        api.history.note(counters, lag, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_rates_of_its_interval_and_old_samples_are_removed() {
        let (history, start) = (History::default(), Instant::now());
        let note = |read, lost, second| {
            let containers = HashMap::from([("web".to_owned(), read)]);
            let counters = Counters { read, delivered: read / 2, lost, containers };
            history.note(counters, 1.5, start + Duration::from_secs(second));
        };
        note(1000, 0, 0);
        assert_eq!(history.shown()["lines_per_second"], json!([]));
        assert!(history.rates().is_empty());
        note(1500, 7, 5);
        // The task was late by 5 s.
        note(2000, 7, 15);
        // The container has a new source.
        note(100, 7, 20);
        let shown = history.shown();
        assert_eq!(shown["lines_per_second"], json!([100.0, 50.0, 0.0]));
        assert_eq!(shown["delivered_per_second"], json!([50.0, 25.0, 0.0]));
        assert_eq!(shown["lag_seconds"], json!([1.5, 1.5, 1.5]));
        assert_eq!((history.lost_before(), history.rates()["web"]), (0, 0.0));
        for second in 0..MAX_SAMPLES as u64 {
            note(100 + second, 7, 25 + 5 * second);
        }
        assert_eq!(history.shown()["lag_seconds"].as_array().unwrap().len(), MAX_SAMPLES);
        assert_eq!(history.lost_before(), 7);
    }
}
