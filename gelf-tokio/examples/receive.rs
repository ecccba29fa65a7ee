//! Prints whatever comes over UDP, TCP and, with the feature `http`, HTTP, all on one port: a line of JSON for each
//! message, as it was sent.
//!
//! ```text
//! cargo run -p gelf-tokio --features http --example receive -- 127.0.0.1:12201
//! ```
//!
//! GELF over TCP and over HTTP cannot share a port; HTTP has the next one.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;

#[cfg(feature = "http")]
use gelf_tokio::HttpReceiver;
use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{ReceiveError, Received, TcpReceiver, UdpReceiver};
use tokio::sync::mpsc;

type Item = Result<Received, ReceiveError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr =
        std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12201".to_owned()).parse()?;
    // When it is full, the receivers wait: over TCP and HTTP the senders do too.
    let (items, mut received) = mpsc::channel::<Item>(256);

    let mut udp = UdpReceiver::bind(address).await?;
    let sender = items.clone();
    tokio::spawn(async move { while sender.send(udp.recv().await).await.is_ok() {} });

    let mut tcp = TcpReceiver::bind(address).await?;
    let sender = items.clone();
    tokio::spawn(async move { while sender.send(tcp.recv().await).await.is_ok() {} });
    eprintln!("listening on {address}, UDP and TCP");

    #[cfg(feature = "http")]
    {
        let address = SocketAddr::new(address.ip(), address.port() + 1);
        let mut http = HttpReceiver::bind(address).await?;
        let sender = items.clone();
        tokio::spawn(async move { while sender.send(http.recv().await).await.is_ok() {} });
        eprintln!("listening on {address}, HTTP");
    }

    let mut decoder = Decoder::lenient();
    while let Some(item) = received.recv().await {
        match item {
            Ok(Received { payload, from, .. }) => match decoder.decode(&payload) {
                // One line each, whatever white space there is.
                Ok(_) => {
                    let mut line: Vec<_> = payload
                        .iter()
                        .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
                        .collect();
                    line.push(b'\n');
                    std::io::stdout().write_all(&line)?;
                }
                Err(error) => eprintln!("from {from}: {error}"),
            },
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}
