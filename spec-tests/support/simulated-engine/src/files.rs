//! Writes the records of a log to files, as Docker's `json-file` driver does.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::stamp::rfc3339;
use crate::{LogFiles, Stream};

/// The files of a log.
#[derive(Debug)]
pub(crate) struct JsonFiles {
    path: PathBuf,
    limits: LogFiles,
}

impl JsonFiles {
    /// Creates the first file of a container's log, below the folder of all containers.
    pub(crate) fn create(folder: &Path, id: &str, limits: LogFiles) -> Self {
        let folder = folder.join(id);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{id}-json.log"));
        fs::write(&path, "").unwrap();
        Self { path, limits }
    }

    /// Returns the path of the newest file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record. If `rotates` is true, the record begins a new file.
    pub(crate) fn append(&self, stream: Stream, stamp: i64, bytes: &[u8], rotates: bool) {
        if rotates {
            self.rotate();
        }
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let text = json!(String::from_utf8_lossy(bytes));
        let stamp = rfc3339(stamp);
        let time = stamp.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        let record = format!("{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"{time}Z\"}}\n");
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        file.write_all(record.as_bytes()).unwrap();
    }

    /// Removes all files.
    pub(crate) fn remove(&self) {
        let _ = self.path.parent().map(fs::remove_dir_all);
    }

    /// Renames each file to the next number, and removes the file beyond the limit. Compressed files are empty.
    fn rotate(&self) {
        let ending = if self.limits.compress { ".gz" } else { "" };
        let numbered = |number: usize, ending: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}{ending}"));
            PathBuf::from(path)
        };
        let exists = |number: &usize| numbered(*number, ending).exists();
        let last = (1..).find(|number| !exists(number)).unwrap();
        for number in (1..last).rev() {
            match self.limits.max_files > 0 && number + 1 >= self.limits.max_files {
                true => fs::remove_file(numbered(number, ending)).unwrap(),
                false => fs::rename(numbered(number, ending), numbered(number + 1, ending)).unwrap(),
            }
        }
        if self.limits.max_files == 1 {
            fs::remove_file(&self.path).unwrap();
            return;
        }
        fs::rename(&self.path, numbered(1, "")).unwrap();
        if self.limits.compress {
            fs::write(numbered(1, ".gz"), "").unwrap();
            fs::remove_file(numbered(1, "")).unwrap();
        }
    }
}
