//! Selects the way in which the logs of the `json-file` driver are read.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use docker_source::LogFiles;

/// The Engine's folder with the logs of its containers, if the Engine has the default data folder.
const FOLDER: &str = "/var/lib/docker/containers";

/// The way in which the logs of the `json-file` driver are read. All other logs are read through the Engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Reading {
    /// Through the Engine.
    #[default]
    Api,
    /// From their files.
    Files(Mount),
    /// From their files if the folder can be read.
    Auto(Mount),
}

/// The path at which the Engine's folder `containers` is mounted, if it differs from the path that the Engine
/// names.
type Mount = Option<PathBuf>;

impl Reading {
    /// Returns the files to read, if the option asks for them.
    pub(crate) fn log_files(&self) -> Option<LogFiles> {
        match self {
            Self::Api => None,
            Self::Files(mount) | Self::Auto(mount) => {
                Some(mount.as_ref().map_or_else(LogFiles::default, LogFiles::in_folder))
            }
        }
    }

    /// Returns the files to read, and logs the way of reading if files are asked for.
    ///
    /// # Errors
    /// Returns a text of one line if files are required and their folder cannot be read.
    pub(crate) fn open(&self) -> Result<Option<LogFiles>, String> {
        let (Self::Files(mount) | Self::Auto(mount)) = self else { return Ok(None) };
        let folder = mount.as_deref().unwrap_or_else(|| Path::new(FOLDER));
        match (fs::read_dir(folder), self) {
            (Ok(_), _) => {
                tracing::info!("json-file logs are read from their files in {}", folder.display());
                Ok(self.log_files())
            }
            (Err(error), Self::Auto(_)) => {
                tracing::info!("all logs are read through the Engine: {}: {error}", folder.display());
                Ok(None)
            }
            (Err(error), _) => Err(format!(
                "--read=files: {}: {error}; mount the folder of the Engine's containers, and run as root or with \
                 the capability DAC_READ_SEARCH",
                folder.display()
            )),
        }
    }
}

impl FromStr for Reading {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MISTAKE: &str = "write api, files, auto, files=DIR or auto=DIR with the full path of a folder";
        let (way, mount) = match text.split_once('=') {
            Some((way, folder)) if folder.starts_with('/') => (way, Some(PathBuf::from(folder))),
            Some(_) => return Err(MISTAKE),
            None => (text, None),
        };
        match way {
            "api" if mount.is_none() => Ok(Self::Api),
            "files" => Ok(Self::Files(mount)),
            "auto" => Ok(Self::Auto(mount)),
            _ => Err(MISTAKE),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (way, mount) = match self {
            Self::Api => return f.write_str("api"),
            Self::Files(mount) => ("files", mount),
            Self::Auto(mount) => ("auto", mount),
        };
        match mount {
            Some(folder) => write!(f, "{way}={}", folder.display()),
            None => f.write_str(way),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_of_reading_is_printed_as_it_is_written() {
        for text in ["api", "files", "auto", "files=/mnt/a=b", "auto=/c"] {
            assert_eq!(text.parse::<Reading>().unwrap().to_string(), text);
        }
        for text in ["", "file", "api=/c", "files=", "files=c", "Auto", "auto:/c"] {
            assert!(text.parse::<Reading>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_a_mistake_only_if_files_are_required() {
        let open = |text: &str| text.parse::<Reading>().unwrap().open();
        assert_eq!(open("auto=/none"), Ok(None));
        assert_eq!(open("auto=/"), Ok(Some(LogFiles::in_folder("/"))));
        assert!(open("files=/none").unwrap_err().starts_with("--read=files: /none: "));
    }
}
