//! Measures the processor time (user and system) of other processes.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::net::sockopt::socket_peercred;

/// Runs a command to its end. Returns the processor time, in microseconds, of the command and of the processes for
/// which the command waited. bash's `time` measures with `getrusage`, and prints whole milliseconds.
///
/// # Errors
/// Returns the exit status and the end of stderr if the command fails.
pub(crate) fn run(command: &[String], environment: &[(&str, String)]) -> Result<f64, String> {
    // `time` writes to the stderr of the braces. They redirect it to the stdout of bash, which this function
    // reads. Stdout and stderr of the command go to the stderr of bash.
    let script = r#"TIMEFORMAT='%3U %3S'; exec 3>&1 4>&2; { time "$0" "$@" >&4 2>&4; } 2>&3"#;
    let output =
        Command::new("bash").args(["-c", script]).args(command).envs(environment.iter().cloned()).output();
    let output = output.map_err(|error| format!("bash: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut end: Vec<&str> = said.lines().rev().take(5).collect();
        end.reverse();
        return Err(format!("{}: {}: {}", command.join(" "), output.status, end.join(" | ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds: f64 = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(seconds * 1e6)
}

/// Returns the processor time of the running threads of a process, in microseconds. The time of threads that
/// have ended is missing.
pub(crate) fn of_threads(process: i32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e3
}

/// Returns the process id of the Docker Engine whose address is `docker_host`.
///
/// # Errors
/// Returns the reason if the address is not a Unix socket of a dockerd on this machine.
pub(crate) fn engine(docker_host: &str) -> Result<i32, String> {
    let path = docker_host.strip_prefix("unix://").ok_or("needs an Engine at a Unix socket")?;
    let socket = UnixStream::connect(path).map_err(|error| format!("{path}: {error}"))?;
    let process = socket_peercred(&socket).map_err(|error| error.to_string())?.pid.as_raw_nonzero().get();
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    match name.trim() {
        "dockerd" => Ok(process),
        other => Err(format!(
            "the socket {path} belongs to {other:?}, not to a dockerd; use that of scripts/engine"
        )),
    }
}
