//! Sends one GET request on a new connection, and returns the answer as it arrives.
//!
//! The connection makes progress only while the caller reads the body. Thus bytes are read only as fast as
//! the caller takes them, and dropping the body closes the connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use docker_source::EngineAddress;
use http_body_util::Empty;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use crate::server::{BoxError, Socket};

type Connection = http1::Connection<TokioIo<Box<dyn Socket>>, Empty<Bytes>>;

/// The body of an answer. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Incoming,
    /// Becomes `None` when the connection ends.
    connection: Option<Connection>,
}

/// Sends `GET target` with the header `Host: HOST` to a server at an address without TLS.
pub(crate) async fn get(
    address: &EngineAddress,
    host: &str,
    target: &str,
) -> Result<Response<Body>, BoxError> {
    let socket: Box<dyn Socket> = match address {
        EngineAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        EngineAddress::Tcp { host, port } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Box::new(TcpStream::connect((host, *port)).await?)
        }
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::get(target).header(HOST, host).body(Empty::new())?;
    let mut connection = Some(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = poll_fn(|context| {
        drive(&mut connection, context);
        answer.as_mut().poll(context)
    });
    Ok(answer.await?.map(|incoming| Body { incoming, connection }))
}

/// Moves bytes between the socket and the request or body. The result is ignored, since the answer or its
/// body reports the error as well.
fn drive(connection: &mut Option<Connection>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|running| Pin::new(running).poll(context).is_ready()) {
        *connection = None;
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        drive(&mut self.connection, context);
        Pin::new(&mut self.incoming).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
