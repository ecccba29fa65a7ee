//! `sender`

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct SenderArguments {}

pub(crate) fn sender(_arguments: &SenderArguments) -> Result<ExitCode, String> {
    Err("not there yet".to_owned())
}
