//! Finds the name of this machine.

use std::process::{Command, Stdio};
use std::{fs, io};

/// Returns the name of this machine. On Linux, the kernel has the name. On other systems, the program
/// `hostname` prints it.
pub(crate) fn name() -> io::Result<String> {
    let name = match cfg!(target_os = "linux") {
        true => fs::read_to_string("/proc/sys/kernel/hostname")?,
        false => {
            let output = Command::new("hostname").stdin(Stdio::null()).output()?;
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
    };
    match name.trim() {
        "" => Err(io::Error::other("this machine has no name")),
        name => Ok(name.to_owned()),
    }
}
