//! Tests `UdpSender` with a host name whose addresses change or whose lookup fails.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use gelf_tokio::UdpSender;
use gelf_tokio::gelf_core::Message;
use gelf_tokio::resolve::Resolve;

use crate::support::outages::{Answer, ScriptedResolver};
use tokio::time::{Instant, sleep};

/// Returns a socket and its address. The loopback delivers a datagram before the send returns.
fn listener() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Returns an address without a listener.
fn without_listener() -> SocketAddr {
    listener().1
}

fn received(listener: &UdpSocket) -> usize {
    std::iter::from_fn(|| listener.recv(&mut [0; 2000]).ok()).count()
}

/// Keeps a timer of 10 ms running. While a test waits for a socket, the paused clock jumps to the next timer.
/// With this timer, each jump is at most 10 ms long.
fn tick() {
    tokio::spawn(async {
        loop {
            sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Returns a resolver of a name with these addresses, and a sender to this name.
async fn sender(addresses: Vec<SocketAddr>) -> (Arc<ScriptedResolver>, UdpSender) {
    tick();
    let resolver = ScriptedResolver::new([Answer::Addresses(addresses)]);
    let shared: Arc<dyn Resolve> = Arc::<ScriptedResolver>::clone(&resolver);
    let endpoint = "gelf://logs.example?compression=none".parse().unwrap();
    (resolver, UdpSender::connect_with_resolver(&endpoint, shared).await.unwrap())
}

async fn send(sender: &mut UdpSender) {
    // An error must not make the sender unusable.
    let _ = sender.send(&Message::new("h", "m")).await;
}

async fn send_each_second(sender: &mut UdpSender, messages: usize) {
    for _ in 0..messages {
        send(sender).await;
        sleep(Duration::from_secs(1)).await;
    }
}

/// Sends a message each second until `listener` receives one. Returns the elapsed time.
async fn reached(sender: &mut UdpSender, listener: &UdpSocket) -> Duration {
    let started = Instant::now();
    for _ in 0..1000 {
        send(sender).await;
        if received(listener) > 0 {
            return started.elapsed();
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("the sender does not use the new address");
}

#[tokio::test(start_paused = true)]
async fn the_new_address_of_a_name_is_used_within_31_s() {
    for before in [0, 1, 29, 30, 31, 59, 100] {
        let ((old, old_address), (new, new_address)) = (listener(), listener());
        let (resolver, mut sender) = sender(vec![old_address]).await;
        send_each_second(&mut sender, before).await;
        assert_eq!(received(&old), before);
        resolver.set([Answer::Addresses(vec![new_address])]);
        let took = reached(&mut sender, &new).await;
        assert!(took <= Duration::from_secs(31), "{took:?}");
        // No message was lost: the old address received all earlier messages.
        assert_eq!(received(&old) as u64 + 1, took.as_secs() + 1);
        assert_eq!(sender.peer_addr().unwrap(), new_address);
        assert_eq!((sender.stats().reroutes, sender.stats().failed), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_was_idle_for_long_uses_the_new_address_immediately() {
    let ((old, old_address), (new, new_address)) = (listener(), listener());
    let (resolver, mut sender) = sender(vec![old_address]).await;
    resolver.set([Answer::Addresses(vec![new_address])]);
    sleep(Duration::from_secs(300)).await;
    send(&mut sender).await;
    assert_eq!((received(&old), received(&new)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_still_in_the_answer_is_kept() {
    let ((one, one_address), (other, other_address)) = (listener(), listener());
    let (resolver, mut sender) = sender(vec![one_address]).await;
    let port = sender.local_addr().unwrap().port();
    resolver.set([Answer::Addresses(vec![other_address, one_address])]);
    send_each_second(&mut sender, 100).await;
    assert_eq!((received(&one), received(&other)), (100, 0));
    assert_eq!(sender.local_addr().unwrap().port(), port);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_longer_resolves_keeps_its_address_and_is_looked_up_again() {
    for gone in [Answer::Unknown, Answer::Addresses(Vec::new())] {
        let ((old, old_address), (new, new_address)) = (listener(), listener());
        let (resolver, mut sender) = sender(vec![old_address]).await;
        resolver.set([gone]);
        send_each_second(&mut sender, 100).await;
        assert_eq!(received(&old), 100);
        assert_eq!(resolver.lookups(), 4);
        resolver.set([Answer::Addresses(vec![new_address])]);
        assert!(reached(&mut sender, &new).await <= Duration::from_secs(31));
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_waits_for_a_resolver() {
    let (old, old_address) = listener();
    let (resolver, mut sender) = sender(vec![old_address]).await;
    resolver.set([Answer::Hangs]);
    for _ in 0..200 {
        let started = Instant::now();
        send(&mut sender).await;
        assert!(started.elapsed() < Duration::from_millis(20));
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(received(&old), 200);
    // Each lookup is given up after 30 s, when the next lookup is due.
    assert!((4..=8).contains(&resolver.lookups()), "{}", resolver.lookups());
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_next_address_is_tried() {
    let (good, good_address) = listener();
    let (_resolver, mut sender) =
        sender(vec![without_listener(), without_listener(), without_listener(), good_address]).await;
    for _ in 0..20 {
        send(&mut sender).await;
    }
    // Each address that refuses loses two messages: the second send finds the refusal of the first message,
    // and then sends the second message to the same address. The third message goes to the next address.
    assert_eq!((received(&good), sender.stats().reroutes), (14, 3));
    assert_eq!(sender.peer_addr().unwrap(), good_address);
    // The refusal of the second message is read from the socket that is replaced.
    assert_eq!((sender.stats().messages, sender.stats().refused), (20, 6));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_all_refuse_are_tried_and_looked_up_once_per_second() {
    let (resolver, mut sender) =
        sender(vec![without_listener(), without_listener(), without_listener()]).await;
    for _ in 0..10 {
        for _ in 0..1000 {
            send(&mut sender).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let reroutes = sender.stats().reroutes;
    assert!((27..=36).contains(&reroutes), "{reroutes}");
    assert!((9..=12).contains(&resolver.lookups()), "{}", resolver.lookups());
}

#[tokio::test(start_paused = true)]
async fn a_single_address_that_refuses_keeps_its_socket() {
    let (_resolver, mut sender) = sender(vec![without_listener()]).await;
    let port = sender.local_addr().unwrap().port();
    send_each_second(&mut sender, 100).await;
    assert_eq!((sender.local_addr().unwrap().port(), sender.stats().reroutes), (port, 0));
    assert!(sender.stats().refused >= 40);
}

#[tokio::test]
async fn a_name_without_addresses_is_an_error_and_an_ip_address_is_not_looked_up() {
    let resolver = ScriptedResolver::new([Answer::Addresses(Vec::new())]);
    let shared: Arc<dyn Resolve> = Arc::<ScriptedResolver>::clone(&resolver);
    let endpoint = "gelf://logs.example".parse().unwrap();
    let error = UdpSender::connect_with_resolver(&endpoint, Arc::clone(&shared)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let endpoint = "gelf://[::ffff:127.0.0.1]:9".parse().unwrap();
    UdpSender::connect_with_resolver(&endpoint, shared).await.unwrap();
    assert_eq!(resolver.lookups(), 1);
}

#[tokio::test]
async fn the_first_reachable_address_is_used() {
    let (good, good_address) = listener();
    // A socket without SO_BROADCAST cannot connect to the broadcast address.
    let (_, mut sender) = sender(vec!["255.255.255.255:9".parse().unwrap(), good_address]).await;
    send(&mut sender).await;
    assert_eq!(received(&good), 1);
}
