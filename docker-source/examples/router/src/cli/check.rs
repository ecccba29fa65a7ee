//! The arguments of `check`.

use std::net::SocketAddr;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address of the HTTP API; by default that of the agent in the same container
    #[arg(
        long,
        value_name = "ADDRESS",
        long_help = "The address of the HTTP API, such as 127.0.0.1:8000. By default, it is taken from the command line \
                     of the agent in the same container or on the same host, or from the variables PORT, \
                     HTTP_PORT and HTTP_BIND_ADDRESS. If that agent has no HTTP API, the check succeeds"
    )]
    pub(super) http: Option<SocketAddr>,

    /// The time within which the agent has to answer, from 1 to 60 s
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=60))]
    pub(super) within: u8,

    /// Only require an answer, for schedulers that replace an unhealthy agent
    #[arg(
        long,
        long_help = "Only require an answer. Problems are printed, but the exit status is 0. Use this option for \
                     schedulers that replace an unhealthy agent, such as Swarm, Amazon ECS and the \
                     livenessProbe of Kubernetes: while a destination is down, a new agent does not help"
    )]
    pub(super) liveness: bool,
}
