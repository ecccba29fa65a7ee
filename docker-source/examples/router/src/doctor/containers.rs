//! Checks the running containers: their log drivers, the number of agents among them, and the file descriptors
//! that the router needs to follow their logs.

use std::time::Duration;

use docker_source::Container;

use super::Finding;
use super::rate::Rate;
use crate::{cli, route};

/// The minimum time for which an Engine should keep lines, so that a shorter outage of a destination or of
/// the router loses no lines.
const KEPT_AT_LEAST: Duration = Duration::from_secs(60);

/// The version of the API of Docker 19.03, which keeps no cache of the lines of remote log drivers.
const WITHOUT_CACHE: &str = "1.40";

/// Judges the log driver of a container. `version` is the version of the Engine's API. `rate` is `None` if
/// the container wrote nothing while rates were measured, or if its rate could not be measured.
pub(super) fn judge_log(container: &Container, version: &str, rate: Option<&Rate>) -> Finding {
    const READABLE: &str = "create the container again with --log-driver local, or with LOGSPOUT=ignore in its \
                            environment";
    let subject = format!("container {}", container.name());
    let driver = container.log_driver();
    let option = |name| container.log_options().get(name).map(String::as_str);
    match driver {
        // Only Podman has the drivers passthrough and passthrough-tty.
        "none" | "passthrough" | "passthrough-tty" => {
            Finding::fail(subject, format!("its log driver {driver} keeps no lines"), READABLE)
        }
        "json-file" | "local" => judge_files(subject, container, option("max-file"), rate),
        // The driver k8s-file of Podman has no option for the number of files.
        "journald" | "k8s-file" => Finding::ok(subject, format!("log driver {driver} can be read")),
        "" => Finding::ok(subject, "the Engine does not tell its log driver"),
        _ if option("cache-disabled") == Some("true") => Finding::fail(
            subject,
            format!("its log driver {driver} cannot be read, since cache-disabled=true"),
            "create the container again without this option",
        ),
        _ if version == WITHOUT_CACHE => Finding::fail(
            subject,
            format!("its log driver {driver} cannot be read, since Docker 19.03 keeps no cache of its lines"),
            "update Docker to 20.10 or later, or create the container again with --log-driver local",
        ),
        _ => Finding::warn(
            subject,
            format!(
                "its log driver {driver} is read from the Engine's cache, which lacks the \
                 lines that the driver could not send"
            ),
            "create the container again with --log-driver local",
        ),
    }
}

/// Judges the mode of a container's log driver. Returns `None` for the mode that loses no lines.
pub(super) fn judge_mode(container: &Container) -> Option<Finding> {
    let option = |name| container.log_options().get(name).map(String::as_str);
    (option("mode") == Some("non-blocking")).then(|| {
        Finding::warn(
            format!("container {}", container.name()),
            format!(
                "its log has the mode non-blocking: the Engine drops lines that do not fit into a buffer of {}, \
                 and nobody can read them",
                option("max-buffer-size").unwrap_or("1m")
            ),
            "create the container again with --log-opt mode=blocking; in a task definition of Amazon ECS, set the \
             log option mode to blocking",
        )
    })
}

/// Judges the rotation of the files of a log.
fn judge_files(
    subject: String,
    container: &Container,
    max_file: Option<&str>,
    rate: Option<&Rate>,
) -> Finding {
    let driver = container.log_driver();
    let (default_size, default_files) = match driver {
        "local" => (Some(20_000_000), 5),
        _ => (None, 1),
    };
    let size = container.max_log_size().or(default_size);
    let files = max_file.and_then(|files| files.parse::<u64>().ok()).unwrap_or(default_files);
    let Some(size) = size else {
        return Finding::warn(
            subject,
            format!("its {driver} log grows without a limit"),
            "create the container again with --log-opt max-size=10m --log-opt max-file=3, or with --log-driver \
             local",
        );
    };
    let rate = rate.map_or(0, |rate| rate.bytes_per_second(driver));
    let rotation = Duration::from_secs(size.checked_div(rate).unwrap_or(u64::MAX));
    let pace = match rate {
        0 => "nothing was written just now".to_owned(),
        _ => format!("at the present {}/s, a file is full after {}", bytes(rate), time(rotation)),
    };
    let text = format!("{driver} log of {files} x {}; {pace}", bytes(size));
    if files <= 1 {
        let text =
            format!("{text}; with one file, each rotation can remove lines that the router has not read yet");
        let remedy = format!("create the container again with --log-opt max-file=3{}", larger(rate, size, 3));
        return match rotation < KEPT_AT_LEAST {
            true => Finding::fail(subject, text, remedy),
            false => Finding::warn(subject, text, remedy),
        };
    }
    match rotation.saturating_mul(u32::try_from(files - 1).unwrap_or(u32::MAX)) < KEPT_AT_LEAST {
        true => Finding::warn(
            subject,
            format!("{text}; the Engine keeps lines for less than {}", time(KEPT_AT_LEAST)),
            format!("create the container again with{}", larger(rate, size, files)),
        ),
        false => Finding::ok(subject, text),
    }
}

