//! Writes metrics in the text format of Prometheus, version 0.0.4.

use std::fmt::Write;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The prefix of the names of all metrics.
const PREFIX: &str = "gelf_router";

/// A text with metrics.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a counter. The suffix `_total` is added to the name.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(format!("{PREFIX}_{name}_total"), "counter", help)
    }

    /// Begins a gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(format!("{PREFIX}_{name}"), "gauge", help)
    }

    fn family(&mut self, name: String, kind: &str, help: &str) -> Family<'_> {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { name, text: &mut self.text }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Family<'a> {
    name: String,
    text: &'a mut String,
}

impl Family<'_> {
    /// Adds a sample without labels.
    pub(super) fn value(&mut self, value: u64) {
        self.sample(&[], value);
    }

    /// Adds a sample with labels. Values of labels are escaped.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.text.push_str(&self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{separator}{name}=\"");
            for character in value.chars() {
                match character {
                    '\\' | '"' => self.text.extend(['\\', character]),
                    '\n' => self.text.push_str("\\n"),
                    character => self.text.push(character),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_lines_in_the_text_format() {
        let mut exposition = Exposition::default();
        exposition.counter("lines_read", "Lines that were read").value(7);
        let mut routes = exposition.gauge("up", "1 if the destination takes lines");
        routes.sample(&[("id", "a"), ("name", "x\"\\\n")], 1);
        routes.sample(&[("id", "b"), ("name", "")], 0);
        assert_eq!(
            exposition.into_text(),
            "\
# HELP gelf_router_lines_read_total Lines that were read
# TYPE gelf_router_lines_read_total counter
gelf_router_lines_read_total 7
# HELP gelf_router_up 1 if the destination takes lines
# TYPE gelf_router_up gauge
gelf_router_up{id=\"a\",name=\"x\\\"\\\\\\n\"} 1
gelf_router_up{id=\"b\",name=\"\"} 0
"
        );
    }
}
