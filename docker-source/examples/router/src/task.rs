//! Boxes the futures of tasks. tokio's code for tasks is compiled once for each type of future, so one type
//! for all tasks makes the program smaller.

use std::future::Future;
use std::pin::Pin;

/// A future of any type.
pub(crate) type Task<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Boxes a future.
pub(crate) fn task<T>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Box::pin(future)
}
