//! Tests the options, counters and connections of the HTTP receiver. The HTTP vectors of the conformance
//! suite test the receiver's answers and payloads.

use crate::support::http_client::{
    Client, GUARD, Item, M, assert_adds_up, during, exchange, gzip, post, post_chunked, receiver, request,
};
use gelf_tokio::ReceiveError;
use tokio::time::timeout;

fn good<const N: usize>(payloads: [&str; N]) -> Vec<Item> {
    payloads.iter().map(|payload| Ok((*payload).to_owned())).collect()
}

#[tokio::test]
async fn each_request_and_each_value_is_counted_by_its_outcome() {
    let mut receiver = receiver(|_| {}).await;
    let array = format!("[{M},{M}]");
    let mut damaged = gzip(M.as_bytes());
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        ("a message", post("", M), 202, good([M])),
        ("OPTIONS", request("OPTIONS /gelf", "", ""), 200, vec![]),
        ("GET", request("GET /gelf", "", ""), 405, vec![]),
        ("another path", request("POST /gelf?a=1", "", M), 404, vec![]),
        ("nothing", post("", " \n"), 202, vec![]),
        ("two lines", post("", format!("{M}\n{M}")), 202, good([M])),
        ("three values", post("", format!(" {M}{M},{M}\n")), 202, good([M])),
        ("an array", post("", &array), 202, good([&array])),
        ("no JSON", post("", "no json"), 202, good(["no json"])),
        ("an unknown encoding", post("content-encoding: br\r\n", M), 415, vec![]),
        ("a cut body", post("content-encoding: gzip\r\n", &damaged[..20]), 400, vec![]),
        ("a damaged body", post("content-encoding: gzip\r\n", damaged), 400, vec![]),
        ("a long body", post("", "x".repeat(65_537)), 413, vec![]),
    ];
    for (name, request, status, items) in cases {
        assert_eq!(exchange(&mut receiver, &[request]).await, (vec![status], items), "{name}");
    }
    let stats = receiver.stats();
    assert_eq!((stats.connections, stats.requests, stats.accepted, stats.preflights), (13, 13, 6, 1));
    assert_eq!((stats.empty_requests, stats.values, stats.payloads, stats.dropped.after_first), (1, 8, 5, 3));
    let rejected = stats.rejected;
    assert_eq!((rejected.method_not_allowed, rejected.not_found, rejected.unknown_encoding), (1, 1, 1));
    assert_eq!((rejected.bad_request, rejected.body_too_large, rejected.total()), (2, 1, 6));
    assert_adds_up(&stats);
}

#[tokio::test]
async fn an_answer_that_refuses_a_method_or_an_encoding_lists_the_allowed_values() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    for (request, status, header, allowed) in [
        (request("GET /gelf", "origin: https://shop.example\r\n", ""), 405, "allow", "POST, OPTIONS"),
        (post("content-encoding: br\r\n", M), 415, "accept-encoding", "gzip, deflate"),
    ] {
        let (answer, _) = during(&mut receiver, async {
            client.send(request).await;
            client.answer().await
        })
        .await;
        assert_eq!((answer.status, answer.header(header)), (status, Some(allowed)));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn with_cors_a_preflight_request_needs_no_required_header_but_other_requests_do() {
    let mut receiver = receiver(|options| {
        options.cors = true;
        options.path = "/logs".to_owned();
        options.required_header = Some(("X-Token".to_owned(), "s3cret".to_owned()));
    })
    .await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let origin = "origin: https://shop.example\r\n";
    let right = format!("{origin}x-tOKEN:  s3cret \r\n");
    for (line, headers, status, allowed) in [
        ("OPTIONS /logs", origin, 200, Some("Authorization, Content-Type, x-token")),
        ("POST /logs", &right, 202, Some("Authorization, Content-Type, x-token")),
        ("POST /logs", "X-Token: s3cre\r\n", 401, None),
        ("OPTIONS *", "", 200, None),
    ] {
        let (answer, items) = during(&mut receiver, async {
            client.send(request(line, headers, M)).await;
            client.answer().await
        })
        .await;
        assert_eq!((answer.status, items.len()), (status, usize::from(status == 202)), "{line}");
        let shared = allowed.map(|_| "https://shop.example");
        assert_eq!(answer.header("access-control-allow-origin"), shared, "{line}");
        assert_eq!(answer.header("access-control-allow-credentials"), allowed.map(|_| "true"));
        assert_eq!(answer.header("access-control-allow-headers"), allowed);
    }
    let stats = receiver.stats();
    assert_eq!((stats.preflights, stats.accepted, stats.rejected.unauthorized), (2, 1, 1));
    assert_adds_up(&stats);
}

#[tokio::test]
async fn values_of_a_bulk_body_are_delivered_as_they_arrive() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    client.send("POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for number in 0..10 {
        let value = format!("{{\"number\":{number}}}");
        client.send(format!("{:x}\r\n{value}\n\r\n", value.len() + 1)).await;
        assert_eq!(timeout(GUARD, receiver.recv()).await.unwrap().unwrap().unwrap().payload, value);
    }
    assert_eq!(receiver.stats().accepted, 0);
    let (answer, items) = during(&mut receiver, async {
        client.send("0\r\n\r\n").await;
        client.answer().await
    })
    .await;
    assert_eq!((answer.status, items.len()), (202, 0));
}

