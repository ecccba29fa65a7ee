//! Logs panics as events.

use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::sink::{Sink, is_sender};

/// The target of the events.
pub(crate) const TARGET: &str = "panic";

/// The parts of a panic that are logged.
#[derive(Debug)]
pub(crate) struct Panic<'p> {
    file: Option<&'p str>,
    line: Option<u32>,
    /// The place and message of the panic, and in further lines the backtrace.
    text: String,
}

/// Installs a hook that logs panics while the layer or logger exists, and calls the previous hook.
pub(crate) fn install(sink: &Arc<Sink>, close_within: Duration, log: fn(&Panic<'_>)) {
    let sink = Arc::downgrade(sink);
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(&sink, close_within, log, info);
        previous(info);
    }));
}

fn report(sink: &Weak<Sink>, close_within: Duration, log: fn(&Panic<'_>), info: &PanicHookInfo<'_>) {
    let Some(sink) = sink.upgrade() else { return };
    if is_sender() {
        return;
    }
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text");
    let place = info.location().map(|location| format!(" at {location}")).unwrap_or_default();
    log(&Panic {
        file: info.location().map(|location| location.file()),
        line: info.location().map(|location| location.line()),
        text: format!("panicked{place}: {message}\n{}", Backtrace::force_capture()),
    });
    if cfg!(panic = "abort") {
        // The process ends after the hook without dropping the guard.
        let _ = sink.client.flush_blocking(close_within);
    }
}

/// Logs a panic as an event of `tracing`, in the current span. The fields for the place have the names that
/// `tracing-log` uses.
pub(crate) fn log_to_tracing(panic: &Panic<'_>) {
    tracing::error!(
        target: TARGET,
        { "log.target" = TARGET, "log.file" = panic.file, "log.line" = panic.line },
        "{}",
        panic.text
    );
}

#[cfg(feature = "log")]
pub(crate) fn log_to_log(panic: &Panic<'_>) {
    log::logger().log(
        &log::Record::builder()
            .level(log::Level::Error)
            .target(TARGET)
            .file(panic.file)
            .line(panic.line)
            .args(format_args!("{}", panic.text))
            .build(),
    );
}
