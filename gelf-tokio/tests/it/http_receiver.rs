//! Options, counters and connections of the HTTP receiver. The HTTP vectors of the conformance suite test its
//! answers and payloads.

use crate::support::http_client::{
    Client, Item, M, adds_up, during, exchange, gzip, post, post_chunked, receiver, request, until, zlib,
};
use gelf_tokio::ReceiveError;
use tokio::io::AsyncWriteExt;

fn good<const N: usize>(payloads: [&str; N]) -> Vec<Item> {
    payloads.iter().map(|payload| Ok((*payload).to_owned())).collect()
}

#[tokio::test]
async fn each_request_and_each_value_is_counted_by_its_outcome() {
    let mut receiver = receiver(|_| {}).await;
    let array = format!("[{M},{M}]");
    let requests = [
        (post("", M), 202),
        (request("OPTIONS /gelf", "", ""), 200),
        (request("GET /gelf", "", ""), 405),
        (request("POST /gelf?a=1", "", M), 404),
        (post("", " \n"), 202),
        (post("", format!("{M}\n{M}")), 202),
        (post("", format!(" {M}{M},{M}\n")), 202),
        (post("", &array), 202),
        (post("", "no json"), 202),
    ];
    let (requests, expected): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, expected);
    assert_eq!(items, good([M, M, M, &array, "no json"]));
    let stats = receiver.stats();
    assert_eq!((stats.connections, stats.requests, stats.accepted, stats.preflights), (1, 9, 6, 1));
    assert_eq!((stats.empty_requests, stats.values, stats.payloads, stats.dropped.after_first), (1, 8, 5, 3));
    let rejected = stats.rejected;
    assert_eq!((rejected.method_not_allowed, rejected.not_found, rejected.total()), (1, 1, 2));
    adds_up(&stats);
}

#[tokio::test]
async fn an_answer_to_another_method_lists_the_allowed_methods() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (answer, _) = during(&mut receiver, async {
        client.send(request("GET /gelf", "", "")).await;
        client.answer().await
    })
    .await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn deflate_is_zlib_or_bare_deflate_data() {
    let mut receiver = receiver(|_| {}).await;
    let zlib = zlib(M.as_bytes());
    let bare = &zlib[2..zlib.len() - 4];
    let requests = [&zlib[..], bare].map(|body| post("content-encoding: deflate\r\n", body));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![202; 2], good([M; 2])));
}

#[tokio::test]
async fn the_path_is_an_option() {
    let mut receiver = receiver(|options| options.path = "/logs/gelf".to_owned()).await;
    let requests = ["POST /gelf", "POST /logs/gelf"].map(|line| request(line, "", M));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![404, 202], good([M])));
}

