//! `bench`

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct BenchArguments {}

pub(crate) fn bench(_arguments: &BenchArguments) -> Result<ExitCode, String> {
    Err("not there yet".to_owned())
}
