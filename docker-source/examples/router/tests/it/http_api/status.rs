//! Tests of `/` and `/status`.

use std::time::Duration;

use super::{Served, ask};
use crate::common::{TIMEOUT, listen_again, refusing_tcp};
use gelf_tokio::TcpReceiver;
use serde_json::{Value, json};
use simulated_engine::{ContainerOptions, Stream};
use tokio::time::{Instant, sleep, timeout};

/// Asks for the status until `holds` returns true for a status, and returns this status. Asserts that the
/// accounts of each status add up.
async fn status_when(served: &Served, holds: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let status = served.get_json("/status").await;
        assert_adds_up(&status);
        if holds(&status) {
            return status;
        }
        assert!(started.elapsed() < TIMEOUT, "{status:#}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asserts that the account of all lines and the account of each route add up, both by the sums of their
/// terms and by the differences that the router states.
fn assert_adds_up(status: &Value) {
    let number =
        |value: &Value| value.as_u64().unwrap_or_else(|| panic!("not a number: {value} in {status:#}"));
    let sum = |value: &Value| value.as_object().unwrap().values().map(number).sum::<u64>();
    let done = |account: &Value| {
        let terms = ["delivered", "joined", "in_flight"].map(|term| number(&account[term]));
        terms.iter().sum::<u64>() + sum(&account["dropped"])
    };
    let all = &status["account"];
    let read = number(&all["read"]) + number(&all["copies"]);
    assert_eq!(read, done(all) + sum(&all["skipped"]) + number(&all["left_unread"]), "{status:#}");
    assert_eq!(all["difference"], 0);
    for route in status["routes"].as_array().unwrap() {
        assert_eq!(number(&route["account"]["selected"]), done(&route["account"]), "{status:#}");
        assert_eq!(route["account"]["difference"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_adds_up_while_a_destination_is_down_and_after_its_route_is_removed() {
    let mut receiver = TcpReceiver::bind("127.0.0.1:0").await.unwrap();
    let (reserved, down) = refusing_tcp();
    let routes = format!(
        "gelf+tcp://{}#main,gelf+tcp://{down}?queue=4&when_full=drop_oldest&filter.sources=stdout#down,\
         gelf+tcp://{down}?queue=5&when_full=drop_newest&filter.sources=stdout#newest",
        receiver.local_addr().unwrap()
    );
    let served = Served::start(&[&routes]).await;
    for number in 0..20 {
        served.web.line(Stream::Stdout, format!("line {number}"));
    }
    for text in ["", "to one route"] {
        served.web.line(Stream::Stderr, text);
    }
    for _ in 0..21 {
        timeout(TIMEOUT, receiver.recv()).await.unwrap();
    }
    let status = status_when(&served, |status| {
        let [main, down, newest] = [0, 1, 2].map(|index| &status["routes"][index]);
        let are_selected = down["account"]["selected"] == 20 && newest["account"]["selected"] == 20;
        main["account"]["delivered"] == 21 && are_selected && down["state"] == "down"
    })
    .await;
    let all = &status["account"];
    assert_eq!((&all["copies"], &all["left_unread"]), (&json!(40), &json!(0)));
    assert!(all["skipped"]["empty"].as_u64().unwrap() >= 1, "{all:#}");
    let down_route = &status["routes"][1];
    assert!(down_route["error"].as_str().unwrap().contains("refused"), "{down_route:#}");
    assert_eq!(down_route["queue"]["maximum"], 4);
    assert!(down_route["lag_seconds"].as_f64().unwrap() > 0.0, "{down_route:#}");
    let dropped = [1, 2].map(|index| {
        let account = &status["routes"][index]["account"];
        let dropped = 20 - account["in_flight"].as_u64().unwrap();
        assert_eq!(account["dropped"]["queue_full"], dropped);
        dropped
    });
    assert_eq!(status["lost"]["dropped"], dropped[0] + dropped[1]);

    // The lines that the removed route gives up stay in the account.
    let id = down_route["id"].as_str().unwrap();
    let request = format!("DELETE /routes/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    assert_eq!(served.ask(&request).await.0, 200);
    let status = status_when(&served, |status| status["lost"]["dropped"] == 20 + dropped[1]).await;
    assert_eq!(status["account"]["dropped"]["ended"], 20 - dropped[0]);
    assert_eq!(status["routes"].as_array().unwrap().len(), 2);
    drop(reserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_wait_for_a_destination_are_delivered_when_it_comes_back_and_nothing_is_lost() {
    let (reserved, address) = refusing_tcp();
    let served = Served::start(&[&format!("gelf+tcp://{address}?multiline=java#main")]).await;
    // The lines of a stack trace are one message.
    for text in ["ERROR failed", "\tat one", "\tat two"] {
        served.web.line(Stream::Stdout, text);
    }
    for number in 0..50 {
        served.web.line(Stream::Stdout, format!("line {number}"));
    }
    let status = status_when(&served, |status| {
        status["account"]["joined"] == 2 && status["account"]["in_flight"] == 51
    })
    .await;
    assert_eq!(status["account"]["delivered"], 0);
    drop(reserved);
    let mut receiver = listen_again(address).await;
    for _ in 0..51 {
        timeout(TIMEOUT, receiver.recv()).await.unwrap();
    }
    let status = status_when(&served, |status| status["account"]["delivered"] == 51).await;
    assert_eq!(status["routes"][0]["receipts"], json!({ "accepted": 0, "acknowledged": 51, "sent": 0 }));
    assert_eq!(status["account"]["joined"], 2);
    assert_eq!(
        (&status["routes"][0]["state"], &status["routes"][0]["lag_seconds"]),
        (&json!("connected"), &json!(0.0))
    );
    let lost =
        json!({ "dropped": 0, "gaps": 0, "last_15_minutes": 0, "possibly_lost": 0, "unavailable_logs": 0 });
    assert_eq!(status["lost"], lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_shown_with_its_container_and_its_reason() {
    let served = Served::start(&["--print"]).await;
    let small = served.engine.create(ContainerOptions::named("small").rotated(100, 2));
    small.start();
    small.wait_for_followers(1).await;
    // The writer does not wait, so the reader comes too late.
    for number in 0..500 {
        small.line(Stream::Stdout, format!("line {number}"));
    }
    let status = status_when(&served, |status| status["gaps"] != json!([])).await;
    let gap = &status["gaps"][0];
    assert_eq!(
        (&gap["container"], &gap["reason"], &gap["count"]),
        (&json!("small"), &json!("rotated"), &json!(1))
    );
    assert_eq!(gap["container_id"], small.id());
    assert!(gap["before"].as_str().unwrap().ends_with('Z'), "{gap:#}");
    assert_eq!((&status["lost"]["gaps"], &status["lost"]["last_15_minutes"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_no_secret() {
    let route = "gelf+https://user:hunter2@127.0.0.1:9/?header=X-Token:hunter2#main";
    let served = Served::start(&[route]).await;
    let status = status_when(&served, |status| status["containers"][0]["name"] == "web").await;
    assert!(!status.to_string().contains("hunter2"), "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_to_a_link_of_another_site_but_not_under_a_foreign_name() {
    let served = Served::start(&["--print"]).await;
    let address = served.address;
    let get = |path: &str, host: &str| {
        ask_raw(address, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: cross-site\r\n\r\n"))
    };
    let (status, body) = get("/", &address.to_string()).await;
    assert!(status == 200 && body.starts_with("<!doctype html>"), "{status} {body:.80}");
    assert_eq!(get("/status", &address.to_string()).await.0, 403);
    assert_eq!(get("/", "evil.example").await.0, 403);
    let post = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(served.ask(&post).await.0, 405);
}

async fn ask_raw(address: std::net::SocketAddr, request: String) -> (u16, String) {
    ask(address, &request).await
}
