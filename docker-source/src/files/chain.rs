//! Keeps the files of one log open, in the order in which they were written.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum number of open files of a log. The files beyond it are opened once older files are read. Without
/// this limit, a log would need ever more open files if its container writes faster than its lines are read and the
/// driver's option `max-size` is small. [`Chain::open`] ignores the limit: it opens all files of the log.
const FILES_MAX: usize = 128;
/// If the files that were removed but are still open here have more bytes than this, in all logs together, a log
/// opens a further file only if the file that is being read is its only open file. Removed files take room on the
/// Engine's disk beyond the limit of the driver's options. Without this limit, a destination that takes no lines would
/// make a busy container fill the disk.
const REMOVED_MAX: u64 = 256 * 1024 * 1024;
/// The maximum number of attempts to list the files while they are renamed.
const LISTINGS: usize = 4;

/// The number of bytes of all files that were removed and that the logs of a source still keep open.
#[derive(Debug, Default)]
pub(crate) struct HeldBytes(pub(super) AtomicU64);

/// The identity of a file, which stays the same when the file is renamed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file of a log.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub(super) file: Arc<File>,
    id: FileId,
}

/// The open files of a log: the file that is being read, and all newer files. The newest file comes last.
#[derive(Debug)]
pub(super) struct Chain {
    path: PathBuf,
    files: VecDeque<OpenFile>,
    /// The length of the newest file at the last look.
    length: u64,
    /// True if the log has compressed files, which are older than all other files.
    has_compressed: bool,
    /// True if files that were newer than all open files may have been removed or compressed before they were
    /// opened.
    is_broken: bool,
    /// True if the last look left newer files unopened because of [`FILES_MAX`] or [`REMOVED_MAX`].
    has_unopened: bool,
    /// The error of the last look.
    error: Option<io::Error>,
    removed: Removed,
}

/// The share of one log in the bytes of removed files.
#[derive(Debug)]
struct Removed {
    all: Arc<HeldBytes>,
    own: u64,
}

impl Removed {
    fn set(&mut self, own: u64) {
        self.all.0.fetch_add(own, Ordering::Relaxed);
        self.all.0.fetch_sub(self.own, Ordering::Relaxed);
        self.own = own;
    }

