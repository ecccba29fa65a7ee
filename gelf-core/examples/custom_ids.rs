//! Message ids from a source of one's own: here a counter behind the number of a node, for who wants to find the chunks
//! of a message in a capture. Only where nobody hostile can send to the receiver: such ids can be foreseen.

use gelf_core::{Chunker, DatagramSize, MessageId, MessageIdSource};

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

fn main() -> Result<(), gelf_core::PayloadTooLarge> {
    let mut chunker = Chunker::with_ids(DatagramSize::WAN, Numbered { node: 7, next: 0 });
    for datagram in chunker.split(&[b'x'; 4000])? {
        println!("{} bytes, header {:02x?}", datagram.len(), datagram.header());
    }
    Ok(())
}
