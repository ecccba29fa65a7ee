//! Makes the answers to agents: answers of the Engine without the values of variables, and answers of the
//! proxy.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Frame;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use hyper::{Response, StatusCode};

use super::redact::EnvRedactor;
use crate::client;
use crate::server::{Answer, boxed};

/// The headers that concern only the connection to the Engine, and are not passed on.
const OF_THE_CONNECTION: [HeaderName; 4] =
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

/// Turns an answer of the Engine into an answer to the agent. The body passes through `redactor`, if it is
/// given.
pub(super) fn passed(answer: Response<client::Body>, redactor: Option<EnvRedactor>) -> Answer {
    let (mut head, body) = answer.into_parts();
    for name in &OF_THE_CONNECTION {
        head.headers.remove(name);
    }
    match redactor {
        Some(redactor) => {
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, boxed(Redacted { body, redactor }))
        }
        None => Response::from_parts(head, boxed(body)),
    }
}

/// Returns an answer of the proxy itself.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(boxed(Full::new(text.into())));
    *answer.status_mut() = status;
    answer
}

/// A body without the values of variables.
struct Redacted {
    body: client::Body,
    redactor: EnvRedactor,
}

impl hyper::body::Body for Redacted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // Trailers are left out; the Engine sends none.
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let data = self.redactor.push(&data);
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
    }
}
