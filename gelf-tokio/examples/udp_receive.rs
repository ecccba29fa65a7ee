//! Receives messages over UDP and prints them, and what was wrong with those that are none.
//!
//! ```text
//! cargo run -p gelf-tokio --example udp_receive -- 127.0.0.1:12201
//! ```

use std::env;
use std::error::Error;

use gelf_tokio::UdpReceiver;
use gelf_tokio::gelf_core::Decoder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12201".to_owned());
    let mut receiver = UdpReceiver::bind(&address).await?;
    eprintln!("listening on {}", receiver.local_addr()?);

    let mut decoder = Decoder::lenient();
    loop {
        match receiver.recv().await {
            Ok(received) => match decoder.decode(&received.payload) {
                Ok(decoded) => {
                    let message = decoded.message;
                    println!(
                        "{} {}: {}",
                        received.from,
                        message.host().unwrap_or("-"),
                        message.short_message()
                    );
                }
                Err(error) => eprintln!("{}: {error}", received.from),
            },
            Err(error) => eprintln!("{error}"),
        }
        while let Some(dropped) = receiver.poll_dropped() {
            eprintln!("given up, for chunks of it are missing: {dropped:?}");
        }
    }
}
