//! Defines the timeouts and intervals of a source.

use std::time::Duration;

/// The longest timeout or interval: one year. The sum of a clock's time and a longer time could overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Timeouts and intervals of a [`Source`](crate::Source). The defaults suit an Engine in daily use; tests can
/// use shorter times. A time of more than one year counts as one year.
///
/// ```
/// use std::time::Duration;
///
/// use docker_source::Timing;
///
/// let mut timing = Timing::default();
/// timing.list_interval = Duration::from_secs(5);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// The timeout until the headers of an answer arrive: 10 s. For a log, the timeout is
    /// [`catch_up`](Self::catch_up) instead. An Engine that hangs must not block its callers.
    pub headers: Duration,
    /// The timeout between two parts of a JSON answer: 30 s.
    pub answer: Duration,
    /// The timeout between two parts of a log that is read to its end: 5 min. To find a point in time, the
    /// Engine decodes the log's files from the oldest on, and sends nothing meanwhile. Decoding takes about a
    /// second for 100 MB. At most two logs are read to their end at the same time. Logs that may be removed
    /// soon do not count, and neither does a log whose reading has taken longer than this timeout.
    pub catch_up: Duration,
    /// The time without bytes after which the log stream of a removed container counts as ended: 5 min. The
    /// time before the first byte of the stream is not limited: the open stream is the only access to that
    /// log, and an Engine under load can begin to send the log late.
    pub removed: Duration,
    /// The usual maximum time until a line of a busy log is read: 200 ms. A log is busy if at least 10 records or
    /// at least 16 KiB arrive within this time. For 200 ms, these are 50 records or 80 kB in a second. A busy log
    /// is read by requests for its last records. These requests cost the Engine less than a stream and omit
    /// nothing. If the time is zero, no log counts as busy, and logs are followed by streams.
    pub latency: Duration,
    /// The interval between two lists of all containers: 30 s. The Engine can drop events, so the lists are
    /// compared with the followed containers. A container that has ended within the last two intervals is
    /// inspected, since a whole run can pass without an event.
    pub list_interval: Duration,
    /// The first wait between two attempts to reach the Engine: 100 ms. Each wait is twice as long as the
    /// wait before it, until an event stream has lasted for ten times the first wait.
    pub reconnect_min: Duration,
    /// The longest wait between two attempts to reach the Engine: 10 s.
    pub reconnect_max: Duration,
    /// The time after which the source ends if the Engine's socket file is mounted into a container without
    /// its folder, and refuses connections. The default is `None`: the source never ends for this reason.
    ///
    /// Such a mount keeps the old file when the Engine creates a new socket file. If the program ends, a
    /// restart policy can restart its container, and the restart mounts the new file. If a time is set and
    /// the last Engine that answered was Docker, the source ends immediately, because a restarted Docker starts
    /// the container again.
    pub stale_socket: Option<Duration>,
    /// The first wait before a container's log is requested again: 100 ms. Each wait is twice as long as the
    /// wait before it, until a new line arrives.
    pub resume_min: Duration,
    /// The longest wait before a container's log is requested again: 5 s.
    pub resume_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            catch_up: Duration::from_secs(300),
            removed: Duration::from_secs(300),
            latency: Duration::from_millis(200),
            list_interval: Duration::from_secs(30),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            stale_socket: None,
            resume_min: Duration::from_millis(100),
            resume_max: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// Returns this timing with times of at most [`LONGEST`].
    pub(crate) fn bounded(mut self) -> Self {
        let Self {
            headers,
            answer,
            catch_up,
            removed,
            latency,
            list_interval,
            reconnect_min,
            reconnect_max,
            stale_socket,
            resume_min,
            resume_max,
        } = &mut self;
        let times = [
            headers,
            answer,
            catch_up,
            removed,
            latency,
            list_interval,
            reconnect_min,
            reconnect_max,
            resume_min,
            resume_max,
        ];
        for time in times.into_iter().chain(stale_socket) {
            *time = LONGEST.min(*time);
        }
        self
    }
}
