//! Sends and receives a message without tokio, with std sockets, `DatagramWriter` and `DatagramReader`.
//!
//! `cargo run -p gelf-core --example sans_io` receives the message that it sends to itself.

use std::net::UdpSocket;
use std::time::{Instant, SystemTime};

use gelf_core::{Compression, DatagramReader, DatagramSize, DatagramWriter, Decoder, Level, Message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.connect(receiver.local_addr()?)?;

    let text = "a line that repeats itself ".repeat(200);
    let message = Message::new("web-1", text).with_level(Level::Notice).with_timestamp(SystemTime::now());
    let mut writer = DatagramWriter::new(Compression::None, DatagramSize::WAN);
    let mut wire = Vec::new();
    let (datagrams, _) = writer.write(&message)?;
    for datagram in datagrams {
        wire.clear();
        datagram.write_to(&mut wire);
        sender.send(&wire)?;
    }

    let mut reader = DatagramReader::default();
    let mut decoder = Decoder::lenient();
    let mut buffer = vec![0; 65_535];
    loop {
        let (len, from) = receiver.recv_from(&mut buffer)?;
        let (datagram, _) = buffer.split_at(len);
        match reader.read(Instant::now(), from, datagram) {
            Ok(Some(payload)) => {
                let decoded = decoder.decode(payload)?;
                println!("{from}: {} bytes of text", decoded.message.short_message().len());
                return Ok(());
            }
            Ok(None) => println!("{from}: a chunk of {len} bytes"),
            // An invalid datagram does not end the receiver.
            Err(error) => eprintln!("{from}: {error}"),
        }
    }
}
