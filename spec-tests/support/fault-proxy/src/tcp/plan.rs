//! What is done to a connection.

use std::time::Duration;

/// What is done to the bytes of a connection. The default is nothing: they are passed as they are, as soon as they come.
///
/// Offsets and lengths are of one connection, towards the target, from its first byte on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpPlan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Option<u64>,
    pub(crate) black_hole: Option<BlackHole>,
    pub(crate) cut: Option<Cut>,
    pub(crate) corrupt: Option<(u64, u8)>,
}

impl TcpPlan {
    /// Passes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes bytes this much later than they came, both ways. Default: 0.
    ///
    /// Bytes keep the delay that was in force when they came. What a connection may hold back is bounded
    /// ([`TcpOptions::max_held`](crate::TcpOptions::max_held)); once it does, no more is read until some is passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Passes so many bytes per second and no more, each way of each connection on its own, in writes of at most a twentieth of
    /// that. Default: as many as come. 0 counts as 1.
    pub fn throttle(mut self, bytes_per_second: u64) -> Self {
        self.throttle = Some(bytes_per_second.max(1));
        self
    }

    /// Passes nothing, either way, and keeps the connection. Default: no.
    ///
    /// That one side ends or resets its connection is not passed on either, until another plan comes.
    pub fn black_hole(mut self, kind: BlackHole) -> Self {
        self.black_hole = Some(kind);
        self
    }

    /// Ends the connection once so many bytes have been passed to the target. Default: never.
    ///
    /// A connection that has passed more when the plan comes is cut at once. One that ends by itself before is not cut.
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = Some(cut);
        self
    }

    /// Flips the bits of `mask` in the byte at this offset, from 0, towards the target. Default: none.
    ///
    /// A byte that was read before the plan came stays as it was. A mask of 0 changes nothing and is not counted.
    pub fn corrupt(mut self, offset: u64, mask: u8) -> Self {
        self.corrupt = Some((offset, mask));
        self
    }

    /// What of it holds for the answers.
    pub(crate) fn towards_client(self) -> Self {
        Self { cut: None, corrupt: None, ..self }
    }
}

/// How a [black hole](TcpPlan::black_hole) swallows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlackHole {
    /// Nothing is read, so that the sender's kernel takes only what fits into its buffers and the proxy's. When the hole is gone,
    /// everything is passed: nothing is lost.
    StopReading,
    /// What comes, and what was held back, is read and forgotten; the sender notices nothing. When the hole is gone, the bytes
    /// that follow are passed, with a gap before them.
    Forget,
}

/// How a connection is cut.
///
/// A side that is cut by [`End::Fin`], and a side that is not cut, stay open until their peer closes them: what still comes from
/// there is read and forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// After how many bytes have been passed to the target; 0 is before the first.
    pub after: u64,
    /// How its sides end.
    pub end: End,
    /// Which sides end.
    pub sides: Sides,
}

impl Cut {
    /// Resets both sides after so many bytes.
    pub fn reset(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Both }
    }

    /// Resets the client's side after so many bytes; the target hears nothing of it.
    pub fn reset_client(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Client }
    }

    /// Resets the target's side after so many bytes; the client hears nothing of it.
    pub fn reset_target(after: u64) -> Self {
        Self { after, end: End::Reset, sides: Sides::Target }
    }

    /// Ends both sides in order after so many bytes.
    pub fn fin(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Both }
    }

    /// Ends the client's side in order after so many bytes; the target hears nothing of it.
    pub fn fin_client(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Client }
    }

    /// Ends the target's side in order after so many bytes; the client hears nothing of it.
    pub fn fin_target(after: u64) -> Self {
        Self { after, end: End::Fin, sides: Sides::Target }
    }
}

/// How a side of a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// By RST. The target still gets all bytes that were passed before, if it takes them within a second.
    Reset,
    /// By FIN, after the bytes that were passed before.
    Fin,
}

/// Which sides of a connection end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sides {
    /// The connection between client and proxy.
    Client,
    /// The connection between proxy and target.
    Target,
    /// Both.
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