#[tokio::test]
async fn a_required_header_must_have_exactly_its_value() {
    let mut receiver =
        receiver(|options| options.required_header = Some(("X-Token".to_owned(), "s3cret".to_owned()))).await;
    let headers = ["", "x-token: \r\n", "X-Token: s3cre\r\n", "X-Token: S3cret\r\n", "x-tOKEN:  s3cret \r\n"];
    let requests = headers.map(|headers| post(headers, M));
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [401, 401, 401, 401, 202]);
    assert_eq!(items, good([M]));
    // Without the header, no other fault is revealed.
    let (statuses, _) = exchange(&mut receiver, &[request("GET /wrong", "", "")]).await;
    assert_eq!(statuses, [401]);
    assert_eq!(receiver.stats().rejected.unauthorized, 5);
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn with_cors_a_preflight_request_needs_no_header() {
    let mut receiver = receiver(|options| {
        options.cors = true;
        options.required_header = Some(("X-Token".to_owned(), "s3cret".to_owned()));
    })
    .await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let origin = "origin: https://shop.example\r\n";
    let (answers, items) = during(&mut receiver, async {
        client.send(request("OPTIONS /gelf", origin, "")).await;
        let preflight = client.answer().await;
        client.send(post(&format!("{origin}x-token: s3cret\r\n"), M)).await;
        let accepted = client.answer().await;
        client.send(request("OPTIONS *", "", "")).await;
        [preflight, accepted, client.answer().await]
    })
    .await;
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 202, 200]);
    for answer in &answers[..2] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        let allowed = Some("Authorization, Content-Type, x-token");
        assert_eq!(answer.header("access-control-allow-headers"), allowed);
    }
    assert_eq!(answers[2].header("access-control-allow-origin"), None);
    assert_eq!(items, good([M]));
    assert_eq!((receiver.stats().preflights, receiver.stats().accepted), (2, 1));
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn an_unknown_encoding_is_415_and_a_damaged_body_400() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (answer, _) = during(&mut receiver, async {
        client.send(post("content-encoding: br\r\n", M)).await;
        client.answer().await
    })
    .await;
    assert_eq!((answer.status, answer.header("accept-encoding")), (415, Some("gzip, deflate")));
    let mut damaged = gzip(M.as_bytes());
    let len = damaged.len();
    damaged[len - 1] ^= 1;
    for body in [&damaged[..], &damaged[..len - 9], b"no gzip"] {
        let request = post("content-encoding: gzip\r\n", body);
        assert_eq!(exchange(&mut receiver, &[request]).await, (vec![400], vec![]));
    }
    let rejected = receiver.stats().rejected;
    assert_eq!((rejected.unknown_encoding, rejected.bad_request, rejected.total()), (1, 3, 4));
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn a_body_of_more_than_65536_bytes_is_413_and_ends_the_connection() {
    let mut receiver = receiver(|_| {}).await;
    let longest = format!("{{\"a\":\"{}\"}}", "x".repeat(65_528));
    assert_eq!(longest.len(), 65_536);
    let longer = longest.replacen('x', "xx", 1);
    for (accepted, refused) in [
        (post("", &longest), post("", &longer)),
        (post_chunked("", &longest, 1000), post_chunked("", &longer, 1000)),
        // The inflated length counts.
        (post("", gzip(longest.as_bytes())), post("", gzip(longer.as_bytes()))),
        (post("", zlib(longest.as_bytes())), post_chunked("", zlib(longer.as_bytes()), 100)),
    ] {
        let mut client = Client::connect(receiver.local_addr().unwrap()).await;
        let (answer, items) = during(&mut receiver, async {
            client.send(&accepted).await;
            assert_eq!(client.answer().await.status, 202);
            client.send(&refused).await;
            let answer = client.answer().await;
            assert!(client.is_closed().await);
            answer
        })
        .await;
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
        assert_eq!(items, good([&longest]));
    }
    assert_eq!((receiver.stats().accepted, receiver.stats().rejected.body_too_large), (4, 4));
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn values_of_a_bulk_body_are_delivered_as_they_arrive() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    client.send("POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for number in 0..10 {
        let value = format!("{{\"number\":{number}}}");
        client.send(format!("{:x}\r\n{value}\n\r\n", value.len() + 1)).await;
        let received =
            tokio::time::timeout(crate::support::http_client::GUARD, receiver.recv()).await.unwrap();
        assert_eq!(received.unwrap().unwrap().payload, value);
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
    let long = format!("{{\"a\":\"{}\"}}", "}".repeat(65_529));
    assert_eq!(long.len(), 65_537);
    for (at, body) in [
        (0, format!("[{long},{M},{M}]")),
        (1, format!("[{M},{long},{M}]")),
        (2, format!("[{M},{M},{long}]")),
        (1, format!("{M}\n{long}\n{M}")),
    ] {
        let mut receiver = receiver(|options| options.bulk = true).await;
        let (statuses, mut items) = exchange(&mut receiver, &[post("", body)]).await;
        assert_eq!(statuses, [202]);
        match items.remove(at) {
            Err(ReceiveError::ValueTooLong { from, max }) => {
                assert_eq!((from.ip(), max), ("127.0.0.1".parse::<std::net::IpAddr>().unwrap(), 65_536));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(items, good([M, M]));
        let stats = receiver.stats();
        assert_eq!((stats.values, stats.payloads, stats.dropped.too_long), (3, 2, 1));
        adds_up(&stats);
    }
}

#[tokio::test]
async fn a_bulk_body_has_at_most_65536_values() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let lines = |count| "1\n".repeat(count);
    let array = |count| format!("[{}]", ["1"].repeat(count).join(","));
    // The last value counts, too, which the end of the body ends.
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
    adds_up(&stats);
}

#[tokio::test]
async fn a_message_that_is_not_gelf_is_400_if_the_receiver_decodes_first() {
    for bulk in [false, true] {
        let mut receiver = receiver(|options| {
            options.bulk = bulk;
            options.reject_invalid = true;
        })
        .await;
        let requests = ["no json", "{\"version\":\"1.1\"}", "[1]", M, " \n"].map(|body| post("", body));
        let (statuses, items) = exchange(&mut receiver, &requests).await;
        // On one connection, for none of them ends it.
        assert_eq!((statuses, items), (vec![400, 400, 400, 202, 202], good([M])));
        let stats = receiver.stats();
        assert_eq!((stats.rejected.invalid_message, stats.rejected.total(), stats.connections), (3, 3, 1));
        assert_eq!((stats.dropped.invalid, stats.dropped.total()), (3, 3));
        adds_up(&stats);
    }
}

#[tokio::test]
async fn the_valid_values_of_a_bulk_request_that_is_answered_with_400_are_received() {
    let mut receiver = receiver(|options| {
        options.bulk = true;
        options.reject_invalid = true;
    })
    .await;
    let requests = [format!("{M}\nno json\n{M}\n"), format!("[{M},{{bad}},{M}]")].map(|body| post("", body));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![400, 400], good([M; 4])));
    adds_up(&receiver.stats());
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
    adds_up(&receiver.stats());
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
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn a_client_may_shut_down_its_side_and_wait_for_the_answer() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (status, items) = during(&mut receiver, async {
        client.send(post("", M)).await;
        client.stream.shutdown().await.unwrap();
        let status = client.answer().await.status;
        assert!(client.is_closed().await);
        status
    })
    .await;
    assert_eq!((status, items), (202, good([M])));
    until(&mut receiver, |stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn options_that_no_request_can_satisfy_are_errors() {
    let bind = |path: &str, header: Option<(&str, &str)>| {
        let mut options = gelf_tokio::options::HttpReceiverOptions::default();
        options.path = path.to_owned();
        options.required_header = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(!format!("{options:?}").contains("s3cret"));
        gelf_tokio::HttpReceiver::bind_with_options("127.0.0.1:0", options)
    };
    for (path, header) in [("gelf", None), ("/gelf", Some(("", "s3cret"))), ("/gelf", Some(("a", "")))] {
        assert_eq!(bind(path, header).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
    bind("/gelf", Some(("a", "s3cret"))).await.unwrap();
}
