//! Tests sources with random schedules, in which containers write, Engines fail and sources restart. The Engine
//! keeps all lines. Every line must be read once, and in order unless a stream omits lines. No gap may be
//! announced.
//!
//! `PROPTEST_CASES` sets the number of schedules; the default is 256.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use docker_source::{LogStream, Progress, Record, Source, Start, Ticket};
use proptest::prelude::*;
use simulated_engine::{
    Container, ContainerOptions, Fault, LogFiles, Options, PIECE, SimulatedEngine, Stream,
};
use tokio::time::timeout;

use crate::support::{assert_balanced, builder, ready, timing};

/// The number of containers in a schedule.
const CONTAINERS: usize = 2;

/// The time within which all lines must arrive once the faults have ended.
const PATIENCE: Duration = Duration::from_secs(300);

/// The maximum number of lines that are read but not settled yet.
const UNSETTLED: usize = 20;

#[derive(Clone, Debug)]
enum Step {
    Write {
        container: usize,
        is_stderr: bool,
        lines: usize,
    },
    /// A line in several pieces, with lines of the other stream between them.
    WriteLong {
        container: usize,
        pieces: usize,
    },
    Wait {
        millis: u64,
    },
    /// Reads the lines that are there at the moment, but at most this number.
    Read {
        lines: usize,
    },
    FollowersRepeat {
        container: usize,
        records: usize,
    },
    FollowersSkip {
        container: usize,
        records: usize,
    },
    Rotate {
        container: usize,
    },
    CutFollowers {
        container: usize,
    },
    EndFollowers {
        container: usize,
    },
    FailLogs {
        container: usize,
        fault: Fault,
    },
    /// Ends the container, or starts it again.
    EndOrStart {
        container: usize,
    },
    /// Stops the Engine, or starts it again.
    Outage,
    LoseEvents(bool),
    EndEvents,
    /// Stops the source. The next source starts behind the lines that were read, and reads the logs from
    /// their files if the value is true and there are files.
    Restart(bool),
    /// Drops the source. The next source starts behind the lines that were settled. The value has the same
    /// meaning as for `Restart`.
    Kill(bool),
}

