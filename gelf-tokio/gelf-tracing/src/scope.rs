//! Collects the spans around an event.

use std::cell::Cell;
use std::sync::Arc;

use crate::names::MAX_FIELDS;
use crate::spans::SpanRecord;

/// The maximum number of names in the path of spans.
const MAX_PATH_SPANS: usize = 32;

thread_local! {
    /// The last scope of the thread, without its values. The next scope uses its allocated memory again.
    static LAST: Cell<Scope> = Cell::default();
}

/// The spans that an event is in, the innermost first.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) names: Vec<&'static str>,
    pub(crate) fields: Vec<Arc<SpanRecord>>,
    /// The names from the outermost to the innermost, as `outer:inner`.
    pub(crate) path: String,
    /// The id of the innermost span in hexadecimal digits.
    pub(crate) span_id: String,
    /// The id of the trace in hexadecimal digits. The text is empty if there is no trace.
    pub(crate) trace_id: String,
}

impl Scope {
    /// Returns an empty scope that uses the memory of the thread's last scope.
    pub(crate) fn new() -> Self {
        LAST.try_with(Cell::take).unwrap_or_default()
    }

    /// Keeps the memory for the next scope of the thread, unless the scope has more than [`MAX_PATH_SPANS`]
    /// spans.
    pub(crate) fn retire(mut self) {
        if self.names.len() <= MAX_PATH_SPANS {
            self.names.clear();
            self.fields.clear();
            self.path.clear();
            self.span_id.clear();
            self.trace_id.clear();
            let _ = LAST.try_with(|last| last.set(self));
        }
    }

    /// Sets the path. If there are more than [`MAX_PATH_SPANS`] spans, the path has only the innermost spans,
    /// and begins with `…:`.
    pub(crate) fn set_path(&mut self) {
        let kept = self.names.get(..MAX_PATH_SPANS).unwrap_or(&self.names);
        if kept.len() < self.names.len() {
            self.path.push('…');
        }
        for name in kept.iter().rev() {
            if !self.path.is_empty() {
                self.path.push(':');
            }
            self.path.push_str(name);
        }
    }

    /// Returns the number of spans whose fields fit into the message beside the `len` fields of the event,
    /// and the number of fields that are left out. The innermost spans take precedence.
    pub(crate) fn spans_with_room(&self, len: usize) -> (usize, usize) {
        let mut room = MAX_FIELDS.saturating_sub(len);
        let (mut kept, mut left_out) = (0, 0);
        // If the fields of a span do not fit, the fields of all spans around it are left out as well.
        let mut is_full = false;
        for fields in &self.fields {
            let len = fields.len();
            left_out += fields.left_out();
            is_full |= len > room;
            if is_full {
                left_out += len;
            } else {
                room -= len;
                kept += 1;
            }
        }
        (kept, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn a_message_has_at_most_128_fields_and_the_nearest_fields_remain() {
        let given: Vec<&'static str> = (0..60).map(|number| &*format!("field{number}").leak()).collect();
        let span = |len: usize| {
            let names = names::of_callsite(given.iter().copied().take(len));
            Arc::new(SpanRecord::of_numbers(names))
        };
        let with_room = |spans: &[usize], len| {
            let fields = spans.iter().map(|len| span(*len)).collect();
            Scope { fields, ..Scope::default() }.spans_with_room(len)
        };
        assert_eq!(with_room(&[30, 30, 30], 30), (3, 0));
        assert_eq!(with_room(&[30, 60, 30, 1, 0], 40), (1, 91));
        assert_eq!(with_room(&[1], 128), (0, 1));
    }
}
