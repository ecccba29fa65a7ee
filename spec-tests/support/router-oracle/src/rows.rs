//! The rows. Each row measures one property and compares the measured figure with the required figure.

mod cost;
mod crowd;
mod destinations;
mod limits;
mod lines;
mod many;
mod memory;
mod outage;
mod reading;
mod restarts;
mod soak;

use std::fmt;

use crate::bench::Bench;

/// A measurement of one property.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the row on the command line.
    pub name: &'static str,
    /// Description of the row, for the output of `--list`.
    pub about: &'static str,
    /// Function that measures the property.
    pub run: fn(&mut Bench) -> Outcome,
}

/// The result of a row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The measured figure.
    pub figure: String,
    /// The required figure.
    pub asked: String,
    /// True if the measured figure meets the requirement.
    pub holds: bool,
    /// The part of the requirement that does not depend on the speed of the machine, and whether the measured
    /// figure meets this part. `None` if `--laws` judges the whole requirement.
    law: Option<(String, bool)>,
}

impl Outcome {
    fn new(figure: impl Into<String>, asked: impl Into<String>, holds: bool) -> Self {
        Self { figure: figure.into(), asked: asked.into(), holds, law: None }
    }

    /// Sets the part of the requirement that does not depend on the speed of the machine.
    fn with_law(mut self, asked: impl Into<String>, holds: bool) -> Self {
        self.law = Some((asked.into(), holds));
        self
    }

    /// Reduces the requirement to the part that does not depend on the speed of the machine.
    pub fn reduced_to_law(mut self) -> Self {
        if let Some((asked, holds)) = self.law.take() {
            (self.asked, self.holds) = (asked, holds);
        }
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figure, asked, holds, law: _ } = self;
        write!(f, "{figure}; asked {asked}; {}", if *holds { "holds" } else { "falls short" })
    }
}

/// The rows that run by default, in this order.
pub const ROWS: &[Row] = &[
    Row {
        name: "kill",
        about: "100 SIGKILLs of the router with --state, 5,000 lines/s on two streams",
        run: restarts::kill,
    },
    Row {
        name: "restart",
        about: "30 restarts by SIGTERM with --state, 5,000 lines/s on two streams",
        run: restarts::restart,
    },
    Row {
        name: "handover",
        about: "10 hand-overs between agents in containers without a state folder, 5,000 lines/s",
        run: restarts::handover,
    },
    Row {
        name: "rotation-5000",
        about: "3 containers with max-size=1m max-file=3, 100,000 lines each at 5,000/s",
        run: reading::rotation_5000,
    },
    Row {
        name: "rotation-20000",
        about: "3 containers with max-size=1m max-file=3, 200,000 lines each at 20,000/s",
        run: reading::rotation_20000,
    },
    Row {
        name: "rotation-compress",
        about: "24 containers with max-size=200k max-file=3 compress=true, 10,000 lines each at 500/s, \
                read by an agent on the host and one in a container",
        run: reading::rotation_compress,
    },
    Row {
        name: "full-speed",
        about: "3 containers with max-size=1m max-file=3, 200,000 lines each at full speed",
        run: reading::full_speed,
    },
    Row {
        name: "local",
        about: "3 containers with the driver local, max-size=1m max-file=3, 100,000 lines each at 5,000/s",
        run: reading::local,
    },
    Row {
        name: "tty",
        about: "3 containers with a terminal and max-size=1m max-file=3, 100,000 lines each at 5,000/s",
        run: reading::tty,
    },
    Row {
        name: "containers-50",
        about: "50 containers with 200 lines/s each, for 20 s",
        run: reading::containers_50,
    },
    Row {
        name: "containers-200",
        about: "200 containers with 10 lines/s each, for 30 s",
        run: reading::containers_200,
    },
    Row {
        name: "cost-5000",
        about: "dockerd's processor time for a container with 5,000 lines/s, read by the router or by a plain follow",
        run: cost::cost_5000,
    },
    Row {
        name: "cost-500",
        about: "dockerd's processor time for a container with 500 lines/s, read by the router or by a plain follow",
        run: cost::cost_500,
    },
    Row {
        name: "cost-50",
        about: "dockerd's processor time for 50 containers with 200 lines/s, read by the router or by a plain follow",
        run: cost::cost_50,
    },
    Row {
        name: "cost-compress",
        about: "dockerd's processor time for a container with 5,000 lines/s and compressed files",
        run: cost::cost_compress,
    },
    Row {
        name: "cost-200",
        about: "processor time of router and dockerd for 10,000 lines/s of 200 containers, and of one container",
        run: crowd::cost_200,
    },
    Row {
        name: "latency",
        about: "the delay of lines of 50 containers with 200 lines/s each, by default and with latency=0",
        run: crowd::latency,
    },
    Row {
        name: "exit",
        about: "40 times a container that writes 30,000 lines, and a router that is started again shortly before \
                or after its end",
        run: many::exit,
    },
    Row {
        name: "short",
        about: "36 --rm containers that start together and live for 25 ms, 5 times",
        run: many::short,
    },
    Row { name: "many", about: "300 short containers in 60 s, every second one with --rm", run: many::many },
    Row {
        name: "lines",
        about: "2,003 equal lines in a burst, and five lines of 40,000 bytes",
        run: lines::equal_and_long,
    },
    Row {
        name: "lifecycle",
        about: "a container that is started 8 times, and renamed each time while it runs",
        run: lines::lifecycle,
    },
    Row {
        name: "live-restore",
        about: "3 restarts of dockerd, by SIGKILL and SIGTERM, with live-restore, for an agent that mounts the folder \
                of the socket, and for one that mounts the socket itself",
        run: outage::live_restore,
    },
    Row {
        name: "hostile",
        about: "a line of 100 MB, binary output, and forged headers, without and with a terminal",
        run: limits::hostile,
    },
    Row {
        name: "memory",
        about: "the router's memory: 50 containers that write nothing, then 51 that write as fast as they can",
        run: memory::memory,
    },
    Row {
        name: "descriptors",
        about: "45 containers and a router with ulimit -n 40",
        run: limits::descriptors,
    },
    Row {
        name: "dead-route",
        about: "four destinations: one takes nothing for 60 s, the name of one does not resolve, one comes \
                and goes each second, and one is healthy",
        run: destinations::dead_route,
    },
    Row {
        name: "audit",
        about: "gelf-router audit behind a network that loses 1 % of the datagrams",
        run: destinations::audit,
    },
];

/// The rows that run only if the command line names them.
pub const LONG_ROWS: &[Row] =
    &[Row { name: "soak", about: "a mix of faults for 2 hours; runs only if it is named", run: soak::soak }];
