//! Finds the place in the logs at which a source starts to read.

use std::time::Duration;

use gelf_core::Timestamp;

use crate::clock::EngineClock;
use crate::engine::{ContainerList, EngineClient, EngineError, LogRefusal};
use crate::own_container::OwnContainer;
use crate::position::Positions;

/// The time between the start of reading and the end of an earlier agent: reading starts this long before the
/// end. The earlier agent may not have sent all lines of its last second.
const MARGIN: Duration = Duration::from_secs(1);
/// The maximum number of containers that are inspected to find the earlier agent.
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
    /// The last records of each container, running or ended, and the lines that are written after the source
    /// connected. A line is one record, or several if it is longer than 16 KiB.
    Tail(u32),
    /// The lines behind these positions, up to which an earlier source has read. The source also reads the
    /// lines of containers that have started or ended since the earlier source, if the Engine still has their
    /// logs.
    At(Positions),
    /// The lines that are written from one second before the end of the agent that this process replaces: the
    /// last ended container with this label, or the last run of this process's own container.
    ///
    /// The start is [`Now`](Self::Now) if there is no such agent, if another container with the label and the
    /// same command runs, or if this process runs in no container.
    AfterPredecessor {
        /// The name of the label.
        label: String,
    },
}

/// A start whose time is known.
pub(crate) struct ResolvedStart {
    pub(crate) positions: Positions,
    /// True if the start lies before the time of connecting. Containers may have ended between these times.
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
        let now = ResolvedStart {
            positions: Positions::from_time(clock.start()),
            is_earlier: false,
            reason: "now".to_owned(),
        };
        let at = |positions, reason| ResolvedStart { positions, is_earlier: true, reason };
        Ok(match (self, end) {
            (Self::Beginning, _) => {
                at(Positions::from_time(Timestamp::UNIX_EPOCH), "the beginning of the logs".to_owned())
            }
            (Self::Tail(0), _) => now,
            (Self::Tail(records), _) => at(
                Positions { tail: Some(*records), ..Positions::from_time(clock.start()) },
                format!("the last {records} records of each container"),
            ),
            (Self::At(positions), _) => {
                at(positions.clone(), format!("the saved positions (containers: {})", positions.len()))
            }
            (_, Some(end)) => at(
                Positions::from_time(end.saturating_sub(MARGIN)),
                format!("1 s before the end of the previous agent at {end}"),
            ),
            (_, None) => now,
        })
    }
}

/// A container with the label.
struct Agent {
    is_own: bool,
    is_running: bool,
    command: (String, Vec<String>),
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// Returns the end of the agent that this process replaces.
async fn end_of_predecessor(
    client: &EngineClient,
    label: &str,
    own: &OwnContainer,
) -> Result<Option<Timestamp>, EngineError> {
    if !own.is_known() {
        return Ok(None);
    }
    let ContainerList { containers, error, .. } = client.containers().await?;
    if let Some(error) = error {
        tracing::warn!("{error}; looking for the previous agent in the containers that are listed");
    }
    let mut agents = Vec::new();
    for container in containers.into_iter().filter(|container| container.labels.contains_key(label)) {
        match client.inspect(&container.id).await {
            Ok(inspect) => agents.push(Agent {
                is_own: own.is(&container.id, Some(&inspect)),
                is_running: inspect.state.is_running(),
                started: inspect.state.started_at(),
                ended: inspect.state.finished_at(),
                command: (inspect.path, inspect.args),
            }),
            Err(error) if error.log_refusal() == LogRefusal::Gone => {}
            Err(error) => return Err(error),
        }
        if agents.len() == INSPECTED_AT_MOST {
            break;
        }
    }
    Ok(predecessor(&agents))
}

/// Returns the latest end of an earlier agent.
///
/// Returns `None` if another agent with the same command still runs, because the running agent reads the
/// lines until this process starts to read. An ended agent with another command counts, too, since an update
/// may change the command. It does not count if a running agent has started after its end.
fn predecessor(agents: &[Agent]) -> Option<Timestamp> {
    let own = agents.iter().find(|agent| agent.is_own)?;
    let running = || agents.iter().filter(|agent| agent.is_running && !agent.is_own);
    if running().any(|agent| agent.command == own.command) {
        return None;
    }
    let has_successor = |ended: &Agent| running().any(|agent| agent.started > ended.ended);
    agents
        .iter()
        .filter(|agent| agent.is_own || !agent.is_running)
        .filter(|agent| agent.command == own.command || !has_successor(agent))
        .filter_map(|agent| agent.ended)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(command: &str, started: i64, ended: Option<i64>) -> Agent {
        let at = |second| Timestamp::from_unix(second, 0);
        let command = (command.to_owned(), Vec::new());
        Agent {
            is_own: false,
            is_running: ended.is_none(),
            command,
            started: at(started),
            ended: ended.and_then(at),
        }
    }

    fn predecessor_of_a(others: impl IntoIterator<Item = Agent>) -> Option<i64> {
        let own = Agent { is_own: true, ..agent("a", 100, None) };
        predecessor(&others.into_iter().chain([own]).collect::<Vec<_>>()).map(|end| end.as_unix().0)
    }

    #[test]
    fn the_predecessor_is_the_last_ended_agent_unless_another_agent_already_replaced_it() {
        assert_eq!(predecessor_of_a([]), None);
        assert_eq!(predecessor_of_a([agent("a", 1, Some(5)), agent("a", 6, Some(9))]), Some(9));
        assert_eq!(predecessor_of_a([agent("b", 1, Some(9))]), Some(9), "an update changed the command");
        assert_eq!(predecessor_of_a([agent("a", 1, Some(9)), agent("a", 10, None)]), None, "another a runs");
        assert_eq!(predecessor_of_a([agent("a", 1, Some(9)), agent("b", 10, None)]), Some(9));
        assert_eq!(
            predecessor_of_a([agent("b", 1, Some(9)), agent("b", 10, None)]),
            None,
            "another b has replaced b"
        );
    }
}
