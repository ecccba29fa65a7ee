//! Measures the libraries: each sends the same messages from a small program of its language.

use std::path::{Path, PathBuf};

use crate::content::{self, LENGTHS};
use crate::processor;
use crate::results::Series;
use crate::sink::Sink;

/// The name of the series with which the other libraries are compared.
pub(crate) const OURS: &str = "gelf-tokio UdpSender";

/// A library with its sender program.
struct Library {
    name: &'static str,
    compression: &'static str,
    /// The beginning of the command, and its end. PORT COUNT MESSAGES.json stand between them.
    command: (&'static str, &'static str),
    /// The numbers of messages of the short and of the long run. The result is the difference of their times,
    /// divided by the difference of the numbers.
    counts: (u64, u64),
}

/// The commands are relative to the repository. `SENDERS` is the folder of built senders.
const LIBRARIES: [Library; 13] = [
    rust(OURS, "gzip", "udp-sender", 20_000),
    rust("gelf-tokio UdpSender, zlib", "zlib", "udp-sender compression=zlib", 20_000),
    rust("gelf-tokio UdpSender, none", "none", "udp-sender compression=none", 80_000),
    rust("gelf-tokio Client", "gzip", "client", 20_000),
    rust("gelf 0.5", "gzip", "gelf", 10_000),
    rust("tracing-gelf 0.9", "none", "tracing-gelf", 30_000),
    rust("gelf_logger 0.3, over TCP", "none", "gelf_logger", 40_000),
    Library { name: "go-gelf v1", compression: "gzip", command: ("SENDERS/go", "v1"), counts: (200, 1_500) },
    Library { name: "go-gelf v2", compression: "gzip", command: ("SENDERS/go", "v2"), counts: (200, 1_500) },
    Library {
        name: "pygelf 0.4",
        compression: "zlib",
        command: ("target/peers/python-pygelf/venv/bin/python benches/peers/python/send.py", "pygelf"),
        counts: (200, 4_200),
    },
    Library {
        name: "graypy 2.1",
        compression: "zlib",
        command: ("target/peers/python-graypy/venv/bin/python benches/peers/python/send.py", "graypy"),
        counts: (200, 4_200),
    },
    Library {
        name: "gelf-pro 1.4",
        compression: "zlib",
        command: ("node benches/peers/node/send.js", ""),
        counts: (200, 3_200),
    },
    // Both runs are long, since the Java runtime compiles the code during the first messages.
    Library {
        name: "logback-gelf 6.1",
        compression: "gzip",
        command: ("java -cp SENDERS/java:target/peers/java-logback-gelf/build/libraries/* Send", ""),
        counts: (20_000, 60_000),
    },
];

const fn rust(name: &'static str, compression: &'static str, arguments: &'static str, count: u64) -> Library {
    Library {
        name,
        compression,
        command: ("SENDERS/release/send", arguments),
        counts: (1_000, 1_000 + count),
    }
}

/// Measures all libraries that are installed, in turns. If `quick` is true, sends a quarter of the messages.
/// Returns the series, and the names of the libraries that are not installed.
///
/// # Errors
/// Returns the reason if a sender fails, or if the messages cannot be written to a file.
pub(crate) fn measure(
    repository: &Path,
    rounds: usize,
    quick: bool,
) -> Result<(Vec<Series>, Vec<&'static str>), String> {
    let senders = repository.join("target/bench-peers");
    let installed = |library: &&Library| {
        let words = library.words(repository, &senders);
        let files = words.iter().filter(|word| word.contains('/')).flat_map(|word| word.split(':'));
        let mut paths = files.map(|file| PathBuf::from(file.trim_end_matches("/*")));
        paths.all(|path| path.exists())
            && (library.name != "gelf-pro 1.4" || node_modules(repository).exists())
    };
    let (present, missing): (Vec<&Library>, Vec<&Library>) = LIBRARIES.iter().partition(installed);
    let (udp, tcp) = (Sink::udp(), Sink::tcp());
    let mut series: Vec<Series> = LENGTHS
        .iter()
        .flat_map(|length| present.iter().map(move |library| library.series(*length)))
        .collect();
    for length in LENGTHS {
        let file = senders.join(format!("messages-{length}.json"));
        std::fs::write(&file, content::messages(length).to_string()).map_err(|error| error.to_string())?;
    }
    for round in 0..rounds {
        eprintln!("side_by_side: libraries, round {} of {rounds}", round + 1);
        for (at, one) in series.iter_mut().enumerate() {
            let library = present[at % present.len()];
            let sink = if library.name.ends_with("TCP") { &tcp } else { &udp };
            let file = senders.join(format!("messages-{}.json", one.length)).display().to_string();
            let mut times = [0.0; 2];
            let counts =
                [library.counts.0, library.counts.1].map(|count| if quick { count / 4 } else { count });
            for (time, count) in times.iter_mut().zip(counts) {
                let mut words = library.words(repository, &senders);
                words.extend([sink.port.to_string(), count.to_string(), file.clone()]);
                words.extend(library.command.1.split_whitespace().map(str::to_owned));
                let modules = node_modules(repository).display().to_string();
                *time = processor::run(&words, &[("NODE_PATH", modules)])?;
                let (messages, bytes) = sink.take(count);
                one.bytes = bytes as f64 / messages.max(1) as f64;
                one.received += messages as f64 / count as f64 / (2 * rounds) as f64;
            }
            one.rounds.push((times[1] - times[0]) / (counts[1] - counts[0]) as f64);
        }
    }
    Ok((series, missing.iter().map(|library| library.name).collect()))
}

fn node_modules(repository: &Path) -> PathBuf {
    repository.join("target/peers/node-gelf-pro/node_modules")
}

impl Library {
    /// Returns the words of the command's beginning, with paths that start with `repository` or `senders`.
    fn words(&self, repository: &Path, senders: &Path) -> Vec<String> {
        let (senders, repository) = (senders.display().to_string(), repository.display().to_string());
        let place = |word: &str| {
            let word =
                word.replace("SENDERS", &senders).replace(":target/", &format!(":{repository}/target/"));
            match word.starts_with("target/") || word.starts_with("benches/") {
                true => format!("{repository}/{word}"),
                false => word,
            }
        };
        self.command.0.split_whitespace().map(place).collect()
    }

    fn series(&self, length: usize) -> Series {
        Series {
            kind: "library".to_owned(),
            name: self.name.to_owned(),
            compression: self.compression.to_owned(),
            length,
            ..Series::default()
        }
    }
}
