//! A connection through the proxy.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::plan::TcpPlan;

/// Maximum number of bytes per read.
const READ: usize = 16 * 1024;

/// Number of equal parts of a second. A throttled write carries at most the bytes of one part, but at least one
/// byte.
const PARTS_OF_A_SECOND: u64 = 20;

/// Settings of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Initial plan.
    pub(crate) plan: TcpPlan,
    /// Later plans.
    pub(crate) plans: watch::Receiver<TcpPlan>,
    /// Maximum number of bytes that each direction holds back.
    pub(crate) max_held: usize,
    /// Number of bytes received from clients.
    pub(crate) bytes_from_client: Arc<AtomicU64>,
}

/// Signals that a connection is reset instead of closed. The cause is the plan, a peer, or the drop of the
/// proxy.
#[derive(Debug)]
struct Reset;

/// Passes a connection to the target until both directions have ended, or the connection is reset. Dropping
/// the future also resets the connection.
pub(crate) async fn run(mut client: TcpStream, target: SocketAddr, settings: Settings) {
    reset_on_drop(&client, true);
    let Ok(mut target) = TcpStream::connect(target).await else { return };
    reset_on_drop(&target, true);
    // A failure is ignored, because without TCP_NODELAY, the proxy is only slower.
    let _ = client.set_nodelay(true);
    let _ = target.set_nodelay(true);
    let (from_client, into_client) = client.split();
    let (from_target, into_target) = target.split();
    let mut answers = settings.clone();
    answers.plan = for_answers(answers.plan);
    let up = pass(from_client, into_target, true, settings);
    let down = pass(from_target, into_client, false, answers);
    if tokio::try_join!(up, down).is_ok() {
        reset_on_drop(&client, false);
        reset_on_drop(&target, false);
    }
}

/// Returns the part of a plan that applies to answers.
fn for_answers(plan: TcpPlan) -> TcpPlan {
    TcpPlan { reset_after: None, ..plan }
}

/// Passes one direction until its end. Bytes that were read wait in `held` until the plan permits to write them.
async fn pass(
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    to_target: bool,
    Settings { mut plan, mut plans, max_held, bytes_from_client }: Settings,
) -> Result<(), Reset> {
    let mut buffer = vec![0; READ];
    let mut held = VecDeque::new();
    let mut passed = 0;
    let mut has_ended = false;
    // Time at which the last throttled write would end at the permitted rate.
    let mut busy_until = Instant::now();
    loop {
        if plan.reset_after.is_some_and(|after| passed >= after) {
            return Err(Reset);
        }
        if has_ended && held.is_empty() {
            // An error is ignored, because the peer has possibly closed the connection already.
            let _ = writer.shutdown().await;
            return Ok(());
        }
        let is_busy = plan.throttle.is_some() && busy_until > Instant::now();
        let most = plan.throttle.map_or(u64::MAX, |rate| (rate / PARTS_OF_A_SECOND).max(1));
        let most = most.min(plan.reset_after.map_or(u64::MAX, |after| after - passed));
        let (front, _) = held.as_slices();
        let front = usize::try_from(most).ok().and_then(|most| front.get(..most)).unwrap_or(front);
        let room = if has_ended { 0 } else { READ.min(max_held - held.len()) };
        let (into, _) = buffer.split_at_mut(room);
        tokio::select! {
            biased;
            changed = plans.changed() => {
                changed.map_err(|_| Reset)?;
                let new = *plans.borrow_and_update();
                plan = if to_target { new } else { for_answers(new) };
            }
            written = writer.write(front), if !front.is_empty() && !is_busy => {
                let count = written.map_err(|_| Reset)?;
                held.drain(..count);
                passed += count as u64;
                if let Some(rate) = plan.throttle {
                    busy_until = Instant::now() + Duration::from_secs_f64(count as f64 / rate as f64);
                }
            }
            read = reader.read(into), if room > 0 => {
                let count = read.map_err(|_| Reset)?;
                has_ended = count == 0;
                held.extend(buffer.split_at(count).0);
                if to_target {
                    bytes_from_client.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
            () = sleep_until(busy_until), if is_busy => {}
        }
    }
}

/// Sets whether dropping this socket resets the connection or closes it normally.
fn reset_on_drop(socket: &TcpStream, is_reset: bool) {
    // The call fails only for a socket that has already ended.
    let _ = SockRef::from(socket).set_linger(is_reset.then_some(Duration::ZERO));
}
