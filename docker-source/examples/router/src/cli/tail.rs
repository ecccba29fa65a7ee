//! The arguments of `tail`.

use docker_source::NamePattern;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The names of the containers; all containers but agents by default
    #[arg(value_name = "GLOB")]
    pub(super) names: Vec<NamePattern>,
}
