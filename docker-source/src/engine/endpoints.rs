//! Sends the requests of the client, to six paths. All of them are GET requests without a side effect in the
//! Engine.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use gelf_core::Timestamp;

use super::array::ArrayReader;
use super::client::{Answer, Body, EngineClient};
use super::events::{Action, EventReader};
use super::keep::Keep;
use super::members::{Excerpt, MemberFilter};
use super::types::{ContainerId, ContainerSummary, INFO, INSPECT, Info, Inspect, SUMMARY};
use super::{ApiVersion, EngineError};
use crate::dialect::Dialect;

/// The maximum length of a JSON answer in bytes. Only excerpts of answers are kept, so the only purpose of
/// this maximum is to stop an answer without an end.
const ANSWER_MAX: usize = 1024 * 1024 * 1024;
/// The maximum number of bytes that are kept of a list of containers.
const LIST_KEPT_MAX: usize = 12 * 1024 * 1024;
/// An element of a list of containers is kept without its labels if more than this number of bytes of the list
/// would be kept otherwise. An inspection of a container also returns its labels.
const LIST_LABELS_MAX: usize = 8 * 1024 * 1024;

/// The number of the signal SIGKILL, as the text in an event.
const SIGKILL: &str = "9";

/// The part of a container's log to read. Requests always ask for both streams and for the stamps of the
/// lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LogsQuery {
    /// True if the response goes on with records that are written after the request, until the container
    /// ends.
    pub(crate) follow: bool,
    /// The earliest stamp of the pieces to read.
    pub(crate) since: Option<Timestamp>,
    /// The maximum number of pieces: only the last pieces of the log are read. Without this limit, the Engine
    /// decodes whole files to find `since`.
    pub(crate) tail: Option<u32>,
}

impl EngineClient {
    /// Requests the Engine's newest API version and chooses a version that both sides support. Determines the
    /// Engine's kind as well: only Podman's answer has a header with the version of Podman's API.
    ///
    /// # Errors
    /// Returns [`EngineError::TooOld`] if no version is supported by both sides. Other errors are the same as
    /// for every request.
    pub(crate) async fn negotiate(&self) -> Result<ApiVersion, EngineError> {
        let answer = self.get("_ping", "/_ping").await?;
        let newest = answer
            .header("api-version")
            .and_then(ApiVersion::parse)
            .ok_or_else(|| EngineError::answer("_ping", "no header Api-Version; is this a Docker Engine?"))?;
        let version =
            newest.negotiated().ok_or_else(|| EngineError::TooOld { engine: newest.to_string() })?;
        self.set_version(version);
        // The header `Server` is not used to determine the kind, since a proxy can replace it.
        self.set_dialect(match answer.header("libpod-api-version") {
            Some(_) => Dialect::Podman,
            None => Dialect::Docker,
        });
        Ok(version)
    }

    /// Requests the Engine's host name and clock.
    pub(crate) async fn info(&self) -> Result<Info, EngineError> {
        Ok(self.json("info", &self.versioned("/info"), &INFO).await?.0)
    }

    /// Requests the list of all containers, running or not.
    ///
    /// # Errors
    /// Returns an error if the list ends early and no container has arrived. If some containers have arrived,
    /// they are returned with the [reason](ContainerList) of the early end.
    pub(crate) async fn containers(&self) -> Result<ContainerList, EngineError> {
        let endpoint = "containers/json";
        let Answer { mut body, .. } = self.get(endpoint, &self.versioned("/containers/json?all=1")).await?;
        let mut reader = ListReader::default();
        let mut length = 0;
        let error = loop {
            match self.part(endpoint, &mut body, &mut length).await {
                Ok(Some(part)) => match reader.push(&part) {
                    Ok(()) => {}
                    Err(ListTooLong) => break Some(EngineError::TooLarge { endpoint, limit: LIST_KEPT_MAX }),
                },
                Ok(None) if reader.elements.is_complete() => break None,
                Ok(None) => break Some(EngineError::answer(endpoint, "the list is not complete")),
                Err(error) => break Some(error),
            }
        };
        match error {
            Some(error) if reader.list.containers.is_empty() => Err(error),
            error => Ok(ContainerList { error, ..reader.list }),
        }
    }

