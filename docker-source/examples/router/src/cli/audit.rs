//! The arguments of `audit`.

use std::net::SocketAddr;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The local address to receive on
    #[arg(value_name = "ADDRESS", default_value = "0.0.0.0:12201")]
    pub(super) address: SocketAddr,

    /// End after this time without a message; by default only at SIGTERM, SIGHUP or Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    pub(super) idle: Option<u32>,
}
