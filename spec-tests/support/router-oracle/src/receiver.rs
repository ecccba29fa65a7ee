//! A GELF receiver over TCP that counts numbered lines and announced gaps.

use std::borrow::Cow;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;

use crate::tally::{Account, Gap, Line, Tally, Written};

/// The parts of a message that the oracle reads.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    short_message: Cow<'a, str>,
    #[serde(default)]
    timestamp: f64,
    #[serde(borrow, rename = "_container_id", default)]
    container: Cow<'a, str>,
    #[serde(rename = "_gap_from")]
    gap_from: Option<Value>,
    #[serde(rename = "_gap_to")]
    gap_to: Option<Value>,
    #[serde(rename = "_gap_reason")]
    gap_reason: Option<String>,
    #[serde(rename = "_gap_count")]
    gap_count: Option<u64>,
}

/// A receiver that serves any number of connections in threads, until the program ends.
#[derive(Clone, Debug)]
pub struct Receiver {
    port: u16,
    tally: Arc<Mutex<Tally>>,
    stalled: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts a receiver on a free port of the loopback interface.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, tally: Arc::default(), stalled: Arc::default(), closed: Arc::default() };
        let serving = receiver.clone();
        thread::spawn(move || serving.accept(listener));
        receiver
    }

    /// Starts a receiver that opens and closes in turn, and stays open or closed for this period.
    pub fn start_flapping(period: Duration) -> Self {
        let receiver = Self::start();
        let flapping = receiver.clone();
        thread::spawn(move || {
            for closed in [true, false].into_iter().cycle() {
                sleep(period);
                flapping.close(closed);
            }
        });
        receiver
    }

    /// Returns the route to this receiver, for containers whose name starts with the prefix and a dash.
    pub fn route(&self, name_prefix: &str) -> String {
        format!("gelf+tcp://127.0.0.1:{}?filter.name={name_prefix}-*", self.port)
    }

    /// Stops reading from the connections if `stalled` is true, and otherwise resumes reading.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Ends all connections and refuses new ones if `closed` is true, and otherwise takes connections again.
    /// The receiver reads all data that arrives on the connections that it ends.
    pub fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    /// Returns the arrivals so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every line has arrived and then nothing arrives for half a second, or until nothing
    /// arrives for `patience`. Returns the account, and describes missing lines on stderr.
    pub fn settle(&self, written: &Written, patience: Duration) -> Account {
        let (mut arrivals, mut since) = (0, Instant::now());
        loop {
            sleep(Duration::from_millis(50));
            let tally = self.tally();
            if tally.arrivals != arrivals {
                (arrivals, since) = (tally.arrivals, Instant::now());
                continue;
            }
            let enough = if tally.has_all(written) { Duration::from_millis(500) } else { patience };
            if since.elapsed() < enough {
                continue;
            }
            let account = tally.account(written);
            if account.lost + account.announced > 0 {
                eprint!("missing, by stream:\n{}", tally.describe_missing(written));
            }
            return account;
        }
    }

    /// Waits until the condition holds, for 60 s at most. Returns whether the condition holds.
    pub fn wait_until(&self, holds: impl Fn(&Tally) -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if holds(&self.tally()) {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        false
    }

    fn accept(&self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let listening =
                listener.take().unwrap_or_else(|| TcpListener::bind(("127.0.0.1", self.port)).unwrap());
            listening.set_nonblocking(true).unwrap();
            let mut connections: Vec<TcpStream> = Vec::new();
            while !self.closed.load(Ordering::Relaxed) {
                let Ok((connection, _)) = listening.accept() else {
                    sleep(Duration::from_millis(5));
                    continue;
                };
                connection.set_nonblocking(false).unwrap();
                connections.push(connection.try_clone().unwrap());
                let serving = self.clone();
                thread::spawn(move || serving.serve(connection));
            }
            drop(listening);
            for connection in connections {
                // An error only means that the router has already ended the connection.
                let _ = connection.shutdown(Shutdown::Write);
            }
            while self.closed.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5));
            }
        }
    }

    fn serve(&self, mut connection: TcpStream) {
        let mut buffer = Vec::new();
        let mut block = vec![0; 1 << 18];
        loop {
            while self.stalled.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(20));
            }
            let length = match connection.read(&mut block) {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            buffer.extend_from_slice(&block[..length]);
            let Some(end) = buffer.iter().rposition(|byte| *byte == 0) else { continue };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let mut tally = self.tally();
            for frame in buffer[..end].split(|byte| *byte == 0) {
                take(&mut tally, frame, now);
            }
            drop(tally);
            buffer.drain(..=end);
        }
    }
}

/// Counts one message.
fn take(tally: &mut Tally, frame: &[u8], now: f64) {
    let message: Incoming<'_> = match serde_json::from_slice(frame) {
        Ok(message) => message,
        Err(error) => panic!("not a GELF message: {error}: {}", String::from_utf8_lossy(frame)),
    };
    if message.gap_from.is_some() || message.gap_to.is_some() || message.gap_reason.is_some() {
        tally.gap(Gap {
            container: message.container.into_owned(),
            from: message.gap_from.as_ref().and_then(seconds).unwrap_or(f64::NEG_INFINITY),
            to: message.gap_to.as_ref().and_then(seconds).unwrap_or(f64::INFINITY),
            count: message.gap_count,
            reason: message.gap_reason.unwrap_or_default(),
        });
        return;
    }
    let line = Line {
        container: message.container.into_owned(),
        text: message.short_message.into_owned(),
        stamp: message.timestamp,
    };
    tally.line(line, now);
}

/// Returns a stamp in seconds since 1970. A stamp is a number, a text with a number, or a time of RFC 3339 in
/// UTC.
fn seconds(stamp: &Value) -> Option<f64> {
    match stamp {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().or_else(|| rfc3339(text)),
        _ => None,
    }
}

fn rfc3339(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':').map(str::parse::<f64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    // Days since 1970 by the civil calendar (Hinnant, "chrono-compatible low-level date algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
    Some(days as f64 * 86_400.0 + hour * 3_600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_numbers_or_texts() {
        let expected = Some(1_772_496_245.25);
        assert_eq!(seconds(&Value::from(1_772_496_245.25)), expected);
        assert_eq!(seconds(&Value::from("2026-03-03T00:04:05.25Z")), expected);
        assert_eq!(seconds(&Value::from("soon")), None);
    }
}
