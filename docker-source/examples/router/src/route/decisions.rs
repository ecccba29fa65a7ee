//! Keeps the decision of a route about each container.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use docker_source::{Container, Record};

use super::Route;

/// The decisions of one route: for each container, whether the route selects the container. Each line costs
/// one lookup by the address of its container in memory.
#[derive(Debug)]
pub(crate) struct Decisions {
    /// The decisions by the address of the [`Container`] in memory, which no other container can have as long
    /// as the `Weak` exists. If the metadata of a container change, a new [`Container`] at another address
    /// takes the place of the old one.
    known: BTreeMap<usize, (Weak<Container>, bool)>,
    /// The length of `known` at which the decisions of dropped containers are removed.
    prune_at: usize,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { known: BTreeMap::new(), prune_at: Self::PRUNE_AT }
    }
}

impl Decisions {
    /// The smallest value of `prune_at`.
    const PRUNE_AT: usize = 64;

    /// Returns whether the route takes the line.
    pub(crate) fn takes(&mut self, route: &Route, record: &Record) -> bool {
        if !route.streams.selects(record.stream()) {
            return false;
        }
        let container = record.container();
        if self.known.len() >= self.prune_at {
            self.known.retain(|_, (container, _)| container.strong_count() > 0);
            self.prune_at = (2 * self.known.len()).max(Self::PRUNE_AT);
        }
        let decide = || (Arc::downgrade(container), route.takes(container));
        self.known.entry(Arc::as_ptr(container).addr()).or_insert_with(decide).1
    }
}

#[cfg(test)]
mod tests {
    use docker_source::LogStream;

    use super::*;

    #[test]
    fn a_route_with_sources_takes_only_lines_of_these_streams() {
        let route = Route::parse("gelf://h?filter.sources=stderr&filter.name=web").unwrap();
        let mut decisions = Decisions::default();
        for (name, stream, takes) in [
            ("web", LogStream::Stderr, true),
            ("web", LogStream::Stdout, false),
            ("db", LogStream::Stderr, false),
        ] {
            let record = Record::builder(Container::builder(name).build(), "x").stream(stream).build();
            assert_eq!(decisions.takes(&route, &record), takes, "{name} {stream}");
        }
    }

    #[test]
    fn decisions_of_dropped_containers_are_removed() {
        let route = Route::parse("gelf://h?filter.name=web").unwrap();
        let mut decisions = Decisions::default();
        let live = Arc::new(Container::builder("web").build());
        for number in 0..10_000 {
            let other = Container::builder(format!("job-{number}")).build();
            assert!(!decisions.takes(&route, &Record::builder(other, "x").build()));
            assert!(decisions.takes(&route, &Record::builder(live.clone(), "x").build()));
            assert!(decisions.known.len() <= Decisions::PRUNE_AT);
        }
    }
}
