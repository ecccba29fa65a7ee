//! Tests of the files of a log, on files that are written and renamed as Docker's driver does.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gelf_core::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::log::parse_json_file_record;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The time between two records.
const STEP: Duration = Duration::from_millis(100);

/// A log that a driver writes. Dropping it removes its files.
struct Driver {
    folder: PathBuf,
    max_files: usize,
    compress: bool,
    written: u32,
}

impl Driver {
    fn new(max_files: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("log-files-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(ID)).unwrap();
        let driver = Self { folder, max_files, compress: false, written: 0 };
        fs::write(driver.path(), "").unwrap();
        driver
    }

    fn path(&self) -> PathBuf {
        self.folder.join(ID).join(format!("{ID}-json.log"))
    }

    fn numbered(&self, number: usize, ending: &str) -> PathBuf {
        let mut path = self.path().into_os_string();
        path.push(format!(".{number}{ending}"));
        path.into()
    }

    fn write(&mut self, records: u32) {
        let mut file = BufWriter::new(OpenOptions::new().append(true).open(self.path()).unwrap());
        for _ in 0..records {
            let time = time(self.written).to_rfc3339().unwrap();
            let number = self.written;
            writeln!(file, "{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}").unwrap();
            self.written += 1;
        }
    }

    fn rotate(&self) {
        let ending = if self.compress { ".gz" } else { "" };
        let _ = fs::remove_file(self.numbered(self.max_files - 1, ending));
        for number in (1..self.max_files - 1).rev() {
            let _ = fs::rename(self.numbered(number, ending), self.numbered(number + 1, ending));
        }
        fs::rename(self.path(), self.numbered(1, "")).unwrap();
        fs::write(self.path(), "").unwrap();
        if self.compress {
            fs::rename(self.numbered(1, ""), self.numbered(1, ".gz")).unwrap();
        }
    }

    async fn open(&self, before: Timestamp) -> Opened {
        let wait = Duration::from_secs(3600);
        FileStream::open(self.path(), Arc::default(), before, 0, wait).await.unwrap()
    }

    fn container(&self, path: impl AsRef<Path>) -> Container {
        let path = path.as_ref().to_string_lossy();
        Container::builder("web").id(ID).log_driver("json-file").log_path(path).build()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns the time of a record.
fn time(number: u32) -> Timestamp {
    crate::clock::later(Timestamp::from_unix(1_795_387_458, 0).unwrap(), STEP * number)
}

/// The records that a stream has returned.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    is_lost: bool,
}

impl Read {
    /// Reads up to the present end of the log.
    async fn all(&mut self, stream: &mut FileStream) {
        stream.look_again();
        while !self.is_lost {
            match stream.next().await.unwrap() {
                FilePart::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
                FilePart::EndOfFile => assert!(self.bytes.is_empty() || self.bytes.ends_with(b"\n")),
                FilePart::Lost => self.is_lost = true,
                FilePart::CaughtUp => break,
            }
        }
    }

    fn numbers(&self) -> Vec<u32> {
        let records = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let texts = records.map(|line| parse_json_file_record(line.strip_suffix(b"\n").unwrap()).unwrap());
        texts.map(|piece| std::str::from_utf8(&piece.bytes).unwrap().trim().parse().unwrap()).collect()
    }
}

fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(test)
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Write(u32),
    Rotate,
    /// Opens the new files, without reading them.
    Look,
    Read,
}

proptest! {
    #[test]
    fn each_record_is_read_once_unless_the_newest_known_file_was_removed_before_a_look(
        actions in prop::collection::vec(
            prop_oneof![
                (1..50u32).prop_map(Action::Write),
                Just(Action::Rotate),
                Just(Action::Look),
                Just(Action::Read),
            ],
            0..60,
        ),
        max_files in 2..5usize,
    ) {
        block_on(async {
            let mut driver = Driver::new(max_files);
            let mut stream = driver.open(Timestamp::UNIX_EPOCH).await.stream;
            let mut read = Read::default();
            let (mut rotations, mut must_be_lost) = (0, false);
            for action in actions.into_iter().chain([Action::Write(1), Action::Read]) {
                if matches!(action, Action::Look | Action::Read) {
                    must_be_lost |= rotations >= max_files;
                    rotations = 0;
                }
                match action {
                    Action::Write(records) => driver.write(records),
                    Action::Rotate => {
                        driver.rotate();
                        rotations += 1;
                    }
                    Action::Look => stream.look_again(),
                    Action::Read => read.all(&mut stream).await,
                }
            }
            prop_assert_eq!(read.is_lost, must_be_lost);
            let numbers = read.numbers();
            prop_assert_eq!(&numbers, &(0..numbers.len() as u32).collect::<Vec<_>>());
            prop_assert!(must_be_lost || numbers.len() as u32 == driver.written);
            Ok::<_, TestCaseError>(())
        })?;
    }

    #[test]
    fn a_stream_begins_before_all_records_from_the_given_time_on(
        files in prop::collection::vec(0..3000u32, 1..4),
        at in 0.0..1.1f64,
        attempt in 0..3u32,
    ) {
        block_on(async {
            let mut driver = Driver::new(9);
            for (index, records) in files.iter().enumerate() {
                if index > 0 {
                    driver.rotate();
                }
                driver.write(*records);
            }
            let first = (f64::from(driver.written) * at) as u32;
            let wait = Duration::from_secs(3600);
            let opened = FileStream::open(driver.path(), Arc::default(), time(first), attempt, wait).await;
            let Opened { mut stream, is_beginning, .. } = opened.unwrap();
            let mut read = Read::default();
            read.all(&mut stream).await;
            let numbers = read.numbers();
            let begin = numbers.first().copied().unwrap_or(driver.written);
            prop_assert_eq!(numbers, (begin..driver.written).collect::<Vec<_>>());
            match is_beginning {
                true => prop_assert_eq!(begin, 0),
                false => prop_assert!(time(begin) < time(first).saturating_sub(Duration::from_secs(1))),
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

#[tokio::test]
async fn an_open_file_that_is_compressed_is_read_to_its_end_and_the_next_file_is_lost() {
    let mut driver = Driver::new(3);
    driver.compress = true;
    driver.write(10);
    let mut stream = driver.open(Timestamp::UNIX_EPOCH).await.stream;
    driver.write(10);
    driver.rotate();
    driver.write(10);
    let mut read = Read::default();
    read.all(&mut stream).await;
    assert_eq!((read.numbers(), read.is_lost), ((0..20).collect(), true));
    let opened = driver.open(time(15)).await;
    assert!(opened.is_beginning && opened.has_compressed);
}

#[tokio::test]
async fn a_file_that_is_emptied_and_written_anew_is_noticed_whatever_its_length() {
    for records in [1, 20, 21, 40] {
        let mut driver = Driver::new(2);
        driver.write(20);
        let mut stream = driver.open(Timestamp::UNIX_EPOCH).await.stream;
        let mut read = Read::default();
        read.all(&mut stream).await;
        assert!(!read.is_lost);
        fs::write(driver.path(), "").unwrap();
        driver.write(records);
        read.all(&mut stream).await;
        assert_eq!((read.numbers(), read.is_lost), ((0..20).collect(), true), "{records}");
    }
}

#[tokio::test]
async fn the_files_of_a_removed_container_are_read_to_their_end() {
    let mut driver = Driver::new(3);
    driver.write(1);
    let mut stream = driver.open(Timestamp::UNIX_EPOCH).await.stream;
    driver.rotate();
    driver.write(1);
    stream.look_again();
    driver.write(1);
    fs::remove_dir_all(&driver.folder).unwrap();
    let mut read = Read::default();
    read.all(&mut stream).await;
    read.all(&mut stream).await;
    assert_eq!((read.numbers(), read.is_lost), (vec![0, 1, 2], false));
}

#[tokio::test]
async fn one_further_file_is_opened_while_the_removed_files_of_all_logs_exceed_a_limit() {
    let (large, mut small) = (Driver::new(2), Driver::new(4));
    let held = Arc::new(HeldBytes::default());
    let open = |driver: &Driver| {
        FileStream::open(driver.path(), held.clone(), Timestamp::UNIX_EPOCH, 0, Duration::from_secs(3600))
    };
    let mut stalled = open(&large).await.unwrap().stream;
    small.write(1);
    let mut stream = open(&small).await.unwrap().stream;
    // The file is sparse, so it takes no room.
    OpenOptions::new().write(true).open(large.path()).unwrap().set_len(300 * 1024 * 1024).unwrap();
    for _ in 0..2 {
        large.rotate();
        stalled.look_again();
    }
    for _ in 0..2 {
        small.rotate();
        small.write(1);
        stream.look_again();
    }
    drop(stalled);
    for _ in 0..4 {
        small.rotate();
    }
    let mut read = Read::default();
    read.all(&mut stream).await;
    assert_eq!((read.numbers(), read.is_lost), (vec![0, 1], true));
}

#[tokio::test]
async fn all_files_are_read_although_not_all_may_be_open_at_a_time() {
    for held in [0, 300 * 1024 * 1024] {
        let mut driver = Driver::new(400);
        driver.write(1);
        let held = Arc::new(HeldBytes(AtomicU64::new(held)));
        let wait = Duration::from_secs(3600);
        let opened = FileStream::open(driver.path(), held, Timestamp::UNIX_EPOCH, 0, wait).await;
        let mut stream = opened.unwrap().stream;
        for _ in 0..300 {
            driver.rotate();
            driver.write(1);
        }
        let mut read = Read::default();
        read.all(&mut stream).await;
        assert_eq!((read.numbers(), read.is_lost), ((0..301).collect(), false));
    }
}

#[test]
fn only_a_regular_file_of_the_container_is_opened() {
    let driver = Driver::new(2);
    let (path, files) = (driver.path(), LogFiles::default());
    let other = driver.folder.join("other");
    fs::create_dir(&other).unwrap();
    let secret = other.join("secret");
    fs::write(&secret, "").unwrap();
    assert!(files.check(&driver.container(&path)).is_ok());
    // The Engine names another path. Below the mounted folder, the container's folder and its file have the
    // same names as in that path.
    let mounted = LogFiles::in_folder(&driver.folder);
    assert!(
        mounted.check(&driver.container(format!("/var/lib/docker/containers/{ID}/{ID}-json.log"))).is_ok()
    );
    let foreign = [
        String::new(),
        secret.to_string_lossy().into_owned(),
        format!("{}/other/../{ID}/{ID}-json.log", driver.folder.display()),
        format!("{}/{ID}-json.log", driver.folder.display()),
        format!("{ID}/{ID}-json.log"),
    ];
    for path in foreign {
        let error = mounted.check(&driver.container(&path)).unwrap_err();
        assert!(matches!(error, LogFileError::Path { .. }), "{path}: {error}");
    }
    let local = Container::builder("web").id(ID).log_driver("local").log_path(path.to_string_lossy()).build();
    assert!(matches!(files.check(&local), Err(LogFileError::Driver { .. })));
    for replace in [
        |path: &Path, secret: &Path| symlink(secret, path).unwrap(),
        |path: &Path, _: &Path| fs::create_dir(path).unwrap(),
    ] {
        fs::remove_file(&path).unwrap();
        replace(&path, &secret);
        let error = files.check(&driver.container(&path)).unwrap_err();
        assert!(error.to_string().ends_with("not a regular file"), "{error}");
    }
}
