//! Ships the lines of all containers of a Docker Engine. Each second, the example saves the positions up to which
//! all lines were delivered or dropped, in the file `positions.json`. At the next start, it continues there.
//!
//! ```text
//! cargo run -p gelf-tokio --example ship -- gelf+tcp://127.0.0.1:12201
//! ```

use std::error::Error;
use std::time::Duration;
use std::{env, fs, io};

use docker_source::gelf::{GelfFormat, GelfFormatter};
use docker_source::{Progress, Source, Start};
use gelf_tokio::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = env::args().nth(1).ok_or("usage: ship URI, as in gelf+tcp://127.0.0.1:12201")?;
    let (client, mut receipts) = Client::builder(&uri.parse()?).connect_with_receipts()?;
    let start = match fs::read("positions.json") {
        Ok(saved) => Start::At(serde_json::from_slice(&saved)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Start::Now,
        Err(error) => return Err(error.into()),
    };
    let mut source = Source::builder().start(start).connect().await?;
    let mut progress = Progress::new(source.start().clone());
    let mut formatter = GelfFormatter::new(GelfFormat::default());
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            _ = each_second.tick() => {
                // A crash during a write may leave a part of a file. Therefore, write a new file, then rename
                // it.
                fs::write("positions.json.new", serde_json::to_vec(&progress.positions())?)?;
                fs::rename("positions.json.new", "positions.json")?;
            }
            // A line is settled when it is delivered, or dropped for good.
            Some((ticket, _)) = receipts.recv() => progress.settle(ticket),
            record = source.next() => {
                let Some(record) = record? else { return Ok(()) };
                let ticket = progress.read(record.position());
                // While the destination is down and the queue is full, the loop waits here. Docker's log
                // files keep the lines.
                client.send_with_receipt(&formatter.message(&record), ticket).await?;
            }
        }
    }
}
