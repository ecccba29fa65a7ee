//! Prints messages that come over UDP and TCP, and over HTTP with the feature `http`. Each message becomes a
//! line of JSON without characters that control a terminal. Ctrl-C ends the example without loss.
//!
//! ```text
//! cargo run -p gelf-tokio --features http --example receive -- 127.0.0.1:12201
//! ```
//!
//! UDP and TCP share the port; HTTP uses the next port.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "http")]
use gelf_tokio::HttpReceiver;
use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{ReceiveError, Received, TcpReceiver, UdpReceiver};
use tokio::sync::mpsc;

type Item = Result<Received, ReceiveError>;

/// Forwards received payloads until Ctrl-C has closed the receiver and the receiver is empty.
macro_rules! forward {
    ($receiver:expr, $items:expr) => {{
        let (mut receiver, items) = ($receiver, $items.clone());
        tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    item = receiver.recv() => item,
                    _ = tokio::signal::ctrl_c() => {
                        receiver.close(Duration::from_secs(5));
                        continue;
                    }
                };
                let Some(item) = item else { break };
                if items.send(item).await.is_err() {
                    break;
                }
            }
        });
    }};
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr =
        std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12201".to_owned()).parse()?;
    // When this channel is full, the receivers wait. Over TCP and HTTP, the senders then wait, too.
    let (items, mut received) = mpsc::channel::<Item>(256);
    forward!(UdpReceiver::bind(address).await?, items);
    forward!(TcpReceiver::bind(address).await?, items);
    eprintln!("listening on {address}, UDP and TCP");
    #[cfg(feature = "http")]
    {
        let address = SocketAddr::new(address.ip(), address.port() + 1);
        forward!(HttpReceiver::bind(address).await?, items);
        eprintln!("listening on {address}, HTTP");
    }
    drop(items);

    let mut decoder = Decoder::lenient();
    while let Some(item) = received.recv().await {
        let received = match item {
            Ok(received) => received,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        match received.decode(&mut decoder) {
            Ok(decoded) => writeln!(std::io::stdout(), "{}", decoded.message)?,
            Err(error) => eprintln!("from {}: {error}", received.from),
        }
    }
    Ok(())
}
