//! Receives messages from local programs over UDP, forwards them unchanged to a receiver over TLS, and
//! accounts for each message.
//!
//! ```text
//! cargo run -p gelf-tokio --features tls --example forward -- 127.0.0.1:12201 gelf+tls://logs.example
//! ```
//!
//! While the destination is down, messages wait in the queue, and further messages in the buffer of the socket.
//! The account includes the datagrams that the system drops. After SIGTERM or Ctrl-C, the program forwards the
//! messages that have arrived, and ends within 10 s. A second signal has no effect.
//!
//! Exit status: 0 if each received message was delivered, otherwise 1.

use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use gelf_tokio::{Client, Outcome, UdpReceiver};
use tokio::time::sleep;

/// The time limit for receiving, after a signal, the datagrams that have arrived already. It is also the time limit
/// for sending the queue after that.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, uri] = &arguments[..] else { return Err("usage: forward ADDRESS URI".into()) };
    let mut receiver = UdpReceiver::bind(address).await?;
    let (client, mut receipts) = Client::builder(&uri.parse()?).connect_with_receipts()?;
    eprintln!("listening on {}, UDP", receiver.local_addr()?);

    // The receipt of a message is its number.
    let account = tokio::spawn(async move {
        let (mut delivered, mut dropped): (u64, u64) = (0, 0);
        while let Some((number, outcome)) = receipts.recv().await {
            match outcome {
                Outcome::Dropped(reason) => {
                    dropped += 1;
                    eprintln!("message {number} was dropped: {reason}");
                }
                _ => delivered += 1,
            }
        }
        (delivered, dropped)
    });
    // If the destination is down, `send_payload_with_receipt` below may wait for room in the queue. Closing the
    // client ends that wait, so that the program can end.
    let late = client.clone();
    tokio::spawn(async move {
        stop().await;
        sleep(GRACE).await;
        let _ = late.close(GRACE).await;
    });

    let (mut received, mut refused): (u64, u64) = (0, 0);
    let mut stopped = pin!(stop());
    let mut is_closing = false;
    loop {
        let next = tokio::select! {
            next = receiver.recv() => next,
            () = &mut stopped, if !is_closing => {
                is_closing = true;
                receiver.close(GRACE);
                continue;
            }
        };
        match next {
            Some(Ok(next)) => {
                received += 1;
                if let Err(error) = client.send_payload_with_receipt(&next.payload, received).await {
                    refused += 1;
                    eprintln!("message {received} from {} was not queued: {error}", next.from);
                }
            }
            // A datagram, or the message that it completes, is invalid or too large.
            Some(Err(error)) => eprintln!("{error}"),
            None => break,
        }
    }
    if let Err(unsent) = client.close(GRACE).await {
        eprintln!("{unsent}: {}", client.last_error().as_deref().unwrap_or("no error"));
    }
    let (delivered, dropped) = account.await?;
    let lost_by_system = receiver.stats().kernel_drops.unwrap_or_default();
    eprintln!(
        "received {received} = delivered {delivered} + dropped {dropped} + refused {refused}; \
         {lost_by_system} datagrams were dropped by the system"
    );
    Ok(if delivered == received { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
