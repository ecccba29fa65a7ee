//! GELF over UDP and TCP for [tokio]: senders, receivers and a codec, thin over [`gelf_core`].
//!
//! * [`Endpoint`]: where messages go, as a URI such as `gelf://logs.example:12201`.
//! * [`UdpSender`] and [`UdpReceiver`]: messages in datagrams, compressed and chunked.
//! * [`TcpSender`] and [`TcpReceiver`]: messages in frames on connections.
//! * [`GelfCodec`]: the frames alone, for any stream that tokio-util can frame.
//!
//! ```
//! use gelf_tokio::gelf_core::{Decoder, Level, Message};
//! use gelf_tokio::{UdpReceiver, UdpSender};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut receiver = UdpReceiver::bind("127.0.0.1:0").await?;
//! let endpoint = format!("gelf://{}?compression=zlib", receiver.local_addr()?).parse()?;
//! let mut sender = UdpSender::connect(&endpoint).await?;
//!
//! sender.send(&Message::new("web-1", "payment refused").with_level(Level::Warning)).await?;
//!
//! let received = receiver.recv().await?;
//! let decoded = Decoder::lenient().decode(&received.payload)?;
//! assert_eq!(decoded.message.short_message(), "payment refused");
//! # Ok(())
//! # }
//! ```
//!
//! # What it is not
//!
//! There is no queue, no reconnecting and no resending in here. A sender is one socket: what it could not send is an
//! error, and what becomes of the message is the caller's choice. There is no TLS and no HTTP.
//!
//! # What it promises
//!
//! * A receiver never ends. A bad datagram or frame, a broken connection or a full table of file descriptors costs
//!   what it carried, is an `Err` or a count, and the next call goes on.
//! * Over UDP a message arrives whole or not at all, and it may be lost on the way without anybody's knowledge.
//! * Over TCP an `Ok` means that the operating system has taken the frames, not that the other side has read them. A
//!   frame is never continued on another connection.
//!
//! # Limits
//!
//! | what | default | stops |
//! |---|---|---|
//! | pending chunked messages | 8,192 or 64 MiB, 512 a sender, 5 s | floods of chunks that complete nothing |
//! | inflated payload | 8 MiB | decompression bombs |
//! | frame | 2 MiB | streams without a delimiter |
//! | connections | 1,024; further ones wait to be accepted | connections without end |
//! | frames that wait to be received | 1,024 or 16 MiB | senders faster than the reader; they are made to wait |
//! | sender's buffer over TCP | 64 KiB and a message | |
//!
//! Each can be changed: see [`UdpReceiverOptions`] and [`TcpReceiverOptions`].

#![deny(unsafe_code)]

pub use gelf_core;

mod backoff;
mod client;
mod codec;
mod endpoint;
#[cfg(feature = "http")]
mod http;
mod outcome;
mod receive;
mod resolve;
mod send;
mod stats;
mod sys;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod udp;

pub use client::{Client, Driver, NotQueued, Receipts, Refused, Unflushed};
pub use codec::GelfCodec;
pub use endpoint::{
    Endpoint, HttpOptions, InvalidEndpoint, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions,
    WhenFull,
};
#[cfg(feature = "http")]
pub use http::{BulkBody, HttpError, HttpSender};
pub use outcome::{DropReason, Outcome};
pub use receive::{ReceiveError, Received};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use send::SendError;
pub use stats::{ClientStats, DropCounts, RefusedCounts};
pub use tcp::{TcpReceiver, TcpReceiverOptions, TcpReceiverStats, TcpSender};
#[cfg(feature = "tls")]
pub use tls::{ReceiverTls, ReceiverTlsStats, TlsConfigError};
pub use udp::{Sent, UdpReceiver, UdpReceiverOptions, UdpReceiverStats, UdpSender};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
