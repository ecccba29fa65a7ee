//! Blocks a thread until a future is ready, without the help of a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is ready, or until the time `within` is over. Returns `None` if the
/// future was not ready in time. The future must not need a runtime.
pub(super) fn block_on<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    // A time beyond the range of the clock means no limit.
    let deadline = Instant::now().checked_add(within);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let Some(deadline) = deadline else {
            thread::park();
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_on_waits_for_another_thread_and_gives_up_at_the_limit() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(Duration::MAX, receiver), Some(Ok(7)));
        other.join().unwrap().unwrap();
        assert_eq!(block_on(Duration::from_millis(1), std::future::pending::<()>()), None);
    }
}
