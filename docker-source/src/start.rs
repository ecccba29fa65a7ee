//! The place in the logs at which a source starts to read.

use std::time::Duration;

use gelf_core::Timestamp;

use crate::clock::EngineClock;
use crate::engine::{EngineClient, EngineError, LogRefusal};
use crate::own_container::OwnContainer;
use crate::position::Positions;

/// The time by which reading starts before the end of an earlier agent: it may have ended within the lines of
/// that second.
const MARGIN: Duration = Duration::from_secs(1);
/// The maximum number of containers with the label that are inspected.
const INSPECTED_AT_MOST: usize = 32;

/// The place in the logs at which a [`Source`](crate::Source) starts to read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// The lines that are written after the source connected.
    #[default]
    Now,
    /// All lines that the Engine still has, of running and ended containers.
    Beginning,
    /// The lines behind these positions, which an earlier source has reached. Lines of containers that started
    /// or ended since are read, too, if the Engine still has their logs.
    At(Positions),
    /// The lines that are written from one second before the end of the agent that this process replaces: the
    /// last ended container with this label, or the last run of this process's own container.
    ///
    /// As [`Now`](Self::Now) if there is none, if another container with the label runs, or if this process runs
    /// in no container.
    AfterPredecessor {
        /// The name of the label.
        label: String,
    },
}

/// A start whose time is known.
pub(crate) struct ResolvedStart {
    pub(crate) positions: Positions,
    /// Whether the start lies before the time of connecting, so that containers may have ended since.
    pub(crate) is_earlier: bool,
    /// The start in words, for the log.
    pub(crate) reason: String,
}

impl Start {
    /// Finds the time of the start.
    ///
    /// # Errors
    /// Returns an error if the containers cannot be listed or inspected.
    pub(crate) async fn resolve(
        &self,
        client: &EngineClient,
        clock: EngineClock,
        own: &OwnContainer,
    ) -> Result<ResolvedStart, EngineError> {
        let end = match self {
            Self::AfterPredecessor { label } => end_of_predecessor(client, label, own).await?,
            _ => None,
        };
        let at = |positions, reason| ResolvedStart { positions, is_earlier: true, reason };
        Ok(match (self, end) {
            (Self::Beginning, _) => {
                at(Positions::from_time(Timestamp::UNIX_EPOCH), "the beginning of the logs".to_owned())
            }
            (Self::At(positions), _) => {
                at(positions.clone(), format!("the positions of {} containers", positions.len()))
            }
            (_, Some(end)) => at(
                Positions::from_time(end.saturating_sub(MARGIN)),
                format!("1 s before the end of the previous agent at {end}"),
            ),
            (_, None) => ResolvedStart {
                positions: Positions::from_time(clock.start()),
                is_earlier: false,
                reason: "now".to_owned(),
            },
        })
    }
}

/// Returns the latest end of a run of a container with this label, unless one that is not this process's own
/// still runs.
async fn end_of_predecessor(
    client: &EngineClient,
    label: &str,
    own: &OwnContainer,
) -> Result<Option<Timestamp>, EngineError> {
    if !own.is_known() {
        return Ok(None);
    }
    let (containers, _) = client.containers().await?;
    let agents = containers.into_iter().filter(|container| container.labels.contains_key(label));
    let mut latest = None;
    for agent in agents.take(INSPECTED_AT_MOST) {
        match client.inspect(&agent.id).await {
            Ok(inspect) if inspect.state.is_running() && !own.is(&agent.id, Some(&inspect)) => {
                return Ok(None);
            }
            Ok(inspect) => latest = latest.max(inspect.state.finished_at()),
            Err(error) if error.log_refusal() == LogRefusal::Gone => {}
            Err(error) => return Err(error),
        }
    }
    Ok(latest)
}
