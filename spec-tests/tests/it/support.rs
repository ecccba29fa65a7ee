//! Helpers for several tests.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gelf_spec_tests::{Outcome, Results, Selection, Subject, Topic, run};
use serde_json::Value;

/// Returns the command `gelf-conformance`.
pub(crate) fn conformance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gelf-conformance"))
}

/// Returns the quoted path of an example, which `cargo test` builds beside the program.
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

/// Returns a text of random characters, which compression shortens to about three quarters of its length. The
/// random number generator of Park and Miller chooses each character from an alphabet of 64 characters.
pub(crate) fn noise(seed: usize, len: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut state = seed as u64;
    let mut next = || {
        state = state * 16_807 % 2_147_483_647;
        char::from(ALPHABET[(state % 64) as usize])
    };
    (0..len).map(|_| next()).collect()
}

/// Runs the vectors that match the filter on a subject.
pub(crate) fn results(topics: &[Topic], subject: &mut dyn Subject, filter: Option<&str>) -> Results {
    run(topics, subject, None, Selection::new(filter, None), &mut |_, _| {}).unwrap()
}

/// Describes the unexpected outcomes of a run.
pub(crate) fn unexpected(results: &Results) -> Vec<String> {
    let line = |outcome: &Outcome| format!("{} {:?} {:?}", outcome.id, outcome.verdict, outcome.differences);
    results.unexpected().map(line).collect()
}

/// A temporary folder. Dropping this value removes the folder.
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
