//! Writes numbered lines to stdout, or in turn to stdout and stderr, at a steady rate or at full speed. The program
//! runs inside the containers that the oracle starts.
//!
//! ```text
//! numbered-writer STREAM LINES RATE [both] [length=N] [after=FILE] [until=FILE]
//!     [stay=SECONDS]
//! ```
//!
//! The lines belong to stream STREAM. With `both`, every second line belongs to stream STREAM + 1 and goes to
//! stderr. RATE is in lines per second, and 0 means full speed. Each line has a payload of 80 characters, or
//! of `length` characters. With `after`, the program writes one line, and then waits for that file. With
//! `until`, the program stops writing when that file appears; at full speed, it ignores the file. After its
//! last line, the program lives on for `stay` seconds.
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a failure ends the container")]

use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use router_oracle::messages;

/// Minimum time between two checks for lines that are due. Below 1,000 lines per second, the time between two
/// checks is the time of one line.
const TICK: Duration = Duration::from_millis(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| -> u64 {
        let text = arguments.get(index).expect("three numbers");
        text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
    };
    let option = |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name));
    let (stream, lines, rate) = (number(0), number(1), number(2));
    let streams = if arguments.iter().any(|argument| argument == "both") { 2 } else { 1 };
    let length = option("length=").map(|text| text.parse().expect("a length"));
    let messages = length.map_or_else(messages, |length| messages().lengths(length..=length));
    let line = |index: u64| {
        let stream = u32::try_from(stream + index % streams).expect("a small number");
        messages.text(stream, index / streams) + "\n"
    };

    let mut written = 0;
    if let Some(after) = option("after=") {
        write(0, &line(0));
        written = 1;
        while !Path::new(after).exists() {
            sleep(TICK);
        }
    }
    if rate == 0 {
        write_at_once(written..lines, streams, line);
        written = lines;
    }
    let (start, first) = (Instant::now(), written);
    let mut last_look = start;
    while written < lines {
        let due = first + (start.elapsed().as_secs_f64() * rate as f64) as u64;
        while written < due.min(lines) {
            write(written % streams, &line(written));
            written += 1;
        }
        if last_look.elapsed() > Duration::from_millis(20) && written % streams == 0 {
            if option("until=").is_some_and(|file| Path::new(file).exists()) {
                break;
            }
            last_look = Instant::now();
        }
        sleep(TICK.max(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX)));
    }
    if let Some(seconds) = option("stay=") {
        sleep(Duration::from_secs_f64(seconds.parse().expect("a number of seconds")));
    }
}

/// Writes a line in one call, like a program that flushes after each line.
fn write(stream: u64, line: &str) {
    let result = match stream {
        0 => io::stdout().lock().write_all(line.as_bytes()),
        _ => io::stderr().lock().write_all(line.as_bytes()),
    };
    result.expect("the Engine reads the output");
}

/// Writes lines in blocks of up to 64 KiB, as fast as the Engine reads.
fn write_at_once(lines: std::ops::Range<u64>, streams: u64, line: impl Fn(u64) -> String) {
    let mut stdout = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut stderr = io::BufWriter::with_capacity(1 << 16, io::stderr().lock());
    for index in lines {
        let result = match index % streams {
            0 => stdout.write_all(line(index).as_bytes()),
            _ => stderr.write_all(line(index).as_bytes()),
        };
        result.expect("the Engine reads the output");
    }
}
