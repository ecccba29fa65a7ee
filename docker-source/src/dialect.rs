//! The differences between the logs of Docker and Podman.

/// The kind of an Engine, which decides how its logs are read.
///
/// [Negotiation](crate::engine::EngineClient::negotiate) determines it from the headers of the Engine's
/// answer. The stamps of a log do not tell the kind: Podman 4 cuts them to whole seconds and later versions
/// do not, but all of them give lines that they received together the same stamp.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// Docker. The stamps of a stream are distinct, and all pieces of a line carry the stamp of the first. A
    /// line is split after 16 KiB.
    #[default]
    Docker,
    /// Podman, whose API imitates Docker's. Many lines of a stream may have the same stamp, and each piece of
    /// a line has its own. A line is split wherever a read of the container's output ended, 8 KiB at most.
    /// With `tail=`, Podman joins pieces of both streams.
    Podman,
}
