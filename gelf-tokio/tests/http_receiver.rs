//! The HTTP receiver by the rules of Graylog's, request by request.
#![cfg(feature = "http")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they know"
)]

mod http_receiver_client;

use gelf_tokio::ReceiveError;
use gelf_tokio::gelf_core::Decoder;
use http_receiver_client::{
    Client, Item, M, adds_up, during, exchange, gzip, post, post_chunked, receiver, request, until, zlib,
};
use tokio::io::AsyncWriteExt;

fn good<const N: usize>(payloads: [&str; N]) -> Vec<Item> {
    payloads.iter().map(|payload| Ok((*payload).to_owned())).collect()
}

#[tokio::test]
async fn h01_a_message_is_answered_with_202_and_nothing_else() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (answer, items) = during(&mut receiver, async {
        client.send(post("", M)).await;
        client.answer().await
    })
    .await;
    assert_eq!((answer.status, answer.header("content-length")), (202, Some("0")));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(items, good([M]));
    let stats = receiver.stats();
    assert_eq!((stats.connections, stats.requests, stats.accepted, stats.payloads), (1, 1, 1, 1));
    adds_up(&stats);
}

#[tokio::test]
async fn h02_a_connection_carries_one_request_after_another() {
    let mut receiver = receiver(|_| {}).await;
    let (statuses, items) = exchange(&mut receiver, &[post("", M), post("", "{}"), post("", "[]")]).await;
    assert_eq!(statuses, [202, 202, 202]);
    assert_eq!(items, good([M, "{}", "[]"]));
    assert_eq!((receiver.stats().connections, receiver.stats().requests), (1, 3));
}

#[tokio::test]
async fn h05_another_path_is_404_also_with_a_query_and_the_connection_goes_on() {
    let mut receiver = receiver(|_| {}).await;
    let requests =
        ["/wrong", "/", "/gelf/", "/gelf?a=1", "/gelf"].map(|path| request(&format!("POST {path}"), "", M));
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [404, 404, 404, 404, 202]);
    assert_eq!(items, good([M]));
    assert_eq!((receiver.stats().connections, receiver.stats().rejected.not_found), (1, 4));
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn h06_the_path_can_be_another() {
    let mut receiver = receiver(|options| options.path = "/logs/gelf".to_owned()).await;
    let requests = ["POST /gelf", "POST /logs/gelf"].map(|line| request(line, "", M));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![404, 202], good([M])));
}

#[tokio::test]
async fn h07_another_method_is_405_and_the_connection_goes_on() {
    let mut receiver = receiver(|_| {}).await;
    let requests =
        ["GET", "PUT", "DELETE", "PATCH", "POST"].map(|method| request(&format!("{method} /gelf"), "", M));
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [405, 405, 405, 405, 202]);
    assert_eq!(items, good([M]));
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (answer, _) = during(&mut receiver, async {
        client.send(request("GET /gelf", "", "")).await;
        client.answer().await
    })
    .await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(receiver.stats().rejected.method_not_allowed, 5);
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn h08_a_header_that_is_asked_for_must_be_there_with_its_value() {
    let mut receiver =
        receiver(|options| options.required_header = Some(("X-Token".to_owned(), "s3cret".to_owned()))).await;
    let headers = ["", "x-token: \r\n", "X-Token: s3cre\r\n", "X-Token: S3cret\r\n", "x-tOKEN:  s3cret \r\n"];
    let requests = headers.map(|headers| post(headers, M));
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [401, 401, 401, 401, 202]);
    assert_eq!(items, good([M]));
    // Whoever does not know it learns nothing of what else is wrong.
    let (statuses, _) = exchange(&mut receiver, &[request("GET /wrong", "", "")]).await;
    assert_eq!(statuses, [401]);
    assert_eq!(receiver.stats().rejected.unauthorized, 5);
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn h09_a_browser_may_ask_without_the_header_and_is_told_what_graylog_tells_it() {
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
async fn h10_a_gzip_body_is_inflated() {
    let mut receiver = receiver(|_| {}).await;
    let requests = ["gzip", "GZIP", "x-gzip", "identity, gzip"]
        .map(|coding| post(&format!("content-encoding: {coding}\r\n"), gzip(M.as_bytes())));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![202; 4], good([M; 4])));
}

#[tokio::test]
async fn h11_a_packed_body_is_known_by_its_first_bytes() {
    let mut receiver = receiver(|_| {}).await;
    let requests = [post("", gzip(M.as_bytes())), post("", zlib(M.as_bytes()))];
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![202; 2], good([M; 2])));
}

