//! `gelf-router check`: asks an agent for its health. The health check of a container can run this command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use docker_source::EngineAddress;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::{self, Api};
use crate::client;
use crate::failure::Failure;
use crate::server::BoxError;
use crate::terminal::push_safe;

/// The maximum length of the answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// The maximum number of problems in the printed line.
const MAX_PROBLEMS: usize = 3;

/// Asks the agent for its health and returns the line to print. `asked` is the value of `--http`.
///
/// # Errors
/// Returns an error with exit status 1 if no valid answer arrives within the time `within`, or if the agent has
/// problems and `is_liveness` is false. Returns an error with exit status 2 if no agent is found, or if the
/// command line, the environment or the configuration file of the agent has a mistake.
pub(crate) async fn run(
    asked: Option<SocketAddr>,
    within: Duration,
    is_liveness: bool,
    file: impl Fn(&Path) -> io::Result<String>,
) -> Result<String, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let api = match asked {
        Some(address) => Api::At(address),
        None => find_api(command_lines(), variable, file)?,
    };
    let address = match api {
        Api::At(address) => reachable(address),
        Api::Off => {
            return Ok("the agent runs; more is not known, since it has no HTTP API (see --http)".to_owned());
        }
        Api::NotAnAgent => return Ok("only a subcommand of gelf-router runs here, no agent".to_owned()),
    };
    match timeout(within, ask(address)).await {
        Err(_) => Err(Failure::refused(format!("no answer from {address} within {} s", within.as_secs()))),
        Ok(Err(error)) => Err(Failure::refused(format!("no answer from {address}: {error}"))),
        Ok(Ok(answer)) => judge(&answer, is_liveness).unwrap_or_else(|| {
            Err(Failure::refused(format!("the answer from {address} is not that of an agent")))
        }),
    }
}

/// Returns the line to print for an answer, or `None` if the answer is not in the format of an agent. The line is
/// an error if the agent is unhealthy and `is_liveness` is false.
fn judge(answer: &[u8], is_liveness: bool) -> Option<Result<String, Failure>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let status = answer.get("status")?.as_str()?;
    if status == "Healthy!" {
        return Some(Ok("healthy".to_owned()));
    }
    let problems = answer.get("problems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut line = problems.iter().take(MAX_PROBLEMS).map(shown).collect::<Vec<_>>().join("; ");
    if problems.len() > MAX_PROBLEMS {
        line += &format!("; and {} more", problems.len() - MAX_PROBLEMS);
    }
    let mut safe = format!("{}: ", if is_liveness { "alive, but unhealthy" } else { "unhealthy" });
    push_safe(&mut safe, &line);
    Some(if is_liveness { Ok(safe) } else { Err(Failure::refused(safe)) })
}

/// Returns the words for one problem of the answer.
fn shown(problem: &Value) -> String {
    fn text(value: Option<&Value>) -> Option<&str> {
        value.and_then(Value::as_str).filter(|text| !text.is_empty())
    }
    let destination = problem.get("route").and_then(|route| route.get("destination"));
    let parts = [problem.get("problem"), destination, problem.get("error")];
    let mut shown = parts.into_iter().filter_map(text).collect::<Vec<_>>().join(": ");
    if let Some(since) = text(problem.get("since")) {
        shown += &format!(", since {since}");
    }
    shown
}

async fn ask(address: SocketAddr) -> Result<Bytes, BoxError> {
    let server = EngineAddress::Tcp { host: address.ip().to_string(), port: address.port() };
    let answer = client::get(&server, &address.to_string(), "/health").await?;
    Ok(Limited::new(answer.into_body(), MAX_ANSWER).collect().await?.to_bytes())
}

