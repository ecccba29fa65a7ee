//! Tests with a receiver whose output never pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::protocol::ONLY_MODE;
use crate::reader;
use crate::vector::{Input, Limits};

/// Time after which the output ends, so that a wait without a limit fails a test and does not hang.
const NOISE: Duration = Duration::from_secs(30);

/// Starts a receiver in this process that delivers messages without pause, and the datagrams that it receives if
/// `is_delivering`. Also returns a flag, which is set when the output ends.
fn noisy(is_delivering: bool) -> (Result<Live, String>, Arc<AtomicBool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let options = LiveOptions {
        udp: Some(socket.local_addr().unwrap()),
        timeout: Duration::from_secs(1),
        ready_timeout: if is_delivering { NOISE } else { Duration::from_millis(300) },
        ..Default::default()
    };
    let has_ended = Arc::new(AtomicBool::new(false));
    let (ended, started) = (Arc::clone(&has_ended), Instant::now());
    let live = Live::within(options, move |wait| {
        let mut datagram = [0; 2048];
        if let Ok(len) = socket.recv(&mut datagram)
            && is_delivering
        {
            return Some(reader::payload(&datagram[..len]).unwrap().0);
        }
        if started.elapsed() < NOISE {
            return Some(br#"{"version":"1.1","host":"h","short_message":"noise"}"#.to_vec());
        }
        ended.store(true, Ordering::Relaxed);
        sleep(wait);
        None
    });
    (live, has_ended)
}

#[test]
fn a_start_ends_at_its_deadline_if_the_output_never_pauses() {
    let (live, has_ended) = noisy(false);
    let error = live.unwrap_err();
    assert!(error.contains("was observed in its output within 300ms"), "{error}");
    assert!(!has_ended.load(Ordering::Relaxed), "the start waited for a pause");
}

#[test]
fn a_vector_is_sent_if_the_output_never_pauses() {
    let (live, has_ended) = noisy(true);
    let input = Input::Payload(b"{}");
    let request = Request { id: "X", input, limits: Limits::default(), mode: ONLY_MODE };
    let reply = live.unwrap().ask(request).unwrap();
    assert!(matches!(reply, Reply::Observed(_) | Reply::NoAnswer(_)), "{reply:?}");
    assert!(!has_ended.load(Ordering::Relaxed), "the vector waited for a pause");
}
