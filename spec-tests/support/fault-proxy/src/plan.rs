//! Faults of TCP connections.

/// Faults of a TCP connection. By default, bytes are passed unchanged and immediately.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpPlan {
    pub(crate) throttle: Option<u64>,
    pub(crate) reset_after: Option<u64>,
}

impl TcpPlan {
    /// Creates a plan that passes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the bytes per second in each direction of each connection. A write carries at most a twentieth
    /// of `bytes_per_second`, or one byte if the limit is below 20. Default: no limit. A limit of 0
    /// counts as 1.
    pub fn throttle(mut self, bytes_per_second: u64) -> Self {
        self.throttle = Some(bytes_per_second.max(1));
        self
    }

    /// Resets both sides once this many bytes have been passed to the target. Default: never.
    ///
    /// The reset can discard the last of these bytes before the target reads them. A connection that has
    /// already passed as many bytes or more is reset immediately.
    pub fn reset_after(mut self, bytes: u64) -> Self {
        self.reset_after = Some(bytes);
        self
    }
}
