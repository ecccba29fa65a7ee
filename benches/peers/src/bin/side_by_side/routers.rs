//! Measures routers and Docker's gelf driver with containers that write lines at a steady rate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::content;
use crate::processor;
use crate::results::Series;
use crate::sink::Sink;

/// The name of Docker's driver in the results.
pub(crate) const DRIVER: &str = "Docker's gelf driver";

/// The line length and the number of containers of each measurement.
pub(crate) const CONDITIONS: [(usize, usize); 5] = [(100, 1), (640, 1), (4000, 1), (640, 10), (640, 50)];

/// The rate of all containers together, in lines per second.
pub(crate) const RATE: usize = 2000;

/// The time for which the containers write in one measurement.
const WRITING: Duration = Duration::from_secs(2);

/// The time from the start of a router to the first line.
const STARTING: Duration = Duration::from_secs(2);

/// A router: its name, its compression, and its command with `{address}` for the address of the sink.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) name: String,
    pub(crate) compression: String,
    pub(crate) command: String,
}

/// The containers of one condition and one log driver. Dropping this value removes the containers.
struct Writers {
    /// The ids of the containers.
    ids: Vec<String>,
    /// The folder in which each container keeps the number of its written lines.
    folder: PathBuf,
}

/// The result of one measurement.
struct Measured {
    /// The processor time of dockerd, in microseconds per line.
    engine: f64,
    /// The processor time of the router's process, in microseconds per line.
    process: f64,
    /// The share of the lines that the sink received.
    received: f64,
    /// The number of received bytes, divided by the number of received messages.
    bytes: f64,
}

/// Measures all routers and Docker's driver, in turns. Calls `each` with the series of each condition. If
/// `quick` is true, skips the conditions with more than ten containers. `folder` contains the writer program.
///
/// # Errors
/// Returns the reason if there is no usable Engine, if a router does not run until the end of the measurement, if
/// the containers do not start or write nothing, or if `each` or a file operation fails.
pub(crate) fn measure(
    folder: &Path,
    routers: &[Router],
    rounds: usize,
    quick: bool,
    mut each: impl FnMut(Vec<Series>) -> Result<(), String>,
) -> Result<(), String> {
    let host = std::env::var("DOCKER_HOST").map_err(|_| "DOCKER_HOST is not set")?;
    let engine = processor::engine(&host)?;
    let sink = Sink::udp();
    let image = empty_image()?;
    let most = if quick { 10 } else { usize::MAX };
    for (length, containers) in CONDITIONS.into_iter().filter(|condition| condition.1 <= most) {
        let new = |kind: &str, name: &str, compression: &str| Series {
            kind: kind.to_owned(),
            name: name.to_owned(),
            compression: compression.to_owned(),
            length,
            containers,
            ..Series::default()
        };
        let mut series = vec![new("router", DRIVER, "gzip")];
        for router in routers {
            series.push(new("router", &router.name, &router.compression));
            series.push(new("process", &router.name, &router.compression));
        }
        fs::write(folder.join("lines"), content::lines(length).join("\n"))
            .map_err(|error| error.to_string())?;
        let start = |log_options: &[String]| Writers::start(folder, &image, containers, log_options);
        let files = start(&["--log-driver=json-file", "--log-opt=max-size=50m"].map(str::to_owned))?;
        let address = format!("--log-opt=gelf-address=udp://127.0.0.1:{}", sink.port);
        let labels = "--log-opt=labels=gelf_service,gelf_team,gelf_stage,gelf_region,gelf_release".to_owned();
        let driven = start(&["--log-driver=gelf".to_owned(), address, labels])?;
        for round in 0..rounds {
            eprintln!(
                "side_by_side: {length} bytes, {containers} containers, round {} of {rounds}",
                round + 1
            );
            // The time of dockerd for the same containers without a reader is subtracted from the times of
            // dockerd in the other measurements.
            let alone = files.measure(engine, None, &sink)?;
            let mut add = |at: usize, time: f64, measured: &Measured| {
                series[at].rounds.push(time);
                series[at].received += measured.received / rounds as f64;
                series[at].bytes = measured.bytes;
            };
            let driver = driven.measure(engine, None, &sink)?;
            add(0, driver.engine - alone.engine, &driver);
            for (at, router) in routers.iter().enumerate() {
                let measured = files.measure(engine, Some(router), &sink)?;
                add(1 + 2 * at, measured.engine - alone.engine + measured.process, &measured);
                add(2 + 2 * at, measured.process, &measured);
            }
        }
        each(series)?;
    }
    Ok(())
}

