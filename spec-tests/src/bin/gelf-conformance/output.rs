//! Prints to standard output.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;

/// The status of a process that SIGPIPE ended, as shells report it.
const SIGPIPE: i32 = 128 + 13;

/// Prints a text. If the reader of standard output has ended, ends the process without a message, as SIGPIPE
/// does in other programs. If the text cannot be written for another reason, ends the process with status 1.
pub(crate) fn print(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            process::exit(SIGPIPE);
        }
        eprintln!("gelf-conformance: standard output: {error}");
        process::exit(1);
    }
}

/// Prints a line, see [`print()`].
macro_rules! line {
    ($($arguments:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($arguments)*)))
    };
}
pub(crate) use line;
