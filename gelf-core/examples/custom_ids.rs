//! Splits payloads into chunks with custom message ids. Each id consists of the number of a node and a
//! counter. These ids make it easy to find the chunks of a message in a packet capture. They are predictable:
//! use them only if no attacker can send to the receiver.

use gelf_core::wire::{Chunker, MessageId};
use gelf_core::{DatagramSize, MessageTooLarge};

const NODE: u64 = 7;

fn main() -> Result<(), MessageTooLarge> {
    let chunker = Chunker::new(DatagramSize::WAN);
    for number in 0..3_u64 {
        let id = MessageId((NODE << 32 | number).to_be_bytes());
        for datagram in chunker.split_with_id(&[b'x'; 4000], id)? {
            println!("{} bytes, header {:02x?}", datagram.len(), datagram.header());
        }
    }
    Ok(())
}
