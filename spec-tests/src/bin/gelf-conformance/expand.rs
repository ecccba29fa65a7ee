//! `expand`: writes the vectors without recipes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gelf_spec_tests::{VERSION, expanded};

use crate::output;
use crate::{VectorsArguments, write};

#[derive(Args)]
pub(crate) struct ExpandArguments {
    /// Folder for the files, one for each topic
    #[arg(long, default_value = "gelf-vectors", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    vectors: VectorsArguments,
}

pub(crate) fn expand(arguments: &ExpandArguments) -> Result<ExitCode, String> {
    let topics = [arguments.vectors.load()?, arguments.vectors.load_http()?].concat();
    let folder = &arguments.out;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for topic in &topics {
        write(&folder.join(format!("{}.json", topic.topic)), &expanded(topic)?)?;
    }
    let vectors: usize = topics.iter().map(|topic| topic.vectors.len()).sum();
    output::line!("version {VERSION}: {vectors} vectors in {} files in {}", topics.len(), folder.display());
    Ok(ExitCode::SUCCESS)
}
