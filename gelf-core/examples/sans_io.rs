//! The receiving side without tokio: a std socket, and `DatagramReader` told the time.
//!
//! `cargo run -p gelf-core --example sans_io` receives what it sends to itself.

use std::net::UdpSocket;
use std::time::{Instant, SystemTime};

use gelf_core::{
    Chunker, Compression, Compressor, DatagramReader, DatagramSize, Decoder, Level, Message, encode,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.connect(receiver.local_addr()?)?;

    let text = "a line that repeats itself ".repeat(200);
    let message =
        Message::new("web-1", text.as_str()).with_level(Level::Notice).with_timestamp(SystemTime::now());
    let mut payload = bytes::BytesMut::new();
    encode(&message, &mut payload);
    let mut wire = Vec::new();
    for datagram in
        Chunker::new(DatagramSize::WAN).split(Compressor::new(Compression::None).compress(&payload))?
    {
        wire.clear();
        datagram.write_to(&mut wire);
        sender.send(&wire)?;
    }

    let mut reader = DatagramReader::default();
    let mut decoder = Decoder::lenient();
    let mut buffer = vec![0; 65_535];
    loop {
        let (len, from) = receiver.recv_from(&mut buffer)?;
        let datagram = buffer.get(..len).unwrap_or_default();
        match reader.read(Instant::now(), from, datagram) {
            Ok(Some(payload)) => {
                let decoded = decoder.decode(payload)?;
                println!("{from}: {} bytes of text", decoded.message.short_message().len());
                return Ok(());
            }
            Ok(None) => println!("{from}: a chunk of {len} bytes"),
            // One bad datagram is no reason to stop.
            Err(error) => eprintln!("{from}: {error}"),
        }
    }
}
