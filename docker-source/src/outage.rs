//! Logs outages of the Engine, and detects a socket file that can never work again.
//!
//! When an Engine starts, it creates a new socket file, because `bind(2)` does not accept an existing file.
//! If the container of this process mounts the folder of the socket, the next attempt opens the new file.
//! However, if the container mounts the file without its folder, the mount keeps the old file, which refuses
//! connections for ever. Only a restart of the container mounts the new file.
//!
//! A refused connection proves that the old file is useless, even before the Engine runs again: no program can
//! listen on an existing socket file. A restarted Docker starts containers with a restart policy again and
//! mounts the new file. Therefore, if the option [`stale_socket`](crate::Timing::stale_socket) is set, the
//! source ends immediately, so that its program can end, too. The container's `State.FinishedAt` is then the
//! time at which the Engine ended, and the next run [resumes](crate::Start::AfterPredecessor) ten seconds
//! before this time.
//!
//! Podman is different: it restarts a container as soon as the container ends, and gives up if the new socket
//! file does not exist yet. Therefore the source does not end immediately if the last Engine that answered was
//! Podman, or if no Engine has answered yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::dialect::Dialect;
use crate::engine::{EngineAddress, EngineError};

/// The time between the first and the second warning of an outage. The time doubles from warning to warning, up
/// to [`WARN_AGAIN_MAX`].
const WARN_AGAIN_MIN: Duration = Duration::from_secs(30);
/// The longest time between two warnings of an outage.
const WARN_AGAIN_MAX: Duration = Duration::from_secs(60 * 60);

/// Logs an outage when it begins, now and then while it lasts, and when it ends.
#[derive(Debug)]
pub(crate) struct Outage {
    mountinfo: PathBuf,
    stale_socket: Option<Duration>,
    /// True if the last Engine that answered was Docker.
    has_docker_answered: bool,
    current: Option<Current>,
}

/// An outage that has not ended yet.
#[derive(Debug)]
struct Current {
    since: Instant,
    warn_at: Instant,
    warn_again: Backoff,
    /// The time since which all attempts have failed with [`EngineError::StaleSocket`].
    stale_since: Option<Instant>,
    /// True if a warning of this outage has reported [`EngineError::StaleSocket`].
    is_stale_told: bool,
}

impl Outage {
    /// Creates the state without an outage. `mountinfo` is a file in the format of `/proc/self/mountinfo`;
    /// `stale_socket` is the option of [`Timing`](crate::Timing).
    pub(crate) fn new(mountinfo: PathBuf, stale_socket: Option<Duration>) -> Self {
        Self { mountinfo, stale_socket, has_docker_answered: false, current: None }
    }

    /// Notes an attempt that failed. Logs the first error of an outage immediately, and later errors at growing
    /// intervals. The first error of an outage that is a stale socket file is also logged immediately.
    ///
    /// # Errors
    /// Returns the error if further attempts are useless, because the socket file is stale; see
    /// [`Timing::stale_socket`](crate::Timing::stale_socket).
    pub(crate) fn failed(&mut self, error: EngineError) -> Result<(), EngineError> {
        let error = with_cause(error, &self.mountinfo);
        let now = Instant::now();
        let current = self.current.get_or_insert_with(|| Current {
            since: now,
            warn_at: now,
            warn_again: Backoff::new(WARN_AGAIN_MIN, WARN_AGAIN_MAX),
            stale_since: None,
            is_stale_told: false,
        });
        if matches!(error, EngineError::StaleSocket { .. }) {
            let since = *current.stale_since.get_or_insert(now);
            let is_certain = self.has_docker_answered;
            if self.stale_socket.is_some_and(|limit| is_certain || now - since >= limit) {
                return Err(error);
            }
        } else {
            current.stale_since = None;
        }
        // When an Engine is killed, the first error is that a connection breaks. A stale socket file is
        // reported only by a later error. The first such error is logged immediately, because only the user can
        // solve this problem.
        let is_news = current.stale_since.is_some() && !current.is_stale_told;
        if now >= current.warn_at || is_news {
            current.is_stale_told |= current.stale_since.is_some();
            current.warn_at = now + current.warn_again.next();
            match (now - current.since).as_secs() {
                0 => tracing::warn!("{error}; retrying"),
                seconds => tracing::warn!("{error}; retrying; the outage has lasted {seconds} s"),
            }
        }
        Ok(())
    }

    /// Notes an answer of the Engine, and logs the end of the outage, if there is one.
    pub(crate) fn over(&mut self, dialect: Dialect) {
        self.has_docker_answered = dialect == Dialect::Docker;
        if let Some(Current { since, .. }) = self.current.take() {
            tracing::info!("the Engine answers again after {:.1} s", since.elapsed().as_secs_f64());
        }
    }
}

