//! Defines receivers that run on separate threads.
#![allow(dead_code, reason = "not every test program uses all of this")]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[cfg(feature = "http")]
use gelf_tracing::gelf_tokio::HttpReceiver;
use gelf_tracing::gelf_tokio::gelf_core::Decoder;
use gelf_tracing::gelf_tokio::{TcpReceiver, UdpReceiver};
use serde_json::Value;

/// A receiver, and the messages that it has received.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    messages: mpsc::Receiver<Value>,
}

/// Receives on a new thread.
macro_rules! receive {
    ($type:ident, $address:expr) => {{
        let (bound, is_bound) = mpsc::channel();
        let (sender, messages) = mpsc::channel();
        let address: SocketAddr = $address;
        thread::spawn(move || {
            block_on(async move {
                let mut receiver = $type::bind(address).await.unwrap();
                bound.send(receiver.local_addr().unwrap()).unwrap();
                while let Some(received) = receiver.recv().await {
                    let received = received.unwrap();
                    // A strict decoder checks that the message conforms to the specification.
                    received.decode(&mut Decoder::strict()).unwrap();
                    if sender.send(serde_json::from_slice(&received.payload).unwrap()).is_err() {
                        break;
                    }
                }
            });
        });
        Receiver { address: is_bound.recv().unwrap(), messages }
    }};
}

impl Receiver {
    pub(crate) fn udp() -> Self {
        receive!(UdpReceiver, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn tcp() -> Self {
        Self::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn tcp_at(address: SocketAddr) -> Self {
        receive!(TcpReceiver, address)
    }

    #[cfg(feature = "http")]
    pub(crate) fn http() -> Self {
        receive!(HttpReceiver, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Returns the next message.
    pub(crate) fn next(&self) -> Value {
        self.messages.recv_timeout(Duration::from_secs(20)).expect("a message within 20 s")
    }

    /// Returns the messages up to the message with this `short_message`, inclusive.
    pub(crate) fn until(&self, text: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.next());
            if messages.last().is_some_and(|message| message["short_message"] == text) {
                return messages;
            }
        }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