#[tokio::test]
async fn a_value_of_a_bulk_body_that_is_too_long_is_a_counted_error() {
    let long = "x".repeat(65_537);
    let mut receiver = receiver(|options| options.bulk = true).await;
    let (statuses, mut items) = exchange(&mut receiver, &[post("", format!("{M}\n{long}\n{M}"))]).await;
    assert_eq!(statuses, [202]);
    let error = items.remove(1).unwrap_err();
    assert!(matches!(error, ReceiveError::ValueTooLong { max: 65_536, .. }), "{error:?}");
    assert!(error.sender().ip().is_loopback());
    assert_eq!(items, good([M, M]));
    let stats = receiver.stats();
    assert_eq!((stats.values, stats.payloads, stats.dropped.too_long), (3, 2, 1));
    assert_adds_up(&stats);
}

#[tokio::test]
async fn a_bulk_body_has_at_most_65536_values() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let lines = |count| "1\n".repeat(count);
    let array = |count| format!("[{}]", ["1"].repeat(count).join(","));
    // The last value counts, too, even if the body ends without a line feed.
    for (most, more) in [
        (lines(65_536), gzip(lines(4_000_000).as_bytes())),
        (array(65_536), array(65_537).into_bytes()),
        (lines(65_535) + "1", (lines(65_536) + "1").into_bytes()),
    ] {
        let (statuses, items) = exchange(&mut receiver, &[post("", most)]).await;
        assert_eq!((statuses, items.len()), (vec![202], 65_536));
        let (statuses, items) = exchange(&mut receiver, &[post("", more)]).await;
        assert_eq!((statuses, items.len()), (vec![413], 65_536));
    }
    let stats = receiver.stats();
    assert_eq!((stats.rejected.body_too_large, stats.dropped.over_limit), (3, 3));
    assert_adds_up(&stats);
}

#[tokio::test]
async fn with_reject_invalid_a_message_that_is_not_gelf_is_answered_with_400() {
    for bulk in [false, true] {
        let mut receiver = receiver(|options| {
            options.bulk = bulk;
            options.reject_invalid = true;
        })
        .await;
        let requests = ["no json", "{\"version\":\"1.1\"}", "[1]", M, " \n"].map(|body| post("", body));
        let (statuses, items) = exchange(&mut receiver, &requests).await;
        // All requests are on one connection, because no answer ends the connection.
        assert_eq!((statuses, items), (vec![400, 400, 400, 202, 202], good([M])));
        let stats = receiver.stats();
        assert_eq!((stats.rejected.invalid_message, stats.rejected.total(), stats.connections), (3, 3, 1));
        assert_eq!((stats.dropped.invalid, stats.dropped.total()), (3, 3));
        if bulk {
            // The valid values of a request that is answered with 400 are received.
            let mixed =
                [format!("{M}\nno json\n{M}\n"), format!("[{M},{{bad}},{M}]")].map(|body| post("", body));
            assert_eq!(exchange(&mut receiver, &mixed).await, (vec![400, 400], good([M; 4])));
        }
        assert_adds_up(&receiver.stats());
    }
}

#[tokio::test]
async fn a_bulk_body_has_at_most_8_mib() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(500));
    let mut body = line.repeat(8 * 1024 * 1024 / line.len());
    let lines = body.len() / line.len();
    body.push_str(&" ".repeat(8 * 1024 * 1024 - body.len()));
    for pack in [<[u8]>::to_vec, gzip] {
        let (statuses, items) = exchange(&mut receiver, &[post("", pack(body.as_bytes()))]).await;
        assert_eq!((statuses, items.len()), (vec![202], lines));
        let longer = post_chunked("", pack(format!("{body} ").as_bytes()), 10_000);
        let (statuses, items) = exchange(&mut receiver, &[longer]).await;
        // The values before the last part were delivered as they arrived.
        assert_eq!(statuses, [413]);
        assert!(items.len() > lines * 9 / 10 && items.len() <= lines, "{} of {lines}", items.len());
    }
    assert_eq!((receiver.stats().accepted, receiver.stats().rejected.body_too_large), (2, 2));
    assert_adds_up(&receiver.stats());
}

#[tokio::test]
async fn expect_100_continue_is_answered_unless_the_request_is_rejected() {
    let mut receiver = receiver(|_| {}).await;
    let address = receiver.local_addr().unwrap();
    let expect = "expect: 100-continue\r\n";
    let (_, items) = during(&mut receiver, async {
        let mut client = Client::connect(address).await;
        for _ in 0..2 {
            let request = post(expect, M);
            let (head, body) = request.split_at(request.len() - M.len());
            client.send(head).await;
            assert_eq!(client.answer().await.status, 100);
            client.send(body).await;
            assert_eq!(client.answer().await.status, 202);
        }
        for (line, len, status) in
            [("POST /wrong", 10, 404), ("GET /gelf", 10, 405), ("POST /gelf", 1_000_000, 413)]
        {
            let mut client = Client::connect(address).await;
            client.send(format!("{line} HTTP/1.1\r\n{expect}content-length: {len}\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
            assert!(client.is_closed().await);
        }
    })
    .await;
    assert_eq!(items, good([M, M]));
    assert_adds_up(&receiver.stats());
}

#[tokio::test]
async fn a_required_header_without_a_name_is_an_error_and_its_value_is_not_shown() {
    let mut options = gelf_tokio::options::HttpReceiverOptions::default();
    options.required_header = Some((String::new(), "s3cret".to_owned()));
    assert!(!format!("{options:?}").contains("s3cret"));
    let error = gelf_tokio::HttpReceiver::bind_with_options("127.0.0.1:0", options).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
