//! Encodes the messages of layers and loggers, puts them into the client's queue, and runs the client's
//! driver on a separate thread.

use std::cell::Cell;
use std::sync::{Arc, mpsc};
use std::{io, thread};

use gelf_tokio::gelf_core::{FieldSet, Message};
use gelf_tokio::{Client, Driver, Endpoint, WhenFull};

use crate::report;

thread_local! {
    /// `true` on the thread that sends the messages. Nothing that this thread logs becomes a message: an
    /// error of sending would otherwise cause the next message, without end.
    static IS_SENDER: Cell<bool> = const { Cell::new(false) };
    /// The name of the thread, or its id if it has none.
    static THREAD: Arc<str> = {
        let thread = thread::current();
        thread.name().map_or_else(|| format!("{:?}", thread.id()).into(), Arc::from)
    };
}

/// Returns whether an event with this target, on this thread, must not become a message.
#[inline]
pub(crate) fn is_own(target: &str) -> bool {
    // This function is called for each event, so most targets are told apart by their first bytes alone.
    (target.starts_with("gelf_t") && is_of_own_crate(target)) || is_sender()
}

#[cold]
fn is_of_own_crate(target: &str) -> bool {
    let is_in =
        |name: &str| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    is_in("gelf_tokio") || is_in("gelf_tracing")
}

/// Returns whether the current thread sends the messages.
#[inline]
pub(crate) fn is_sender() -> bool {
    // A thread whose thread-local values are gone is not the sender.
    IS_SENDER.try_with(Cell::get).unwrap_or(false)
}

/// Returns the name of the current thread, or its id if it has none. Returns `None` if the thread ends and has
/// already dropped the value that holds the name.
pub(crate) fn thread_name() -> Option<Arc<str>> {
    THREAD.try_with(Arc::clone).ok()
}

/// Encodes messages and queues them.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) client: Client,
    /// The host and the fields of the program.
    pub(crate) constants: FieldSet,
    /// The maximum length of a value in bytes.
    pub(crate) max_value_bytes: usize,
    /// `true` if a full queue blocks the thread that logs.
    pub(crate) blocks: bool,
}

impl Sink {
    /// Creates the client, and starts the thread that runs its driver.
    pub(crate) fn start(
        endpoint: &Endpoint,
        constants: FieldSet,
        max_value_bytes: usize,
    ) -> io::Result<Arc<Self>> {
        let mut queue = endpoint.queue();
        let blocks = queue.when_full == WhenFull::Wait;
        if queue.when_full == WhenFull::DropNewest {
            // A message that reports lost events waits for room in the queue. Events do not wait: `try_send` refuses
            // them if the queue is full.
            queue.when_full = WhenFull::Wait;
        }
        let endpoint = endpoint.clone().with_queue(queue).map_err(io::Error::other)?;
        let (client, driver) = Client::builder(&endpoint).build()?;
        let sink = Arc::new(Self { client, constants, max_value_bytes, blocks });
        let report = report::run(Arc::downgrade(&sink));
        let (started, has_started) = mpsc::channel();
        thread::Builder::new().name("gelf-tracing".to_owned()).spawn(move || {
            IS_SENDER.set(true);
            drive(driver, report, &started);
        })?;
        // The runtime is built on the new thread. If it were built here and the new thread could not be started, the
        // runtime would be dropped here, which panics within another runtime.
        has_started.recv().map_err(io::Error::other)??;
        Ok(sink)
    }

    /// Returns whether [`Client::refuse_if_full`] refuses the next message. If so, this call has counted that message
    /// as refused, and the caller need not build it. Returns `false` if a full queue blocks the thread instead.
    pub(crate) fn refuses(&self) -> bool {
        !self.blocks && self.client.refuse_if_full().is_err()
    }

    /// Encodes the message with the current time, and queues it. If the queue is full, this message or the
    /// oldest one is dropped, or the thread waits.
    pub(crate) fn send(&self, message: &Message<'_>) {
        // The client counts a message that it refuses.
        let _ = match self.blocks {
            true => self.client.send_blocking(message),
            false => self.client.try_send(message),
        };
    }
}

/// Runs the driver until it ends. It ends after the client is closed or the last clone of the client is dropped,
/// as soon as all messages are sent or the time for this is over.
fn drive(driver: Driver, report: impl Future<Output = ()>, started: &mpsc::Sender<io::Result<()>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    runtime.block_on(async {
        tokio::select! {
            () = driver.run() => {}
            () = report => {}
        }
    });
}
