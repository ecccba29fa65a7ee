//! Makes the answers of the API.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::tail::Tail;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

pub(super) type Answer = Response<Body>;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// A text. `None` if there is no text, or if the text has been sent.
    Whole(Option<Bytes>),
    /// The lines of a live tail.
    Tail(Tail),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Tail(tail) => tail.poll_next(context).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Tail(_) => SizeHint::new(),
        }
    }
}

/// Returns an answer with a body. The headers forbid caches to keep the answer, and forbid browsers to guess
/// a content type other than `content_type`.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

pub(super) fn text(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    answer(status, content_type, Body::Whole(Some(text.into())))
}

/// Returns an answer with a JSON value on several lines.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    text(status, JSON, format!("{value:#}\n"))
}

/// Returns the answer to a refused request: the reason as text.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Answer {
    text(status, TEXT, format!("{reason}\n"))
}

/// Returns the answer to a request whose method the path does not support.
pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
