//! The six requests of the client. All are GET, and none has a side effect in the Engine.

use serde::de::DeserializeOwned;

use gelf_core::Timestamp;

use super::client::{Answer, Body, EngineClient};
use super::types::{ContainerId, ContainerSummary, Info, Inspect, Lenient};
use super::{ApiVersion, EngineError};

/// The maximum length of the list of containers in bytes: enough for 10,000 containers with many labels.
const LIST_MAX: usize = 16 * 1024 * 1024;
/// The maximum length of any other answer in bytes. An inspection has about 5,000.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// The part of a container's log to read. Requests are always for both streams and with Docker's stamps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LogsQuery {
    /// Whether the response goes on until the container ends.
    pub(crate) follow: bool,
    /// The earliest stamp.
    pub(crate) since: Option<Timestamp>,
    /// The maximum number of pieces, counted from the end. With `since` alone the Engine decodes whole
    /// files.
    pub(crate) tail: Option<u32>,
}

impl EngineClient {
    /// Requests the Engine's newest API version and chooses one that both sides support.
    ///
    /// # Errors
    /// Returns [`EngineError::TooOld`] if there is none. Other errors are the same as for every request.
    pub(crate) async fn negotiate(&self) -> Result<ApiVersion, EngineError> {
        let answer = self.get("_ping", "/_ping").await?;
        let newest = answer
            .header("api-version")
            .and_then(ApiVersion::parse)
            .ok_or_else(|| EngineError::answer("_ping", "no header Api-Version; is this a Docker Engine?"))?;
        let version =
            newest.negotiated().ok_or_else(|| EngineError::TooOld { engine: newest.to_string() })?;
        self.set_version(version);
        Ok(version)
    }

    /// Requests the Engine's host name and clock.
    pub(crate) async fn info(&self) -> Result<Info, EngineError> {
        self.json("info", &self.versioned("/info"), ANSWER_MAX).await
    }

    /// Requests the list of all containers, running or not. The second value is the number of invalid
    /// entries, which are left out.
    pub(crate) async fn containers(&self) -> Result<(Vec<ContainerSummary>, u64), EngineError> {
        let path = self.versioned("/containers/json?all=1");
        let list: Vec<Lenient<ContainerSummary>> = self.json("containers/json", &path, LIST_MAX).await?;
        let all = list.len();
        let good: Vec<_> = list.into_iter().filter_map(Lenient::good).collect();
        let bad = (all - good.len()) as u64;
        Ok((good, bad))
    }

    /// Inspects a container.
    pub(crate) async fn inspect(&self, id: &ContainerId) -> Result<Inspect, EngineError> {
        self.json("containers/{id}/json", &self.versioned(&format!("/containers/{id}/json")), ANSWER_MAX)
            .await
    }

    /// Subscribes to the starts, ends, renamings and removals of containers. Once this returns, the
    /// subscription exists.
    pub(crate) async fn events(&self) -> Result<Body, EngineError> {
        // {"type":["container"],"event":["start","die","rename","destroy"]}, percent-encoded
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22rename%22%2C%22destroy%22%5D%7D";
        let answer = self.get("events", &self.versioned(&format!("/events?filters={filters}"))).await?;
        Ok(answer.body)
    }

    /// Requests a container's log. The first value is the content type, which may indicate the framing.
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

    async fn json<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        limit: usize,
    ) -> Result<T, EngineError> {
        let Answer { body, .. } = self.get(endpoint, path).await?;
        let text = body.collect(limit, self.limits().body).await?;
        serde_json::from_slice(&text).map_err(|error| EngineError::answer(endpoint, error))
    }
}

impl LogsQuery {
    fn to_query_string(self) -> String {
        let mut text = format!("follow={}&stdout=1&stderr=1&timestamps=1", u8::from(self.follow));
        if let Some(since) = self.since {
            // Write all nine digits, since the Engine pads missing ones on the right.
            let (seconds, nanos) = since.as_unix();
            text.push_str(&format!("&since={}.{nanos:09}", seconds.max(0)));
        }
        if let Some(tail) = self.tail {
            text.push_str(&format!("&tail={tail}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
