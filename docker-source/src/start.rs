//! Finds the place in the logs at which a source starts to read, for example where an earlier agent has
//! ended.
//!
//! In this module, an agent is a program that reads logs with a source and runs in a container.

use std::time::Duration;

use gelf_core::Timestamp;
use tokio::time::timeout;

use crate::clock::EngineClock;
use crate::engine::{ContainerId, ContainerList, EngineClient, EngineError, LogRefusal, RunEnd};
use crate::own_container::OwnContainer;
use crate::position::Positions;
use crate::record::time_text;

/// Reading starts this long before the signal that ended the earlier agent. Possibly the Engine did not send
/// all lines of the last second to the earlier agent.
const BEFORE_SIGNAL: Duration = Duration::from_secs(1);
/// Reading starts at least this long before the end of an earlier agent that ended without a known signal, or
/// that is not known to have succeeded. An agent that was killed has not delivered its last lines. An agent
/// that ended because the Engine was stopped has read nothing for some seconds, since an Engine that stops sends
/// nothing during its own last seconds. In addition, an agent such as the example `router` reads nothing for up
/// to 8 s before its end, because it delivers its last lines.
const BEFORE_END: Duration = Duration::from_secs(10);
/// The longest time between a signal and the end of an agent. Docker kills a container 10 s after the signal, and
/// Amazon ECS 30 s after the signal. Another 5 s allow for a slow Engine.
const END_WITHIN: Duration = Duration::from_secs(35);
/// The maximum time to read the events of the past. An Engine whose clock was set back can wait before it
/// ends its answer.
const EVENTS_WITHIN: Duration = Duration::from_secs(5);
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
    /// connected. In the Engine's log, a line is one record, or several if it is longer than 16 KiB.
    Tail(u32),
    /// The lines behind these positions, up to which an earlier source has read. The source also reads the
    /// lines of containers that have started or ended since the earlier source ended, if the Engine still has
    /// their logs.
    At(Positions),
    /// The lines that were written since the end of the previous agent, which this process replaces. The
    /// previous agent is the last run of this process's own container, or the container with this label that
    /// ended last.
    ///
    /// Reading starts one second before the signal that ended the previous agent, such as SIGTERM. If SIGKILL
    /// was the first signal, or if the agent ended by itself, reading starts ten seconds before the end of the
    /// agent. The same holds if the Engine no longer has the event of the signal, as after a restart of the
    /// Engine.
    ///
    /// If the agent ended with a status other than 0, it may not have read or delivered all lines. Reading
    /// then starts one second before the signal or ten seconds before the end, whichever is earlier. The same
    /// holds for the last run of this process's own container if the Engine no longer has the event of its end.
    /// Only this event has the status of that run, since the Engine reports the status 0 while a container runs.
    ///
    /// The start is [`Now`](Self::Now) if there is no previous agent, if another container with the label and
    /// the same command runs, or if this process does not run in a container with the label.
    AfterPredecessor {
        /// The name of the label.
        label: String,
    },
}

/// A start whose time is known.
pub(crate) struct ResolvedStart {
    pub(crate) positions: Positions,
    /// True if the start lies before the time of connecting. Containers can have ended between these times.
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
        let handover = match self {
            Self::AfterPredecessor { label } => handover(client, clock, label, own).await?,
            _ => None,
        };
        let now = ResolvedStart {
            positions: Positions::from_time(clock.start()),
            is_earlier: false,
            reason: "now".to_owned(),
        };
        let at = |positions, reason| ResolvedStart { positions, is_earlier: true, reason };
        Ok(match (self, handover) {
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
            (_, Some(Handover { from, reason })) => at(Positions::from_time(from), reason),
            (_, None) => now,
        })
    }
}

/// The time from which this process reads, to include the lines that an earlier agent has not delivered.
struct Handover {
    from: Timestamp,
    reason: String,
}

/// A container with the label.
struct Agent {
    id: ContainerId,
    is_own: bool,
    is_running: bool,
    command: (String, Vec<String>),
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// True if an inspection shows that the container has ended with the status 0: the agent has read and
    /// delivered all lines. False for the earlier run of this process's own container. The Engine reports the
    /// status 0 while a container runs, and only the event of the end has the status of the earlier run.
    has_succeeded: bool,
}

