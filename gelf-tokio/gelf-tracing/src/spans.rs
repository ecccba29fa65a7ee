//! The fields and times of spans, as extensions of the spans in the registry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fields::Fields;

/// The fields of a span. Several layers may share them: each records the same fields.
#[derive(Debug)]
pub(crate) struct SpanFields(pub(crate) Arc<Fields<'static>>);

/// The times of a span: busy while it is entered, idle otherwise.
#[derive(Debug)]
pub(crate) struct Times {
    created: Instant,
    busy: Duration,
    /// The time of the last entry.
    entered: Option<Instant>,
    /// The number of entries without an exit, as several threads may be in the span.
    entries: usize,
}

impl Times {
    pub(crate) fn new(now: Instant) -> Self {
        Self { created: now, busy: Duration::ZERO, entered: None, entries: 0 }
    }

    pub(crate) fn enter(&mut self, now: Instant) {
        self.entries += 1;
        if self.entries == 1 {
            self.entered = Some(now);
        }
    }

    pub(crate) fn exit(&mut self, now: Instant) {
        self.entries = self.entries.saturating_sub(1);
        if self.entries == 0 {
            let entered = self.entered.take();
            self.busy += entered.map_or(Duration::ZERO, |entered| now.saturating_duration_since(entered));
        }
    }

    /// Returns the times from creation to `now`, in milliseconds: all, busy, idle.
    pub(crate) fn millis(&self, now: Instant) -> [f64; 3] {
        let all = now.saturating_duration_since(self.created);
        let millis = |time: Duration| time.as_micros() as f64 / 1e3;
        [millis(all), millis(self.busy), millis(all.saturating_sub(self.busy))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_busy_while_at_least_one_thread_is_in_it() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut times = Times::new(start);
        times.enter(at(10));
        times.enter(at(20));
        times.exit(at(30));
        times.exit(at(50));
        times.enter(at(60));
        times.exit(at(61));
        assert_eq!(times.millis(at(100)), [100.0, 41.0, 59.0]);
    }
}
