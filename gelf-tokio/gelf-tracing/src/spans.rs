//! Keeps the fields and times of spans as extensions of the spans in the registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gelf_tokio::gelf_core::{FieldName, Value};

use crate::callsite::Callsite;
use crate::record::EventRecord;

/// The fields of a span, for each maximum length of a value that a layer has. Layers of this crate with the same
/// maximum share a record, since each of them records the same values.
#[derive(Debug)]
pub(crate) struct SpanFields {
    first: OfMaximum,
    /// The records for the other maximums. Few subscribers have several layers of this crate.
    further: Vec<OfMaximum>,
}

#[derive(Debug)]
struct OfMaximum {
    max_value_bytes: usize,
    record: Arc<SpanRecord>,
}

impl SpanFields {
    pub(crate) fn new(max_value_bytes: usize, record: Arc<SpanRecord>) -> Self {
        Self { first: OfMaximum { max_value_bytes, record }, further: Vec::new() }
    }

    pub(crate) fn get(&self, max_value_bytes: usize) -> Option<&Arc<SpanRecord>> {
        let mut all = std::iter::once(&self.first).chain(&self.further);
        all.find(|known| known.max_value_bytes == max_value_bytes).map(|known| &known.record)
    }

    pub(crate) fn get_mut(&mut self, max_value_bytes: usize) -> Option<&mut Arc<SpanRecord>> {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.further);
        all.find(|known| known.max_value_bytes == max_value_bytes).map(|known| &mut known.record)
    }

    pub(crate) fn set(&mut self, max_value_bytes: usize, record: Arc<SpanRecord>) {
        match self.get_mut(max_value_bytes) {
            Some(known) => *known = record,
            None => self.further.push(OfMaximum { max_value_bytes, record }),
        }
    }
}

/// The values of the fields of a span.
#[derive(Clone, Debug)]
pub(crate) struct SpanRecord {
    callsite: Arc<Callsite>,
    /// The value of each field of the callsite. The value is null if the field has not been recorded.
    values: Vec<Value<'static>>,
    /// The indices of the fields that are left out. A field counts once, even if it is recorded several times
    /// or by several layers.
    left_out: BTreeSet<usize>,
}

impl SpanRecord {
    pub(crate) fn new(callsite: Arc<Callsite>) -> Self {
        let values = vec![Value::Null; callsite.names.len()];
        Self { callsite, values, left_out: BTreeSet::new() }
    }

    /// Returns a record with a number in each field.
    #[cfg(test)]
    pub(crate) fn of_numbers(names: Vec<FieldName<'static>>) -> Self {
        let values = vec![Value::from(1); names.len()];
        let constants = gelf_tokio::gelf_core::FieldSet::builder("h").build();
        Self {
            callsite: Arc::new(Callsite { names, message: None, constants }),
            values,
            left_out: BTreeSet::new(),
        }
    }

    /// Takes the values out of a record, and sets the fields to them.
    pub(crate) fn set(&mut self, record: &mut EventRecord) {
        self.left_out.extend(record.left_out.drain(..));
        for (index, value) in record.take_values() {
            if let Some(known) = self.values.get_mut(index) {
                *known = value;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.iter().filter(|value| !value.is_null()).count()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    /// Returns the fields, without copies of their texts.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (FieldName<'_>, Value<'_>)> {
        let fields = self.callsite.names.iter().zip(&self.values).filter(|(_, value)| !value.is_null());
        fields.map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.clone(), Value::from);
            (name.clone(), value)
        })
    }
}

/// The times of a span: busy while it is entered, idle otherwise.
#[derive(Debug)]
pub(crate) struct Times {
    created: Instant,
    busy: Duration,
    /// The time at which the span became busy. `None` while the span is idle.
    entered: Option<Instant>,
    /// The number of entries without an exit. It can exceed 1, since several threads can be in the span.
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

    /// Returns the total, busy and idle time from the creation of the span to `now`, in milliseconds.
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
    fn a_field_that_is_left_out_several_times_counts_once() {
        let mut span = SpanRecord::of_numbers(Vec::new());
        for left_out in [&[128, 129][..], &[129], &[129]] {
            let mut record = EventRecord::default();
            record.left_out.extend(left_out);
            span.set(&mut record);
        }
        assert_eq!(span.left_out(), 2);
    }

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
