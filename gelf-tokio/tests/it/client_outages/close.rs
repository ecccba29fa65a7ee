//! Tests `Client::close`, its blocking form, and the state of a client.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use gelf_tokio::gelf_core::Message;
use gelf_tokio::{Client, ClientState, Endpoint, NotQueuedReason};
use tokio::runtime::{self, Runtime};

use crate::support::account::assert_account;
use crate::support::outages::{
    Answer, LIMIT, ScriptedResolver, Sending, Sink, receipt_of, send, tcp, text, within,
};

/// Returns an address that refuses connections, because its listener was dropped.
async fn refusing() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Runs a program that sends a message, closes its client and returns. The return drops the program's
/// runtime.
fn run_program(endpoint: Endpoint, receipt: u64) {
    let program = thread::spawn(move || {
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let client = Client::connect(&endpoint).unwrap();
            client.send(&Message::new("h", text(receipt))).await.unwrap();
            client.close(LIMIT).await
        })
    });
    assert_eq!(program.join().unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_20_programs_that_close_the_client_and_return_has_delivered_its_message() {
    let sink = Sink::start().await;
    for number in 0..20 {
        sink.expect(0, number..number + 1);
        run_program(tcp(sink.address), number);
        sink.wait_for_all().await;
    }
    sink.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_20_programs_that_close_the_client_over_udp_has_sent_its_message() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("gelf://{}?compression=none", socket.local_addr().unwrap());
    for number in 0..20 {
        run_program(uri.parse().unwrap(), number);
        let mut datagram = [0; 2048];
        let len = within("the datagram", socket.recv(&mut datagram)).await.unwrap();
        assert_eq!(receipt_of(&datagram[..len]), Some(number));
    }
}

#[tokio::test]
async fn a_close_with_the_destination_down_says_how_many_messages_were_not_sent() {
    for scheme in ["gelf+tcp", "gelf"] {
        let endpoint = format!("{scheme}://{}", refusing().await).parse().unwrap();
        let client = Client::connect(&endpoint).unwrap();
        for number in 0..10_u8 {
            client.send(&Message::new("h", number.to_string())).await.unwrap();
        }
        let error = client.close(Duration::from_millis(200)).await.unwrap_err();
        // Over UDP, datagrams are sent without an error until the first refusal arrives.
        assert!(error.messages == 10 || scheme == "gelf" && error.messages > 0, "{scheme}: {error}");
        assert_account(&client.stats(), 10);
    }
}

#[tokio::test]
async fn a_close_refuses_messages_of_all_clones_and_ends_the_driver() {
    let sink = Sink::start().await;
    sink.expect(0, 0..1000);
    let sending = Sending::start(&tcp(sink.address));
    sending.send(0..1000).await;
    let clone = sending.client.clone();
    within("the close", sending.client.close(LIMIT)).await.unwrap();
    assert_eq!((clone.stats().waiting, clone.stats().in_flight), (0, 0));
    assert_eq!(clone.state(), ClientState::Closed);
    let error = send(&clone, 1000).await.unwrap_err();
    assert_eq!((error.receipt, error.reason), (1000, NotQueuedReason::Closed));
    assert_account(&clone.stats(), 1001);
    within("a second close", clone.close(LIMIT)).await.unwrap();
    let ledger = sending.drop_client().await;
    assert_eq!(ledger.0.len(), 1000);
    sink.assert_exact().await;
}

#[tokio::test]
async fn a_close_returns_an_error_to_senders_that_wait_for_room() {
    let client =
        Client::connect(&format!("gelf+tcp://{}?queue=1", refusing().await).parse().unwrap()).unwrap();
    client.send(&Message::new("h", "first")).await.unwrap();
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.send(&Message::new("h", "second")).await })
    };
    tokio::task::yield_now().await;
    assert_eq!(client.close(Duration::ZERO).await.unwrap_err().messages, 1);
    let error = within("the sender", waiting).await.unwrap().unwrap_err();
    assert_eq!(error.reason, NotQueuedReason::Closed);
    assert_account(&client.stats(), 2);
}

#[test]
fn a_thread_without_a_runtime_flushes_and_closes() {
    let runtime = Runtime::new().unwrap();
    let sink = runtime.block_on(Sink::start());
    sink.expect(0, 0..2);
    let client = {
        let _guard = runtime.enter();
        Client::connect(&tcp(sink.address)).unwrap()
    };
    client.try_send(&Message::new("h", text(0))).unwrap();
    client.flush_blocking(LIMIT).unwrap();
    assert_eq!(client.stats().delivered(), 1);
    client.try_send(&Message::new("h", text(1))).unwrap();
    client.close_blocking(LIMIT).unwrap();
    assert_eq!(client.stats().delivered(), 2);
    runtime.block_on(sink.assert_exact());
}

#[test]
fn a_client_without_a_runtime_is_an_error() {
    let error = Client::connect(&"gelf://127.0.0.1".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn the_state_and_the_last_error_say_why_a_destination_is_down() {
    let sink = Sink::start().await;
    let up = Sending::start(&tcp(sink.address));
    assert_eq!(up.client.last_error(), None);
    up.wait_for("the connection", |stats| stats.is_connected).await;
    assert_eq!(up.client.state(), ClientState::Connected);

    let down = Sending::start(&tcp(refusing().await));
    down.wait_for("two attempts", |stats| stats.failed_connects >= 2).await;
    assert!(matches!(down.client.state(), ClientState::Down { .. }), "{:?}", down.client.state());
    let error = down.client.last_error().unwrap();
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn unread_receipts_do_not_stop_the_client() {
    let sink = Sink::start().await;
    let endpoint = format!("gelf+tcp://{}?queue=10", sink.address).parse().unwrap();
    let (client, _receipts) = Client::builder(&endpoint).connect_with_receipts().unwrap();
    sink.expect(0, 0..200);
    for number in 0..200 {
        within("room", send(&client, number)).await.unwrap();
    }
    client.flush(LIMIT).await.unwrap();
    sink.wait_for_all().await;
    assert_account(&client.stats(), 200);
}

/// The paused clock shows whether the close waited for anything.
#[tokio::test(start_paused = true)]
async fn a_close_without_messages_does_not_wait_for_a_connection() {
    for uri in ["gelf+tcp://logs.example", "gelf://logs.example"] {
        let client = Client::builder(&uri.parse().unwrap())
            .resolver(ScriptedResolver::new([Answer::Hangs]))
            .connect()
            .unwrap();
        let started = tokio::time::Instant::now();
        client.close(LIMIT).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO, "{uri}");
    }
}
