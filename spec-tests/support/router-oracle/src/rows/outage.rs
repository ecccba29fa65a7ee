//! A row in which dockerd ends, by SIGKILL or SIGTERM, and starts again.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::Outcome;
use crate::agent;
use crate::bench::{Bench, Writing};
use crate::receiver::Receiver;

const RATE: u64 = 1_000;

pub(super) fn live_restore(bench: &mut Bench) -> Outcome {
    let kills = bench.runs(3);
    // The Engine is restarted with live-restore before any container runs.
    bench.daemon_mut().restart(Signal::TERM, Duration::ZERO, true);
    let mut figures = Vec::new();
    let mut holds = true;
    let (folder, file) = (bench.daemon().socket_folder().to_owned(), bench.daemon().socket());
    for (mount, at, keeps_state, how) in [
        (&folder, "/var/run", true, "as a folder"),
        (&file, "/var/run/docker.sock", true, "as a file"),
        (&file, "/var/run/docker.sock", false, "as a file, without --state"),
    ] {
        let receiver = Receiver::start();
        let route = receiver.route("restore");
        let state = bench.path("state");
        let volume = format!("--volume={}:/state", state.display());
        // The user of the image does not own the folder, so everyone gets write access to the folder.
        let options = ["--restart=always", volume.as_str()];
        let arguments = ["--state", "/state", route.as_str()];
        let arguments = if keeps_state { &arguments[..] } else { &arguments[2..] };
        std::fs::create_dir_all(&state).expect("a folder can be created");
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&state, everyone).expect("its mode can be changed");
        let agent = agent::container(bench, mount, at, &options, arguments);
        let writer = bench.write(Writing::endless("restore", RATE));
        for kill in 0..kills {
            sleep(Duration::from_secs(3));
            // During its last seconds, an Engine that ends by SIGTERM answers nothing.
            let signal = if kill % 2 == 0 { Signal::KILL } else { Signal::TERM };
            bench.daemon_mut().restart(signal, Duration::from_secs(1), true);
        }
        sleep(Duration::from_secs(5));
        let written = writer.end(bench.engine());
        let account = receiver.settle(&written, Duration::from_secs(30));
        if account.lost > 0 {
            eprintln!("the agent's log:\n{}", agent.logs_with_timestamps().1);
        }
        figures.push(format!("{how}: {kills} restarts, {account}"));
        // Without saved positions, the restarted agent reads from ten seconds before the end of its previous
        // run. One more second is a tolerance.
        let most = if keeps_state { 0 } else { u64::from(kills) * 11 * RATE };
        holds &= account.lost + account.announced == 0 && account.repeated <= most;
    }
    bench.daemon_mut().restart(Signal::TERM, Duration::ZERO, false);
    let asked =
        "lost 0, repeated 0; without --state, repeated at most the lines of 11 seconds for each restart";
    Outcome::new(figures.join("; "), asked, holds)
}
