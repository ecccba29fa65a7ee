//! Faults of TCP connections.

use std::time::Duration;

/// Faults of a TCP connection. By default, bytes are passed unchanged and at once.
///
/// Offsets and lengths count the bytes of one connection towards the target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpPlan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Option<u64>,
    pub(crate) black_hole: Option<BlackHole>,
    pub(crate) cut: Option<Cut>,
    pub(crate) corrupt: Option<(u64, u8)>,
}

impl TcpPlan {
    /// Creates a plan that passes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delays bytes in both directions. Default: 0.
    ///
    /// Bytes keep the delay that was set when they arrived. The number of delayed bytes is bounded
    /// ([`TcpOptions::max_held`](crate::TcpOptions::max_held)); at the bound, reading stops until some are
    /// passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Limits the bytes per second, for each direction of each connection, in writes of at most a twentieth
    /// of that. Default: no limit. 0 counts as 1.
    pub fn throttle(mut self, bytes_per_second: u64) -> Self {
        self.throttle = Some(bytes_per_second.max(1));
        self
    }

    /// Passes nothing in either direction and keeps the connection open. Default: no.
    ///
    /// The end or reset of one side is not passed on until another plan is set.
    pub fn black_hole(mut self, kind: BlackHole) -> Self {
        self.black_hole = Some(kind);
        self
    }

    /// Ends the connection once this many bytes have been passed to the target. Default: never.
    ///
    /// A connection that has already passed more is cut at once. A connection that has already ended is not
    /// cut.
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = Some(cut);
        self
    }

    /// Flips the bits of `mask` in the byte at this offset, from 0, towards the target. Default: none.
    ///
    /// A byte that was read before the plan was set is unchanged. A mask of 0 changes nothing and is not
    /// counted.
    pub fn corrupt(mut self, offset: u64, mask: u8) -> Self {
        self.corrupt = Some((offset, mask));
        self
    }

    /// Returns the part of the plan that applies to answers.
    pub(crate) fn towards_client(self) -> Self {
        Self { cut: None, corrupt: None, ..self }
    }
}

/// Kind of a [black hole](TcpPlan::black_hole).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlackHole {
    /// Reads nothing, so that the sender's kernel takes only what fits the buffers. After the black hole,
    /// everything is passed: nothing is lost.
    StopReading,
    /// Reads and discards all bytes, including held ones; the sender notices nothing. After the black hole,
    /// later bytes are passed, with a gap before them.
    Forget,
}

/// Kind and place of a cut.
///
/// A side cut by [`End::Fin`], and a side that is not cut, stay open until their peer closes them: bytes from
/// there are read and discarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// Number of bytes passed to the target before the cut; 0 is before the first.
    pub after: u64,
    /// Kind of end.
    pub end: End,
    /// Sides to end.
    pub sides: Sides,
}

impl Cut {
    /// Resets both sides after this many bytes.
    pub fn reset(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Both }
    }

    /// Resets the client's side after this many bytes; the target does not notice.
    pub fn reset_client(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Client }
    }

    /// Resets the target's side after this many bytes; the client does not notice.
    pub fn reset_target(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Target }
    }

    /// Ends both sides in order after this many bytes.
    pub fn fin(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Both }
    }

    /// Ends the client's side in order after this many bytes; the target does not notice.
    pub fn fin_client(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Client }
    }

    /// Ends the target's side in order after this many bytes; the client does not notice.
    pub fn fin_target(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Target }
    }
}

/// Kind of end of a side of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// RST. The target still receives all bytes that were passed before, if it reads them within a second.
    Reset,
    /// FIN after the bytes that were passed before.
    Fin,
}

/// Sides of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sides {
    /// The connection between client and proxy.
    Client,
    /// The connection between proxy and target.
    Target,
    /// Both connections.
    Both,
}

impl Sides {
    pub(crate) fn has_client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    pub(crate) fn has_target(self) -> bool {
        matches!(self, Self::Target | Self::Both)
    }
}
