//! Sends messages over HTTP, first one per request, then several per request, and receives them.
//!
//! ```text
//! cargo run -p gelf-tokio --features http --example http
//! ```

use std::error::Error;

use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::options::HttpReceiverOptions;
use gelf_tokio::{Client, HttpReceiver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = HttpReceiverOptions::default();
    options.bulk = true;
    let mut receiver = HttpReceiver::bind_with_options("127.0.0.1:0", options).await?;
    let address = receiver.local_addr()?;

    let mut decoder = Decoder::lenient();
    // Graylog accepts several messages in a request only if its input is configured for bulk requests.
    for query in ["", "?bulk=true&compression=gzip"] {
        let (client, mut receipts, driver) =
            Client::builder(&format!("gelf+http://{address}{query}").parse()?).build_with_receipts()?;
        for number in 1..=3 {
            client
                .send_with_receipt(&Message::new("example-host", format!("message {number}")), number)
                .await?;
        }
        drop(client);
        let driver = tokio::spawn(driver.run());
        for _ in 1..=3 {
            let received = receiver.recv().await.ok_or("the receiver is closed")??;
            let decoded = received.decode(&mut decoder)?;
            println!("received from {}: {}", received.from, decoded.message);
        }
        driver.await?;
        while let Some((number, outcome)) = receipts.recv().await {
            println!("message {number}: {outcome:?}");
        }
        println!("{} requests so far", receiver.stats().requests);
    }
    Ok(())
}
