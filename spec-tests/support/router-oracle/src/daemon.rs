//! Runs a separate Docker Engine or Podman for the oracle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use real_engine::Engine;
use rustix::process::{Pid, Signal, kill_process};

/// Number of ticks in a second of processor time, as counted in files of `/proc`. Linux has had this value on
/// all common architectures since 2.6.
const TICKS: f64 = 100.0;

/// A Docker Engine or Podman with folders of its own. Dropping the handle ends the Engine and removes its folders.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    /// Folder of images and containers.
    data: PathBuf,
    /// Folder of sockets. Its path is short, because the length of a socket's path is limited.
    run: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts the Engine `program`, with its data in the folder `data` and its sockets in the folder `run`.
    /// Dropping the handle removes both folders.
    ///
    /// # Errors
    /// Returns the reason if the Engine cannot be started, or if it does not answer within 60 s. In the latter case,
    /// the reason includes the end of the Engine's log.
    pub fn start(program: &Path, data: &Path, run: &Path) -> Result<Self, String> {
        for folder in [data, run] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let child = launch(program, data, run, false)?;
        let daemon = Self { program: program.to_owned(), data: data.to_owned(), run: run.to_owned(), child };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Returns the path of the Engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    /// Returns the folder of the Engine's socket.
    pub fn socket_folder(&self) -> &Path {
        &self.run
    }

    /// Returns the folder of the logs of Docker's containers.
    pub fn containers(&self) -> PathBuf {
        self.data.join("data/containers")
    }

    /// Returns the address in the form of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Returns the processor time that the Engine has used since its start, in seconds.
    pub fn processor_time(&self) -> f64 {
        processor_time(self.child.id())
    }

    /// Ends the Engine by a signal, and starts it again after `pause`. With `live_restore`, containers keep
    /// running when the new Engine ends.
    pub fn restart(&mut self, signal: Signal, pause: Duration, live_restore: bool) {
        self.end(signal);
        sleep(pause);
        self.child = launch(&self.program, &self.data, &self.run, live_restore).expect("the Engine starts");
        self.wait_until_ready().expect("the Engine answers");
    }

    fn end(&mut self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
        let deadline = Instant::now() + Duration::from_secs(30);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            sleep(Duration::from_millis(20));
        }
        // A killed Engine leaves these files. They have the process ids of the Engine and of its containerd,
        // which have both ended. If the init process of the system does not reap ended processes, the next
        // Engine would regard these processes as running.
        for file in ["docker.pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(self.run.join(file));
        }
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match Engine::at(&self.host()) {
                Ok(_) => return Ok(()),
                Err(reason) if Instant::now() > deadline => {
                    let log = fs::read_to_string(self.data.join("dockerd.log")).unwrap_or_default();
                    let lines: Vec<&str> = log.lines().collect();
                    let end = lines[lines.len().saturating_sub(10)..].join("\n");
                    return Err(format!("{reason}\n{end}"));
                }
                Err(_) => sleep(Duration::from_millis(100)),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end(Signal::TERM);
        // This is the only mount that an Engine without containers leaves behind.
        let _ =
            Command::new("umount").arg(self.run.join("exec/netns/default")).stderr(Stdio::null()).status();
        for folder in [&self.run, &self.data] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Returns the processor time of a process, in seconds.
pub fn processor_time(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses can contain spaces. After the name, utime and stime are the 12th and 13th
    // fields.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Starts the Engine's process. `dockerd` finds containerd and runc in its own folder, in the folder `bin` beside
/// that folder, or on the path.
fn launch(program: &Path, data: &Path, run: &Path, live_restore: bool) -> Result<Child, String> {
    // The path is absolute, so it has a parent folder.
    let folder = program.parent().unwrap_or(program);
    let beside = folder.join("../bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}:/usr/sbin:/sbin", folder.display(), beside.display());
    let log = fs::File::create(data.join("dockerd.log")).map_err(|error| error.to_string())?;
    let address = format!("unix://{}", run.join("docker.sock").display());
    let mut command = Command::new(program);
    if program.ends_with("podman") {
        command.arg("--root").arg(data.join("data")).arg("--runroot").arg(run.join("exec"));
        command
            .arg("--tmpdir")
            .arg(run.join("tmp"))
            .args(["--runtime=/usr/sbin/runc", "--storage-driver=vfs"]);
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=file"]);
        command.args(["system", "service", "--time=0", &address]);
        // The default limit of open files is higher than the limit that Podman is allowed to set if Podman
        // itself runs in a container.
        let configuration = data.join("containers.conf");
        let ulimits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(&configuration, ulimits).map_err(|error| error.to_string())?;
        command.env("CONTAINERS_CONF", configuration);
    } else {
        command
            .args(["--host", &address])
            .arg("--data-root")
            .arg(data.join("data"))
            .arg("--exec-root")
            .arg(run.join("exec"))
            .arg("--pidfile")
            .arg(run.join("docker.pid"))
            .arg("--containerd-namespace")
            .arg(run.file_name().unwrap_or_default())
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--log-level=warn"]);
        if live_restore {
            command.arg("--live-restore");
        }
    }
    command.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().map_err(|error| format!("{}: {error}", program.display()))
}