    /// Inspects a container.
    pub(crate) async fn inspect(&self, id: &ContainerId) -> Result<Inspect, EngineError> {
        let path = self.versioned(&format!("/containers/{id}/json"));
        let (inspect, is_cut) = self.json("containers/{id}/json", &path, &INSPECT).await?;
        Ok(Inspect { is_cut, ..inspect })
    }

    /// Subscribes to the starts, ends, renamings and removals of containers. The subscription exists once
    /// this method returns.
    pub(crate) async fn events(&self) -> Result<Body, EngineError> {
        // {"type":["container"],"event":["start","die","rename","destroy"]}, percent-encoded
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22rename%22%2C%22destroy%22%5D%7D";
        let answer = self.get("events", &self.versioned(&format!("/events?filters={filters}"))).await?;
        Ok(answer.body)
    }

    /// Requests the events of a container from the time `since` on, and returns how its run ended at the time
    /// `end`. Both times are in the past, and `now` is the time of the Engine's clock. The Engine keeps the last
    /// 256 events of all kinds, and only until it is restarted.
    pub(crate) async fn run_end(
        &self,
        id: &ContainerId,
        since: Timestamp,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<RunEnd, EngineError> {
        // {"type":["container"],"event":["kill","die"],"container":["ID"]}, percent-encoded
        let filters = format!(
            "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22kill%22%2C%22die%22%5D%2C%22container%22%3A%5B%22{id}%22%5D%7D"
        );
        // The Engine writes the event of the end a moment after the time `end`.
        let (since, until) = (seconds(since), seconds(now.max(end)));
        let path = self.versioned(&format!("/events?since={since}&until={until}&filters={filters}"));
        let endpoint = "events";
        let Answer { mut body, .. } = self.get(endpoint, &path).await?;
        let (mut reader, mut length) = (EventReader::default(), 0);
        let mut first_signal = None;
        let mut has_succeeded = false;
        'answer: while let Some(part) = self.part(endpoint, &mut body, &mut length).await? {
            let mut rest = &part[..];
            while let Some(event) = reader.next(&mut rest) {
                if event.id != *id {
                    continue;
                }
                let has = |name: &str, value| event.attributes.get(name).is_some_and(|text| text == value);
                match event.action {
                    Action::Kill if event.time <= Some(end) => {
                        first_signal.get_or_insert_with(|| event.time.filter(|_| !has("signal", SIGKILL)));
                    }
                    Action::Die if event.time >= Some(end) => {
                        has_succeeded = has("exitCode", "0");
                        break 'answer;
                    }
                    // An earlier run has ended.
                    Action::Die => first_signal = None,
                    _ => {}
                }
            }
        }
        Ok(RunEnd { signal: first_signal.flatten(), has_succeeded })
    }

    /// Requests a container's log. The first value is the content type, which shows the framing in some
    /// cases.
    pub(crate) async fn logs(
        &self,
        id: &ContainerId,
        query: LogsQuery,
    ) -> Result<(Option<String>, Body), EngineError> {
        let path = self.versioned(&format!("/containers/{id}/logs?{}", query.to_query_string()));
        let answer = self.get_within(self.limits().log, "containers/{id}/logs", &path).await?;
        Ok((answer.content_type().map(str::to_owned), answer.body))
    }

    fn versioned(&self, path: &str) -> String {
        format!("/v{}{path}", self.version())
    }

    /// Requests a JSON answer and parses the members to keep. The second value is true if one of these
    /// members is cut or left out.
    async fn json<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        keep: &'static Keep,
    ) -> Result<(T, bool), EngineError> {
        let Answer { mut body, .. } = self.get(endpoint, path).await?;
        let mut filter = MemberFilter::new(keep);
        let mut length = 0;
        while let Some(part) = self.part(endpoint, &mut body, &mut length).await? {
            filter.push(&part);
        }
        let Excerpt { text, is_cut } = filter.take();
        let value = serde_json::from_slice(&text).map_err(|error| EngineError::answer(endpoint, error))?;
        Ok((value, is_cut))
    }

    /// Returns the next part of a JSON answer. Adds its length to `length`, the number of bytes that have
    /// arrived.
    async fn part(
        &self,
        endpoint: &'static str,
        body: &mut Body,
        length: &mut usize,
    ) -> Result<Option<Bytes>, EngineError> {
        let part = body.next_within(self.limits().body).await.transpose()?;
        *length += part.as_ref().map_or(0, Bytes::len);
        match *length > ANSWER_MAX {
            true => Err(EngineError::TooLarge { endpoint, limit: ANSWER_MAX }),
            false => Ok(part),
        }
    }
}

