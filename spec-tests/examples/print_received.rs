//! Prints each message of gelf-tokio's receivers as a line of JSON.
//!
//! The usage is `print_received [--udp ADDRESS] [--tcp ADDRESS] [--http ADDRESS] [--for SECONDS]`. Without
//! `--for`, the program ends after ten minutes. The HTTP receiver limits a body to 65,536 bytes, as Graylog
//! does by default, and has three options: `--bulk`, `--header 'NAME: VALUE'` and `--max-message BYTES`.
//!
//! `gelf-conformance receiver --observe` reads the output.

use std::io::Write;
use std::time::Duration;

use gelf_spec_tests::{ObservedMessage, text_of};
use gelf_tokio::gelf_core::Decoder;
use gelf_tokio::options::HttpReceiverOptions;
use gelf_tokio::{HttpReceiver, ReceiveError, Received, TcpReceiver, UdpReceiver};

/// Maximum size of an inflated HTTP body in bytes, as in Graylog.
const BODY_BYTES: usize = 65_536;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut udp, mut tcp, mut http, mut seconds) = (None, None, None, 600);
    let mut options = HttpReceiverOptions::default();
    options.max_bulk_len = BODY_BYTES;
    options.max_payload_len = BODY_BYTES;
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        if option == "--bulk" {
            options.bulk = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--udp" => udp = Some(UdpReceiver::bind(value).await?),
            "--tcp" => tcp = Some(TcpReceiver::bind(value).await?),
            "--http" => http = Some(value),
            "--header" => {
                let (name, value) = value.split_once(": ").ok_or("--header needs 'NAME: VALUE'")?;
                options.required_header = Some((name.to_owned(), value.to_owned()));
            }
            "--max-message" => options.max_payload_len = value.parse()?,
            "--for" => seconds = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let mut http = match http {
        Some(address) => Some(HttpReceiver::bind_with_options(address, options).await?),
        None => None,
    };
    let end = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(end);
    let mut decoder = Decoder::lenient();
    loop {
        let received = tokio::select! {
            Some(received) = from_udp(&mut udp) => received,
            Some(received) = from_tcp(&mut tcp) => received,
            Some(received) = from_http(&mut http) => received,
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

async fn from_http(receiver: &mut Option<HttpReceiver>) -> Option<Result<Received, ReceiveError>> {
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
