//! Reads live tails, which are streams of new lines for clients of the API. Each live tail reads from a
//! separate source, so that it never slows a route.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use docker_source::{Container, ContainerFilter, EngineAddress, NamePattern, Source, StreamFilter};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::tail_buffer::TailBuffer;
use super::tail_text::Form;
use crate::route::is_agent;
use crate::stop::Stop;
use crate::task::task;

/// The containers of a live tail.
#[derive(Clone, Debug)]
pub(super) enum Selected {
    All,
    /// The containers whose id begins with this text.
    Id(Arc<str>),
    Name(NamePattern),
}

impl Selected {
    pub(super) fn has(&self, container: &Container) -> bool {
        match self {
            Self::All => true,
            Self::Id(prefix) => container.id().starts_with(&**prefix),
            Self::Name(pattern) => pattern.matches(container.name()),
        }
    }
}

/// The request for a live tail.
#[derive(Clone, Debug)]
pub(super) struct TailRequest {
    pub(super) selected: Selected,
    pub(super) streams: StreamFilter,
    pub(super) form: Form,
}

/// A live tail. It reads until it is dropped, the router stops, or its source fails.
#[derive(Debug)]
pub(super) struct Tail {
    buffer: TailBuffer,
    _reading: JoinSet<()>,
    _permit: OwnedSemaphorePermit,
}

impl Tail {
    /// Starts to read the lines that the selected containers write from now on. The tail skips agents, and the
    /// containers that do not match `filter`.
    pub(super) fn start(
        address: EngineAddress,
        request: TailRequest,
        filter: ContainerFilter,
        stop: Stop,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let buffer = TailBuffer::default();
        let mut reading = JoinSet::new();
        reading.spawn(task(read(address, request, filter, stop, buffer.clone())));
        Self { buffer, _reading: reading, _permit: permit }
    }

    /// Returns the next line, with a newline at its end, or `None` once the tail has ended.
    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        self.buffer.poll_next(context)
    }

    /// Returns the next line, as [`poll_next`](Self::poll_next) does.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no line is lost.
    pub(super) async fn next(&self) -> Option<Bytes> {
        poll_fn(|context| self.poll_next(context)).await
    }
}

/// Reads lines until the router stops, or until the source fails.
async fn read(
    address: EngineAddress,
    request: TailRequest,
    filter: ContainerFilter,
    mut stop: Stop,
    buffer: TailBuffer,
) {
    let TailRequest { selected, streams, mut form } = request;
    let end = form.clone();
    let lines = buffer.clone();
    let reading = async move {
        let select = move |container: &Container| {
            selected.has(container) && filter.mismatch(container).is_none() && !is_agent(container)
        };
        let connected = Source::builder().address(address).select(select).connect().await;
        let mut source = connected.map_err(|error| error.to_string())?;
        while let Some(record) = source.next().await.map_err(|error| error.to_string())? {
            if streams.selects(record.stream()) {
                let line = form.line(&record);
                lines.add(line, |missed| form.missed(missed));
            }
        }
        Ok::<_, String>(())
    };
    match stop.unless_asked(reading).await {
        Some(Err(error)) => buffer.end(Some(end.ended(&error))),
        Some(Ok(())) | None => buffer.end(None),
    }
}