/// Returns [`EngineError::StaleSocket`] if the cause of the error is a socket file that is mounted without
/// its folder. Otherwise, returns the error unchanged. `mountinfo` is a file in the format of
/// `/proc/self/mountinfo`.
pub(crate) fn with_cause(error: EngineError, mountinfo: &Path) -> EngineError {
    match error {
        EngineError::Connect { address: EngineAddress::Unix(path), error }
            if error.kind() == io::ErrorKind::ConnectionRefused && is_mounted(&path, mountinfo) =>
        {
            EngineError::StaleSocket { path }
        }
        error => error,
    }
}

/// Returns whether `file` is mounted without its folder. Such a mount keeps the old file when the file is
/// replaced on the host.
fn is_mounted(file: &Path, mountinfo: &Path) -> bool {
    // `/var/run` is a link to `/run` in most images.
    let Ok(file) = fs::canonicalize(file) else { return false };
    // Outside of Linux, `mountinfo` does not exist, and no socket file counts as mounted.
    let Ok(mounts) = fs::read(mountinfo) else { return false };
    String::from_utf8_lossy(&mounts)
        .lines()
        .any(|mount| mount.split(' ').nth(4).is_some_and(|point| Path::new(&unescaped(point)) == file))
}

/// Decodes a path of `/proc/self/mountinfo`, which has white space and backslashes as octal escapes (`\040`).
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(3).map(|(digits, rest)| (u8::from_str_radix(digits, 8), rest)) {
            Some((Ok(byte), rest)) => {
                text.push(byte.into());
                text.push_str(rest);
            }
            _ => text.push_str(part),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Source, SourceError};
    use crate::timing::Timing;
    use simulated_engine::{Container, ContainerOptions, SimulatedEngine, Stream};
    use tokio::time::advance;

    const LIMIT: Duration = Duration::from_secs(300);

    /// A folder with a socket file and with a file in the format of `/proc/self/mountinfo`. This second
    /// file lists the socket file or the folder as a mount.
    struct Socket {
        folder: PathBuf,
        file: PathBuf,
    }

    impl Socket {
        fn new(name: &str, is_mounted: bool) -> Self {
            let folder = std::env::temp_dir().join(format!("docker-source-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let folder = fs::canonicalize(folder).unwrap();
            let file = folder.join("docker socket");
            fs::write(&file, "").unwrap();
            let mounted = if is_mounted { &file } else { &folder };
            let mounted = mounted.to_str().unwrap().replace(' ', "\\040");
            let mounts = format!(
                "1 2 0:3 / / rw - overlay overlay rw\n4 1 0:5 /docker.sock {mounted} rw - tmpfs tmpfs rw\n"
            );
            fs::write(folder.join("mountinfo"), mounts).unwrap();
            Self { folder, file }
        }

        fn outage(&self, limit: Option<Duration>) -> Outage {
            Outage::new(self.folder.join("mountinfo"), limit)
        }

        fn fails(&self, kind: io::ErrorKind) -> EngineError {
            EngineError::Connect { address: EngineAddress::Unix(self.file.clone()), error: kind.into() }
        }

        fn refuses(&self) -> EngineError {
            self.fails(io::ErrorKind::ConnectionRefused)
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// Returns an Engine with a running container, and a source. To the source, the Engine's socket file
    /// appears to be mounted without its folder.
    async fn with_mounted_socket() -> (SimulatedEngine, Container, Source) {
        let engine = SimulatedEngine::start().await;
        let web = engine.create(ContainerOptions::named("web"));
        web.start();
        let mountinfo = engine.socket().with_file_name("mountinfo");
        let socket = fs::canonicalize(engine.socket()).unwrap();
        let mount = format!("9 8 0:24 /docker.sock {} rw - tmpfs tmpfs rw\n", socket.display());
        fs::write(&mountinfo, mount).unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        let timing = Timing { stale_socket: Some(day), list_interval: day, ..Timing::default() };
        let mut builder = Source::builder().address(engine.docker_host().parse().unwrap()).timing(timing);
        builder.mountinfo = mountinfo;
        let mut source = builder.connect().await.unwrap();
        web.wait_for_log_requests(1).await;
        web.line(Stream::Stdout, "last");
        assert_eq!(source.next().await.unwrap().unwrap().bytes(), b"last");
        (engine, web, source)
    }

    /// Makes a file without a listener, as in the mount of a stale socket.
    fn make_stale(socket: &Path) {
        let _ = fs::remove_file(socket);
        drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    }

    #[tokio::test]
    async fn a_mounted_socket_file_that_was_replaced_ends_the_source_with_the_error_stale_socket() {
        let (engine, _web, mut source) = with_mounted_socket().await;
        engine.go_away().await;
        make_stale(engine.socket());
        let error = source.next().await.unwrap_err();
        assert!(matches!(error, SourceError::Engine(EngineError::StaleSocket { .. })), "{error}");
        assert!(source.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_refused_log_request_shows_the_end_of_an_engine_that_keeps_the_event_stream_open() {
        let (engine, web, mut source) = with_mounted_socket().await;
        // The Engine no longer accepts connections, but its open connections go on.
        make_stale(engine.socket());
        web.end_followers();
        let error = source.next().await.unwrap_err();
        assert!(matches!(error, SourceError::Engine(EngineError::StaleSocket { .. })), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_mounted_socket_file_that_refuses_connections_is_given_up_after_the_limit() {
        for has_podman_answered in [false, true] {
            let socket = Socket::new("stale", true);
            let mut outage = socket.outage(Some(LIMIT));
            if has_podman_answered {
                outage.over(Dialect::Podman);
            }
            outage.failed(socket.refuses()).unwrap();
            advance(LIMIT - Duration::from_millis(1)).await;
            outage.failed(socket.refuses()).unwrap();
            advance(Duration::from_millis(1)).await;
            let error = outage.failed(socket.refuses()).unwrap_err();
            assert!(matches!(&error, EngineError::StaleSocket { path } if *path == socket.file), "{error:?}");
            assert!(error.to_string().contains("mount its folder instead"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mounted_socket_file_of_docker_that_has_answered_is_given_up_when_it_refuses_a_connection() {
        let [mounted, visible] = [Socket::new("answered", true), Socket::new("folder", false)];
        for (socket, limit, is_given_up) in
            [(&mounted, Some(LIMIT), true), (&mounted, None, false), (&visible, Some(LIMIT), false)]
        {
            let mut outage = socket.outage(limit);
            outage.over(Dialect::Docker);
            outage.failed(socket.fails(io::ErrorKind::ConnectionReset)).unwrap();
            outage.failed(socket.fails(io::ErrorKind::WouldBlock)).unwrap();
            assert_eq!(outage.failed(socket.refuses()).is_err(), is_given_up);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_may_come_back_is_not_given_up() {
        let [mounted, visible] = [Socket::new("mounted", true), Socket::new("visible", false)];
        let [never, timed_out, seen] = [None, Some(LIMIT), Some(LIMIT)];
        let mut outages = [mounted.outage(never), mounted.outage(timed_out), visible.outage(seen)];
        for _ in 0..100 {
            outages[0].failed(mounted.refuses()).unwrap();
            outages[1].failed(EngineError::TimedOut { endpoint: "_ping", after: LIMIT }).unwrap();
            outages[2].failed(visible.refuses()).unwrap();
            advance(LIMIT).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_error_or_an_answer_starts_the_time_of_a_stale_socket_anew() {
        let socket = Socket::new("anew", true);
        let mut outage = socket.outage(Some(LIMIT));
        for round in 0..4 {
            outage.failed(socket.refuses()).unwrap();
            advance(LIMIT / 2).await;
            match round % 2 {
                0 => outage.failed(socket.fails(io::ErrorKind::ConnectionReset)).unwrap(),
                _ => outage.over(Dialect::Podman),
            }
            advance(LIMIT / 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_socket_is_reported_immediately_even_if_the_outage_began_with_another_error() {
        let socket = Socket::new("told", true);
        let mut outage = socket.outage(None);
        let mut warn_at = Vec::new();
        let start = Instant::now();
        let errors = [
            EngineError::Broken { endpoint: "events" },
            socket.refuses(),
            EngineError::Broken { endpoint: "_ping" },
            socket.refuses(),
        ];
        for error in errors {
            outage.failed(error).unwrap();
            warn_at.push((outage.current.as_ref().unwrap().warn_at - start).as_secs());
            advance(Duration::from_secs(1)).await;
        }
        // The second error causes a warning. The next warning comes after twice the first interval.
        assert_eq!(warn_at, [30, 61, 61, 61]);
    }

    #[tokio::test(start_paused = true)]
    async fn warnings_of_an_outage_come_at_intervals_that_double_up_to_an_hour() {
        let socket = Socket::new("warnings", false);
        let mut outage = socket.outage(None);
        let start = Instant::now();
        let mut warned = Vec::new();
        while start.elapsed() < Duration::from_secs(4 * 60 * 60) {
            let before = outage.current.as_ref().map(|current| current.warn_at);
            outage.failed(socket.refuses()).unwrap();
            if outage.current.as_ref().map(|current| current.warn_at) != before {
                warned.push(start.elapsed().as_secs());
            }
            advance(Duration::from_secs(10)).await;
        }
        assert_eq!(warned, [0, 30, 90, 210, 450, 930, 1890, 3810, 7410, 11010]);
        outage.over(Dialect::Docker);
        assert!(outage.current.is_none());
    }
}
