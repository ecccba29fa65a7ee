//! Runs blocking calls, each in a new thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{io, thread};

use tokio::sync::oneshot;

/// Runs a blocking call in a new thread, and returns the future of its result. The call runs to its end even
/// if the future is dropped.
///
/// `tokio::task::spawn_blocking` and `tokio::net::lookup_host` can panic if the system cannot start a thread.
/// This function returns an error instead, so that the caller can try again later.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(crate) fn spawn<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<Blocking<T>> {
    let (sender, result) = oneshot::channel();
    thread::Builder::new().name("gelf-blocking".into()).spawn(move || {
        // The future may have been dropped.
        let _ = sender.send(call());
    })?;
    Ok(Blocking { result })
}

/// The future of the result of a blocking call.
#[derive(Debug)]
pub(crate) struct Blocking<T> {
    result: oneshot::Receiver<T>,
}

impl<T> Future for Blocking<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.result).poll(context));
        Poll::Ready(result.map_err(|_| io::Error::other("the thread of a blocking call panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_result_of_the_call_is_returned() {
        assert_eq!(spawn(|| 7).unwrap().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_in_the_call_is_an_error() {
        let error = spawn(|| -> u8 { panic!("on purpose") }).unwrap().await.unwrap_err();
        assert_eq!(error.to_string(), "the thread of a blocking call panicked");
    }
}
