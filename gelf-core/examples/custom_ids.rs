//! A custom source of message ids: a counter behind the number of a node, to find the chunks of a message in
//! a capture. Use it only if no attacker can send to the receiver, since such ids are predictable.

use gelf_core::wire::{Chunker, MessageId, MessageIdSource};
use gelf_core::{DatagramSize, MessageTooLarge};

struct Numbered {
    node: u32,
    next: u32,
}

impl MessageIdSource for Numbered {
    fn next_id(&mut self) -> MessageId {
        let id = u64::from(self.node) << 32 | u64::from(self.next);
        self.next = self.next.wrapping_add(1);
        MessageId(id.to_be_bytes())
    }
}

fn main() -> Result<(), MessageTooLarge> {
    let mut chunker = Chunker::with_ids(DatagramSize::WAN, Numbered { node: 7, next: 0 });
    for datagram in chunker.split(&[b'x'; 4000])? {
        println!("{} bytes, header {:02x?}", datagram.len(), datagram.header());
    }
    Ok(())
}
