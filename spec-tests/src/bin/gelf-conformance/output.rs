//! Prints to standard output.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;

/// The exit status that shells report for a process that SIGPIPE has ended.
const SIGPIPE: i32 = 128 + 13;

/// Prints a text. If the reader of standard output has ended, this process ends, too, without a message:
/// SIGPIPE ends other programs in the same way. If the text cannot be written for another reason, the process
/// ends with status 1.
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

/// Formats a line and prints it with [`print()`].
macro_rules! line {
    ($($arguments:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($arguments)*)))
    };
}
pub(crate) use line;
