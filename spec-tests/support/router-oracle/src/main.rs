//! `router-oracle`: measures gelf-router on a real Docker Engine. `scripts/oracle` builds and runs it.
#![allow(clippy::expect_used, reason = "a failure ends the row")]

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;

use router_oracle::bench::{Amount, Bench, Programs};
use router_oracle::rows::{LONG_ROWS, Outcome, ROWS, Row};

/// The parsed command line.
struct Options {
    rows: Vec<Row>,
    amount: Amount,
    /// True if each row is judged by [the part of its requirement](Outcome::reduced_to_law) that does not depend
    /// on the speed of the machine.
    laws: bool,
    programs: Programs,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for row in ROWS.iter().chain(LONG_ROWS) {
            println!("  {:<18}{}", row.name, row.about);
        }
        return ExitCode::SUCCESS;
    }
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(mistake) => {
            eprintln!("{mistake}");
            return ExitCode::from(2);
        }
    };
    let mut all_hold = true;
    for row in &options.rows {
        // Each row gets a new Engine. A panic fails its own row only.
        let outcome = catch_unwind(|| {
            let mut bench = Bench::start(&options.programs, options.amount).expect("the Engine starts");
            let outcome = (row.run)(&mut bench);
            if options.laws { outcome.reduced_to_law() } else { outcome }
        });
        let shown =
            outcome.as_ref().map_or_else(|_| "the row failed; falls short".to_owned(), Outcome::to_string);
        println!("{}: {shown}", row.name);
        all_hold &= outcome.is_ok_and(|outcome| outcome.holds);
    }
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: Vec<String>) -> Result<Options, String> {
    let (mut rows, mut amount, mut laws) = (Vec::new(), Amount::default(), false);
    let mut read = None;
    let [mut engine, mut data, mut run, mut router, mut writer, mut repository] = [const { None }; 6];
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--runs" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| *number > 0);
                amount.runs = Some(number.ok_or_else(|| format!("--runs {text}: not a positive number"))?);
            }
            "--hours" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| (0.0..=9.0).contains(number));
                amount.hours = Some(number.ok_or_else(|| format!("--hours {text}: not from 0 to 9"))?);
            }
            "--seed" => {
                let text = value()?;
                amount.seed = Some(text.parse().map_err(|_| format!("--seed {text}: not a number"))?);
            }
            "--laws" => laws = true,
            "--read" => read = Some(value()?),
            "--engine" => engine = Some(PathBuf::from(value()?)),
            "--data" => data = Some(PathBuf::from(value()?)),
            "--run" => run = Some(PathBuf::from(value()?)),
            "--router" => router = Some(PathBuf::from(value()?)),
            "--writer" => writer = Some(PathBuf::from(value()?)),
            "--repository" => repository = Some(PathBuf::from(value()?)),
            name => {
                let row = ROWS.iter().chain(LONG_ROWS).find(|row| row.name == name);
                rows.push(*row.ok_or_else(|| format!("unknown row {name:?}"))?);
            }
        }
    }
    if rows.is_empty() {
        rows.extend(ROWS);
    }
    let path = |path: Option<PathBuf>, name: &str| path.ok_or_else(|| format!("{name} is missing"));
    let programs = Programs {
        engine: path(engine, "--engine")?,
        data: path(data, "--data")?,
        run: path(run, "--run")?,
        router: path(router, "--router")?,
        writer: path(writer, "--writer")?,
        repository: path(repository, "--repository")?,
        read,
    };
    Ok(Options { rows, amount, laws, programs })
}
