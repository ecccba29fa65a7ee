//! Sends each line of standard input, and prints how many lines were delivered. Over TCP, TLS and HTTP, lines wait in
//! the queue while the destination is down, and for at most 10 s after the end of the input. Over UDP, a line counts
//! as "sent": nobody knows if the line arrives.
//!
//! ```text
//! seq 1 100000 | cargo run -p gelf-tokio --features tls,http --example client -- gelf+tcp://127.0.0.1:12201
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use gelf_tokio::gelf_core::Message;
use gelf_tokio::{Client, Outcome};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = env::args().nth(1).unwrap_or_else(|| "gelf+tcp://127.0.0.1:12201".to_owned());
    let (client, mut receipts) = Client::builder(&uri.parse()?).connect_with_receipts()?;

    let observer = client.observer();
    // The receipt of each message is the number of its line. It is returned with the outcome of the message.
    let reading = tokio::spawn(async move {
        let (mut sent, mut delivered): (u64, u64) = (0, 0);
        while let Some((line, outcome)) = receipts.recv().await {
            match outcome {
                Outcome::Dropped(reason) => println!("line {line} was dropped: {reason}"),
                Outcome::Sent => sent += 1,
                _ => delivered += 1,
            }
        }
        (sent, delivered)
    });

    let mut lines = BufReader::new(stdin()).lines();
    let mut number: u64 = 0;
    while let Some(line) = lines.next_line().await? {
        number += 1;
        // If the queue is full, the call waits. With `when_full=drop_oldest` in the URI, an old message is dropped
        // instead. With `when_full=drop_newest`, the call fails, which ends this example.
        client.send_with_receipt(&Message::new("example-host", line), number).await?;
    }

    if let Err(unsent) = client.close(Duration::from_secs(10)).await {
        println!("{unsent}: {}", client.last_error().as_deref().unwrap_or("no error"));
    }
    let (sent, delivered) = reading.await?;
    println!("of {number} lines, {delivered} were delivered, and {sent} were sent without a confirmation");
    let doubtful = observer.stats().possibly_lost;
    if doubtful > 0 {
        println!("{doubtful} of the delivered lines may be lost");
    }
    Ok(())
}
