//! The arguments of `doctor`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The destinations, separated by commas
    #[arg(value_name = "ROUTE[,ROUTE...]")]
    pub(super) routes: Vec<String>,

    /// Read the routes from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Examine this state folder
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,

    /// Examine the log files for this way of reading
    #[arg(long, value_name = "api|files|auto[=DIR]")]
    pub(super) read: Option<String>,
}
