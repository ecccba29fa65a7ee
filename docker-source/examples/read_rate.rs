//! Compares the two ways of reading json-file logs. Reads lines of all logs, from their beginning, first through
//! the Engine and then from their files. For each way, prints the number of lines, the time, and the processor
//! time of this process and of the Engine.
//!
//! Usage: `read_rate LINES [PID_OF_DOCKERD [FOLDER_OF_CONTAINERS]]`. Each way ends after `LINES` lines of all
//! logs together, and waits for lines if the logs have fewer. Without `PID_OF_DOCKERD`, the Engine's processor
//! time counts as zero. Build with `--release`.

use std::error::Error;
use std::time::{Duration, Instant};

use docker_source::{LogFiles, Source, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let lines: u64 = arguments.next().ok_or("the number of lines is missing")?.parse()?;
    let engine = arguments.next().unwrap_or_else(|| "none".to_owned());
    let files = arguments.next().map_or_else(LogFiles::default, LogFiles::in_folder);
    for (name, files) in [("engine", None), ("files", Some(files))] {
        let mut builder = Source::builder().start(Start::Beginning);
        if let Some(files) = files {
            builder = builder.log_files(files);
        }
        let before = (processor_time("self"), processor_time(&engine), Instant::now());
        let mut source = builder.connect().await?;
        let mut read = 0;
        while read < lines && source.next().await?.is_some() {
            read += 1;
        }
        let (own, theirs) = (processor_time("self") - before.0, processor_time(&engine) - before.1);
        let rate = read as f64 / (own + theirs).as_secs_f64();
        println!(
            "{name}: {read} lines in {:.2?}; processor time {own:.2?} here, {theirs:.2?} in the Engine; \
             {rate:.0} lines per second of processor time",
            before.2.elapsed()
        );
    }
    Ok(())
}

/// Returns the processor time that a process has used. Linux counts it in hundredths of a second.
fn processor_time(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    Duration::from_millis(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}