#[derive(Clone, Debug)]
struct Schedule {
    options: Options,
    container: ContainerOptions,
    /// The value of `Timing::latency`. At zero, busy logs are not read by windows, which are responses with
    /// the last records of the log.
    latency: Duration,
    steps: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    let container = 0..CONTAINERS;
    let fault = prop_oneof![
        (0..5000usize).prop_map(Fault::CutAfter),
        (0..60usize).prop_map(|after| Fault::BytesAfter(after, b"\x09 no frame".to_vec())),
        Just(Fault::Status(500, "busy".into())),
        (1..3000u64).prop_map(|millis| Fault::Late(Duration::from_millis(millis))),
    ];
    prop_oneof![
        8 => (container.clone(), any::<bool>(), 1..40usize)
            .prop_map(|(container, is_stderr, lines)| Step::Write { container, is_stderr, lines }),
        2 => (container.clone(), 2..4usize)
            .prop_map(|(container, pieces)| Step::WriteLong { container, pieces }),
        4 => (0..3000u64).prop_map(|millis| Step::Wait { millis }),
        6 => (0..100usize).prop_map(|lines| Step::Read { lines }),
        1 => (container.clone(), 1..30usize)
            .prop_map(|(container, records)| Step::FollowersRepeat { container, records }),
        1 => (container.clone(), 1..30usize)
            .prop_map(|(container, records)| Step::FollowersSkip { container, records }),
        2 => container.clone().prop_map(|container| Step::Rotate { container }),
        1 => container.clone().prop_map(|container| Step::CutFollowers { container }),
        1 => container.clone().prop_map(|container| Step::EndFollowers { container }),
        2 => (container.clone(), fault)
            .prop_map(|(container, fault)| Step::FailLogs { container, fault }),
        2 => container.prop_map(|container| Step::EndOrStart { container }),
        1 => Just(Step::Outage),
        1 => any::<bool>().prop_map(Step::LoseEvents),
        1 => Just(Step::EndEvents),
        1 => any::<bool>().prop_map(Step::Restart),
        1 => any::<bool>().prop_map(Step::Kill),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let options = prop_oneof![
        Just(Options::docker_20_10()),
        Just(Options::docker_26_1()),
        Just(Options::docker_28_5()),
        Just(Options::docker_29()),
        Just(Options::podman_4_3()),
    ];
    let steps = prop::collection::vec(step(), 1..40);
    // All log files are kept, because a source cannot announce lines that were removed before its first read.
    let log = (any::<bool>(), any::<bool>()).prop_map(|(compress, skips)| LogFiles {
        compress,
        followers_skip_files: skips && compress,
        ..LogFiles::default()
    });
    let latency = prop_oneof![Just(0), Just(200)].prop_map(Duration::from_millis);
    let modes = (any::<bool>(), any::<bool>());
    (options, modes, log, latency, steps).prop_map(|(options, (tty, has_files), log, latency, steps)| {
        Schedule {
            // Podman is not tested with terminals: in such a log, a source cannot tell text that looks like a
            // stamp from a stamp.
            container: ContainerOptions {
                tty: tty && !options.podman,
                has_files: has_files && !options.podman,
                log: LogFiles { followers_skip_files: log.followers_skip_files && !options.podman, ..log },
                ..ContainerOptions::default()
            },
            options: Options { clock_runs: true, ..options },
            latency,
            steps,
        }
    })
}

/// A source, and an account of the lines that it has yielded.
struct Reader {
    source: Source,
    latency: Duration,
    has_files: bool,
    progress: Progress,
    /// The tickets and places of the lines that are read but not settled yet.
    unsettled: VecDeque<(Ticket, Place)>,
    read: BTreeSet<Place>,
    /// The number of the last line that was read of each container and stream.
    last: BTreeMap<(usize, bool), usize>,
    /// The number of gaps that earlier sources counted.
    gaps: u64,
    has_terminal: bool,
    /// True if no stream omits a line, so that the lines are read in order. A line that a stream omits is
    /// read later, behind newer lines.
    is_ordered: bool,
}

/// A line: container, stream (true is stderr) and number.
type Place = (usize, bool, usize);

fn place(text: &[u8]) -> Place {
    let text = std::str::from_utf8(text).unwrap();
    let numbers: Vec<usize> = text.split(' ').take(3).map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1] == 1, numbers[2])
}

async fn source(engine: &SimulatedEngine, start: Start, latency: Duration, reads_files: bool) -> Source {
    let mut often = timing();
    often.latency = latency;
    often.list_interval = Duration::from_secs(5);
    let builder = builder(engine).timing(often).start(start);
    match reads_files {
        true => ready(builder.log_files(docker_source::LogFiles::default())).await,
        false => ready(builder).await,
    }
}

impl Reader {
    fn new(source: Source, latency: Duration, container: &ContainerOptions, is_ordered: bool) -> Self {
        let (has_files, has_terminal) = (container.has_files, container.tty);
        let progress = Progress::new(source.start().clone());
        let (unsettled, read, last) = (VecDeque::new(), BTreeSet::new(), BTreeMap::new());
        Self {
            source,
            latency,
            has_files,
            progress,
            unsettled,
            read,
            last,
            gaps: 0,
            has_terminal,
            is_ordered,
        }
    }

    fn take(&mut self, record: &Record) {
        if record.gap().is_some() {
            let ticket = self.progress.read(record.position());
            self.progress.settle(ticket);
            return;
        }
        let place @ (container, is_stderr, number) = place(record.bytes());
        assert!(self.has_terminal || is_stderr == (record.stream() == LogStream::Stderr), "{place:?}");
        assert!(self.read.insert(place), "{place:?} is repeated");
        let last = self.last.insert((container, is_stderr), number);
        assert!(!self.is_ordered || last < Some(number), "{place:?} comes after {last:?}");
        self.unsettled.push_back((self.progress.read(record.position()), place));
        if self.unsettled.len() > UNSETTLED {
            self.progress.settle(self.unsettled.pop_front().unwrap().0);
        }
        assert_balanced(&self.source.stats());
    }

    /// Reads at most `most` lines, and stops when no line comes within `wait`.
    async fn read(&mut self, most: usize, wait: Duration) {
        for _ in 0..most {
            let Ok(record) = timeout(wait, self.source.next()).await else { return };
            self.take(&record.unwrap().expect("the source ended"));
        }
    }

