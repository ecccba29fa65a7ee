//! Tests of `/logs`.

use std::time::Duration;

use super::{Served, sample};
use crate::common::TIMEOUT;
use futures_util::StreamExt;
use gelf_tokio::TcpReceiver;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use simulated_engine::{ContainerOptions, Stream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// The answer to a client of `/logs`.
struct Tailed {
    body: Incoming,
    text: String,
}

impl Tailed {
    async fn open(served: &Served, path: &str, accept: &str) -> Self {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get(path).header("host", served.address.to_string());
        let request = request.header("accept", accept).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: String::new() }
    }

    /// Returns the next line, or `None` after the last line.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            let frame = timeout(TIMEOUT, self.body.frame()).await.expect("timed out")?;
            self.text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_shown_live_as_text_and_json_by_name_id_and_stream() {
    let served = Served::start_with(&["--print"], &[("EXCLUDE_LABEL", "secret")]).await;
    let hidden = served.engine.create(ContainerOptions::named("hidden").label("secret", "true"));
    hidden.start();
    let db = served.engine.create(ContainerOptions::named("db"));
    db.start();
    served.web.wait_for_followers(1).await;
    db.wait_for_followers(1).await;
    let mut text = Tailed::open(&served, "/logs?colors=off", "*/*").await;
    served.web.wait_for_followers(2).await;
    let mut by_name = Tailed::open(&served, "/logs/name:w*b?sources=stderr", "application/json").await;
    served.web.wait_for_followers(3).await;
    let id = format!("/logs/id:{}", &db.id()[..12]);
    let mut by_id = Tailed::open(&served, &id, "*/*").await;
    db.wait_for_followers(3).await;
    hidden.line(Stream::Stdout, "zero");
    served.web.line(Stream::Stdout, "one\u{1b}[2J");
    served.web.line(Stream::Stderr, "two");
    assert_eq!(text.line().await.unwrap(), "             web|one\\u{1b}[2J");
    assert_eq!(text.line().await.unwrap(), "             web|two");
    let line = by_name.line().await.unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["Data"], &value["Source"]), (&"two".into(), &"stderr".into()), "{line}");
    assert_eq!((&value["Container"]["Name"], line.contains("hunter2")), (&"/web".into(), false), "{line}");
    db.line(Stream::Stdout, "three");
    assert!(by_id.line().await.unwrap().contains("db|three"));
    assert_eq!(served.get("/logs/id:ffff").await.0, 404);
    assert_eq!(served.get("/logs/name:[").await.0, 400);
    assert_eq!(served.get("/logs/web").await.0, 404);
    // After a client has disconnected, the router ends the log requests of the client's live tail.
    drop(by_id);
    let started = Instant::now();
    while db.followers() > 2 {
        assert!(started.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
    // All live tails end when the router ends.
    served.router.signal("TERM");
    assert_eq!(text.line().await.unwrap(), "              db|three");
    assert_eq!(text.line().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_gets_each_line_as_a_json_message_and_refuses_pages_of_other_sites() {
    let served = Served::start(&["--print"]).await;
    served.web.wait_for_followers(1).await;
    let open = async |origin: &str| {
        let mut request = format!("ws://{}/logs", served.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let stream = TcpStream::connect(served.address).await.unwrap();
        client_async(request, stream).await
    };
    assert!(open("http://evil.example").await.unwrap_err().to_string().contains("403"));
    let (mut socket, _) = open(&format!("http://{}", served.address)).await.unwrap();
    served.web.wait_for_followers(2).await;
    for line in ["one", "two\u{9b}"] {
        served.web.line(Stream::Stdout, line);
        let message = timeout(TIMEOUT, socket.next()).await.unwrap().unwrap().unwrap();
        let text = message.into_text().unwrap();
        assert!(!text.contains('\n') && !text.contains('\u{9b}'), "{text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["Data"], &value["Container"]["Name"]), (&line.into(), &"/web".into()));
    }
    socket.close(None).await.unwrap();
    let started = Instant::now();
    while served.web.followers() > 1 {
        assert!(started.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_misses_lines_and_slows_no_route() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let route = format!("gelf+tcp://{}", receiver.local_addr().unwrap());
    let served = Served::start(&[&route]).await;
    let mut slow = Tailed::open(&served, "/logs?colors=off", "*/*").await;
    served.web.wait_for_followers(2).await;
    // Together, these lines (31 MiB) exceed the buffers of the live tail, of hyper and of the kernel.
    let line = "x".repeat(16 * 1024);
    for _ in 0..2000 {
        served.web.line(Stream::Stdout, &line);
    }
    for _ in 0..2000 {
        timeout(TIMEOUT, receiver.recv()).await.expect("the route is slowed").unwrap().unwrap();
    }
    let (mut shown, mut missed) = (0, 0);
    while shown + missed < 2000 {
        let line = slow.line().await.unwrap();
        match line.strip_prefix("-- ") {
            Some(notice) => missed += notice.split(' ').next().unwrap().parse::<u32>().unwrap(),
            None => shown += 1,
        }
        // The router sends the number of missed lines together with the next line.
        served.web.line(Stream::Stdout, "more");
    }
    assert!(missed > 0, "all lines were shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_four_live_tails_at_most() {
    let served = Served::start(&["--print"]).await;
    let mut tails = Vec::new();
    for _ in 0..4 {
        tails.push(Tailed::open(&served, "/logs", "*/*").await);
    }
    let (status, reason) = served.get("/logs").await;
    assert_eq!((status, reason.trim()), (503, "the maximum number of live tails is open"));
    assert_eq!(sample(&served.get("/metrics").await.1, "gelf_router_live_tails"), 4);
    tails.pop();
    let started = Instant::now();
    while sample(&served.get("/metrics").await.1, "gelf_router_live_tails") == 4 {
        assert!(started.elapsed() < TIMEOUT);
    }
    Tailed::open(&served, "/logs", "*/*").await;
}