impl Writers {
    /// Starts the containers, and waits until all of them run. `log_options` selects the log driver.
    fn start(folder: &Path, image: &str, containers: usize, log_options: &[String]) -> Result<Self, String> {
        let name = if log_options[0].ends_with("gelf") { "driven" } else { "files" };
        let folder = folder.join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut writers = Self { ids: Vec::new(), folder };
        let parent = writers.folder.parent().unwrap_or(&writers.folder).display().to_string();
        for at in 0..containers {
            let mut arguments = vec![
                "run".to_owned(),
                "--detach".to_owned(),
                "--network=none".to_owned(),
                "--label=gelf-bench=writer".to_owned(),
            ];
            arguments.extend(
                ["gelf_service", "gelf_team", "gelf_stage", "gelf_region", "gelf_release"]
                    .map(|key| format!("--label={key}=bench-{at}")),
            );
            arguments.extend(log_options.iter().cloned());
            arguments.extend([
                format!("--volume={parent}:/bench"),
                image.to_owned(),
                "/bench/writer".to_owned(),
            ]);
            arguments.extend([
                format!("/bench/{name}"),
                at.to_string(),
                containers.to_string(),
                RATE.to_string(),
            ]);
            writers.ids.push(docker(&arguments)?);
        }
        // Each writer makes its file when it runs.
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_dir(&writers.folder).map_or(0, Iterator::count) < containers {
            if Instant::now() > deadline {
                return Err("the containers do not start".to_owned());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(writers)
    }

    /// Returns the number of lines that the containers have written.
    fn written(&self) -> u64 {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        files.filter_map(|file| read_number(&file.path())).sum()
    }

    /// Lets the containers write, and measures until the sink has received all lines, or until [`Sink::take`]
    /// stops waiting for them.
    fn measure(&self, engine: i32, router: Option<&Router>, sink: &Sink) -> Result<Measured, String> {
        let mut running = router.map(|router| Running::start(router, sink.port)).transpose()?;
        sink.take(0);
        let process = running.as_ref().map_or(0, |running| running.0.id() as i32);
        let before = (processor::of_threads(engine), processor::of_threads(process), self.written());
        let go = self.folder.join("go");
        fs::write(&go, "").map_err(|error| error.to_string())?;
        sleep(WRITING);
        fs::remove_file(&go).map_err(|error| error.to_string())?;
        // Writers that the log driver blocked may still be writing.
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut lines = u64::MAX;
        while lines != self.written() - before.2 && Instant::now() < deadline {
            lines = self.written() - before.2;
            sleep(Duration::from_millis(500));
        }
        if lines == 0 {
            return Err("the containers wrote nothing".to_owned());
        }
        let (messages, bytes) = sink.take(lines);
        let used = |process: i32, before: f64| (processor::of_threads(process) - before) / lines as f64;
        let measured = Measured {
            engine: used(engine, before.0),
            process: used(process, before.1),
            received: messages as f64 / lines as f64,
            bytes: bytes as f64 / messages.max(1) as f64,
        };
        if let Some(running) = &mut running
            && let Ok(Some(status)) = running.0.try_wait()
        {
            return Err(format!("the router ended: {status}"));
        }
        Ok(measured)
    }
}

/// Returns the number in a file. A writer empties its file before it writes a new number, so an empty file is read
/// again.
fn read_number(path: &Path) -> Option<u64> {
    for _ in 0..100 {
        match fs::read_to_string(path).ok()?.trim().parse() {
            Ok(number) => return Some(number),
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
    None
}

impl Drop for Writers {
    fn drop(&mut self) {
        let arguments = ["rm".to_owned(), "--force".to_owned()].into_iter().chain(self.ids.iter().cloned());
        let _ = docker(&arguments.collect::<Vec<_>>());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running router. Dropping this value ends the router.
struct Running(Child);

impl Running {
    fn start(router: &Router, port: u16) -> Result<Self, String> {
        let command = router.command.replace("{address}", &format!("127.0.0.1:{port}"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::null());
        let child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut running = Self(child.map_err(|error| format!("{}: {error}", router.name))?);
        sleep(STARTING);
        match running.0.try_wait() {
            Ok(None) => Ok(running),
            ended => Err(format!("{command}: ended immediately: {ended:?}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes an image without files.
fn empty_image() -> Result<String, String> {
    let script = "tar -c --files-from /dev/null | docker import - gelf-bench-empty:1 >/dev/null";
    output(Command::new("sh").args(["-c", script])).map(|_| "gelf-bench-empty:1".to_owned())
}

fn docker(arguments: &[String]) -> Result<String, String> {
    output(Command::new("docker").args(arguments))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
