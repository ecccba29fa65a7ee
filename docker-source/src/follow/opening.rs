//! Sends a request for a log before it is known whether the log is to be read through the Engine or from its
//! files.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::engine::{Body, ContainerId, EngineClient, EngineError, LogsQuery};

/// The answer to a request for a log: its content type and its body.
type Answer = Result<(Option<String>, Body), EngineError>;

/// A request for a log. It is sent when the value is first used. Dropping the value aborts the request.
pub(super) struct Opening<'a> {
    request: Pin<Box<dyn Future<Output = Answer> + Send + 'a>>,
    answer: Option<Answer>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(client: &'a EngineClient, id: &'a ContainerId, query: LogsQuery) -> Self {
        Self { request: Box::pin(client.logs(id, query)), answer: None }
    }

    /// Waits for `other`, and meanwhile goes on with this request.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|context| {
            if self.answer.is_none() {
                if let Poll::Ready(answer) = self.request.as_mut().poll(context) {
                    self.answer = Some(answer);
                }
            }
            other.as_mut().poll(context)
        })
        .await
    }

    /// Waits for the answer to this request.
    pub(super) async fn answer(self) -> Answer {
        match self.answer {
            Some(answer) => answer,
            None => self.request.await,
        }
    }
}
