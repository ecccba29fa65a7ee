//! Runs the `docker` command with a time limit.

use std::io::{self, Read};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A time limit of a command. At the limit, the command is killed, and the caller gets the error `TimedOut`.
#[derive(Clone, Copy)]
pub(crate) struct Limit(Duration);

impl Limit {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// The default limit. A slow machine can take many seconds to start a container.
pub(crate) const DEFAULT_LIMIT: Limit = Limit::seconds(120);

/// Returns a `docker` command for the Engine at `host`.
pub(crate) fn command(host: &str) -> Command {
    let mut command = Command::new("docker");
    // The user's Docker context could name another host.
    command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
    command
}

/// Runs `docker` to its end. Panics with the error output if the command fails.
pub(crate) fn docker<A: AsRef<str>>(host: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let arguments: Vec<String> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    let shown = arguments.join(" ");
    let output =
        try_docker(host, arguments, DEFAULT_LIMIT).unwrap_or_else(|error| panic!("docker {shown}: {error}"));
    assert!(
        output.status.success(),
        "docker {shown}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    output
}

/// Runs `docker` to its end; returns the error `TimedOut` after `limit`.
pub(crate) fn try_docker<A: AsRef<str>>(
    host: &str,
    arguments: impl IntoIterator<Item = A>,
    limit: Limit,
) -> io::Result<Output> {
    let mut command = command(host);
    for argument in arguments {
        command.arg(argument.as_ref());
    }
    output(command.stdin(Stdio::null()), limit)
}

/// Runs a command like `Command::output`, but with a time limit.
pub(crate) fn output(command: &mut Command, limit: Limit) -> io::Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = read_to_end(child.stdout.take());
    let stderr = read_to_end(child.stderr.take());
    let status = wait(&mut child, limit)?;
    Ok(Output {
        status,
        stdout: stdout.join().expect("the reader of stdout does not panic"),
        stderr: stderr.join().expect("the reader of stderr does not panic"),
    })
}

fn wait(child: &mut Child, Limit(limit): Limit) -> io::Result<std::process::ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the command did not end within {limit:?}"),
            ));
        }
        // The standard library cannot wait for a child with a time limit.
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a pipe in a thread while the child runs. A full pipe would stop the child.
fn read_to_end(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // An error ends the output like the end of the pipe. The exit status tells whether the command failed.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_are_read_whole() {
        let script = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3";
        let output = output(Command::new("sh").args(["-c", script]), Limit::seconds(60)).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len(), output.stderr.len()),
            (Some(3), 300_000, 200_000)
        );
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_at_its_limit() {
        let error = output(Command::new("sleep").arg("600"), Limit::seconds(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
