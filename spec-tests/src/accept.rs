//! Accepts connections, and serves each connection in its own thread.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Interval at which the listener checks the stop flag while no connection arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Accepts connections of a non-blocking listener until the stop flag is set.
///
/// `serve` is called for each connection, in a thread of its own, and reads the connection to its end. The
/// last argument of `serve` is the number of the connection, starting at 0. If `most` connections are open, a
/// further connection is closed, and `refused` is called. If `refused` returns false, no more connections are
/// accepted.
pub fn accept(
    listener: &TcpListener,
    most: usize,
    stop: &AtomicBool,
    serve: impl Fn(TcpStream, SocketAddr, usize) + Send + Sync + 'static,
    refused: impl Fn() -> bool,
) {
    let serve = Arc::new(serve);
    let open = Arc::new(AtomicUsize::new(0));
    let mut connection = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, source)) = listener.accept() else {
            thread::sleep(POLL_INTERVAL);
            continue;
        };
        if open.load(Ordering::Relaxed) >= most {
            if refused() {
                continue;
            }
            return;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (serve, open) = (Arc::clone(&serve), Arc::clone(&open));
        thread::spawn(move || {
            serve(stream, source, connection);
            open.fetch_sub(1, Ordering::Relaxed);
        });
        connection += 1;
    }
}