#[tokio::test]
async fn h12_gzip_deflate_means_either_and_deflate_means_both_kinds() {
    let mut receiver = receiver(|_| {}).await;
    let zlib = zlib(M.as_bytes());
    let bare = &zlib[2..zlib.len() - 4];
    let requests = [
        post("content-encoding: gzip,deflate\r\n", &zlib),
        post("content-encoding: gzip, deflate\r\n", gzip(M.as_bytes())),
        post("content-encoding: deflate\r\n", &zlib),
        post("content-encoding: deflate\r\n", bare),
        post("content-encoding: identity\r\n", M),
    ];
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![202; 5], good([M; 5])));
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
async fn h13_a_body_of_more_than_65536_bytes_is_413_and_ends_the_connection() {
    let mut receiver = receiver(|_| {}).await;
    let longest = format!("{{\"a\":\"{}\"}}", "x".repeat(65_528));
    assert_eq!(longest.len(), 65_536);
    let longer = longest.replacen('x', "xx", 1);
    for (accepted, refused) in [
        (post("", &longest), post("", &longer)),
        (post_chunked("", &longest, 1000), post_chunked("", &longer, 1000)),
        // What counts is what comes out.
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
async fn h14_of_several_values_the_first_is_handed_out_and_the_others_are_counted() {
    let mut receiver = receiver(|_| {}).await;
    let requests = [
        post("", format!("{M}\n{M}")),
        post("", format!(" {M}{M},{M}\n")),
        post("", format!("{M}\r\n\0")),
        post("", format!("[{M},{M}]")),
    ];
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [202; 4]);
    assert_eq!(items, good([M, M, M, &format!("[{M},{M}]")]));
    let stats = receiver.stats();
    assert_eq!((stats.values, stats.payloads, stats.dropped.after_first), (7, 4, 3));
    adds_up(&stats);
}

#[tokio::test]
async fn h15_what_is_no_json_is_accepted_and_the_decoder_says_so_and_nothing_is_nothing() {
    let mut receiver = receiver(|_| {}).await;
    let requests = ["no json", "{\"a\":", "", " \n"].map(|body| post("", body));
    let (statuses, items) = exchange(&mut receiver, &requests).await;
    assert_eq!(statuses, [202; 4]);
    assert_eq!(items, good(["no json", "{\"a\":"]));
    for item in items {
        assert!(Decoder::lenient().decode(item.unwrap().as_bytes()).is_err());
    }
    assert_eq!(receiver.stats().empty_requests, 2);
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn h16_in_bulk_the_end_of_the_body_ends_the_last_line() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let requests = [
        post("", format!("{M}\n{M}")),
        post_chunked("", format!("{M}\r\n\r\n{M}\r\n"), 7),
        post("content-encoding: gzip\r\n", gzip(format!("{M}\n{M}").as_bytes())),
    ];
    for request in requests {
        let (statuses, items) = exchange(&mut receiver, &[request]).await;
        // Here, while the connection is open.
        assert_eq!((statuses, items), (vec![202], good([M, M])));
    }
    assert_eq!((receiver.stats().values, receiver.stats().payloads), (6, 6));
}

#[tokio::test]
async fn h17_in_bulk_the_values_of_a_body_are_handed_out_as_they_come() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    client.send("POST /gelf HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for number in 0..10 {
        let value = format!("{{\"number\":{number}}}");
        client.send(format!("{:x}\r\n{value}\n\r\n", value.len() + 1)).await;
        let received = tokio::time::timeout(http_receiver_client::GUARD, receiver.recv()).await.unwrap();
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
async fn h18_an_empty_array_is_nothing() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let requests = ["[]", " [ ] \n", ""].map(|body| post("", body));
    assert_eq!(exchange(&mut receiver, &requests).await, (vec![202; 3], vec![]));
    let stats = receiver.stats();
    assert_eq!((stats.values, stats.empty_requests), (0, 3));
}

#[tokio::test]
async fn h19_an_element_that_is_too_long_is_an_error_and_the_others_are_received() {
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
async fn h20_an_array_in_any_parts_is_the_same() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let quoted = r#"{"host":"a}],[{\"","short_message":"\\"}"#;
    let body = format!(" [{M} ,\n{quoted},{M}]");
    for len in 1..=body.len() {
        for body in [body.clone().into_bytes(), gzip(body.as_bytes())] {
            let (statuses, items) = exchange(&mut receiver, &[post_chunked("", body, len)]).await;
            assert_eq!((statuses, items), (vec![202], good([M, quoted, M])), "{len}");
        }
    }
}

#[tokio::test]
async fn h21_an_element_that_is_malformed_comes_out_and_does_not_disturb_the_others() {
    let mut receiver = receiver(|options| options.bulk = true).await;
    let (statuses, items) = exchange(&mut receiver, &[post("", format!("[{M},{{bad}},{M}]"))]).await;
    assert_eq!(statuses, [202]);
    assert_eq!(items, good([M, "{bad}", M]));
    let decoded =
        items.iter().map(|item| Decoder::lenient().decode(item.as_ref().unwrap().as_bytes()).is_ok());
    assert_eq!(decoded.collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn in_bulk_a_body_may_have_8_mib_and_not_a_byte_more() {
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
        // Those before the last part were received as they came.
        assert_eq!(statuses, [413]);
        assert!(items.len() > lines * 9 / 10 && items.len() <= lines, "{} of {lines}", items.len());
    }
    assert_eq!((receiver.stats().accepted, receiver.stats().rejected.body_too_large), (2, 2));
    adds_up(&receiver.stats());
}

#[tokio::test]
async fn a_client_that_asks_whether_to_go_on_is_told_so_unless_its_request_is_refused() {
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
async fn http_1_0_is_answered_and_closed() {
    let mut receiver = receiver(|_| {}).await;
    let mut client = Client::connect(receiver.local_addr().unwrap()).await;
    let (answer, items) = during(&mut receiver, async {
        client.send(format!("POST /gelf HTTP/1.0\r\ncontent-length: {}\r\n\r\n{M}", M.len())).await;
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    })
    .await;
    assert!(answer.starts_with("HTTP/1.0 202 Accepted\r\n"), "{answer}");
    assert_eq!(items, good([M]));
}

#[tokio::test]
async fn options_that_no_request_could_meet_are_errors() {
    let bind = |path: &str, header: Option<(&str, &str)>| {
        let mut options = gelf_tokio::HttpReceiverOptions::default();
        options.path = path.to_owned();
        options.required_header = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(!format!("{options:?}").contains("s3cret"));
        gelf_tokio::HttpReceiver::bind_with("127.0.0.1:0", options)
    };
    for (path, header) in [("gelf", None), ("/gelf", Some(("", "s3cret"))), ("/gelf", Some(("a", "")))] {
        assert_eq!(bind(path, header).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
    bind("/gelf", Some(("a", "s3cret"))).await.unwrap();
}
