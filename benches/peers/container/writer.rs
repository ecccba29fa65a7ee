//! Writes the lines of /bench/lines to stdout in turn, at a steady rate, while the file FOLDER/go exists.
//! Keeps the number of written lines in the file FOLDER/NUMBER.
//!
//! Runs in a container: `writer FOLDER NUMBER WRITERS RATE`. NUMBER is the number of this writer, WRITERS is
//! the number of all writers, and RATE is the rate of all writers together in lines per second.

use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, number, writers, rate] = arguments.try_into().expect("four arguments");
    let rate = rate.parse::<f64>().expect("a rate") / writers.parse::<f64>().expect("a number");
    let text = std::fs::read_to_string("/bench/lines").expect("a file of lines");
    let mut lines = text.lines().cycle();
    let (go, count) = (Path::new(&folder).join("go"), Path::new(&folder).join(number));
    let (mut stdout, mut written) = (std::io::stdout().lock(), 0_u64);
    std::fs::write(&count, "0").expect("a writable folder");
    loop {
        sleep(Duration::from_millis(20));
        let (begun, first) = (Instant::now(), written);
        while go.exists() {
            let due = first + (begun.elapsed().as_secs_f64() * rate) as u64;
            // Update the number at least after every 20 lines. Then it is nearly right even while a write
            // blocks because the Engine does not read the output.
            let step = due.min(written + 20);
            while written < step {
                let line = format!("{}\n", lines.next().expect("a line"));
                stdout.write_all(line.as_bytes()).expect("the Engine reads the output");
                written += 1;
            }
            std::fs::write(&count, written.to_string()).expect("a writable folder");
            if written == due {
                sleep(Duration::from_millis(10));
            }
        }
    }
}
