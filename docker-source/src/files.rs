//! Reads the logs of Docker's `json-file` driver from their files instead of the Engine.
//!
//! The Engine names the log file of a container. When this file is full, the driver removes the oldest file,
//! renames the other older files to the next numbers, and renames the full file to `.1`. With
//! `compress=true`, the driver then replaces `.1` by a compressed copy. A file that is open stays readable
//! after it was renamed or removed. Therefore this module opens each file soon after the driver has created it,
//! and reads the file when its turn comes.
//!
//! Compressed files are not read here. A log whose next line may be in such a file is read through the Engine
//! up to its present end, and from its files afterwards.
//!
//! | module | contents |
//! |---|---|
//! | `chain` | [`Chain`](chain::Chain): the open files of a log, in the order in which they were written |
//! | `seek` | finds the place in the files behind which the log is read |
//! | `stream` | [`FileStream`]: the bytes of a log as they are written |

mod chain;
mod seek;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::container::Container;
pub(crate) use chain::HeldBytes;
pub(crate) use stream::{FilePart, FileStream, Opened};

/// The files of the Engine's `json-file` logs, which this process reads instead of the Engine's API; see
/// [`SourceBuilder::log_files`](crate::SourceBuilder::log_files).
///
/// By default, the files have the paths that the Engine names, usually below `/var/lib/docker/containers`.
///
/// # Examples
///
/// ```
/// use docker_source::{LogFiles, Source};
///
/// let mounted = LogFiles::in_folder("/mnt/containers");
/// let builder = Source::builder().log_files(mounted);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogFiles {
    folder: Option<PathBuf>,
}

impl LogFiles {
    /// Returns the files of an Engine whose folder `containers` is mounted at this path.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Checks whether this process can read the log of a container from its files.
    ///
    /// # Errors
    /// Returns the reason if the process cannot read the log from its files.
    pub fn check(&self, container: &Container) -> Result<(), LogFileError> {
        let path = self.path(container)?;
        chain::open_regular(&path).map(|_| ()).map_err(|error| LogFileError::Open { path, error })
    }

    /// Returns the path of a container's log file. The path always lies in the folder of this container: the
    /// folder that the Engine names, or the folder of the same name below the folder that was given to
    /// [`in_folder`](Self::in_folder).
    pub(crate) fn path(&self, container: &Container) -> Result<PathBuf, LogFileError> {
        if container.log_driver() != "json-file" {
            return Err(LogFileError::Driver { driver: container.log_driver().to_owned() });
        }
        let (id, path) = (container.id(), Path::new(container.log_path()));
        let name = format!("{id}-json.log");
        let is_plain =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let is_own = is_plain && path.is_absolute() && path.ends_with(Path::new(id).join(&name));
        match &self.folder {
            _ if !is_own => Err(LogFileError::Path { path: path.to_owned() }),
            Some(folder) => Ok(folder.join(id).join(name)),
            None => Ok(path.to_owned()),
        }
    }
}

/// The reason why the log of a container cannot be read from its files.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogFileError {
    /// The log driver of the container is not `json-file`, or is not known.
    Driver {
        /// The name of the driver.
        driver: String,
    },
    /// The Engine names no file, or a file that does not belong to the container.
    Path {
        /// The path that the Engine names.
        path: PathBuf,
    },
    /// The file cannot be opened.
    Open {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl fmt::Display for LogFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver { driver } => write!(f, "the log driver is {driver:?}, not \"json-file\""),
            Self::Path { path } => {
                write!(f, "the Engine names {path:?}, which is not the log file of this container")
            }
            Self::Open { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for LogFileError {}
