//! `fuzz`

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct FuzzArguments {}

pub(crate) fn fuzz(_arguments: &FuzzArguments) -> Result<ExitCode, String> {
    Err("not there yet".to_owned())
}
