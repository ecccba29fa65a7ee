//! Receives messages over UDP until Ctrl-C. Prints each message as a line: the sender's address, and the message as
//! JSON.
//!
//! ```text
//! cargo run -p gelf-tokio --example udp_receive -- 127.0.0.1:12201
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{ReceiveError, Received, UdpReceiver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12201".to_owned());
    let mut receiver = UdpReceiver::bind(&address).await?;
    eprintln!("listening on {}", receiver.local_addr()?);

    let mut decoder = Decoder::lenient();
    loop {
        let received = tokio::select! {
            received = receiver.recv() => received,
            _ = tokio::signal::ctrl_c() => {
                receiver.close(Duration::from_secs(5));
                continue;
            }
        };
        match received {
            Some(received) => print(received, &mut decoder),
            None => return Ok(()),
        }
        while let Some(dropped) = receiver.poll_dropped() {
            eprintln!("from {}: {} of {} chunks came", dropped.source, dropped.received, dropped.count);
        }
    }
}

fn print(received: Result<Received, ReceiveError>, decoder: &mut Decoder) {
    let received = match received {
        Ok(received) => received,
        Err(error) => return eprintln!("{error}"),
    };
    match received.decode(decoder) {
        Ok(decoded) => println!("{} {}", received.from, decoded.message),
        Err(error) => eprintln!("{}: {error}", received.from),
    }
}
