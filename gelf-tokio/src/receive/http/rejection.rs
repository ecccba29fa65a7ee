//! Reasons for rejecting a request.

use hyper::StatusCode;

/// The reason of a rejection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rejection {
    BadRequest,
    BodyTooLarge,
    HeadTooLarge,
    InvalidMessage,
    MethodNotAllowed,
    NotFound,
    QueueFull,
    TooSlow,
    Unauthorized,
    UnknownEncoding,
}

impl Rejection {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::InvalidMessage => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}
