//! System calls of Linux, with all unsafe code of this crate. Other systems have a replacement for each
//! function. The documentation of the replacement says what it does instead.

#![cfg_attr(target_os = "linux", allow(unsafe_code))]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::io;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::*;

/// Returns whether the system refused a datagram for its length.
pub(crate) fn is_message_too_long(error: &io::Error) -> bool {
    // std has no kind for this error. Its number is 90 on Linux, 10040 on Windows, and 40 on macOS and the
    // BSDs.
    let number = if cfg!(target_os = "linux") {
        90
    } else if cfg!(windows) {
        10_040
    } else {
        40
    };
    error.raw_os_error() == Some(number)
}
