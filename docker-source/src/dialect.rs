//! Distinguishes the logs of Docker from the logs of Podman.

/// The kind of an Engine. The kind determines how the logs of the Engine are read.
///
/// [Negotiation](crate::engine::EngineClient::negotiate) finds the kind in the headers of the Engine's
/// answer. The stamps of a log do not show the kind reliably: Podman 4 cuts its stamps to whole seconds, but
/// later versions do not. All versions of Podman give the same stamp to lines that they received together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// Docker. The lines of a stream have distinct stamps, and all pieces of a line carry the stamp of the
    /// first piece. A line is split after 16 KiB.
    #[default]
    Docker,
    /// Podman, whose API imitates Docker's. Many lines of a stream can have the same stamp, and each piece of
    /// a line has its own stamp. A line is split wherever a read of the container's output ended, after at
    /// most 8 KiB. For a request with `tail=`, Podman joins pieces of stdout and stderr.
    Podman,
}
