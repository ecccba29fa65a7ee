//! Returns the bytes of a log's files, in the order in which they were written.

use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use gelf_core::Timestamp;
use tokio::sync::oneshot;
use tokio::task;
use tokio::time::{Instant, sleep_until};

use super::chain::{Chain, HeldBytes};
use super::seek::{FilePlace, seek};

/// The maximum number of new bytes in one read.
const CHUNK: u64 = 64 * 1024;
/// Bytes within this distance from the end of a log were usually written a short time ago, so they are still in
/// the memory of the system. Other bytes are read in a separate thread, since a disk may be slow.
const RECENT: u64 = 1024 * 1024;
/// The number of bytes that each read repeats, to notice that the file was emptied and written anew. These
/// are the last bytes before the place to read. At the end of a record, they contain most of the record's
/// stamp, so the bytes of a new file are different.
const MARK: usize = 32;

/// The next part of a log.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum FilePart {
    Bytes(Bytes),
    /// The file has ended. The next bytes come from the next file.
    EndOfFile,
    /// All bytes that the open files had at the last look were returned.
    CaughtUp,
    /// The next bytes cannot be read: their file was removed or compressed before it was opened, or the open
    /// file was emptied.
    Lost,
}

/// The bytes of a log's files behind a given place, including the bytes that are written later.
#[derive(Debug)]
pub(crate) struct FileStream {
    chain: Chain,
    /// The offset of the next bytes in the oldest file.
    offset: u64,
    /// The last bytes before `offset`, at most [`MARK`] bytes.
    mark: Vec<u8>,
    /// True if the file was emptied.
    is_emptied: bool,
    /// True if [`FilePart::CaughtUp`] was returned since the last bytes.
    is_reported: bool,
    /// The time between two looks.
    wait: Duration,
    next_look: Instant,
}

/// A stream, and the place at which it begins.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: FileStream,
    /// True if the stream begins with the first byte of the oldest file that is not compressed.
    pub(crate) is_beginning: bool,
    /// True if the log has further files, which are compressed and older.
    pub(crate) has_compressed: bool,
}

impl FileStream {
    /// Opens the files of a log. The stream begins with records that are older than `before`, or with the
    /// oldest file if no such records are found. The greater the number `attempt` is, the further from the
    /// end the stream begins. `wait` is the time between two looks at the files.
    pub(crate) async fn open(
        path: PathBuf,
        held: Arc<HeldBytes>,
        before: Timestamp,
        attempt: u32,
        wait: Duration,
    ) -> io::Result<Opened> {
        let (mut chain, place) = in_thread(move || {
            let chain = Chain::open(path, held)?;
            let place = seek(chain.files(), before, attempt)?;
            Ok((chain, place))
        })
        .await?;
        let has_compressed = chain.has_compressed();
        let is_beginning = place.is_none();
        let FilePlace { file, offset } = place.unwrap_or_default();
        for _ in 0..file {
            chain.pop_front();
        }
        let next_look = Instant::now() + wait;
        let mark = Vec::with_capacity(MARK);
        let stream = Self { chain, offset, mark, is_emptied: false, is_reported: false, wait, next_look };
        Ok(Opened { stream, is_beginning, has_compressed })
    }

    /// Returns the next part, as soon as there is one.
    ///
    /// # Errors
    /// Returns the error of reading, or of opening the next file.
    ///
    /// # Cancel safety
    /// Cancel safe: no byte is lost.
    pub(crate) async fn next(&mut self) -> io::Result<FilePart> {
        loop {
            if Instant::now() >= self.next_look {
                self.look();
            }
            let is_complete = self.chain.is_front_complete();
            if let Some(bytes) = self.read(is_complete).await? {
                self.is_reported = false;
                return Ok(FilePart::Bytes(bytes));
            }
            if self.chain.has_next() {
                self.chain.pop_front();
                self.offset = 0;
                self.mark.clear();
                return Ok(FilePart::EndOfFile);
            }
            if self.chain.is_broken() || self.is_emptied {
                return Ok(FilePart::Lost);
            }
            if let Some(error) = self.chain.take_error() {
                return Err(error);
            }
            if self.chain.has_unopened() {
                // The open file is read to its end, so the next file may be opened.
                self.look();
                if !self.chain.has_unopened() || self.chain.has_next() {
                    continue;
                }
            } else if !std::mem::replace(&mut self.is_reported, true) {
                return Ok(FilePart::CaughtUp);
            }
            sleep_until(self.next_look).await;
        }
    }

    /// Looks at the files now, and opens new files. The stream then returns first all bytes that the open files
    /// have by now, and then [`FilePart::CaughtUp`], unless bytes are [lost](FilePart::Lost).
    pub(crate) fn look_again(&mut self) {
        self.look();
        self.is_reported = false;
    }

    /// Waits for the future. Meanwhile, keeps looking at the log's files, and opens the files that the Engine
    /// creates.
    pub(crate) async fn watching<T>(&mut self, mut future: Pin<&mut (dyn Future<Output = T> + Send)>) -> T {
        // Usually, the future is ready immediately.
        let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = ready {
            return output;
        }
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = sleep_until(self.next_look) => self.look(),
            }
        }
    }

    fn look(&mut self) {
        self.chain.look();
        self.next_look = Instant::now() + self.wait;
    }

    /// Returns the next bytes of the oldest file, or `None` if there are none.
    async fn read(&mut self, is_complete: bool) -> io::Result<Option<Bytes>> {
        let Some(open) = self.chain.front() else { return Ok(None) };
        let length = if is_complete { u64::MAX } else { self.chain.length() };
        let Some(rest) = length.checked_sub(self.offset) else {
            self.is_emptied = true;
            return Ok(None);
        };
        if rest == 0 {
            return Ok(None);
        }
        let mark = self.mark.len();
        let from = self.offset - mark as u64;
        let wanted = mark + rest.min(CHUNK) as usize;
        let file = open.file.clone();
        let read = move || {
            let mut buffer = vec![0; wanted];
            let length = file.read_at(&mut buffer, from)?;
            buffer.truncate(length);
            Ok(buffer)
        };
        let buffer = match rest <= RECENT {
            true => read()?,
            false => in_thread(read).await?,
        };
        let Some(new) = buffer.strip_prefix(&*self.mark) else {
            self.is_emptied = true;
            return Ok(None);
        };
        if new.is_empty() {
            return Ok(None);
        }
        self.offset += new.len() as u64;
        self.mark.clear();
        self.mark.extend_from_slice(buffer.split_at(buffer.len().saturating_sub(MARK)).1);
        Ok(Some(Bytes::from(buffer).slice(mark..)))
    }
}

/// Runs a function in a separate thread, since it may wait for the disk.
async fn in_thread<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (result, received) = oneshot::channel();
    // The box gives all functions one type, so that the code of the task is compiled only once.
    let run: Box<dyn FnOnce() + Send> = Box::new(move || drop(result.send(read())));
    task::spawn_blocking(run);
    received.await.unwrap_or_else(|_| Err(io::Error::other("the thread has ended")))
}
