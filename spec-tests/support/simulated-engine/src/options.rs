//! Options of Engines and containers, and the faults that can be injected.

use std::time::Duration;

/// An output stream of a container.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error. A container with a terminal has none, and writes to standard output instead.
    Stderr,
}

/// An Engine's interpretation of `since`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// The Engine omits every piece whose stamp is older than `since`, wherever the piece is in the log. If
    /// the request has no `tail`, and the last record of the oldest compressed file is older than `since`, the
    /// Engine skips all compressed files, even the newer files. Docker 20.10 does this.
    EachPiece,
    /// The Engine sends the first piece whose stamp is not older than `since`, and all pieces after that
    /// piece. Docker 24 and later versions do this.
    UntilFirst,
}

/// An Engine's handling of a record that cannot be decoded, such as a block of NULs after a power failure.
///
/// The record does not affect a request that begins to read after the record, such as a request with a small
/// `tail`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DamagedRead {
    /// As in Docker 26.1: the answer ends with an error message in the stream.
    Error,
    /// As in Docker 28.5: the answer ends with the final chunk, without an error message.
    Ends,
    /// As in Docker 20.10: the answer omits the rest of the file, up to the last record at the time of the
    /// request. A follower that is open while the record is written omits only that record.
    SkipsFile,
    /// As in Docker 20.10 if the file is long: the answer omits this number of records behind the damaged record.
    /// A follower that is open while the record is written omits only that record.
    SkipsRecords(usize),
}

/// Options of an Engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The newest API version that the Engine supports. Default: `1.41`, as in Docker 20.10.
    pub api_version: String,
    /// The oldest API version that the Engine supports. Requests with an older version, or with a version
    /// after the newest supported version, are refused. Default: `1.12`, as in Docker 20.10.
    pub min_api_version: String,
    /// True if the Engine sends the content type of a log, as Engines do from API version 1.42 on. Default:
    /// false.
    pub names_content_type: bool,
    /// True if events have the members `status`, `id` and `from`, as Docker's events do before API version
    /// 1.52. Default: true.
    pub has_legacy_event_members: bool,
    /// True if the Engine sends a log as one JSON object per record to requests with `format=json` or
    /// `Accept: application/x-ndjson`, as Engines can from API version 1.54 on. Default: false.
    pub sends_json_logs: bool,
    /// Interpretation of `since`. Default: as in Docker 20.10.
    pub since: Since,
    /// Handling of damaged records. Default: as in Docker 20.10.
    pub damaged: DamagedRead,
    /// The time that a request with `tail` takes if the log has compressed files. Default: 30 ms, as before
    /// Docker 28.0.
    pub unpacking: Duration,
    /// The maximum size of the chunks in which the Engine sends a log. Default: 4,096 bytes.
    pub chunk: usize,
    /// True if the Engine answers as Podman 4.3 does. The Engine then sends Podman's header, stamps of whole
    /// seconds in a local time zone, and lines in pieces of at most 8 KiB. Each piece has a separate stamp.
    /// The filter `since` compares stamps in nanoseconds, and `tail` counts whole lines. Default: false.
    pub podman: bool,
    /// True if the clock goes on with tokio's time, which tests can pause. If false, only
    /// [lines, creations, events and `set_clock`](crate::SimulatedEngine::set_clock) move the clock. Default:
    /// false.
    pub clock_runs: bool,
    /// The host name. Default: `engine-host`.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self::docker_20_10()
    }
}

impl Options {
    /// Returns the options of Docker 20.10.
    pub fn docker_20_10() -> Self {
        Self {
            api_version: "1.41".into(),
            min_api_version: "1.12".into(),
            names_content_type: false,
            has_legacy_event_members: true,
            sends_json_logs: false,
            since: Since::EachPiece,
            damaged: DamagedRead::SkipsFile,
            unpacking: Duration::from_millis(30),
            chunk: 4096,
            podman: false,
            clock_runs: false,
            name: "engine-host".into(),
        }
    }

    /// Returns the options of Docker 26.1.
    pub fn docker_26_1() -> Self {
        Self {
            api_version: "1.45".into(),
            min_api_version: "1.24".into(),
            names_content_type: true,
            since: Since::UntilFirst,
            damaged: DamagedRead::Error,
            ..Self::docker_20_10()
        }
    }

    /// Returns the options of Docker 28.5.
    pub fn docker_28_5() -> Self {
        Self {
            api_version: "1.51".into(),
            damaged: DamagedRead::Ends,
            unpacking: Duration::ZERO,
            ..Self::docker_26_1()
        }
    }

