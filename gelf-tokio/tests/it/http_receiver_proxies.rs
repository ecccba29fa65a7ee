//! Tests which sender's address the HTTP receiver reports for messages that come through a proxy. The proxy is
//! 127.0.0.2.

use std::net::SocketAddr;

use crate::support::http_client::{Client, GUARD, M, connect_from, post, receiver, until};
use gelf_tokio::HttpReceiver;
use tokio::time::timeout;

async fn sender(receiver: &mut HttpReceiver) -> SocketAddr {
    timeout(GUARD, receiver.recv()).await.expect("it comes").unwrap().unwrap().from
}

#[tokio::test]
async fn each_request_of_a_proxy_has_the_sender_that_its_header_names() {
    let mut receiver =
        receiver(|options| options.x_forwarded_for_from = vec!["127.0.0.2".parse().unwrap()]).await;
    let address = receiver.local_addr().unwrap();
    let mut proxy = Client::over(connect_from(2, address));
    let own = proxy.stream.local_addr().unwrap();
    for (headers, expected) in [
        ("x-forwarded-for: 198.51.100.1, 192.0.2.1\r\n", "192.0.2.1:0".parse().unwrap()),
        ("X-Forwarded-For: 192.0.2.2\r\nX-Forwarded-For: 127.0.0.2\r\n", "192.0.2.2:0".parse().unwrap()),
        ("x-forwarded-for: unknown\r\n", own),
        ("", own),
    ] {
        proxy.send(post(headers, M)).await;
        assert_eq!(sender(&mut receiver).await, expected, "{headers}");
        assert_eq!(proxy.answer().await.status, 202);
    }
    let mut other = Client::over(connect_from(1, address));
    other.send(post("x-forwarded-for: 192.0.2.1\r\n", M)).await;
    assert_eq!(sender(&mut receiver).await, other.stream.local_addr().unwrap());
}

/// The load balancer 127.0.0.2 uses the PROXY protocol. One of its clients, 192.0.2.1, is an HTTP proxy.
#[tokio::test]
async fn x_forwarded_for_is_read_only_if_the_client_in_the_proxy_header_is_a_trusted_proxy() {
    let mut receiver = receiver(|options| {
        options.proxy_protocol_from = vec!["127.0.0.2".parse().unwrap()];
        options.x_forwarded_for_from = vec!["192.0.2.1".parse().unwrap()];
    })
    .await;
    let request = post("x-forwarded-for: 198.51.100.1\r\n", M);
    for (client, expected) in [("192.0.2.1", "198.51.100.1:0"), ("192.0.2.2", "192.0.2.2:4711")] {
        let mut balancer = Client::over(connect_from(2, receiver.local_addr().unwrap()));
        balancer.send(format!("PROXY TCP4 {client} 192.0.2.9 4711 80\r\n")).await;
        balancer.send(&request).await;
        assert_eq!(sender(&mut receiver).await, expected.parse().unwrap());
        assert_eq!(balancer.answer().await.status, 202);
    }
    let mut without = Client::over(connect_from(2, receiver.local_addr().unwrap()));
    without.send(&request).await;
    until(&mut receiver, |stats| stats.failed_proxy_headers == 1).await;
}