/// Returns the hand-over from the agent that this process replaces, if there is one.
async fn handover(
    client: &EngineClient,
    clock: EngineClock,
    label: &str,
    own: &OwnContainer,
) -> Result<Option<Handover>, EngineError> {
    if !own.is_known() {
        return Ok(None);
    }
    let agents = agents(client, label, own).await?;
    let Some((agent, end)) = predecessor(&agents) else { return Ok(None) };
    let run = client.run_end(&agent.id, end.saturating_sub(END_WITHIN), end, clock.start());
    let RunEnd { signal, has_succeeded } = match timeout(EVENTS_WITHIN, run).await {
        Ok(run) => run?,
        Err(_) => RunEnd::default(),
    };
    Ok(Some(Handover::after(signal, end, agent.has_succeeded || has_succeeded)))
}

impl Handover {
    /// Returns the hand-over from an agent that ended at the time `end`. `signal` is the time of the signal that
    /// ended the agent, if the signal is known.
    fn after(signal: Option<Timestamp>, end: Timestamp, has_succeeded: bool) -> Self {
        let before_end = end.saturating_sub(BEFORE_END);
        let before_signal = signal.map(|signal| (signal.saturating_sub(BEFORE_SIGNAL), signal));
        match before_signal.filter(|(from, _)| has_succeeded || *from < before_end) {
            Some((from, signal)) => Self {
                from,
                reason: format!("1 s before the signal to the previous agent ({})", time_text(signal)),
            },
            None => Self {
                from: before_end,
                reason: format!("10 s before the end of the previous agent ({})", time_text(end)),
            },
        }
    }
}

/// Returns the containers with the label.
async fn agents(client: &EngineClient, label: &str, own: &OwnContainer) -> Result<Vec<Agent>, EngineError> {
    let ContainerList { containers, error, .. } = client.containers().await?;
    if let Some(error) = error {
        tracing::warn!("{error}; looking for the previous agent in the containers that are listed");
    }
    let mut agents = Vec::new();
    for container in containers.into_iter().filter(|container| container.labels.contains_key(label)) {
        match client.inspect(&container.id).await {
            Ok(inspect) => {
                let is_own = own.is(&container.id, Some(&inspect));
                agents.push(Agent {
                    is_own,
                    is_running: inspect.state.is_running(),
                    started: inspect.state.started_at(),
                    ended: inspect.state.finished_at(),
                    has_succeeded: !is_own && inspect.state.exit_code() == 0,
                    command: (inspect.path, inspect.args),
                    id: container.id,
                });
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {}
            Err(error) => return Err(error),
        }
        if agents.len() == INSPECTED_AT_MOST {
            break;
        }
    }
    Ok(agents)
}

/// Returns the earlier agent that ended last, and the time of its end.
///
/// Returns `None` if another agent with the same command still runs, because the running agent reads the
/// lines until this process starts to read. An ended agent with a different command counts, too, since an
/// update can change the command. However, it does not count if a running agent was started after its end,
/// because the running agent has replaced it.
fn predecessor(agents: &[Agent]) -> Option<(&Agent, Timestamp)> {
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
        .filter_map(|agent| Some((agent, agent.ended?)))
        .max_by_key(|(_, ended)| *ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(command: &str, started: i64, ended: Option<i64>) -> Agent {
        let at = |second| Timestamp::from_unix(second, 0);
        let command = (command.to_owned(), Vec::new());
        Agent {
            id: ContainerId::parse("0123456789ab").unwrap(),
            is_own: false,
            is_running: ended.is_none(),
            command,
            started: at(started),
            ended: ended.and_then(at),
            has_succeeded: true,
        }
    }

    fn predecessor_of_a(others: impl IntoIterator<Item = Agent>) -> Option<i64> {
        let own = Agent { is_own: true, ..agent("a", 100, None) };
        predecessor(&others.into_iter().chain([own]).collect::<Vec<_>>()).map(|(_, end)| end.as_unix().0)
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

    #[test]
    fn reading_starts_at_least_10_s_before_the_end_of_an_agent_that_may_have_failed() {
        let from = |signal: Option<i64>, has_succeeded| {
            let at = |second| Timestamp::from_unix(second, 0).unwrap();
            Handover::after(signal.map(at), at(100), has_succeeded).from.as_unix().0
        };
        for (before_end, succeeded, failed) in [(28, 71, 71), (10, 89, 89), (9, 90, 90), (3, 96, 90)] {
            let signal = Some(100 - before_end);
            assert_eq!((from(signal, true), from(signal, false)), (succeeded, failed), "{before_end}");
        }
        assert_eq!((from(None, true), from(None, false)), (90, 90));
    }
}
