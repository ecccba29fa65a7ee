//! Sends one message over UDP and prints the number of datagrams.
//!
//! ```text
//! cargo run -p gelf-tokio --example udp_send -- gelf://127.0.0.1:12201 'payment refused'
//! ```

use std::env;
use std::error::Error;
use std::time::SystemTime;

use gelf_tokio::gelf_core::{Level, Message, Timestamp};
use gelf_tokio::{Endpoint, UdpSender};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let uri = arguments.next().unwrap_or_else(|| "gelf://127.0.0.1:12201".to_owned());
    let text = arguments.next().unwrap_or_else(|| "it works".to_owned());

    let endpoint: Endpoint = uri.parse()?;
    let mut sender = UdpSender::connect(&endpoint).await?;
    let message = Message::new("example-host", text)
        .with_level(Level::Notice)
        .with_timestamp(Timestamp::from(SystemTime::now()))
        .try_field("process_id", std::process::id())?;
    sender.send(&message).await?;
    let stats = sender.stats();
    println!("{} bytes in {} datagrams to {}", stats.bytes, stats.datagrams, sender.peer_addr()?);
    Ok(())
}
