//! Prints each message of gelf-tokio's receivers as a line of JSON.
//!
//! `print_received [--udp ADDRESS] [--tcp ADDRESS] [--for SECONDS]` ends after ten minutes by default.
//! `gelf-conformance receiver --observe` reads the output.

use std::io::Write;
use std::time::Duration;

use gelf_spec_tests::{ObservedMessage, text_of};
use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::{ReceiveError, Received, TcpReceiver, UdpReceiver};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut udp, mut tcp, mut seconds) = (None, None, 600);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--udp" => udp = Some(UdpReceiver::bind(value).await?),
            "--tcp" => tcp = Some(TcpReceiver::bind(value).await?),
            "--for" => seconds = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let end = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(end);
    let mut decoder = Decoder::lenient();
    loop {
        let received = tokio::select! {
            Some(received) = from_udp(&mut udp) => received,
            Some(received) = from_tcp(&mut tcp) => received,
            () = &mut end => return Ok(()),
        };
        match received {
            Ok(received) => print(&received, &mut decoder)?,
            Err(error) => eprintln!("{error}"),
        }
    }
}

async fn from_udp(receiver: &mut Option<UdpReceiver>) -> Option<Result<Received, ReceiveError>> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn from_tcp(receiver: &mut Option<TcpReceiver>) -> Option<Result<Received, ReceiveError>> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

fn print(received: &Received, decoder: &mut Decoder) -> Result<(), Box<dyn std::error::Error>> {
    match received.decode(decoder) {
        Ok(decoded) => {
            let mut output = std::io::stdout().lock();
            let message = ObservedMessage::of(&text_of(&decoded.message))?;
            writeln!(output, "{}", serde_json::to_string(&message)?)?;
            output.flush()?;
        }
        Err(error) => eprintln!("from {}: {error}", received.from),
    }
    Ok(())
}
