//! Measures how much each container writes.

use std::collections::BTreeMap;
use std::time::Duration;

use docker_source::{EngineAddress, Record, Source};
use tokio::time::{Instant, timeout_at};

/// The duration of a measurement.
const PERIOD: Duration = Duration::from_secs(2);
/// The time limit for connecting to the Engine.
const CONNECT: Duration = Duration::from_secs(10);

/// The rates of containers, by id. A container that wrote nothing is absent.
pub(super) type Rates = BTreeMap<String, Rate>;

/// The lines that a container wrote within a period.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    /// The number of lines.
    pub(super) lines: u64,
    /// The sum of the lengths of the lines, in bytes.
    pub(super) bytes: u64,
    pub(super) period: Duration,
}

impl Rate {
    /// Returns the approximate growth of a log file of this driver, in bytes per second. In addition to its
    /// text, a line takes 80 bytes with json-file (the names of JSON members, the stream and the time), and 40
    /// bytes with local.
    pub(super) fn bytes_per_second(&self, driver: &str) -> u64 {
        let each = if driver == "local" { 40 } else { 80 };
        let bytes = self.bytes.saturating_add(self.lines.saturating_mul(each));
        bytes.saturating_mul(1000) / u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// Follows all containers without `LOGSPOUT=ignore` for 2 s, as the router does, and counts their lines without
/// keeping them. If containers write faster than their lines are read, the returned rates are the rates of reading.
///
/// # Errors
/// Returns the reason if the containers cannot be followed.
pub(super) async fn measure(address: EngineAddress) -> Result<Rates, String> {
    let connecting = Source::builder().address(address).connect();
    let connected = tokio::time::timeout(CONNECT, connecting).await;
    let mut source =
        connected.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    let mut rates = Rates::new();
    let end = Instant::now() + PERIOD;
    while let Ok(next) = timeout_at(end, source.next()).await {
        let Some(record) = next.map_err(|error| error.to_string())? else { break };
        add(&mut rates, &record);
    }
    Ok(rates)
}

/// Counts a record, unless it announces a gap.
fn add(rates: &mut Rates, record: &Record) {
    if record.gap().is_some() {
        return;
    }
    let id = record.container().id();
    let rate = match rates.get_mut(id) {
        Some(rate) => rate,
        None => rates.entry(id.to_owned()).or_insert_with(|| Rate { period: PERIOD, ..Rate::default() }),
    };
    rate.lines += 1;
    rate.bytes = rate.bytes.saturating_add(u64::try_from(record.length()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use docker_source::{Container, GapReason};

    use super::*;

    #[test]
    fn a_cut_line_counts_with_its_whole_length_and_each_line_with_the_bytes_that_the_log_file_adds() {
        let container = Container::builder("web").id("a".repeat(64)).build();
        let mut rates = Rates::new();
        let line = || Record::builder(container.clone(), "x".repeat(20));
        add(&mut rates, &line().build());
        add(&mut rates, &line().cut_from(1000).build());
        add(&mut rates, &line().gap(None, None, GapReason::Rotated).build());
        let rate = &rates[container.id()];
        assert_eq!((rate.lines, rate.bytes), (2, 1020));
        assert_eq!((rate.bytes_per_second("json-file"), rate.bytes_per_second("local")), (590, 550));
    }
}