/// Returns a `max-size` option with which the full files hold the lines of 60 s, see [`KEPT_AT_LEAST`]. The
/// file that is being written does not count. The size is a multiple of 10 MB. Returns an empty text if the
/// present size is enough.
fn larger(rate: u64, size: u64, files: u64) -> String {
    let needed = rate.saturating_mul(KEPT_AT_LEAST.as_secs()).div_ceil(files.saturating_sub(1).max(1));
    match needed > size {
        true => format!(" --log-opt max-size={}m", needed.div_ceil(10_000_000).saturating_mul(10)),
        false => String::new(),
    }
}

fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{} kB", number / 1_000),
        _ => format!("{} MB", number / 1_000_000),
    }
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        0 => "less than 1 s".to_owned(),
        seconds @ 1..=120 => format!("{seconds} s"),
        seconds @ 121..=7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// Judges the number of agents that run on the host.
pub(super) fn judge_agents(containers: &[Container]) -> Finding {
    let is_subcommand =
        |container: &Container| container.command().split(' ').nth(1).is_some_and(cli::is_subcommand);
    let agents =
        containers.iter().filter(|container| route::is_agent(container) && !is_subcommand(container));
    let names: Vec<_> = agents.map(Container::name).collect();
    match names.len() {
        0 | 1 => Finding::ok("agents", format!("containers with a gelf-router: {}", names.len())),
        count => Finding::warn(
            "agents",
            format!(
                "{count} containers run a gelf-router: {}; each ships the lines that its routes select",
                names.join(", ")
            ),
            "stop all but one of them, unless their routes differ",
        ),
    }
}

