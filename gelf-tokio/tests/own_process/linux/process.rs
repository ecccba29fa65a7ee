//! Starts the other processes of a test, limits their open files, and measures their memory.

use std::env;
use std::fs::read_to_string;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const ROLE: &str = "GELF_TEST_ROLE";
/// The time limit for an answer of the other process.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(120);

/// Returns the role of this process and its argument, or `None` in the process that runs the tests.
pub(crate) fn role() -> Option<(String, String)> {
    let role = env::var(ROLE).ok()?;
    role.split_once(' ').map(|(role, argument)| (role.to_owned(), argument.to_owned()))
}

/// Waits until the standard input of this process is closed. The role of the process is then over.
pub(crate) fn wait_until_stdin_closes() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// Sets the maximum number of open files of a process. Returns whether that was possible.
pub(crate) fn limit_files(process: u32, limit: u32) -> bool {
    let limit = format!("--nofile={limit}:");
    let status = Command::new("prlimit").arg(format!("--pid={process}")).arg(limit).status();
    status.is_ok_and(|status| status.success())
}

/// Returns a figure of proc_pid_status(5) of a process, such as `VmRSS`, in bytes.
pub(crate) fn memory(process: u32, name: &str) -> u64 {
    let status = read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Another process of this program. It is killed on drop.
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

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes an empty line to the process.
    pub(crate) fn ask(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
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
