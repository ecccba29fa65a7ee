//! GELF over UDP, TCP, TLS and HTTP for [tokio]: senders, receivers and a codec, based on [`gelf_core`].
//!
//! * [`Endpoint`]: a destination and its options, as a URI such as `gelf://logs.example:12201`.
//! * [`Client`]: a bounded queue in front of a destination. It reconnects, repeats the messages that did not count as
//!   delivered when their connection ended, and returns the outcome of each message on request ([`Receipts`]).
//! * [`UdpSender`], [`TcpSender`] and [`HttpSender`]: a socket or a connection without a queue, for programs that
//!   have their own queue and retries.
//! * [`UdpReceiver`], [`TcpReceiver`] and [`HttpReceiver`]: bounded receivers that no input can stop.
//! * [`GelfCodec`]: frames for any stream that tokio-util can frame.
//!
//! The module [`options`] has the options of endpoints and receivers, [`stats`] has the counters, and
//! [`resolve`] has the lookup of host names.
//!
//! The [`cookbook`] has a program for each of five tasks: log from an application, receive, forward, follow
//! Docker, and shut down.
//!
//! ```
//! use std::time::Duration;
//! use gelf_tokio::Client;
//! use gelf_tokio::gelf_core::{Level, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut receiver = gelf_tokio::TcpReceiver::bind("127.0.0.1:0").await?;
//! # let address = receiver.local_addr()?;
//! # tokio::spawn(async move { while receiver.recv().await.is_some() {} });
//! # let uri = format!("gelf+tcp://{address}");
//! # let _ = stringify! {
//! let uri = "gelf+tcp://logs.example:12201";
//! # };
//! let client = Client::connect(&uri.parse()?)?;
//! client.send(&Message::new("web-1", "payment refused").with_level(Level::Warning)).await?;
//! client.close(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! | transport | a message counts as delivered when | it may be lost unnoticed | it may arrive twice |
//! |---|---|---|---|
//! | UDP | the sender's operating system has taken all of its datagrams: `Sent` | in the network or at the receiver; drops by the sender's system and refusals by the receiver's host are counted | if the network duplicates it |
//! | TCP, TLS | the receiver's operating system has acknowledged its last byte, on a connection that has [proven itself](Outcome::Acknowledged): `Acknowledged`. On systems other than Linux, the sender's operating system has taken all of its bytes: `Sent` | if the receiver ends before it has read the acknowledged bytes; after a reset, messages that may be lost in this way are counted in [`possibly_lost`](stats::ClientStats::possibly_lost) | if the connection ends before the acknowledgement, or before it has proven itself |
//! | HTTP | the receiver has answered 2xx: `Accepted` | if the receiver loses it | if the request is sent again: the connection broke, no answer came in time, or the status permits a retry |
//!
//! * Each message that a [`Client`] queues gets exactly one outcome, and at every moment
//!   `queued = delivered + dropped by reason + waiting + in flight`. See [`ClientStats`](stats::ClientStats).
//! * A message is written whole, or the end of its connection cuts it. A message that was cut is never
//!   continued on another connection. Over UDP, a message arrives whole or not at all.
//! * An invalid datagram, frame or request, a broken connection or a full table of file descriptors never
//!   stops a receiver. Either `recv` returns an `Err`, or a counter is incremented, and the next call
//!   continues.
//! * TLS never falls back to another authority or to plain text.
//!
//! # Limits
//!
//! | limit | default | protects against |
//! |---|---|---|
//! | queue of a client, messages in flight included | 65,536 messages or 64 MiB | destinations that are down or slow; [`WhenFull`] sets the behaviour |
//! | unread receipts | as many as the queue holds messages, at least 65,536 | readers that do not read |
//! | pending chunked messages | 8,192 or 64 MiB, 512 per sender, 5 s | floods of chunks that complete nothing |
//! | inflated payload | 8 MiB | decompression bombs |
//! | frame | 2 MiB | streams without a delimiter |
//! | connections | 1,024, and 64 per peer; beyond 1,024, connections wait to be accepted; beyond 64, connections of the peer are reset | connections without end |
//! | TLS handshake | 10 s | connections that are not used |
//! | time from the first byte of a frame to its end | 30 s | frames that come byte by byte |
//! | unfinished frames | 256 MiB, plus 64 KiB per connection | long frames that are begun and not ended |
//! | received frames that wait | 1,024 or 16 MiB | senders faster than the reader; they are made to wait |
//! | HTTP request body | 64 KiB after inflation, the same as Graylog's limit | bodies without end |
//! | values of a bulk request | 65,536 | bodies of a great many small messages |
//!
//! The types in the module [`options`] change these limits.
//!
//! # Logging
//!
//! This crate logs with [`tracing`]; the targets of its events begin with `gelf_tokio`. A subscriber that
//! sends events through a [`Client`] must leave out the events of this crate: otherwise each logged error
//! causes another message. The layer of the crate `gelf-tracing` leaves them out.
//!
//! # Features
//!
//! * `zlib-rs` (on by default): the faster of two pure Rust implementations of deflate.
//! * `tls`: `gelf+tls://` and, with the feature `http`, `gelf+https://`. TLS is implemented by rustls with
//!   ring, which contains C and assembly.
//! * `http`: `gelf+http://`, sending and receiving; HTTP/1.1 only.
//! * `serde`: `Serialize` and `Deserialize` for all [statistics](stats), and gelf-core's feature `serde`.
#![cfg_attr(
    not(feature = "http"),
    doc = "

[`HttpReceiver`]: https://docs.rs/gelf-tokio
[`HttpSender`]: https://docs.rs/gelf-tokio"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

pub use {bytes, gelf_core, tokio_util};

#[cfg(feature = "tls")]
pub use rustls;

mod backoff;
mod blocking;
mod client;
mod codec;
mod endpoint;
mod hosts;
#[cfg(feature = "http")]
mod http;
pub mod options;
mod outcome;
mod receive;
pub mod resolve;
mod send;
pub mod stats;
mod sys;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod udp;

pub use client::{Client, ClientBuilder, ClientState, Driver, Observer, Receipts, Unsent};
pub use codec::GelfCodec;
pub use endpoint::{Endpoint, InvalidEndpoint, Transport, WhenFull};
#[cfg(feature = "http")]
pub use http::{HttpError, HttpSender};
pub use outcome::{DropReason, NotQueued, NotQueuedReason, Outcome};
#[cfg(feature = "http")]
pub use receive::HttpReceiver;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use receive::fuzzing;
pub use receive::{ReceiveError, Received, TcpReceiver, UdpReceiver};
pub use send::SendError;
pub use tcp::TcpSender;
#[cfg(feature = "tls")]
pub use tls::{ReceiverTls, TlsConfigError};
pub use udp::UdpSender;

#[doc = include_str!("cookbook.md")]
pub mod cookbook {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