/// Returns the address at which a process of this host reaches a server that listens at `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Finds the API of the first agent among the processes. Without an agent, returns the API that the variables
/// enable. The variables of a container are the same for the agent and its health check.
fn find_api(
    processes: impl IntoIterator<Item = Vec<OsString>>,
    variable: impl Fn(&str) -> Option<String>,
    file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Api, Failure> {
    let is_router = |arguments: &Vec<OsString>| {
        let program = arguments.first().map(Path::new).and_then(Path::file_name);
        program == Some(OsStr::new("gelf-router"))
    };
    let mut is_other = false;
    for arguments in processes.into_iter().filter(is_router) {
        match cli::api_of(arguments, &variable, &file) {
            Ok(Api::NotAnAgent) => is_other = true,
            Ok(api) => return Ok(api),
            Err(cli::Exit::Mistake(mistake)) => return Err(Failure::usage(mistake)),
            // The command line asks for the help or the version, so the process prints it and ends.
            Err(_) => {}
        }
    }
    match cli::api_of(["gelf-router".into()], variable, file) {
        Ok(Api::At(address)) => Ok(Api::At(address)),
        Err(cli::Exit::Mistake(mistake)) => Err(Failure::usage(mistake)),
        _ if is_other => Ok(Api::NotAnAgent),
        _ => Err(Failure::usage("no agent runs here: give its address by --http")),
    }
}

/// Returns the command lines of the other processes of the container or host, in the order of the process
/// numbers.
#[cfg(target_os = "linux")]
fn command_lines() -> Vec<Vec<OsString>> {
    use std::os::unix::ffi::OsStringExt;

    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let mut processes: Vec<_> = std::fs::read_dir("/proc").into_iter().flatten().filter_map(number).collect();
    processes.retain(|process| *process != std::process::id());
    processes.sort_unstable();
    let arguments = |process: &u32| {
        let mut line = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
        line.pop();
        Some(line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect())
    };
    processes.iter().filter_map(arguments).collect()
}

#[cfg(not(target_os = "linux"))]
fn command_lines() -> Vec<Vec<OsString>> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(processes: &[&str], variables: &[(&str, &str)]) -> Result<Api, u8> {
        let processes = processes.iter().map(|line| line.split(' ').map(OsString::from).collect());
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let file = |path: &Path| match path.to_str() {
            Some("file.toml") => Ok("http = \"127.0.0.1:3\"".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        find_api(processes, variable, file).map_err(|failure| failure.status)
    }

    #[test]
    fn the_agent_of_the_container_is_found_by_its_command_line_and_the_variables() {
        let at = |text: &str| Ok(Api::At(text.parse().unwrap()));
        let port = [("PORT", "4")];
        for (processes, variables, api) in [
            (&["/gelf-router --drop-root --http 127.0.0.1:1 gelf://h"][..], &[][..], at("127.0.0.1:1")),
            (&["/sbin/docker-init -- /gelf-router a", "/gelf-router --http=[::]:2 a"], &port, at("[::]:2")),
            (&["gelf-router --config file.toml"], &[], at("127.0.0.1:3")),
            (&["/gelf-router gelf://h?ca=/missing"], &port, at("127.0.0.1:4")),
            (&["/gelf-router --state /s gelf://h"], &[], Ok(Api::Off)),
            (&["/gelf-router proxy --listen unix:///s"], &[], Ok(Api::NotAnAgent)),
            (&["/gelf-router tail", "/gelf-router --http=127.0.0.1:1 a"], &[], at("127.0.0.1:1")),
            (&["/bin/sh", "other-router --http=127.0.0.1:1 a"], &port, at("127.0.0.1:4")),
            (&["/bin/sh", ""], &[], Err(2)),
            (&["/gelf-router --config missing.toml"], &[], Err(2)),
        ] {
            assert_eq!(found(processes, variables), api, "{processes:?}");
        }
    }

    #[test]
    fn the_problems_of_an_answer_are_shown_on_one_line() {
        let problem = |name: &str| {
            let route = json!({ "destination": "gelf+tcp://h:1" });
            json!({ "problem": name, "route": route, "since": "2026-01-01T00:00:00Z", "error": "refused\n" })
        };
        let answer =
            |problems: Vec<Value>| json!({ "status": "unhealthy", "problems": problems }).to_string();
        let judged = |answer: &str, is_liveness| {
            judge(answer.as_bytes(), is_liveness).map(|judged| judged.map_err(|failure| failure.reason))
        };
        let down = answer(vec![problem("down")]);
        let line = "unhealthy: down: gelf+tcp://h:1: refused\\n, since 2026-01-01T00:00:00Z";
        assert_eq!(judged(&down, false), Some(Err(line.to_owned())));
        assert_eq!(judged(&down, true), Some(Ok(format!("alive, but {line}"))));
        let many = answer(vec![json!({ "problem": "no log is read yet" }); 5]);
        let Some(Err(line)) = judged(&many, false) else { panic!("{many}") };
        assert!(
            line.ends_with("; no log is read yet; and 2 more") && line.matches("no log").count() == 3,
            "{line}"
        );
        assert_eq!(
            judged("{\"status\": \"Healthy!\", \"problems\": []}", false),
            Some(Ok("healthy".to_owned()))
        );
        assert_eq!(
            judged("{\"status\": \"unhealthy\"}", true),
            Some(Ok("alive, but unhealthy: ".to_owned()))
        );
        for foreign in ["", "null", "{}", "<html>", "{\"status\": 7}"] {
            assert_eq!(judged(foreign, true), None, "{foreign}");
        }
    }
}
