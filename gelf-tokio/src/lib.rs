//! GELF over UDP, TCP, TLS and HTTP for [tokio]: senders, receivers and a codec, thin over [`gelf_core`].
//!
//! * [`Endpoint`]: where messages go and how, as a URI such as `gelf://logs.example:12201`.
//! * [`Client`], [`Driver`] and [`Receipts`]: a bounded queue in front of any of them, that connects as often as it takes,
//!   sends again what a broken connection did not deliver, and says of each message what became of it.
//! * [`UdpSender`], [`TcpSender`] and, with the feature `http`, `HttpSender`: one socket, connection or request, for those
//!   who queue and retry in ways of their own.
//! * [`UdpReceiver`], [`TcpReceiver`] and, with the feature `http`, `HttpReceiver`: bounded, and not to be stopped by
//!   anything that comes in.
//! * [`GelfCodec`]: the frames alone, for any stream that tokio-util can frame.
//!
//! ```
//! use gelf_tokio::gelf_core::{Decoder, Level, Message};
//! use gelf_tokio::{Client, Outcome, TcpReceiver};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut receiver = TcpReceiver::bind("127.0.0.1:0").await?;
//! let endpoint = format!("gelf+tcp://{}", receiver.local_addr()?).parse()?;
//!
//! let (client, mut receipts, driver) = Client::new(&endpoint)?;
//! let driver = tokio::spawn(driver.run());
//! client.send(&Message::new("web-1", "payment refused").with_level(Level::Warning), 4711).await?;
//!
//! let received = receiver.recv().await.ok_or("the receiver is closed")??;
//! let mut decoder = Decoder::lenient();
//! let decoded = received.decode(&mut decoder)?;
//! assert_eq!(decoded.message.short_message(), "payment refused");
//! // Of a system other than Linux it is only known that the message is `Sent`.
//! # #[cfg(target_os = "linux")]
//! assert_eq!(receipts.recv().await, Some((4711, Outcome::Acknowledged)));
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! | over | a message is delivered when | it may be lost, and that is | it may arrive twice |
//! |---|---|---|---|
//! | UDP | the own operating system has taken all of its datagrams: `Sent` | unknown, on the way or at the receiver; what the own system, or the other one's refusal, says is counted | when the network doubles it |
//! | TCP, TLS | the receiver's operating system has acknowledged its last byte: `Acknowledged` | unknown, if the receiver ends before it has read what its system acknowledged | when the connection breaks in between |
//! | HTTP | the receiver has answered 2xx: `Accepted` | the receiver's affair | when the connection breaks before the answer |
//!
//! * Each message that a [`Client`] queues has exactly one outcome, and at every moment
//!   `queued = delivered + dropped by reason + waiting + in flight`. See [`ClientStats`].
//! * A message is on the wire whole, or cut at the end of its connection; it is never continued on another. Over UDP it
//!   arrives whole or not at all.
//! * A receiver never ends. A bad datagram, frame or request, a broken connection or a full table of file descriptors costs
//!   what it carried, is an `Err` or a count, and the next call goes on.
//! * TLS never falls back: to no other authority, and not to plain.
//!
//! # Limits
//!
//! | what | default | stops |
//! |---|---|---|
//! | a client's queue, what is in flight included | 65,536 messages or 64 MiB | destinations that are down or slow; what then is [`WhenFull`]'s |
//! | receipts that nobody has read | as many messages as the queue | readers that do not read |
//! | pending chunked messages | 8,192 or 64 MiB, 512 a sender, 5 s | floods of chunks that complete nothing |
//! | inflated payload | 8 MiB | decompression bombs |
//! | frame | 2 MiB | streams without a delimiter |
//! | connections | 1,024, and 64 a peer; further ones wait to be accepted, or are closed | connections without end |
//! | TLS handshake | 10 s | connections that are not used |
//! | frame on its way | 30 s | frames that come byte by byte |
//! | unfinished frames | 256 MiB, and 64 KiB a connection | long frames that are begun and not ended |
//! | frames that wait to be received | 1,024 or 16 MiB | senders faster than the reader; they are made to wait |
//! | HTTP request body | 64 KiB, inflated | as Graylog has it |
//!
//! Each can be changed: see [`QueueOptions`], [`UdpReceiverOptions`], [`TcpReceiverOptions`] and `HttpReceiverOptions`.
//!
//! # Features
//!
//! * `zlib-rs` (on by default): the faster of two pure Rust implementations of deflate.
//! * `tls`: `gelf+tls://` and, with `http`, `gelf+https://`; by rustls with ring, which has C and assembly in it.
//! * `http`: `gelf+http://`, sending and receiving; HTTP/1.1 alone.

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

pub use client::{Client, Driver, NotQueued, Observer, Receipts, Refused, Unflushed};
pub use codec::GelfCodec;
pub use endpoint::{
    Endpoint, HttpOptions, InvalidEndpoint, QueueOptions, TcpOptions, TlsOptions, Transport, UdpOptions,
    WhenFull,
};
#[cfg(feature = "http")]
pub use http::{BulkBody, HttpError, HttpSender};
pub use outcome::{DropReason, Outcome};
#[cfg(feature = "http")]
pub use receive::{HttpDroppedValues, HttpReceiver, HttpReceiverOptions, HttpReceiverStats, HttpRejections};
pub use receive::{
    ReceiveError, Received, TcpReceiver, TcpReceiverOptions, TcpReceiverStats, UdpReceiver,
    UdpReceiverOptions, UdpReceiverStats,
};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use send::SendError;
pub use stats::{ClientStats, DropCounts, RefusedCounts};
pub use tcp::TcpSender;
#[cfg(feature = "tls")]
pub use tls::{ReceiverTls, ReceiverTlsStats, TlsConfigError};
pub use udp::{Sent, UdpSender, UdpSenderStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