    fn is_exhausted(&self) -> bool {
        self.all.0.load(Ordering::Relaxed) > REMOVED_MAX
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Chain {
    /// Opens all files of the log.
    pub(super) fn open(path: PathBuf, all: Arc<HeldBytes>) -> io::Result<Self> {
        let folder = path.parent().map(fs::symlink_metadata).transpose()?;
        if !folder.is_some_and(|folder| folder.is_dir()) {
            return Err(io::Error::other("the folder of the log is not a folder"));
        }
        let Listed { files, has_compressed, .. } = list(&path, None)?;
        let Some(newest) = files.back() else { return Err(io::ErrorKind::NotFound.into()) };
        let length = newest.file.metadata()?.len();
        let removed = Removed { all, own: 0 };
        let (is_broken, has_unopened, error) = (false, false, None);
        Ok(Self { path, files, length, has_compressed, is_broken, has_unopened, error, removed })
    }

    /// Opens the files that are newer than all open files, as many as [`FILES_MAX`] and [`REMOVED_MAX`] permit.
    pub(super) fn look(&mut self) {
        self.error = match self.is_broken {
            true => None,
            // After the removal of the container, its files have no names any more, but stay readable.
            false => self.try_look().err().filter(|error| error.kind() != io::ErrorKind::NotFound),
        };
        let newest = self.files.back().and_then(|newest| newest.file.metadata().ok());
        self.length = newest.map_or(0, |newest| newest.len());
    }

    fn try_look(&mut self) -> io::Result<()> {
        self.has_unopened = false;
        let newest = self.files.back().map(|newest| newest.id);
        let named = fs::symlink_metadata(&self.path)?;
        if Some(FileId::of(&named)) == newest {
            return Ok(());
        }
        let listed = list(&self.path, newest)?;
        self.account();
        let room = self.room();
        if !listed.is_known && room > 0 {
            self.is_broken = !listed.files.is_empty();
            return Ok(());
        }
        self.has_unopened = listed.files.len() > room;
        self.files.extend(listed.files.into_iter().take(room));
        Ok(())
    }

    /// Returns the number of files that may be opened now. A log whose only open file is being read may always open
    /// another file. Otherwise its reading could not go on.
    fn room(&self) -> usize {
        match self.removed.is_exhausted() {
            true => usize::from(!self.has_next()),
            false => FILES_MAX.saturating_sub(self.files.len()),
        }
    }

    /// Returns the oldest file.
    pub(super) fn front(&self) -> Option<&OpenFile> {
        self.files.front()
    }

    /// Returns the files, the oldest file first.
    pub(super) fn files(&self) -> &VecDeque<OpenFile> {
        &self.files
    }

    /// Removes the oldest file from the chain, unless it is the only file.
    pub(super) fn pop_front(&mut self) {
        if self.has_next() {
            self.files.pop_front();
            self.account();
        }
    }

    /// Returns whether a file follows the oldest file.
    pub(super) fn has_next(&self) -> bool {
        self.files.len() > 1
    }

    /// Returns whether the driver writes nothing more to the oldest file.
    pub(super) fn is_front_complete(&self) -> bool {
        self.has_next() || self.is_broken
    }

    /// Returns the length of the newest file at the last look.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn has_compressed(&self) -> bool {
        self.has_compressed
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Returns whether the last look left newer files unopened.
    pub(super) fn has_unopened(&self) -> bool {
        self.has_unopened
    }

    /// Takes the error of the last look.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Counts the bytes of the files that were removed.
    fn account(&mut self) {
        let metadata = self.files.iter().filter_map(|open| open.file.metadata().ok());
        let removed = metadata.filter(|metadata| metadata.nlink() == 0);
        self.removed.set(removed.map(|metadata| metadata.len()).sum());
    }
}

/// The files of a log at one moment.
#[derive(Debug, Default)]
struct Listed {
    /// The files that are newer than the known file. The newest file comes last.
    files: VecDeque<OpenFile>,
    /// True if the known file still has one of the names of the log.
    is_known: bool,
    has_compressed: bool,
}

/// Opens the files of a log that are newer than the file `known`. If `known` is `None`, opens all files.
fn list(path: &Path, known: Option<FileId>) -> io::Result<Listed> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        // The driver may have renamed the files while they were listed.
        let listed = match try_list(path, known) {
            Err(error) if attempts < LISTINGS && is_passing(&error) => continue,
            listed => listed?,
        };
        let newest = listed.files.back().map(|newest| newest.id).or(known);
        let is_steady = fs::symlink_metadata(path).map(|named| Some(FileId::of(&named)) == newest);
        if attempts == LISTINGS || is_steady.unwrap_or(listed.files.is_empty()) {
            return Ok(listed);
        }
    }
}

/// Returns whether the error can occur because a file was renamed while it was opened. Another attempt may
/// then succeed.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::NotFound)
}

fn try_list(path: &Path, known: Option<FileId>) -> io::Result<Listed> {
    let mut listed = Listed::default();
    let mut missing = 0;
    for number in 0.. {
        let numbered = numbered(path, number);
        let id = match fs::symlink_metadata(&numbered) {
            Ok(named) => FileId::of(&named),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut compressed = numbered.into_os_string();
                compressed.push(".gz");
                listed.has_compressed = number > 0 && fs::symlink_metadata(compressed).is_ok();
                // While the driver renames its files, one number has no file.
                missing += 1;
                match missing > 1 || listed.has_compressed {
                    true => break,
                    false => continue,
                }
            }
            Err(error) => return Err(error),
        };
        if Some(id) == known {
            listed.is_known = true;
            break;
        }
        let newer = listed.files.front().map(|newer| newer.id);
        let open = open_regular(&numbered)?;
        if newer != Some(open.id) {
            listed.files.push_front(open);
        }
    }
    Ok(listed)
}

/// Returns the path of the file with this number; 0 is the newest file.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

/// Opens a regular file. Symbolic links are not followed.
pub(super) fn open_regular(path: &Path) -> io::Result<OpenFile> {
    let named = fs::symlink_metadata(path)?;
    if !named.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let opened = file.metadata()?;
    let id = FileId::of(&opened);
    if !opened.is_file() || id != FileId::of(&named) {
        // The driver can rename another file to this path between the two calls.
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the file was replaced while it was opened"));
    }
    Ok(OpenFile { file: Arc::new(file), id })
}
