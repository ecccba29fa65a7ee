//! The arguments of `proxy`.

use docker_source::EngineAddress;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address for agents: unix:///PATH or tcp://ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) listen: EngineAddress,
}

fn address(text: &str) -> Result<EngineAddress, &'static str> {
    text.parse().map_err(|_| "expected unix:///PATH or tcp://ADDRESS:PORT")
}
