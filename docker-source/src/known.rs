//! What a follower knows of its container: at first what an event or a list told, soon what an inspection says.

use std::sync::Arc;

use tokio::time::sleep;

use crate::container::{Container, Glimpse};
use crate::engine::{ContainerId, Inspect};
use crate::follow::{Refusal, Shared};
use crate::timing::Backoff;

/// How often an inspection is tried before what the event told must do.
const INSPECTIONS: usize = 3;

/// What is known of a container.
pub(crate) struct Known {
    shared: Arc<Shared>,
    id: ContainerId,
    glimpse: Glimpse,
    container: Option<Arc<Container>>,
    /// It could not be inspected.
    is_glimpsed: bool,
}

/// What was learned of a container.
pub(crate) enum Learned {
    Glimpsed(Container),
    Inspected(Container),
}

impl Known {
    pub(crate) fn new(shared: Arc<Shared>, id: ContainerId, glimpse: Glimpse) -> Self {
        Self { shared, id, glimpse, container: None, is_glimpsed: false }
    }

    /// `None` before anything was learned.
    pub(crate) fn container(&self) -> Option<&Arc<Container>> {
        self.container.as_ref()
    }

    pub(crate) fn tty(&self) -> Option<bool> {
        self.container.as_ref().and_then(|container| container.tty())
    }

    pub(crate) fn name(&self) -> &str {
        self.container.as_ref().map_or(&*self.glimpse.name, |container| container.name())
    }

    /// Asks what there is to know. Of a container that is gone already, that is what was told with its start.
    pub(crate) async fn learn(&self) -> Learned {
        let Shared { client, engine_host, timing, .. } = &*self.shared;
        let mut backoff = Backoff::new(timing.resume_min, timing.resume_max);
        for _ in 0..INSPECTIONS {
            match client.inspect(&self.id).await {
                Ok(inspect) => {
                    return Learned::Inspected(Container::from_inspect(
                        &self.id,
                        inspect,
                        engine_host.clone(),
                    ));
                }
                Err(error) if Refusal::of(&error) == Refusal::Gone => break,
                Err(_) => sleep(backoff.next()).await,
            }
        }
        Learned::Glimpsed(Container::from_glimpse(&self.id, &self.glimpse, engine_host.clone()))
    }

    /// Takes over what was learned first, and says whether the container is to be followed.
    pub(crate) fn begin(&mut self, learned: Learned) -> bool {
        let container = match learned {
            Learned::Glimpsed(container) => {
                self.is_glimpsed = true;
                container
            }
            Learned::Inspected(container) => container,
        };
        let is_wanted = self.is_wanted(&container);
        self.container = Some(Arc::new(container));
        is_wanted
    }

    /// Takes over a later inspection, and says whether the container is to be followed on. That is decided anew only
    /// for one that could not be inspected before. Records keep sharing a container that did not change.
    pub(crate) fn update(&mut self, inspect: Inspect) -> bool {
        let container = Container::from_inspect(&self.id, inspect, self.shared.engine_host.clone());
        if self.container.as_deref() == Some(&container) {
            return true;
        }
        let is_wanted = !std::mem::take(&mut self.is_glimpsed) || self.is_wanted(&container);
        self.container = Some(Arc::new(container));
        is_wanted
    }

    pub(crate) fn rename(&mut self, name: &str) {
        if let Some(container) = &self.container
            && container.name() != name
        {
            self.container = Some(Arc::new(container.renamed(name)));
        }
    }

    fn is_wanted(&self, container: &Container) -> bool {
        !container.is_ignored() && (self.shared.select)(container)
    }
}
