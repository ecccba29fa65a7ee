//! Sends live tails over a WebSocket, with a text message for each line.

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::answer::{Answer, Body};
use super::tail::Tail;
use crate::task::task;

/// The maximum length of a message of the client, in bytes. A client needs to send only pings and the message
/// that closes the connection.
const MAX_MESSAGE: usize = 4096;

/// Returns the key of a request for a WebSocket, or `None` if the request is not for a WebSocket.
///
/// # Errors
/// Returns the reason why a request for a WebSocket cannot be granted.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<HeaderValue>, &'static str> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(UPGRADE, "websocket") {
        return Ok(None);
    }
    if !has(CONNECTION, "upgrade") || !has(SEC_WEBSOCKET_VERSION, "13") {
        return Err("a WebSocket needs Connection: Upgrade and Sec-WebSocket-Version: 13");
    }
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) => Ok(Some(key.clone())),
        None => Err("a WebSocket needs a Sec-WebSocket-Key"),
    }
}

/// Switches the connection of the request to a WebSocket, over which the lines of the tail are sent.
pub(super) fn upgrade(key: &HeaderValue, request: Request<Incoming>, tail: Tail) -> Answer {
    tokio::spawn(task(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => show(tail, TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!("a WebSocket of the HTTP API has failed: {error}"),
        }
    }));
    let mut answer = Response::new(Body::Whole(None));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // This cannot fail, since the derived text is base64.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

/// Sends the lines until the tail ends or the client closes the connection, or until the connection fails.
async fn show<S>(tail: Tail, stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    loop {
        tokio::select! {
            line = tail.next() => {
                let Some(line) = line else { break };
                let text = String::from_utf8_lossy(&line);
                if socket.send(Message::text(text.trim_end_matches('\n'))).await.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                // The library has queued the answer to a ping, and the flush sends it.
                Some(Ok(_)) => {
                    if socket.flush().await.is_err() {
                        return;
                    }
                }
            },
        }
    }
    // An error is ignored, since the client may have closed the connection already.
    let _ = socket.close(None).await;
}
