//! Command line of the conformance suite.

mod bench;
mod board;
mod check_subject;
mod expand;
mod fuzz;
mod output;
mod receiver;
mod run;
mod sender;
mod times;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gelf_spec_tests::report::Style;
use gelf_spec_tests::{Builtin, Topic, embedded, embedded_http, load, load_http, report, serve};

/// Reports which rules of GELF a sender, receiver or library in any language breaks.
#[derive(Parser)]
#[command(name = "gelf-conformance", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every vector on a subject, and judge the replies
    Run(run::RunArguments),
    /// Test whether the adapter of a subject follows the subject protocol, and name remedies
    CheckSubject(check_subject::CheckSubjectArguments),
    /// Explain a vector: rule, input and expected result
    Explain {
        /// Id of the vector, such as C41; see `run --list`
        id: String,
        #[command(flatten)]
        vectors: VectorsArguments,
    },
    /// Write the vectors with all bytes in hexadecimal, for use without this program
    Expand(expand::ExpandArguments),
    /// Listen, and judge the messages of any sender
    Sender(sender::SenderArguments),
    /// Send the vectors to a running receiver, and compare its output
    Receiver(Box<receiver::ReceiverArguments>),
    /// Send hostile cases to a subject, and write each failure as a vector
    Fuzz(fuzz::FuzzArguments),
    /// Measure how fast a subject decodes and encodes
    Bench(bench::BenchArguments),
    /// Serve gelf-core as a subject on standard input and output
    Subject,
    /// Run all peers of a folder, and write the score board
    Board(board::BoardArguments),
}

#[derive(Args)]
struct VectorsArguments {
    /// Use the vectors of this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
}

impl VectorsArguments {
    fn load(&self) -> Result<Vec<Topic>, String> {
        match &self.vectors {
            Some(folder) => load(folder),
            None => embedded(),
        }
    }

    /// Loads the HTTP vectors, which are only for running receivers.
    fn load_http(&self) -> Result<Vec<Topic>, String> {
        match &self.vectors {
            Some(folder) => load_http(folder),
            None => embedded_http(),
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::CheckSubject(arguments) => check_subject::check(&arguments),
        Command::Explain { id, vectors } => explain(&id, &vectors),
        Command::Expand(arguments) => expand::expand(&arguments),
        Command::Sender(arguments) => sender::sender(&arguments),
        Command::Receiver(arguments) => receiver::receiver(&arguments),
        Command::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Subject => subject(),
        Command::Board(arguments) => board::board(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gelf-conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn subject() -> Result<ExitCode, String> {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    serve(&mut Builtin::default(), input, output)?;
    Ok(ExitCode::SUCCESS)
}

fn explain(id: &str, vectors: &VectorsArguments) -> Result<ExitCode, String> {
    let topics = [vectors.load()?, vectors.load_http()?].concat();
    let mut all = topics.iter().flat_map(|topic| &topic.vectors);
    let vector = all.find(|vector| vector.id == id).ok_or_else(|| format!("unknown vector {id}"))?;
    output::print(format_args!("{}", report::explain(vector, None, style())));
    Ok(ExitCode::SUCCESS)
}

/// Chooses colours for a terminal, unless `NO_COLOR` is set.
fn style() -> Style {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { Style::Coloured } else { Style::Plain }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