    /// Returns the options of a Docker Engine with API version 1.54, whose events have no legacy members.
    pub fn docker_29() -> Self {
        Self {
            api_version: "1.54".into(),
            min_api_version: "1.40".into(),
            has_legacy_event_members: false,
            sends_json_logs: true,
            ..Self::docker_28_5()
        }
    }

    /// Returns the options of Podman 4.3.
    pub fn podman_4_3() -> Self {
        Self { podman: true, ..Self::docker_20_10() }
    }
}

/// The files of a container's log: `max-size`, `max-file` and `compress` of Docker's log drivers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogFiles {
    /// The size in bytes at which a file is full, so that the next record begins a new file. The size is the
    /// sum of the records without their stamps. Default: `None`; then only
    /// [`Container::rotate`](crate::Container::rotate) rotates the log.
    pub max_size: Option<usize>,
    /// The maximum number of files, including the newest file. If there are more files, the oldest file is
    /// removed. Default: 0, which means no limit.
    pub max_files: usize,
    /// True if all files but the newest are compressed. Default: false.
    pub compress: bool,
    /// True if followers omit all records except the first record of each file, beginning with the first
    /// rotation. The Engine still has these records. Docker 20.10 behaves like this with compressed files.
    /// Default: false.
    pub followers_skip_files: bool,
}

/// Options of a container.
#[derive(Clone, Debug, Default)]
pub struct ContainerOptions {
    /// The name, without a slash.
    pub name: String,
    /// The image; `busybox:1` if it is absent.
    pub image: Option<String>,
    /// The environment, in the form `NAME=value`.
    pub env: Vec<String>,
    /// The labels.
    pub labels: Vec<(String, String)>,
    /// True if the container has a terminal.
    pub tty: bool,
    /// The path of the program; `/bin/sh` if it is absent.
    pub program: Option<String>,
    /// The log driver; `json-file` if it is absent.
    pub log_driver: Option<String>,
    /// The files of the log.
    pub log: LogFiles,
    /// True if the log is also in [files](crate::Container::log_path) of the `json-file` driver.
    pub has_files: bool,
    /// True if inspections show that the container is removed when it ends, as with `docker run --rm`. The
    /// removal itself is left to the caller.
    pub is_removed_at_end: bool,
}

impl ContainerOptions {
    pub(crate) fn image_or_default(&self) -> &str {
        self.image.as_deref().unwrap_or("busybox:1")
    }

    /// Returns options with this name and defaults for the rest.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a variable, `NAME=value`, to the environment.
    pub fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.into());
        self
    }

    /// Adds a label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sets the image.
    pub fn image(mut self, image: &str) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Sets the path of the program.
    pub fn program(mut self, path: &str) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Gives the container a terminal.
    pub fn tty(mut self) -> Self {
        self.tty = true;
        self
    }

    /// Sets the log driver.
    pub fn log_driver(mut self, name: &str) -> Self {
        self.log_driver = Some(name.into());
        self
    }

    /// Shows in inspections that the container is [removed when it ends](Self::is_removed_at_end).
    pub fn removed_at_end(mut self) -> Self {
        self.is_removed_at_end = true;
        self
    }

    /// Limits the log to `max_files` files of about `max_size` bytes.
    pub fn rotated(mut self, max_size: usize, max_files: usize) -> Self {
        self.log.max_size = Some(max_size);
        self.log.max_files = max_files;
        self
    }

    /// Compresses rotated files.
    pub fn compressed(mut self) -> Self {
        self.log.compress = true;
        self
    }

    /// Writes the log to files, too.
    pub fn in_files(mut self) -> Self {
        self.has_files = true;
        self
    }

    /// Makes followers [skip files](LogFiles::followers_skip_files).
    pub fn followers_skip_files(mut self) -> Self {
        self.log.followers_skip_files = true;
        self
    }
}

/// A fault of one answer. The answer to a request for a log can have any fault. Other answers can have only
/// [`CutAfter`](Self::CutAfter), [`Hang`](Self::Hang) and [`Status`](Self::Status); any other fault panics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Sends these bytes in front of the piece that follows this number of pieces, and then the remaining pieces.
    BytesAfter(usize, Vec<u8>),
    /// Closes the connection after a number of bytes of the body, without the final chunk.
    CutAfter(usize),
    /// Ends the answer without an error in place of the piece that follows this number of pieces, as if the log
    /// had no further piece.
    EndAfter(usize),
    /// Never answers.
    Hang,
    /// Answers after this time.
    Late(Duration),
    /// Sends the headers immediately and the body after this time.
    LateBody(Duration),
    /// Answers with this status, and a message in the Engine's form.
    Status(u16, String),
}
