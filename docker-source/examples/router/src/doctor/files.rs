//! Checks whether the logs of the running containers can be read from their files.

use docker_source::{Container, LogFileError};

use super::Finding;
use crate::reading::Reading;

/// Judges the files of the containers' logs. Returns `None` if there is nothing to say.
pub(super) fn judge(reading: &Reading, containers: &[Container]) -> Option<Finding> {
    let files = reading.log_files().unwrap_or_default();
    let checked = containers.iter().map(|container| (container.name(), files.check(container)));
    judge_checked(reading, &checked.collect::<Vec<_>>())
}

fn judge_checked(reading: &Reading, checked: &[(&str, Result<(), LogFileError>)]) -> Option<Finding> {
    let count = checked.iter().filter(|(_, checked)| checked.is_ok()).count();
    let unreadable = checked.iter().find_map(|(name, checked)| match checked {
        Ok(()) | Err(LogFileError::Driver { .. }) => None,
        Err(error) => Some(format!("the log of {name} is read through the Engine: {error}")),
    });
    match (reading, unreadable) {
        (Reading::Api, None) if count > 0 => Some(Finding::ok(
            "log files",
            format!("readable (containers: {count}), so --read=auto would cost the Engine less"),
        )),
        (Reading::Api, _) => None,
        (_, None) => Some(Finding::ok("log files", format!("readable (containers: {count})"))),
        (_, Some(text)) => Some(Finding::warn(
            "log files",
            text,
            "mount the folder of the Engine's containers, and run as root or with the capability \
             DAC_READ_SEARCH",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_finds;
    use super::*;

    #[test]
    fn readable_files_are_recommended_and_unreadable_files_are_a_warning_if_they_were_asked_for() {
        let local = || Err(LogFileError::Driver { driver: "local".to_owned() });
        let missing =
            || Err(LogFileError::Open { path: "/c".into(), error: std::io::ErrorKind::NotFound.into() });
        let judge = |reading: &str, checked| judge_checked(&reading.parse().unwrap(), checked);
        let readable = [("a", Ok(())), ("b", local())];
        assert_finds(&judge("api", &readable).unwrap(), "ok", "--read=auto");
        assert_finds(&judge("files", &readable).unwrap(), "ok", "readable (containers: 1)");
        let unreadable = [("a", Ok(())), ("b", missing())];
        assert!(judge("api", &unreadable).is_none());
        assert_finds(
            &judge("auto", &unreadable).unwrap(),
            "warn",
            "the log of b is read through the Engine: /c",
        );
        assert!(judge("api", &[("b", local())]).is_none());
    }
}
