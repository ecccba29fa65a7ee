//! A connection through the proxy.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::flow::{Flow, Step};
use super::plan::{End, Sides, TcpPlan};
use super::settle::settle;
use super::{Instructions, TcpCounters};
use crate::Direction;

/// Maximum number of bytes per read.
const READ: usize = 16 * 1024;

/// Instructions for a connection.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    instructions: watch::Receiver<Instructions>,
    /// The connection's own plan, and the number of the common plan that it replaces.
    own: Option<(u64, TcpPlan)>,
    /// Number of cuts requested before the connection started.
    cuts: u64,
}

impl Control {
    /// Creates the instructions of a new connection, with or without its own plan.
    pub(crate) fn new(instructions: watch::Receiver<Instructions>, own: Option<TcpPlan>) -> Self {
        let (number, cuts) = {
            let instructions = instructions.borrow();
            (instructions.number, instructions.cuts)
        };
        Self { instructions, own: own.map(|plan| (number, plan)), cuts }
    }

    /// Returns the current plan, or a cut.
    fn now(&mut self, direction: Direction) -> Result<TcpPlan, Break> {
        let instructions = *self.instructions.borrow_and_update();
        if instructions.cuts != self.cuts {
            return Err(Break::Cut(instructions.cut.0, instructions.cut.1));
        }
        let plan = match self.own {
            Some((number, plan)) if number == instructions.number => plan,
            _ => instructions.plan,
        };
        Ok(match direction {
            Direction::ToTarget => plan,
            Direction::ToClient => plan.towards_client(),
        })
    }
}

/// Reason why a connection does not end in order.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// A peer has reset it, or the proxy was dropped.
    Reset,
    /// A cut is due.
    Cut(End, Sides),
}

/// Passes a connection to the target until both directions have ended, or it is cut. If dropped before, it is
/// reset.
pub(crate) async fn run(
    mut client: TcpStream,
    target: SocketAddr,
    max_held: usize,
    control: Control,
    counters: watch::Sender<TcpCounters>,
) {
    let Ok(mut target) = TcpStream::connect(target).await else {
        drop(client);
        counters.send_modify(|counters| counters.target_unreachable += 1);
        return;
    };
    reset(&target);
    // Without no-delay, the proxy is only slower.
    let _ = client.set_nodelay(true);
    let _ = target.set_nodelay(true);
    let mut to_target = Flow::new(max_held);
    let mut to_client = Flow::new(max_held);
    let end = {
        let (from_client, into_client) = client.split();
        let (from_target, into_target) = target.split();
        let up =
            pass(Direction::ToTarget, from_client, into_target, &mut to_target, control.clone(), &counters);
        let down = pass(Direction::ToClient, from_target, into_client, &mut to_client, control, &counters);
        let (mut up, mut down) = (pin!(up), pin!(down));
        let (mut up_ended, mut down_ended) = (false, false);
        loop {
            let (ended, result) = tokio::select! {
                biased;
                result = &mut up, if !up_ended => (&mut up_ended, result),
                result = &mut down, if !down_ended => (&mut down_ended, result),
                else => break Ok(()),
            };
            *ended = true;
            if let Err(reason) = result {
                break Err(reason);
            }
        }
    };
    let left = to_target.discard() + to_client.discard();
    counters.send_modify(|counters| counters.bytes_discarded += left);
    match end {
        Ok(()) => {
            keep(&client);
            keep(&target);
        }
        Err(Break::Reset) => {}
        Err(Break::Cut(end, sides)) => {
            if sides.has_target() {
                settle(&target).await;
            }
            let client = cut(client, end, sides.has_client()).await;
            let target = cut(target, end, sides.has_target()).await;
            counters.send_modify(|counters| counters.cuts += 1);
            tokio::join!(
                discard(client, Direction::ToTarget, &counters),
                discard(target, Direction::ToClient, &counters)
            );
        }
    }
}

/// Passes one direction until its end.
async fn pass(
    direction: Direction,
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    flow: &mut Flow,
    mut control: Control,
    counters: &watch::Sender<TcpCounters>,
) -> Result<(), Break> {
    let mut buffer = vec![0; READ];
    let mut in_hole = false;
    loop {
        let plan = control.now(direction)?;
        if in_hole != plan.black_hole.is_some() {
            in_hole = !in_hole;
            if in_hole && direction == Direction::ToTarget {
                counters.send_modify(|counters| counters.black_holes += 1);
            }
        }
        let (write, wait) = match flow.step(&plan, Instant::now()) {
            Step::Write(limit) => (limit, None),
            Step::Wait(until) => (0, Some(until)),
            Step::Idle => (0, None),
            Step::Cut(cut) => return Err(Break::Cut(cut.end, cut.sides)),
            Step::End => {
                // The peer may have closed the connection already.
                let _ = writer.shutdown().await;
                return Ok(());
            }
        };
        let room = flow.room(&plan).min(READ);
        let (into, _) = buffer.split_at_mut(room);
        tokio::select! {
            biased;
            changed = control.instructions.changed() => changed.map_err(|_| Break::Reset)?,
            written = writer.write(flow.front(write)), if write > 0 => {
                let count = written.map_err(|_| Break::Reset)?;
                flow.pass(count, &plan, Instant::now());
                counters.send_modify(|counters| counters.passed(direction, count));
            }
            read = reader.read(into), if room > 0 => match read {
                Ok(0) => flow.end(),
                Ok(count) => {
                    let (bytes, _) = buffer.split_at_mut(count);
                    let taken = flow.take(bytes, &plan, Instant::now());
                    counters.send_modify(|counters| counters.received(direction, count, taken));
                }
                // In a black hole, errors are not passed on.
                Err(_) if in_hole => flow.end(),
                Err(_) => return Err(Break::Reset),
            },
            () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {}
        }
    }
}

/// Makes the drop of this socket a reset.
pub(crate) fn reset(socket: &TcpStream) {
    // Fails only for a socket that has already ended.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Makes the drop of this socket an end in order.
fn keep(socket: &TcpStream) {
    // Fails only for a socket that has already ended.
    let _ = SockRef::from(socket).set_linger(None);
}

/// Cuts one side if requested, and returns the other half of it.
async fn cut(mut socket: TcpStream, end: End, wanted: bool) -> Option<TcpStream> {
    if wanted {
        match end {
            End::Reset => return None,
            End::Fin => {
                // The peer may have closed the connection already.
                let _ = socket.shutdown().await;
            }
        }
    }
    Some(socket)
}

/// Reads and discards until the end.
async fn discard(socket: Option<TcpStream>, direction: Direction, counters: &watch::Sender<TcpCounters>) {
    let Some(mut socket) = socket else { return };
    let mut buffer = vec![0; READ];
    loop {
        match socket.read(&mut buffer).await {
            Ok(0) => return keep(&socket),
            Ok(count) => counters.send_modify(|counters| counters.discarded(direction, count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
