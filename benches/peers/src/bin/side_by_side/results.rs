//! The results: measured series, their statistics, and their file.

use std::fmt::Write as _;

/// The figures of one subject under one condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// `library`, `router` (the process of the router and dockerd; for Docker's gelf driver, dockerd alone), or
    /// `process` (the process of the router alone).
    pub(crate) kind: String,
    /// The name of the subject.
    pub(crate) name: String,
    /// The compression: `gzip`, `zlib` or `none`; empty if it is unknown.
    pub(crate) compression: String,
    /// The length of a line in bytes.
    pub(crate) length: usize,
    /// The number of containers; 0 for libraries.
    pub(crate) containers: usize,
    /// The bytes on the wire per message.
    pub(crate) bytes: f64,
    /// The share of the messages that was received.
    pub(crate) received: f64,
    /// The processor time per message in each round, in microseconds.
    pub(crate) rounds: Vec<f64>,
}

/// The median, the 10th and the 90th percentile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1);
        let at = |percent: usize| values.get((last * percent + 50) / 100).copied().unwrap_or(f64::NAN);
        Self { median: at(50), low: at(10), high: at(90) }
    }
}

impl Series {
    /// Returns the statistics of the processor time.
    pub(crate) fn time(&self) -> Spread {
        Spread::of(self.rounds.iter().copied())
    }

    /// Returns the statistics of the ratios to another series, round by round.
    pub(crate) fn over(&self, other: &Self) -> Spread {
        Spread::of(self.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other))
    }
}

/// All results of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Results {
    /// The notes that describe the run, each with its name and its text: the date, the machine, missing programs.
    pub(crate) notes: Vec<(String, String)>,
    /// The series in the order of the tables.
    pub(crate) series: Vec<Series>,
}

const COLUMNS: &str = "kind\tname\tcompression\tlength\tcontainers\tbytes\treceived\tmicroseconds by round";

impl Results {
    /// Returns the series of a kind under a condition.
    pub(crate) fn of(&self, kind: &str, length: usize, containers: usize) -> Vec<&Series> {
        let matches =
            |one: &&Series| one.kind == kind && one.length == length && one.containers == containers;
        self.series.iter().filter(matches).collect()
    }

    /// Formats the results as tab-separated values, with the notes in front.
    pub(crate) fn to_tsv(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.notes {
            let _ = writeln!(text, "# {name}: {value}");
        }
        let _ = writeln!(text, "{COLUMNS}");
        for one in &self.series {
            let rounds: Vec<String> = one.rounds.iter().map(|value| format!("{value:.3}")).collect();
            let Series { kind, name, compression, length, containers, bytes, received, .. } = one;
            let condition = format!("{compression}\t{length}\t{containers}\t{bytes:.0}\t{received:.4}");
            let _ = writeln!(text, "{kind}\t{name}\t{condition}\t{}", rounds.join(" "));
        }
        text
    }

    /// Parses the results.
    ///
    /// # Errors
    /// Returns the first line that is not in the format of [`to_tsv`](Self::to_tsv).
    pub(crate) fn from_tsv(text: &str) -> Result<Self, String> {
        let mut results = Self::default();
        for line in text.lines().filter(|line| *line != COLUMNS) {
            let parsed = match line.strip_prefix("# ") {
                Some(note) => note.split_once(": ").map(|(name, value)| {
                    results.notes.push((name.to_owned(), value.to_owned()));
                }),
                None => series(line).map(|one| results.series.push(one)),
            };
            parsed.ok_or_else(|| format!("not a line of results: {line:?}"))?;
        }
        Ok(results)
    }
}

fn series(line: &str) -> Option<Series> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [kind, name, compression, length, containers, bytes, received, rounds] = columns.as_slice() else {
        return None;
    };
    Some(Series {
        kind: (*kind).to_owned(),
        name: (*name).to_owned(),
        compression: (*compression).to_owned(),
        length: length.parse().ok()?,
        containers: containers.parse().ok()?,
        bytes: bytes.parse().ok()?,
        received: received.parse().ok()?,
        rounds: rounds.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_back_from_their_file() {
        let one = Series {
            kind: "router".to_owned(),
            name: "a, b".to_owned(),
            rounds: vec![1.5, 2.0],
            ..Series::default()
        };
        let results = Results { notes: vec![("date".to_owned(), "now: then".to_owned())], series: vec![one] };
        assert_eq!(Results::from_tsv(&results.to_tsv()), Ok(results));
    }
}