    async fn restart(&mut self, engine: &SimulatedEngine, reads_files: bool) {
        self.source.stop();
        while let Some(record) = self.source.next().await.unwrap() {
            self.take(&record);
        }
        for (ticket, _) in self.unsettled.drain(..) {
            self.progress.settle(ticket);
        }
        self.replace(engine, reads_files).await;
    }

    async fn kill(&mut self, engine: &SimulatedEngine, reads_files: bool) {
        for (_, place @ (container, is_stderr, number)) in self.unsettled.drain(..) {
            self.read.remove(&place);
            let last = self.last.get_mut(&(container, is_stderr)).unwrap();
            *last = (*last).min(number - 1);
        }
        self.replace(engine, reads_files).await;
    }

    fn gaps(&self) -> u64 {
        self.gaps + self.source.stats().snapshot().total.gaps
    }

    async fn replace(&mut self, engine: &SimulatedEngine, reads_files: bool) {
        self.gaps = self.gaps();
        let reads_files = reads_files && self.has_files;
        self.source = source(engine, Start::At(self.progress.positions()), self.latency, reads_files).await;
        self.progress = Progress::new(self.source.start().clone());
    }
}

/// The number of the last line of each stream of each container.
type Numbers = BTreeMap<(usize, bool), usize>;

fn text(numbers: &mut Numbers, container: usize, is_stderr: bool) -> String {
    let number = numbers.entry((container, is_stderr)).or_default();
    *number += 1;
    format!("{container} {} {number} ", u8::from(is_stderr))
}

fn write(container: &Container, numbers: &mut Numbers, at: usize, is_stderr: bool, lines: usize) -> i64 {
    let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
    (0..lines).fold(0, |_, _| container.line(stream, text(numbers, at, is_stderr)))
}

fn write_long(container: &Container, numbers: &mut Numbers, at: usize, pieces: usize) {
    // Other stamps are at least a microsecond apart, so no other line has this stamp.
    let stamp = write(container, numbers, at, true, 1) + 1;
    let beginning = text(numbers, at, false);
    container.piece(Stream::Stdout, stamp, format!("{beginning:x<PIECE$}"));
    for _ in 2..pieces {
        write(container, numbers, at, true, 1);
        container.piece(Stream::Stdout, stamp, "x".repeat(PIECE));
    }
    write(container, numbers, at, true, 1);
    container.piece(Stream::Stdout, stamp, "end\n");
}