/// Judges the limit of open files. Each log that is followed needs a descriptor. The router reserves an eighth
/// of the limit for other purposes: at least 12 and at most 256 descriptors. This estimate assumes that 16
/// further descriptors are in use.
pub(super) fn judge_descriptors(containers: usize, limit: Option<u64>) -> Finding {
    let needed = u64::try_from(containers).unwrap_or(u64::MAX);
    let Some(limit) = limit else {
        return Finding::ok("descriptors", format!("no limit for {needed} containers"));
    };
    let usable = limit.saturating_sub((limit / 8).clamp(12, 256)).saturating_sub(16);
    let text = format!("the limit of {limit} open files is enough for {usable} logs; containers: {needed}");
    match needed > usable {
        true => Finding::fail(
            "descriptors",
            text,
            "raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker run)",
        ),
        false => Finding::ok("descriptors", text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_finds;
    use super::*;

    fn log(driver: &str, options: &[(&str, &str)], rate: Option<Rate>) -> Finding {
        let container = Container::builder("web").log_driver(driver);
        let container =
            options.iter().fold(container, |container, (name, value)| container.log_option(*name, *value));
        judge_log(&container.build(), "1.41", rate.as_ref())
    }

    /// A rate of 1 MB of lines per second.
    fn high() -> Option<Rate> {
        Some(Rate { lines: 0, bytes: 2_000_000, period: Duration::from_secs(2) })
    }

    #[test]
    fn log_drivers_are_judged_by_whether_their_lines_can_be_read() {
        assert_finds(
            &log("none", &[], None),
            "fail",
            "none keeps no lines; create the container again with --log-driver local",
        );
        let off = [("cache-disabled", "true")];
        assert_finds(
            &log("awslogs", &off, None),
            "fail",
            "cache-disabled=true; create the container again without",
        );
        assert_finds(&log("gelf", &[], None), "warn", "the Engine's cache");
        let remote = Container::builder("web").log_driver("gelf").build();
        assert_finds(&judge_log(&remote, "1.40", None), "fail", "Docker 19.03 keeps no cache");
        assert_finds(&log("passthrough", &[], None), "fail", "passthrough keeps no lines");
        assert_finds(&log("journald", &[], None), "ok", "can be read");
        assert_finds(&log("", &[], None), "ok", "does not tell its log driver");
    }

    #[test]
    fn a_mode_in_which_the_engine_drops_lines_is_a_warning() {
        let mode = |mode: &str| Container::builder("web").log_driver("json-file").log_option("mode", mode);
        let finding = judge_mode(&mode("non-blocking").build()).unwrap();
        assert_finds(
            &finding,
            "warn",
            "a buffer of 1m, and nobody can read them; create the container again with",
        );
        let larger = mode("non-blocking").log_option("max-buffer-size", "25m").build();
        assert_finds(&judge_mode(&larger).unwrap(), "warn", "a buffer of 25m");
        assert!(judge_mode(&mode("blocking").build()).is_none());
    }

    #[test]
    fn one_file_at_a_high_rate_is_a_failure_and_otherwise_a_warning() {
        let one = [("max-size", "10m"), ("max-file", "1")];
        assert_finds(
            &log("json-file", &one, high()),
            "fail",
            "at the present 1 MB/s, a file is full after 10 s; with one file",
        );
        assert_finds(
            &log("json-file", &one, high()),
            "fail",
            "again with --log-opt max-file=3 --log-opt max-size=30m",
        );
        assert_finds(&log("json-file", &one, None), "warn", "nothing was written just now");
        let enough = [("max-size", "40m"), ("max-file", "1")];
        assert_finds(&log("json-file", &enough, high()), "fail", "again with --log-opt max-file=3");
        assert_eq!(log("json-file", &enough, high()).remedy.matches("max-size").count(), 0);
        // json-file has one file unless max-file says otherwise.
        assert_finds(&log("json-file", &one[..1], high()), "fail", "1 x 10 MB");
    }

    #[test]
    fn the_time_for_which_lines_are_kept_is_judged_by_the_size_of_the_full_files() {
        let three = |size| [("max-size", size), ("max-file", "3")];
        assert_finds(
            &log("json-file", &three("10m"), high()),
            "warn",
            "less than 60 s; create the container again with --log-opt max-size=30m",
        );
        assert_finds(
            &log("json-file", &three("30m"), high()),
            "ok",
            "3 x 30 MB; at the present 1 MB/s, a file is full after 30 s",
        );
        assert_finds(&log("local", &[], high()), "ok", "local log of 5 x 20 MB");
        for unlimited in [&[][..], &[("max-size", "-1")], &[("max-size", "many")]] {
            assert_finds(
                &log("json-file", unlimited, high()),
                "warn",
                "without a limit; create the container again",
            );
        }
        // The file stores further bytes with each line, so the rate of the file is higher than that of the
        // lines.
        let short = Rate { lines: 20_000, bytes: 20_000, period: Duration::from_secs(2) };
        assert_finds(&log("json-file", &three("1m"), Some(short)), "warn", "at the present 810 kB/s");
    }

    #[test]
    fn two_agents_are_named_and_a_subcommand_is_no_agent() {
        let agent = |name: &str| Container::builder(name).label("gelf-router.agent", "");
        let one = agent("one").command("/gelf-router", "gelf://h").build();
        let doctor = agent("doctor").command("/gelf-router", "doctor gelf://h").build();
        let proxy = agent("proxy").command("/gelf-router", "proxy --listen=unix:///s").build();
        let web = Container::builder("web").build();
        assert_finds(&judge_agents(&[one.clone(), doctor, proxy, web]), "ok", "gelf-router: 1");
        let two = Container::builder("two").command("/usr/bin/gelf-router", "").build();
        assert_finds(
            &judge_agents(&[one, two]),
            "warn",
            "2 containers run a gelf-router: one, two; each ships",
        );
    }

    #[test]
    fn a_limit_of_open_files_that_is_too_low_for_the_containers_fails() {
        assert_finds(
            &judge_descriptors(100, Some(64)),
            "fail",
            "64 open files is enough for 36 logs; containers: 100; raise the limit (ulimit -n",
        );
        assert_finds(&judge_descriptors(100, Some(1024)), "ok", "enough for 880 logs");
        assert_finds(&judge_descriptors(1, Some(0)), "fail", "enough for 0 logs");
        assert_finds(&judge_descriptors(1, None), "ok", "no limit");
    }
}
