//! Keeps the metadata of a followed container. At first, the metadata are partial: they come from an event or
//! a list. An inspection completes them later.

use std::sync::Arc;

use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::container::{Container, PartialMetadata};
use crate::context::Context;
use crate::engine::{ContainerId, Inspect, LogRefusal};

/// The number of attempts to inspect a container before the partial metadata are used.
const INSPECTIONS: usize = 3;

/// The metadata of a followed container.
pub(crate) struct ContainerMetadata {
    context: Arc<Context>,
    id: ContainerId,
    container: Arc<Container>,
    completeness: Completeness,
    /// True if the Engine removes the container, with its log, when the container ends.
    is_removed_at_end: bool,
    /// True if a part of the partial metadata is missing because it was too long.
    is_partial_cut: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Completeness {
    /// The container was not inspected yet.
    NotInspected,
    /// The inspection failed: the container has only the partial metadata.
    Partial,
    Full,
}

impl ContainerMetadata {
    pub(crate) fn new(context: Arc<Context>, id: ContainerId, partial: PartialMetadata) -> Self {
        let is_partial_cut = partial.is_cut;
        let container = Arc::new(Container::from_partial(&id, partial, context.engine_host.clone()));
        Self {
            context,
            id,
            container,
            completeness: Completeness::NotInspected,
            is_removed_at_end: false,
            is_partial_cut,
        }
    }

    pub(crate) fn container(&self) -> &Arc<Container> {
        &self.container
    }

    pub(crate) fn name(&self) -> &str {
        self.container.name()
    }

    /// Returns whether an inspection was attempted.
    pub(crate) fn is_inspected(&self) -> bool {
        self.completeness != Completeness::NotInspected
    }

    /// Returns whether an inspection was attempted and failed.
    pub(crate) fn is_partial(&self) -> bool {
        self.completeness == Completeness::Partial
    }

    /// Returns whether the Engine removes the container, with its log, when the container ends.
    pub(crate) fn is_removed_at_end(&self) -> bool {
        self.is_removed_at_end
    }

    /// Inspects the container. Returns `None` if the container is gone, or if [`INSPECTIONS`] attempts fail.
    pub(crate) async fn inspect(&self) -> Option<Inspect> {
        let Context { client, timing, descriptors, stats, .. } = &*self.context;
        let mut backoff = Backoff::new(timing.resume_min, timing.resume_max);
        let mut attempts = 0;
        let mut waiting = None;
        while attempts < INSPECTIONS {
            let inspected = {
                let _descriptor = descriptors.request().await;
                client.inspect(&self.id).await
            };
            match inspected {
                Ok(inspect) => return Some(inspect),
                Err(error) if error.log_refusal() == LogRefusal::Gone => break,
                // The request did not reach the Engine, so this attempt does not count.
                Err(error) if error.is_out_of_descriptors() => {
                    waiting.get_or_insert_with(|| stats.wait_for_descriptor());
                }
                Err(_) => attempts += 1,
            }
            if attempts < INSPECTIONS {
                sleep(backoff.next()).await;
            }
        }
        None
    }

    /// Sets the result of the first inspection, `None` if it failed. Returns false if this process runs in
    /// the container.
    pub(crate) fn set(&mut self, inspect: Option<Inspect>) -> bool {
        if self.context.own_container.is(&self.id, inspect.as_ref()) {
            return false;
        }
        if inspect.as_ref().map_or(self.is_partial_cut, |inspect| inspect.is_cut) {
            self.warn_of_cut();
        }
        match inspect {
            Some(inspect) => {
                self.is_removed_at_end = inspect.host_config.auto_remove;
                self.container = Arc::new(self.container_from(inspect));
                self.completeness = Completeness::Full;
            }
            None => self.completeness = Completeness::Partial,
        }
        true
    }

    /// Decides whether a run of the container is to be followed. The decision depends on the present name of
    /// the container.
    pub(crate) fn select(&mut self) -> bool {
        if self.is_renamed() {
            self.container = Arc::new(self.container.selected_as(self.container.name()));
        }
        !self.container.is_ignored() && (self.context.select)(&self.container)
    }

    /// Returns whether the container was renamed since the selection.
    pub(crate) fn is_renamed(&self) -> bool {
        self.container.name() != self.container.selected_name()
    }

    /// Restores the metadata that the container had before a selection.
    pub(crate) fn set_container(&mut self, container: Arc<Container>) {
        self.container = container;
    }

    /// Sets the result of a later inspection, and returns whether the container is still to be followed.
    ///
    /// The selection is made again only if the metadata were partial before. If the metadata have not
    /// changed, later records have the same [`Container`] in memory as earlier records.
    pub(crate) fn update(&mut self, inspect: Inspect) -> bool {
        if self.context.own_container.is(&self.id, Some(&inspect)) {
            return false;
        }
        self.is_removed_at_end = inspect.host_config.auto_remove;
        let mut container = self.container_from(inspect);
        let was_partial = self.completeness == Completeness::Partial;
        self.completeness = Completeness::Full;
        if !was_partial {
            container = container.selected_as(self.container.selected_name());
        }
        if *self.container == container {
            return true;
        }
        self.container = Arc::new(container);
        !was_partial || self.select()
    }

    pub(crate) fn rename(&mut self, name: &str) {
        if self.container.name() != name {
            self.container = Arc::new(self.container.renamed(name));
        }
    }

    fn container_from(&self, inspect: Inspect) -> Container {
        Container::from_inspect(&self.id, inspect, self.context.engine_host.clone())
    }

    fn warn_of_cut(&self) {
        self.context.stats.metadata_cut();
        self.context.warnings.cut_metadata.warn(
            Some(self.id.as_str()),
            "the labels, arguments or environment of this container are too long; a part of them is left out",
        );
    }
}
