//! Starts this program as another process, with a role in a test.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

pub(crate) const ROLE: &str = "GELF_TEST_ROLE";
/// Time limit for an answer of the other process.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(60);

/// Returns the role of this process and its argument, or `None` in the process that runs the tests.
pub(crate) fn role() -> Option<(String, String)> {
    let (role, argument) = env::var(ROLE).ok()?.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    Some((role, argument))
}

/// Waits until the standard input of this process is closed, which ends its role.
pub(crate) fn wait_until_stdin_closes() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// Another process of this program.
pub(crate) struct Other {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Other {
    /// Starts this program in a role, run by a command such as `ip netns exec NAME`.
    pub(crate) fn start(command: &[&str], role: &str, argument: &str) -> Self {
        let program = env::current_exe().unwrap();
        let mut words: Vec<_> = command.iter().map(Into::into).collect();
        words.push(program.into_os_string());
        let mut process = Command::new(&words[0])
            .args(&words[1..])
            .env(ROLE, format!("{role} {argument}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { input: process.stdin.take(), process, lines }
    }

    /// Waits for a line that starts with `word`, and returns the rest of it.
    pub(crate) fn says(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(MAX_ANSWER_TIME).expect("the other process writes a line");
            match line.strip_prefix(word) {
                Some(rest) => return rest.trim().to_owned(),
                None => println!("another process: {line}"),
            }
        }
    }

    /// Tells the process to end, by closing its standard input.
    pub(crate) fn end(&mut self) {
        self.input = None;
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
