//! The metadata of a followed container: at first from an event or a list, then from an inspection.

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
    partial: PartialMetadata,
    container: Option<Arc<Container>>,
    /// Whether `container` has only the partial metadata, because the inspection failed.
    is_partial: bool,
}

/// The result of [`ContainerMetadata::inspect`].
pub(crate) enum Inspection {
    Full(Container),
    Partial(Container),
}

impl ContainerMetadata {
    pub(crate) fn new(context: Arc<Context>, id: ContainerId, partial: PartialMetadata) -> Self {
        Self { context, id, partial, container: None, is_partial: false }
    }

    /// Returns the container; `None` before [`set`](Self::set).
    pub(crate) fn container(&self) -> Option<&Arc<Container>> {
        self.container.as_ref()
    }

    pub(crate) fn has_terminal(&self) -> Option<bool> {
        self.container.as_ref().and_then(|container| container.tty())
    }

    pub(crate) fn name(&self) -> &str {
        self.container.as_ref().map_or(&*self.partial.name, |container| container.name())
    }

    /// Inspects the container. If it is gone already, returns the partial metadata.
    pub(crate) async fn inspect(&self) -> Inspection {
        let Context { client, engine_host, timing, .. } = &*self.context;
        let mut backoff = Backoff::new(timing.resume_min, timing.resume_max);
        for _ in 0..INSPECTIONS {
            match client.inspect(&self.id).await {
                Ok(inspect) => {
                    let container = Container::from_inspect(&self.id, inspect, engine_host.clone());
                    return Inspection::Full(container);
                }
                Err(error) if error.log_refusal() == LogRefusal::Gone => break,
                Err(_) => sleep(backoff.next()).await,
            }
        }
        Inspection::Partial(Container::from_partial(&self.id, &self.partial, engine_host.clone()))
    }

    /// Sets the result of the first inspection, and returns whether the container is to be followed.
    pub(crate) fn set(&mut self, inspection: Inspection) -> bool {
        let container = match inspection {
            Inspection::Full(container) => container,
            Inspection::Partial(container) => {
                self.is_partial = true;
                container
            }
        };
        let is_selected = self.is_selected(&container);
        self.container = Some(Arc::new(container));
        is_selected
    }

    /// Sets the result of a later inspection, and returns whether the container is still to be followed.
    ///
    /// That is decided again only if the metadata were partial before. Records keep sharing a container that
    /// did not change.
    pub(crate) fn update(&mut self, inspect: Inspect) -> bool {
        let container = Container::from_inspect(&self.id, inspect, self.context.engine_host.clone());
        if self.container.as_deref() == Some(&container) {
            return true;
        }
        let is_selected = !std::mem::take(&mut self.is_partial) || self.is_selected(&container);
        self.container = Some(Arc::new(container));
        is_selected
    }

    pub(crate) fn rename(&mut self, name: &str) {
        if let Some(container) = &self.container
            && container.name() != name
        {
            self.container = Some(Arc::new(container.renamed(name)));
        }
    }

    fn is_selected(&self, container: &Container) -> bool {
        !container.is_ignored() && (self.context.select)(container)
    }
}
