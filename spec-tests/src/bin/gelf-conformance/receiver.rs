//! `receiver`

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct ReceiverArguments {}

pub(crate) fn receiver(_arguments: &ReceiverArguments) -> Result<ExitCode, String> {
    Err("not there yet".to_owned())
}