async fn run(schedule: Schedule) {
    let (is_podman, has_terminal) = (schedule.options.podman, schedule.container.tty);
    let engine = SimulatedEngine::start_with(schedule.options).await;
    let omits = |step: &Step| matches!(step, Step::FollowersSkip { .. } | Step::Rotate { .. });
    let is_ordered = schedule.container.log.max_size.is_none() && !schedule.steps.iter().any(omits);
    let latency = schedule.latency;
    let first = source(&engine, Start::Now, latency, schedule.container.has_files).await;
    let mut reader = Reader::new(first, latency, &schedule.container, is_ordered);
    let mut numbers = Numbers::new();
    let containers: Vec<_> = (0..CONTAINERS)
        .map(|number| {
            engine.create(ContainerOptions { name: format!("c{number}"), ..schedule.container.clone() })
        })
        .collect();
    let mut is_running = [true; CONTAINERS];
    containers.iter().for_each(Container::start);
    let mut is_away = false;
    // For each container, the maximum number of records that the Engine may repeat on a stream. The number is
    // limited because a source recognizes a repeated line only if this source has read the whole line.
    let mut repeatable = [0; CONTAINERS];
    let mut unreadable = [0; CONTAINERS];
    for step in schedule.steps {
        match step {
            Step::Write { container, is_stderr, lines } if is_running[container] => {
                repeatable[container] += lines;
                write(&containers[container], &mut numbers, container, is_stderr, lines);
            }
            // Long lines are written only if no stream omits lines. If a stream omitted the beginning of a
            // long line, the source would read the rest as a line.
            Step::WriteLong { container, pieces } if is_running[container] && is_ordered => {
                // Other records stand between the pieces, except in a terminal's log.
                repeatable[container] += if has_terminal { pieces } else { 2 * pieces };
                if has_terminal {
                    let text = text(&mut numbers, container, false);
                    containers[container].line(Stream::Stdout, format!("{text:x<0$}", pieces * PIECE));
                    continue;
                }
                write_long(&containers[container], &mut numbers, container, pieces);
            }
            Step::Write { .. } | Step::WriteLong { .. } => {}
            Step::Wait { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Read { lines } => reader.read(lines, Duration::from_millis(1)).await,
            Step::FollowersRepeat { container, records } => {
                let most = if is_podman { 0 } else { repeatable[container] };
                containers[container].followers_repeat(records.min(most));
            }
            // A source reads Podman's logs without windows, so it would not find the lines that a stream
            // omits.
            Step::FollowersSkip { .. } | Step::Rotate { .. } if is_podman => {}
            Step::FollowersSkip { container, records } => containers[container].followers_skip(records),
            Step::Rotate { container } => containers[container].rotate(),
            Step::CutFollowers { container } => containers[container].cut_followers(),
            Step::EndFollowers { container } => containers[container].end_followers(),
            // In a terminal's log, the inserted bytes would become a part of the next record, and the source
            // would skip this record.
            Step::FailLogs { fault: Fault::BytesAfter(..), .. } if has_terminal => {}
            // Three unreadable answers in a row count as a damaged log, so each log has at most two.
            Step::FailLogs { container, fault: Fault::BytesAfter(..) } if unreadable[container] == 2 => {}
            Step::FailLogs { container, fault: fault @ Fault::BytesAfter(..) } => {
                unreadable[container] += 1;
                containers[container].fail_logs(fault);
            }
            Step::FailLogs { container, fault } => containers[container].fail_logs(fault),
            Step::EndOrStart { container } => {
                match is_running[container] {
                    true => containers[container].die(),
                    false => containers[container].start(),
                }
                is_running[container] ^= true;
            }
            Step::Outage => {
                match is_away {
                    true => engine.come_back(),
                    false => engine.go_away().await,
                }
                is_away ^= true;
            }
            Step::LoseEvents(lost) => engine.lose_events(lost),
            Step::EndEvents => engine.end_events(),
            Step::Restart(reads_files) if !is_away => {
                repeatable = [0; CONTAINERS];
                reader.restart(&engine, reads_files).await;
            }
            Step::Kill(reads_files) if !is_away => {
                repeatable = [0; CONTAINERS];
                reader.kill(&engine, reads_files).await;
            }
            Step::Restart(_) | Step::Kill(_) => {}
        }
        assert_balanced(&reader.source.stats());
    }
    if is_away {
        engine.come_back();
    }
    engine.lose_events(false);
    finish(&containers, &mut reader).await;
}

/// Reads until the reader has all lines that the Engine still has. Checks that there is a gap if other lines
/// are missing, and that there is no gap if the Engine still has all lines.
async fn finish(containers: &[Container], reader: &mut Reader) {
    let written: Vec<_> = containers.iter().flat_map(Container::written).collect();
    let is_missing = |reader: &Reader, is_kept: bool| {
        let of_kind = written.iter().filter(|line| line.is_kept == is_kept);
        of_kind.map(|line| place(&line.bytes)).find(|place| !reader.read.contains(place))
    };
    let reading = async {
        while is_missing(reader, true).is_some()
            || (is_missing(reader, false).is_some() && reader.gaps() == 0)
        {
            reader.read(usize::MAX, Duration::from_secs(1)).await;
        }
        // Reading goes on for a while, since a repeated line would come immediately or after the next list of
        // the containers.
        reader.read(usize::MAX, Duration::from_secs(15)).await;
    };
    if timeout(PATIENCE, reading).await.is_err() {
        let (kept, lost) = (is_missing(reader, true), is_missing(reader, false));
        panic!("the first missing lines: kept {kept:?}, rotated away {lost:?}; {:#?}", reader.source.stats());
    }
    if written.iter().all(|line| line.is_kept) {
        assert_eq!(reader.gaps(), 0, "no line was rotated away");
    }
}

proptest! {
    #[test]
    fn each_line_is_read_once_whatever_the_schedule_and_in_order_unless_a_stream_omits_lines(
        schedule in schedule(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(run(schedule));
    }
}
