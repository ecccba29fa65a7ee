//! Polls a future a limited number of times, and then drops it.
#![allow(unreachable_pub, reason = "it is a module of two crates")]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future up to `times` times: immediately, and then whenever its task is polled. Then drops the future.
/// Returns the output if the future became ready.
pub async fn polled<T>(future: impl Future<Output = T>, mut times: usize) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if times == 0 {
            return Poll::Ready(None);
        }
        times -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // After the last poll, the function returns immediately and does not wait to be woken.
            Poll::Pending if times == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
