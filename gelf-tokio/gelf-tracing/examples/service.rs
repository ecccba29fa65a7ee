//! Runs an HTTP service with a span for each request. After SIGTERM or Ctrl-C, the service sends the queued
//! events, for at most 5 s, and ends.
//!
//! ```text
//! cargo run -p gelf-tracing --features http --example service -- gelf+tcp://127.0.0.1:12201 127.0.0.1:8080
//! curl 127.0.0.1:8080/orders/4711
//! ```
//!
//! In a service with axum, the layer `TraceLayer` of tower-http makes the spans.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fmt};

use gelf_tracing::GelfLayer;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tracing::{Instrument, Span, debug, error, field, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let uri = arguments.next().unwrap_or_else(|| "gelf://127.0.0.1:12201".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let builder = GelfLayer::builder(&uri)?.field("service", "shop").close_events(true).panic_hook(true);
    let (layer, guard) = builder.build()?;
    tracing_subscriber::registry().with(layer.with_filter(LevelFilter::DEBUG)).init();

    let listener = TcpListener::bind(&address).await?;
    let address = listener.local_addr()?;
    eprintln!("listening on {address}");
    info!(%address, "listening");
    tokio::select! {
        () = serve(listener) => {}
        () = stop() => info!("stopping"),
    }
    if let Err(unsent) = guard.close(Duration::from_secs(5)).await {
        eprintln!("{unsent}: {:?}", guard.client().last_error());
    }
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let span = info_span!("connection", %peer);
                tokio::spawn(connection(stream).instrument(span));
            }
            Err(failure) => {
                error!(error = &failure as &dyn Error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream) {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let service = service_fn(|request: Request<Incoming>| {
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let span = info_span!(
            "request",
            number,
            method = %request.method(),
            path = request.uri().path(),
            status = field::Empty
        );
        answer(request).instrument(span)
    });
    if let Err(failure) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        debug!(error = &failure as &dyn Error, "the connection broke");
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let (status, body) = match find(request.uri().path()) {
        Ok(order) => (StatusCode::OK, order),
        Err(failure) => {
            error!(error = &failure as &dyn Error, "no answer");
            (StatusCode::NOT_FOUND, format!("{failure}\n"))
        }
    };
    // All further events of the request have this field, including the event for the end of the span.
    Span::current().record("status", status.as_u16());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

#[derive(Debug)]
struct NoOrder(std::num::ParseIntError);

impl fmt::Display for NoOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no order has this path")
    }
}

impl Error for NoOrder {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn find(path: &str) -> Result<String, NoOrder> {
    let order: u32 = path.trim_start_matches("/orders/").parse().map_err(NoOrder)?;
    info!(order, amount = 9.5, is_paid = true, "found");
    Ok(format!("order {order}\n"))
}
