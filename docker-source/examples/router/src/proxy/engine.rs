//! Sends a request to the Engine, and returns its answer as it arrives.
//!
//! Reading the body drives the connection, so dropping the body closes the connection, and bytes are read only
//! as fast as the agent takes them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use docker_source::EngineAddress;
use http_body_util::Empty;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::redact::EnvRedactor;

/// The headers of an answer that concern one connection alone.
const OF_THE_CONNECTION: [HeaderName; 4] =
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

type Connection = http1::Connection<TokioIo<Box<dyn Socket>>, Empty<Bytes>>;
type Error = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(super) enum Body {
    /// A text of the proxy itself. Becomes `None` once the text is sent.
    Text(Option<Bytes>),
    /// The body that the Engine sends.
    Engine(Box<EngineBody>),
}

pub(super) struct EngineBody {
    incoming: Incoming,
    /// Becomes `None` when the connection ends.
    connection: Option<Connection>,
    /// Present if the body may have variables.
    redactor: Option<EnvRedactor>,
}

/// Sends `GET` with the path and query of `uri` on a new connection. No header of the agent is passed on.
pub(super) async fn get(
    address: &EngineAddress,
    uri: &Uri,
    redactor: Option<EnvRedactor>,
) -> Result<Response<Body>, Error> {
    let socket: Box<dyn Socket> = match address {
        EngineAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        EngineAddress::Tcp { host, port } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Box::new(TcpStream::connect((host, *port)).await?)
        }
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "the proxy does not use TLS").into()),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target).header(HOST, "docker").body(Empty::new())?;
    let mut connection = Some(connection);
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = poll_fn(|context| {
        drive(&mut connection, context);
        answer.as_mut().poll(context)
    });
    let (mut head, incoming) = answer.await?.into_parts();
    for name in &OF_THE_CONNECTION {
        head.headers.remove(name);
    }
    if redactor.is_some() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let body = Body::Engine(Box::new(EngineBody { incoming, connection, redactor }));
    Ok(Response::from_parts(head, body))
}

/// Moves bytes between the socket and the request or body. The result is ignored, since the answer or its body
/// reports the error as well.
fn drive(connection: &mut Option<Connection>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|running| Pin::new(running).poll(context).is_ready()) {
        *connection = None;
    }
}

impl EngineBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            drive(&mut self.connection, context);
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // Trailers are left out; the Engine sends none.
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let data = match &mut self.redactor {
                        Some(redactor) => redactor.push(&data),
                        None => data,
                    };
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let next = match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(Ok)),
            Self::Engine(body) => body.poll_next(context),
        };
        next.map(|next| next.map(|next| next.map(Frame::data)))
    }
}
