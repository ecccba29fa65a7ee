//! Checks the socket of the Engine and the version of its API.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use docker_source::{EngineAddress, EngineError};

use super::Finding;
use super::access::{Owner, Process, READ_WRITE, group_name};

/// The file at the path of the Engine's socket.
#[derive(Debug)]
pub(super) enum SocketFile {
    /// A file that is not a socket, such as the folder that Docker creates for a mount without a source.
    Other,
    Socket(Owner),
    Unreachable(io::Error),
}

impl SocketFile {
    pub(super) fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(file) if file.file_type().is_socket() => Self::Socket(Owner::of(&file)),
            Ok(_) => Self::Other,
            Err(error) => Self::Unreachable(error),
        }
    }
}

/// Judges the file of the socket. `groups` is the text of `/etc/group`.
pub(super) fn judge_socket(path: &Path, file: &SocketFile, process: &Process, groups: &str) -> Finding {
    let subject = format!("socket {}", path.display());
    match file {
        SocketFile::Unreachable(error) if error.kind() == ErrorKind::NotFound => Finding::fail(
            subject,
            "the socket does not exist",
            "start Docker, mount the folder of the socket into this container, or set DOCKER_HOST",
        ),
        SocketFile::Unreachable(error) => {
            Finding::fail(subject, error.to_string(), "give this user the right to search the folder")
        }
        SocketFile::Other => Finding::fail(
            subject,
            "the file is not a socket",
            "remove the file, start Docker, and create this container again if the path is a mount",
        ),
        SocketFile::Socket(owner) if !process.may(READ_WRITE, *owner) => {
            let group = group_name(owner.group, groups);
            let remedy = match owner.mode & 0o060 {
                0o060 => format!(
                    "add the user to group {group} (usermod -aG {group} USER, or docker run --group-add {})",
                    owner.group
                ),
                _ => format!("run as user {}, or give group {group} access to the socket", owner.user),
            };
            let text = format!("user {} may not open the socket (mode {:04o})", process.user, owner.mode);
            Finding::fail(subject, text, remedy)
        }
        SocketFile::Socket(_) => Finding::ok(subject, "the socket exists and may be opened"),
    }
}

/// Judges the answer to the request for the version of the API.
pub(super) fn judge_version(address: &EngineAddress, version: &Result<String, EngineError>) -> Finding {
    let subject = format!("Engine {address}");
    match version {
        Ok(version) => Finding::ok(subject, format!("it answers with API version {version}")),
        Err(EngineError::TooOld { engine }) => Finding::fail(
            subject,
            format!("its newest API version is {engine}, and 1.40 is needed"),
            "update Docker to 19.03 or a later version",
        ),
        Err(EngineError::StaleSocket { .. }) => Finding::fail(
            subject,
            "the socket is stale: its file is mounted without its folder, and the Engine has made a new file since",
            "restart this container, and mount the folder of the socket instead of the file",
        ),
        Err(EngineError::Answer { reason, .. }) => Finding::fail(
            subject,
            format!("the server does not answer as a Docker Engine: {reason}"),
            "set DOCKER_HOST to the address of the Engine",
        ),
        Err(EngineError::Connect { error, .. }) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::fail(
                subject,
                "permission denied although the mode of the socket allows it",
                "check the rules of SELinux or AppArmor, or the user namespace of this container",
            )
        }
        // The texts of the other errors name a remedy where there is a usual one.
        Err(error) => Finding::fail(subject, error.to_string(), ""),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use simulated_engine::{Options, SimulatedEngine};

    use super::super::assert_finds;
    use super::*;

    const GROUPS: &str = "docker:x:998:\n";

    fn user() -> Process {
        Process { user: 1000, groups: vec![1000] }
    }

    #[test]
    fn a_missing_socket_or_another_file_is_named() {
        let folder = std::env::temp_dir().join(format!("gelf-router-doctor-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("docker.sock");
        let found = || judge_socket(&path, &SocketFile::at(&path), &user(), GROUPS);
        assert_finds(&found(), "fail", "does not exist; start Docker, mount the folder of the socket");
        fs::create_dir(&path).unwrap();
        assert_finds(&found(), "fail", "the file is not a socket; remove the file");
        fs::remove_dir(&path).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        let root = Process { user: 0, groups: vec![0] };
        let found = judge_socket(&path, &SocketFile::at(&path), &root, GROUPS);
        assert_finds(&found, "ok", "may be opened");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_user_without_rights_is_told_the_group_of_the_socket() {
        let found = |mode, group| {
            let file = SocketFile::Socket(Owner { user: 0, group, mode });
            judge_socket("/s".as_ref(), &file, &user(), GROUPS)
        };
        assert_finds(
            &found(0o660, 998),
            "fail",
            "user 1000 may not open the socket (mode 0660); add the user to group docker (usermod -aG docker \
             USER, or docker run --group-add 998)",
        );
        assert_finds(&found(0o660, 7), "fail", "group 7 (usermod -aG 7");
        assert_finds(&found(0o600, 998), "fail", "; run as user 0, or give group docker access");
        assert_finds(&found(0o660, 1000), "ok", "may be opened");
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_is_named() {
        let found = async |version: &str| {
            let options = Options { api_version: version.into(), ..Options::default() };
            let engine = SimulatedEngine::start_with(options).await;
            let address: EngineAddress = engine.docker_host().parse().unwrap();
            judge_version(&address, &docker_source::ping(address.clone(), super::super::ENGINE).await)
        };
        assert_finds(&found("1.39").await, "fail", "is 1.39, and 1.40 is needed; update Docker to 19.03");
        assert_finds(&found("1.41").await, "ok", "API version 1.41");
        assert_finds(&found("podman").await, "fail", "does not answer as a Docker Engine");
    }

    #[test]
    fn a_stale_socket_and_a_socket_without_permission_have_different_remedies() {
        let found = |error| judge_version(&EngineAddress::default(), &Err(error));
        let stale = EngineError::StaleSocket { path: "/var/run/docker.sock".into() };
        assert_finds(&found(stale), "fail", "and mount the folder of the socket instead of the file");
        let error = ErrorKind::PermissionDenied.into();
        let denied = EngineError::Connect { address: EngineAddress::default(), error };
        assert_finds(&found(denied), "fail", "SELinux");
        let error = ErrorKind::ConnectionRefused.into();
        let refused = EngineError::Connect { address: EngineAddress::default(), error };
        assert_finds(&found(refused), "fail", "start Docker");
    }
}