/// The end of a run of a container, as events describe it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunEnd {
    /// The time of the first signal that the Engine sent to the container. `None` if the first signal was
    /// SIGKILL, which ends the container immediately, and if there was no signal or its event is lost.
    pub(crate) signal: Option<Timestamp>,
    /// True if the status of the run was 0. False if it was another status, and if the event is lost.
    pub(crate) has_succeeded: bool,
}

/// The list of containers, as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct ContainerList {
    pub(crate) containers: Vec<ContainerSummary>,
    /// The number of unreadable elements.
    pub(crate) bad: u64,
    /// The reason why elements are missing at the end, or `None` if the list is complete.
    pub(crate) error: Option<EngineError>,
}

/// Reads a list of containers element by element, in bounded memory.
#[derive(Debug)]
struct ListReader {
    elements: ArrayReader,
    list: ContainerList,
    /// The number of bytes that are kept.
    kept: usize,
}

/// The error for a list that needs more than [`LIST_KEPT_MAX`] bytes.
#[derive(Debug)]
struct ListTooLong;

impl Default for ListReader {
    fn default() -> Self {
        Self { elements: ArrayReader::new(&SUMMARY), list: ContainerList::default(), kept: 0 }
    }
}

impl ListReader {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), ListTooLong> {
        while let Some(Excerpt { text, is_cut }) = self.elements.next(&mut bytes) {
            let Ok(mut summary) = serde_json::from_slice::<ContainerSummary>(&text) else {
                self.list.bad += 1;
                continue;
            };
            summary.is_cut = is_cut;
            if self.kept + summary.memory() > LIST_LABELS_MAX {
                summary.is_cut |= !std::mem::take(&mut summary.labels).is_empty();
            }
            self.kept += summary.memory();
            if self.kept > LIST_KEPT_MAX {
                return Err(ListTooLong);
            }
            self.list.containers.push(summary);
        }
        Ok(())
    }
}

impl LogsQuery {
    fn to_query_string(self) -> String {
        let mut text = format!("follow={}&stdout=1&stderr=1&timestamps=1", u8::from(self.follow));
        if let Some(since) = self.since {
            text.push_str(&format!("&since={}", seconds(since)));
        }
        if let Some(tail) = self.tail {
            text.push_str(&format!("&tail={tail}"));
        }
        text
    }
}

/// Formats a time for the Engine: Unix seconds with nine decimals, since the Engine adds missing digits on the
/// right.
fn seconds(time: Timestamp) -> String {
    let (seconds, nanos) = time.as_unix();
    format!("{}.{nanos:09}", seconds.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_8_mib_of_a_list_are_left_out_and_each_container_is_listed() {
        let label = "x".repeat(30_000);
        let labels = [0, 1].map(|at| format!(r#""gelf_{at}":"{label}""#)).join(",");
        let mut reader = ListReader::default();
        reader.push(b"[").unwrap();
        for number in 0..400 {
            let element = format!(r#"{{"Id":"{number:012}","Names":["/a"],"Labels":{{{labels}}}}},"#);
            reader.push(element.as_bytes()).unwrap();
        }
        let ContainerList { containers, bad, .. } = reader.list;
        assert_eq!((containers.len(), bad), (400, 0));
        let (labelled, others): (Vec<_>, Vec<_>) = containers.iter().partition(|summary| !summary.is_cut);
        assert_eq!(labelled.len(), LIST_LABELS_MAX / labelled[0].memory());
        assert!(others.iter().all(|summary| summary.labels.is_empty() && summary.name() == Some("a")));
        assert!(
            containers.iter().map(ContainerSummary::memory).sum::<usize>() < LIST_LABELS_MAX + 400 * 1000
        );
    }

    #[test]
    fn since_has_nine_decimals_and_is_never_negative() {
        let query = |seconds, nanos| LogsQuery {
            follow: true,
            since: Timestamp::from_unix(seconds, nanos),
            tail: Some(7),
        };
        assert_eq!(
            query(1_795_387_458, 1).to_query_string(),
            "follow=1&stdout=1&stderr=1&timestamps=1&since=1795387458.000000001&tail=7"
        );
        assert!(query(-5, 0).to_query_string().contains("&since=0.000000000"));
        assert_eq!(LogsQuery::default().to_query_string(), "follow=0&stdout=1&stderr=1&timestamps=1");
    }
}
