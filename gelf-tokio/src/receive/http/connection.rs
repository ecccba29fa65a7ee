//! Serves one connection, from its first byte to its last.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::protocol::HttpProtocol;
use super::rejection::Rejection;
use super::request::Requests;
use super::timer::{Late, TimedStream, Timer};
use crate::receive::server::{End, Peer, Protocol, Served, Stream};

/// The maximum length in bytes of the head of a request, and of one read from the socket. The value is twice
/// Graylog's limit for headers.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The time for which a client may keep sending after the last answer. Closing a connection with unread data
/// would reset the connection, and the answer would be lost.
const LINGER: Duration = Duration::from_secs(2);

/// The time for which a connection without a request may stay open after the receiver begins to close. Each
/// connection may then [linger](LINGER) only for this time, too.
const CLOSING_LINGER: Duration = Duration::from_millis(100);

impl Protocol for HttpProtocol {
    async fn serve<S: Stream>(self: Arc<Self>, stream: &mut S, peer: Peer) -> Served {
        if let Some(Err(error)) = stream.tcp().map(|tcp| tcp.set_nodelay(true)) {
            tracing::debug!(%error, from = %peer.address, "answers may be delayed");
        }
        serve(self, stream, peer).await
    }
}

/// Serves HTTP/1 until the connection ends.
async fn serve<IO>(protocol: Arc<HttpProtocol>, mut io: IO, peer: Peer) -> Served
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let from = peer.address;
    let mut closing = peer.closing.clone();
    let timer = Arc::new(Timer::new(protocol.head_timeout, protocol.idle_timeout, protocol.request_timeout));
    let requests = Requests::new(Arc::clone(&protocol), peer, Arc::clone(&timer));
    let mut connection = http1::Builder::new()
        // A client can shut down its side after the last request and wait for the answer.
        .half_close(true)
        // hyper's timeout would count the time between requests too.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(TimedStream { io: &mut io, timer: Arc::clone(&timer) }), requests);

    // This deadline is set once the receiver closes.
    let mut idle_until = None;
    let mut closing = pin!(closing.begun());
    let mut alarm = pin!(sleep_until(Instant::now()));
    let ended = poll_fn(|context| {
        if idle_until.is_none() && closing.as_mut().poll(context).is_ready() {
            idle_until = Some(Instant::now() + CLOSING_LINGER);
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.poll_without_shutdown(context) {
            return Poll::Ready(Ok(ended));
        }
        // While the receiver closes, a client has only until `idle_until` to begin a request (`Late::Request`)
        // and to complete its head (`Late::Head`). A request whose head has been read keeps its time.
        let (deadline, late) = match (timer.deadline(), idle_until) {
            ((deadline, Late::Head | Late::Request), Some(idle_until)) if idle_until < deadline => {
                (idle_until, Late::Request)
            }
            (late, _) => late,
        };
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(context).map(|()| Err(late))
    })
    .await;
    drop(connection);

    let (end, reset) = match ended {
        Ok(Ok(())) if timer.is_broken() => (End::Broken, false),
        Ok(Ok(())) => (End::Ended, false),
        Ok(Err(error)) if error.is_parse() => {
            // hyper has answered the request, unless the request is HTTP/2.
            protocol.counters.requests.add(1);
            protocol.counters.reject(if error.is_parse_too_large() {
                Rejection::HeadTooLarge
            } else {
                Rejection::BadRequest
            });
            (End::Ended, false)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, %from, "an HTTP connection broke");
            (End::Broken, false)
        }
        // The reset makes the kernel drop the rest of the head, or the answers that the client does not read.
        Err(Late::Head) => (End::Slow, true),
        Err(Late::Answers) => (End::Idle, true),
        Err(Late::Request) => (End::Idle, false),
    };
    let linger = if idle_until.is_some() { CLOSING_LINGER } else { LINGER };
    if !reset {
        let closed = timeout(linger, close(&mut io)).await.unwrap_or(Ok(()));
        if let Err(error) = closed {
            tracing::debug!(%error, %from, "an HTTP connection was not closed by both sides");
        }
    }
    let end = if idle_until.is_some() && end != End::Broken { End::Closed } else { end };
    Served { end, reset }
}

