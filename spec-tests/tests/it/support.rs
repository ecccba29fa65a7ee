//! Support for several tests.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gelf_spec_tests::{Outcome, Results};
use serde_json::Value;

/// Returns the command `gelf-conformance`.
pub(crate) fn conformance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gelf-conformance"))
}

/// Returns the quoted path of an example. `cargo test` builds it beside the program.
pub(crate) fn example(name: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_gelf-conformance"));
    let example = program.with_file_name("examples").join(name);
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    format!("'{}'", example.display())
}

/// Returns standard output and standard error of a command.
pub(crate) fn text(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Describes the unexpected outcomes of a run.
pub(crate) fn unexpected(results: &Results) -> Vec<String> {
    let line = |outcome: &Outcome| format!("{} {:?} {:?}", outcome.id, outcome.verdict, outcome.differences);
    results.unexpected().map(line).collect()
}

/// A temporary folder that is removed on drop.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Creates an empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gelf-spec-tests-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The output of a receiver: lines on a connection to an observer.
pub(crate) struct LineOutput {
    observer: SocketAddr,
    stream: Option<TcpStream>,
}

impl LineOutput {
    /// Creates an output to this address.
    pub(crate) fn to(observer: SocketAddr) -> Self {
        Self { observer, stream: None }
    }

    /// Writes a line. Lines are lost while the observer does not listen.
    pub(crate) fn write(&mut self, line: &Value) {
        let stream = self.stream.take().or_else(|| TcpStream::connect(self.observer).ok());
        self.stream = stream.filter(|mut stream| writeln!(stream, "{line}").is_ok());
    }
}
