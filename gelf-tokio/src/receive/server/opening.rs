//! Performs the steps that open a connection, such as a TLS handshake, while the server may close.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::closing::Closing;
use crate::receive::kernel;

/// Performs a step that opens a connection.
///
/// Once the time for reading is over, the kernel is told to take no more bytes for the connection, which works only
/// on Linux. The step goes on with the bytes that the kernel holds: they can include the rest of the step, and
/// acknowledged messages behind it. Returns `None` if the bytes do not complete the step. No data is lost then, since
/// a peer sends data only after the whole step.
pub(super) async fn open<F: Future + Unpin>(
    mut step: F,
    closing: &mut Closing,
    tcp: impl Fn(&F) -> Option<&TcpStream>,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = &mut step => return Some(output),
        () = closing.reading_over() => {}
    }
    if let Some(Err(error)) = tcp(&step).map(|tcp| kernel::drop_incoming(&SockRef::from(tcp))) {
        tracing::debug!(%error, "a TCP connection may lose data at its close");
    }
    poll_fn(|context| match Pin::new(&mut step).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if tcp(&step).is_none_or(|tcp| kernel::is_drained(&SockRef::from(tcp))) => {
            Poll::Ready(None)
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::super::closing::channel;
    use super::*;

    #[tokio::test]
    async fn a_step_is_completed_after_the_time_for_reading_only_by_bytes_that_the_kernel_holds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (written, opened) in [("whole", true), ("who", false), ("", false)] {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            peer.write_all(written.as_bytes()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let (closer, mut closing) = channel();
            closer.close(Duration::ZERO);
            let step = pin!(async {
                let mut read = Vec::new();
                while read.len() < "whole".len() {
                    stream.readable().await.unwrap();
                    let _ = stream.try_read_buf(&mut read);
                }
                read
            });
            let whole = open(step, &mut closing, |_| Some(&stream)).await;
            assert_eq!(whole, opened.then(|| b"whole".to_vec()), "{written:?}");
        }
    }
}
