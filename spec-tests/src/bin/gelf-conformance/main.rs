//! The conformance suite on the command line.

mod bench;
mod board;
mod fuzz;
mod receiver;
mod run;
mod sender;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gelf_spec_tests::report::Style;
use gelf_spec_tests::{Builtin, Topic, embedded, embedded_http, load, load_http, report, serve};

/// Says which rule of GELF an implementation breaks: of any sender, receiver or library, in any language.
#[derive(Parser)]
#[command(name = "gelf-conformance", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put each vector to a subject, and judge what it makes of it
    Run(run::RunArguments),
    /// Explain a vector: what is given, what is expected, and the rule
    Explain {
        /// Its id, such as C41; see `run --list`
        id: String,
        #[command(flatten)]
        vectors: VectorsArguments,
    },
    /// Listen, and judge whatever any program sends
    Sender(sender::SenderArguments),
    /// Send the vectors to a live receiver, and compare what it says that it got
    Receiver(Box<receiver::ReceiverArguments>),
    /// Put hostile cases to a subject; what breaks it becomes a vector
    Fuzz(fuzz::FuzzArguments),
    /// Measure how fast a subject decodes and encodes
    Bench(bench::BenchArguments),
    /// Be a subject: speak the subject protocol for gelf-core, on standard input and output
    Subject,
    /// Run all peers of a folder, and write the score board
    Board(board::BoardArguments),
}

#[derive(Args)]
struct VectorsArguments {
    /// Take the vectors of this folder, not those that are built in
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
}

impl VectorsArguments {
    fn load(&self) -> Result<Vec<Topic>, String> {
        match &self.vectors {
            Some(folder) => load(folder),
            None => embedded(),
        }
        .map_err(|error| error.to_string())
    }

    /// Those that only receivers of HTTP are asked.
    fn load_http(&self) -> Result<Vec<Topic>, String> {
        match &self.vectors {
            Some(folder) => load_http(folder),
            None => embedded_http(),
        }
        .map_err(|error| error.to_string())
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Explain { id, vectors } => explain(&id, &vectors),
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
    let vector = all.find(|vector| vector.id == id).ok_or_else(|| format!("no vector is called {id}"))?;
    print!("{}", report::explain(vector, None, style()));
    Ok(ExitCode::SUCCESS)
}

/// Colours on a terminal that does not ask for none.
fn style() -> Style {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { Style::Coloured } else { Style::Plain }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