/// Shuts down the sending side, and waits for the client to end its own sending side.
async fn close(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    io.shutdown().await?;
    let mut unwanted = vec![0; 4096];
    while io.read(&mut unwanted).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::HttpReceiverOptions;
    use crate::receive::delivery::{Deliveries, delivery_queue};
    use crate::receive::server::closing::Closer;
    use crate::receive::server::{ConnectionCounts, closing};
    use crate::stats::HttpReceiverStats;
    use bytes::Bytes;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::sleep;

    /// A client in memory, so that the paused clock advances only when both sides wait.
    struct Client {
        stream: DuplexStream,
        protocol: Arc<HttpProtocol>,
        deliveries: Deliveries,
        closer: Closer,
        served: JoinHandle<End>,
        started: Instant,
    }

    const HEAD: &str = "POST /gelf HTTP/1.1\r\ncontent-length: 2\r\n\r\n";
    const OK: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n";

    impl Client {
        fn new(change: impl FnOnce(&mut HttpReceiverOptions)) -> Self {
            Self::with_buffer(1024 * 1024, change)
        }

        fn with_buffer(bytes: usize, change: impl FnOnce(&mut HttpReceiverOptions)) -> Self {
            let mut options = HttpReceiverOptions::default();
            change(&mut options);
            let protocol = Arc::new(HttpProtocol::new(&options).unwrap());
            let (queue, deliveries) = delivery_queue(options.max_queued_payloads, options.max_queued_bytes);
            let (closer, closing) = closing::channel();
            let (stream, io) = duplex(bytes);
            let peer = Peer { address: "10.0.0.7:4711".parse().unwrap(), queue, closing };
            let serving = serve(Arc::clone(&protocol), io, peer);
            let served = tokio::spawn(async move { serving.await.end });
            Self { stream, protocol, deliveries, closer, served, started: Instant::now() }
        }

        async fn send(&mut self, text: &str) {
            self.stream.write_all(text.as_bytes()).await.unwrap();
        }

        /// Reads an answer to the end of its head, and returns the head without the date.
        async fn answer(&mut self) -> String {
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                match self.stream.read_u8().await {
                    Ok(byte) => answer.push(byte),
                    Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
                }
            }
            let answer = String::from_utf8(answer).unwrap();
            let lines = answer.lines().filter(|line| !line.starts_with("date: ") && !line.is_empty());
            lines.map(|line| format!("{line}\r\n")).collect()
        }

        async fn assert_closed(&mut self) {
            assert_eq!(self.stream.read(&mut [0]).await.unwrap(), 0);
        }

        fn seconds(&self) -> f64 {
            (self.started.elapsed().as_secs_f64() * 10.0).round() / 10.0
        }

        async fn payload(&mut self) -> Bytes {
            self.deliveries.recv().await.unwrap().unwrap().payload
        }

        fn stats(&self) -> HttpReceiverStats {
            self.protocol.counters.stats(ConnectionCounts::default())
        }

        /// Returns how the connection ended, and the counters.
        async fn over(self) -> (End, HttpReceiverStats) {
            let end = self.served.await.unwrap();
            (end, self.protocol.counters.stats(ConnectionCounts::default()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed_after_10_s() {
        let mut peer = Client::new(|_| {});
        peer.assert_closed().await;
        assert_eq!(peer.seconds(), 10.0);
        let (end, stats) = peer.over().await;
        assert_eq!((end, stats.requests), (End::Slow, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_come_within_10_s_of_its_first_byte_however_often_bytes_come() {
        let mut peer = Client::new(|_| {});
        peer.send(&format!("{HEAD}{{}}")).await;
        assert_eq!(peer.answer().await, OK);
        sleep(Duration::from_secs(50)).await;
        let slowly = async {
            for byte in HEAD.bytes() {
                if peer.stream.write_all(&[byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(900)).await;
            }
        };
        slowly.await;
        peer.assert_closed().await;
        assert!((60.0..61.0).contains(&peer.seconds()), "{}", peer.seconds());
        let (end, stats) = peer.over().await;
        assert_eq!((end, stats.requests), (End::Slow, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_wait_60_s_for_its_next_request() {
        let mut peer = Client::new(|_| {});
        for _ in 0..3 {
            peer.send(&format!("{HEAD}{{}}")).await;
            assert_eq!(peer.answer().await, OK);
            sleep(Duration::from_millis(59_900)).await;
        }
        assert_eq!(peer.seconds(), 179.7);
        peer.assert_closed().await;
        assert_eq!(peer.seconds(), 179.8);
        // The client may take 2 s to end its side.
        let (end, stats) = peer.over().await;
        assert_eq!((end, stats.accepted), (End::Idle, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_must_come_within_30_s_however_often_bytes_come() {
        for body in ["{", "a chunk"] {
            let mut peer = Client::new(|_| {});
            if body == "{" {
                peer.send(&format!("{HEAD}{{")).await;
            } else {
                peer.send("POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").await;
                for _ in 0..29 {
                    peer.send("1\r\nx\r\n").await;
                    sleep(Duration::from_secs(1)).await;
                }
            }
            let answer = peer.answer().await;
            assert_eq!(answer, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n");
            assert_eq!(peer.seconds(), 30.0);
            peer.assert_closed().await;
            let stats = peer.stats();
            assert_eq!((stats.rejected.too_slow, stats.rejected.total(), stats.requests), (1, 1, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_waits_for_room_in_the_queue_and_after_30_s_it_is_503() {
        let mut peer = Client::new(|options| options.max_queued_payloads = 1);
        peer.send(&format!("{HEAD}{{}}{HEAD}[]{HEAD}12")).await;
        assert_eq!(peer.answer().await, OK);
        let early = timeout(Duration::from_secs(29), peer.stream.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(peer.payload().await, "{}");
        assert_eq!(peer.answer().await, OK);
        assert_eq!(peer.seconds(), 29.0);
        // The third request is then served while the payload of the second one is still in the queue.
        let answer = peer.answer().await;
        assert_eq!(answer, "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n");
        assert_eq!(peer.seconds(), 59.0);
        peer.assert_closed().await;
        assert_eq!(peer.payload().await, "[]");
        let stats = peer.stats();
        assert_eq!((stats.accepted, stats.rejected.queue_full, stats.rejected.total()), (2, 1, 1));
        assert_eq!((stats.values, stats.payloads, stats.dropped.no_room), (3, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_too_long_counts_as_such_only_if_the_queue_has_room_for_its_error() {
        let mut peer = Client::new(|options| (options.bulk, options.max_queued_payloads) = (true, 1));
        let long = "x".repeat(65_537);
        peer.send(&format!("POST /gelf HTTP/1.1\r\ncontent-length: 131075\r\n\r\n{long}\n{long}")).await;
        assert!(peer.answer().await.starts_with("HTTP/1.1 503 "));
        let stats = peer.stats();
        assert_eq!((stats.values, stats.dropped.too_long, stats.dropped.no_room), (2, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_in_time_but_is_not_read_before_30_s_is_too_late() {
        let mut peer = Client::new(|_| {});
        peer.send(&format!("{HEAD}{{")).await;
        sleep(Duration::from_secs(1)).await;
        peer.send("}").await;
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(peer.answer().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(peer.seconds(), 30.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_shut_down_its_side_still_gets_the_answer_that_takes_20_s() {
        let mut peer = Client::new(|options| options.max_queued_payloads = 1);
        peer.send(&format!("{HEAD}{{}}{HEAD}[]")).await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(peer.answer().await, OK);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(peer.payload().await, "{}");
        assert_eq!(peer.answer().await, OK);
        assert_eq!(peer.payload().await, "[]");
        peer.assert_closed().await;
        assert_eq!(peer.served.await.unwrap(), End::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_sending_after_the_last_answer_is_disconnected_after_2_s() {
        let mut peer = Client::new(|_| {});
        peer.send("POST /gelf HTTP/1.1\r\ncontent-length: 100000\r\n\r\n").await;
        let answer = peer.answer().await;
        assert_eq!(answer, "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 0\r\n");
        peer.assert_closed().await;
        let mut sent = 0;
        while peer.stream.write_all(b"x").await.is_ok() {
            sent += 1;
            sleep(Duration::from_millis(150)).await;
        }
        assert_eq!((sent, peer.seconds()), (14, 2.1));
        assert_eq!(peer.served.await.unwrap(), End::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_the_answers_is_disconnected_after_60_s() {
        let mut peer = Client::with_buffer(100, |_| {});
        let mut sent = 0;
        while peer.stream.write_all(format!("{HEAD}{{}}").as_bytes()).await.is_ok() {
            sent += 1;
            // Writing succeeds as long as there is room for answers.
            assert!(sent < 1000);
        }
        assert_eq!(peer.seconds(), 60.0);
        assert!(sent > 0);
        let (end, stats) = peer.over().await;
        assert_eq!((end, stats.requests), (End::Idle, stats.accepted + stats.broken_requests));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_dropped_while_it_waits_is_counted() {
        let mut peer = Client::new(|options| {
            options.max_queued_payloads = 1;
            options.bulk = true;
        });
        peer.send("POST /gelf HTTP/1.1\r\ncontent-length: 100\r\n\r\n[{},{},{\"a\":").await;
        assert_eq!(peer.payload().await, "{}");
        // The second value is in the queue, and the third value is not complete.
        sleep(Duration::from_secs(1)).await;
        peer.served.abort();
        assert!((&mut peer.served).await.unwrap_err().is_cancelled());
        let stats = peer.stats();
        assert_eq!((stats.requests, stats.broken_requests), (1, 1));
        assert_eq!((stats.values, stats.payloads, stats.dropped.cut), (3, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_closes_ends_connections_that_wait_for_a_head_within_200_ms() {
        for begun in ["", "POST"] {
            let mut peer = Client::new(|_| {});
            peer.send(&format!("{HEAD}{{}}")).await;
            assert_eq!(peer.answer().await, OK);
            peer.send(begun).await;
            sleep(Duration::from_secs(1)).await;
            peer.closer.close(Duration::from_secs(30));
            peer.assert_closed().await;
            assert!(peer.seconds() <= 1.2, "{}", peer.seconds());
            let (end, stats) = peer.over().await;
            assert_eq!((end, stats.accepted), (End::Closed, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_closes_answers_the_request_that_has_begun_and_no_other() {
        let mut peer = Client::new(|options| options.max_queued_payloads = 1);
        peer.send(&format!("{HEAD}{{}}{HEAD}[]{HEAD}12")).await;
        assert_eq!(peer.answer().await, OK);
        sleep(Duration::from_secs(1)).await;
        peer.closer.close(Duration::from_secs(30));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(peer.payload().await, "{}");
        let answer = peer.answer().await;
        assert_eq!(answer, "HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n");
        peer.assert_closed().await;
        assert_eq!(peer.payload().await, "[]");
        assert!(peer.deliveries.recv().await.is_none());
        assert_eq!((peer.stats().requests, peer.stats().accepted), (2, 2));
    }
}
